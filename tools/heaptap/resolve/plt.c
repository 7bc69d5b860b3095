// Names for the stubs through which calls go to other files: no symbol covers them, and what a stub jumps to
// is told by the relocation of the word that it reads.
#include "resolve/plt.h"

#include "resolve/sections.h"

#include <gelf.h>
#include <stdlib.h>

// Of each in a file: its sections may lie over each other, as many as their headers have room.
enum { RELOCATION_LIMIT = 1 << 22, STUB_LIMIT = 1 << 22 };

struct slot {
    uint64_t address; // of the word
    const char *name;
};

struct slots {
    struct slot *slots; // by address
    size_t count, capacity;
    const char **lazy; // by the numbers that stubs push for the loader
    size_t lazy_count, lazy_capacity;
    size_t left; // relocations that are still read
};

static void add_relocations(struct slots *slots, Elf *elf, Elf_Scn *section, const GElf_Shdr *header,
                            const char *section_name)
{
    GElf_Shdr symbols_header;
    Elf_Scn *symbols = elf_getscn(elf, header->sh_link);
    Elf_Data *entries = elf_getdata(section, NULL),
             *table = symbols != NULL ? elf_getdata(symbols, NULL) : NULL;
    if (entries == NULL || table == NULL || gelf_getshdr(symbols, &symbols_header) == NULL ||
        symbols_header.sh_type != SHT_DYNSYM)
        return;
    GElf_Rela entry;
    for (int i = 0; slots->left > 0 && gelf_getrela(entries, i, &entry) != NULL; i++, slots->left--) {
        GElf_Sym symbol;
        const char *name = NULL;
        if (GELF_R_SYM(entry.r_info) != 0 &&
            gelf_getsym(table, (int)GELF_R_SYM(entry.r_info), &symbol) != NULL)
            name = elf_strptr(elf, symbols_header.sh_link, symbol.st_name);
        if (name != NULL && name[0] == '\0')
            name = NULL;
        if (strcmp(section_name, ".rela.plt") == 0) {
            HT_RESERVE(slots->lazy, slots->lazy_capacity, slots->lazy_count + 1);
            slots->lazy[slots->lazy_count++] = name;
        }
        if (name == NULL)
            continue;
        HT_RESERVE(slots->slots, slots->capacity, slots->count + 1);
        slots->slots[slots->count++] = (struct slot){entry.r_offset, name};
    }
}

static int compare_slots(const void *left, const void *right)
{
    const struct slot *a = left, *b = right;
    return a->address < b->address ? -1 : a->address > b->address;
}

static const char *name_of_slot(const struct slots *slots, uint64_t address)
{
    struct slot wanted = {.address = address};
    const struct slot *found =
        slots->count > 0 ? bsearch(&wanted, slots->slots, slots->count, sizeof wanted, compare_slots) : NULL;
    return found != NULL ? found->name : NULL;
}

struct stubs {
    const struct slots *slots;
    const uint8_t *bytes;
    uint64_t address, size, entry_bytes;
    size_t left; // stubs that are still looked at
    void (*add)(void *context, uint64_t start, uint64_t end, const char *name);
    void *context;
};

static uint32_t word_at(const struct stubs *stubs, uint64_t offset)
{
    uint32_t word;
    memcpy(&word, stubs->bytes + offset, sizeof word); // of this machine's byte order
    return word;
}

