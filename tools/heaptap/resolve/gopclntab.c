// Reads the function table of .gopclntab in the forms that Go has written since 1.2 (Go's runtime/symtab.go:
// pcHeader, functab, _func).
#include "resolve/gopclntab.h"

#include "base/memory.h"
#include "resolve/sections.h"

#include <gelf.h>
#include <stdbool.h>

// The first word says the form; programs of the two newest differ in what they do not need here.
#define GO_1_2  0xfffffffbu
#define GO_1_16 0xfffffffau
#define GO_1_18 0xfffffff0u
#define GO_1_20 0xfffffff1u

enum { POINTER = 8, HEAD = 8, FUNCTION_LIMIT = 1 << 24, NAME_LIMIT = 1 << 16, RELOCATION_LIMIT = 1 << 24 };

struct table {
    const uint8_t *bytes;
    uint64_t size;
    uint32_t form;
    uint64_t count;
    uint64_t functions; // where the table of functions is; entries count from there
    uint64_t names;     // where names count from
    uint64_t text;      // what addresses count from
};

static uint64_t number_at(const struct table *table, uint64_t offset, unsigned bytes)
{
    uint64_t value = 0;
    if (offset <= table->size && bytes <= table->size - offset)
        memcpy(&value, table->bytes + offset, bytes); // little endian: of this machine
    return value;
}

// The address that a program of any place in memory writes into this word when it starts: it is in the
// relocation alone.
static uint64_t relocated(Elf *elf, uint64_t address)
{
    size_t left = RELOCATION_LIMIT; // sections may lie over each other
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        GElf_Rela entry;
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_RELA)
            continue;
        Elf_Data *data = elf_getdata(section, NULL);
        for (int i = 0; data != NULL && left > 0 && gelf_getrela(data, i, &entry) != NULL; i++, left--)
            if (entry.r_offset == address && GELF_R_SYM(entry.r_info) == 0)
                return (uint64_t)entry.r_addend;
    }
    return 0;
}

static bool read_head(struct table *table, Elf *elf, uint64_t address, uint64_t code)
{
    table->form = (uint32_t)number_at(table, 0, 4);
    table->count = number_at(table, HEAD, POINTER);
    if (number_at(table, 7, 1) != POINTER || table->count > FUNCTION_LIMIT)
        return false;
    switch (table->form) {
    case GO_1_2:
        table->functions = HEAD + POINTER;
        return true;
    case GO_1_16:
        table->names = number_at(table, HEAD + 2 * POINTER, POINTER);
        table->functions = number_at(table, HEAD + 6 * POINTER, POINTER);
        return true;
    case GO_1_18:
    case GO_1_20:
        table->text = number_at(table, HEAD + 2 * POINTER, POINTER);
        if (table->text == 0)
            table->text = relocated(elf, address + HEAD + 2 * POINTER);
        if (table->text == 0) // newer ones leave it out
            table->text = code;
        table->names = number_at(table, HEAD + 3 * POINTER, POINTER);
        table->functions = number_at(table, HEAD + 7 * POINTER, POINTER);
        return true;
    default:
        return false;
    }
}

static void read_functions(const struct table *table, void (*add)(void *, uint64_t, uint64_t, const char *),
                           void *context)
{
    bool is_short = table->form == GO_1_18 || table->form == GO_1_20;
    unsigned field = is_short ? 4 : POINTER;
    uint64_t base = table->form == GO_1_2 ? 0 : table->functions;
    for (uint64_t i = 0; i < table->count; i++) {
        uint64_t at = table->functions + i * 2 * field;
        if (at > table->size || table->size - at < 3 * field)
            break;
        uint64_t start = number_at(table, at, field), end = number_at(table, at + UINT64_C(2) * field, field);
        uint64_t function = base + number_at(table, at + field, field);
        uint64_t name = table->names + number_at(table, function + field, 4);
        if (end <= start || end > UINT64_MAX - table->text || name >= table->size)
            continue;
        uint64_t room = table->size - name < NAME_LIMIT ? table->size - name : NAME_LIMIT;
        if (memchr(table->bytes + name, '\0', room) == NULL)
            continue;
        add(context, table->text + start, table->text + end, (const char *)table->bytes + name);
    }
}

// gcc's linker puts the table of a program of any place in memory among other constants: offset of its head,
// or `size`.
static uint64_t find_head(const uint8_t *bytes, uint64_t size)
{
    static const uint8_t same[] = {0xff, 0xff, 0xff, 0, 0}; // then the unit of instructions, and 8
    for (uint64_t at = 0; at + HEAD <= size; at += POINTER)
        if (memcmp(bytes + at + 1, same, sizeof same) == 0 && bytes[at] >= 0xf0 && bytes[at + 6] <= 4 &&
            bytes[at + 7] == POINTER)
            return at;
    return size;
}

void ht_gopclntab_each(Elf *elf, void (*add)(void *context, uint64_t start, uint64_t end, const char *name),
                       void *context)
{
    struct table table = {0};
    uint64_t address = 0, code = 0; // of the table, of .text
    GElf_Shdr header;
    const char *name;
    for (Elf_Scn *section = NULL; (section = ht_section_next(elf, section, &header, &name)) != NULL;) {
        if (strcmp(name, ".text") == 0)
            code = header.sh_addr;
        bool is_mixed = strcmp(name, ".data.rel.ro") == 0;
        if ((!is_mixed && strcmp(name, ".gopclntab") != 0 && strcmp(name, ".data.rel.ro.gopclntab") != 0) ||
            header.sh_type == SHT_NOBITS || table.size > 0)
            continue;
        Elf_Data *data = elf_rawdata(section, NULL);
        if (data == NULL || data->d_buf == NULL)
            continue;
        uint64_t head = is_mixed ? find_head(data->d_buf, data->d_size) : 0;
        table = (struct table){.bytes = (const uint8_t *)data->d_buf + head, .size = data->d_size - head};
        address = header.sh_addr + head;
    }
    if (table.size > HEAD && read_head(&table, elf, address, code))
        read_functions(&table, add, context);
}