// jmp *DISPLACEMENT(%rip), or where those stand in .plt.sec: push NUMBER.
static void read_x86_64(struct stubs *stubs)
{
    enum { JUMP_BYTES = 6, PUSH_BYTES = 5 };
    for (uint64_t entry = 0; entry + stubs->entry_bytes <= stubs->size && stubs->left > 0;
         entry += stubs->entry_bytes, stubs->left--) {
        const char *name = NULL;
        uint64_t end = entry + stubs->entry_bytes;
        for (uint64_t at = entry; name == NULL && at + JUMP_BYTES <= end; at++)
            if (stubs->bytes[at] == 0xff && stubs->bytes[at + 1] == 0x25)
                name = name_of_slot(stubs->slots, stubs->address + at + JUMP_BYTES +
                                                      (uint64_t)(int64_t)(int32_t)word_at(stubs, at + 2));
        for (uint64_t at = entry; name == NULL && at <= entry + 4 && at + PUSH_BYTES <= end; at += 4)
            if (stubs->bytes[at] == 0x68 && word_at(stubs, at + 1) < stubs->slots->lazy_count)
                name = stubs->slots->lazy[word_at(stubs, at + 1)];
        if (name != NULL)
            stubs->add(stubs->context, stubs->address + entry, stubs->address + end, name);
    }
}

// adrp x16, PAGE; ldr x17, [x16, #OFFSET]; ...; br x17
static void read_aarch64(struct stubs *stubs)
{
    enum { WORD = 4, LONGEST = 24 };
    static const uint32_t bti = 0xd503245f, br = 0xd61f0220;
    for (uint64_t at = 0; at + 2 * WORD <= stubs->size && stubs->left > 0; at += WORD, stubs->left--) {
        uint32_t adrp = word_at(stubs, at), ldr = word_at(stubs, at + WORD);
        if ((adrp & 0x9f00001f) != 0x90000010 || (ldr & 0xffc003ff) != 0xf9400211)
            continue;
        int64_t page = (int64_t)((uint64_t)((adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3)) << 43) >> 31;
        uint64_t slot = ((stubs->address + at) & ~UINT64_C(0xfff)) + (uint64_t)page + (ldr >> 10 & 0xfff) * 8;
        uint64_t start = at >= WORD && word_at(stubs, at - WORD) == bti ? at - WORD : at, end = at + 2 * WORD;
        while (end + WORD <= stubs->size && end < start + LONGEST && word_at(stubs, end - WORD) != br)
            end += WORD;
        const char *name = name_of_slot(stubs->slots, slot);
        if (name != NULL)
            stubs->add(stubs->context, stubs->address + start, stubs->address + end, name);
    }
}

static void read_stubs(struct stubs *stubs, Elf *elf, Elf_Scn *section, const GElf_Shdr *header)
{
    GElf_Ehdr file;
    Elf_Data *data = header->sh_type != SHT_NOBITS ? elf_rawdata(section, NULL) : NULL;
    if (data == NULL || data->d_buf == NULL || gelf_getehdr(elf, &file) == NULL ||
        data->d_size > UINT64_MAX - header->sh_addr)
        return;
    stubs->bytes = data->d_buf;
    stubs->address = header->sh_addr;
    stubs->size = data->d_size;
    stubs->entry_bytes = header->sh_entsize == 8 ? 8 : 16;
    if (file.e_machine == EM_X86_64)
        read_x86_64(stubs);
    else if (file.e_machine == EM_AARCH64)
        read_aarch64(stubs);
}

void ht_plt_each(Elf *elf, void (*add)(void *context, uint64_t start, uint64_t end, const char *name),
                 void *context)
{
    struct slots slots = {.left = RELOCATION_LIMIT};
    struct stubs stubs = {.slots = &slots, .left = STUB_LIMIT, .add = add, .context = context};
    GElf_Shdr header;
    const char *name;
    for (Elf_Scn *section = NULL; (section = ht_section_next(elf, section, &header, &name)) != NULL;)
        if (header.sh_type == SHT_RELA)
            add_relocations(&slots, elf, section, &header, name);
    if (slots.count > 0)
        qsort(slots.slots, slots.count, sizeof *slots.slots, compare_slots);
    for (Elf_Scn *section = NULL; (section = ht_section_next(elf, section, &header, &name)) != NULL;)
        if (strncmp(name, ".plt", 4) == 0 && (header.sh_flags & SHF_EXECINSTR))
            read_stubs(&stubs, elf, section, &header);
    free(slots.slots);
    free(slots.lazy);
}
