// Passes by debug info entries at memory speed: the lengths of attributes, by form (DWARF 5, 7.5.6).
//
// libdw tells the shape of each abbreviation once and reads what matters of the few entries that contain an
// address. Its own way from sibling to sibling costs a hundred nanoseconds and more an entry; a large C++
// unit has 100,000.
#include "resolve/entries.h"

#include "base/error.h"

#include <dwarf.h>
#include <endian.h>
#include <stdlib.h>

enum { CODE_LIMIT = 1 << 20, DEPENDS = UINT32_MAX, UNKNOWN_FORM = UINT32_MAX - 1 };

static bool read_uleb(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static uint64_t read_fixed(const uint8_t *at, uint32_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, at,
           bytes < sizeof value ? bytes : sizeof value); // little endian, as ht_entries_begin() made sure
    return value;
}

// Forms whose values have their length in their content.
static bool is_variable(unsigned form)
{
    static const uint8_t forms[] = {DW_FORM_udata,   DW_FORM_sdata,    DW_FORM_ref_udata, DW_FORM_strx,
                                    DW_FORM_addrx,   DW_FORM_loclistx, DW_FORM_rnglistx,  DW_FORM_string,
                                    DW_FORM_block1,  DW_FORM_block2,   DW_FORM_block4,    DW_FORM_block,
                                    DW_FORM_exprloc, DW_FORM_indirect};
    return form == DW_FORM_GNU_addr_index || form == DW_FORM_GNU_str_index ||
           (form <= UINT8_MAX && memchr(forms, (int)form, sizeof forms) != NULL);
}

// Bytes of a value of this form; DEPENDS: its content says, UNKNOWN_FORM: nobody does.
static uint32_t form_bytes(const struct ht_entries *entries, unsigned form)
{
    switch (form) {
    case DW_FORM_flag_present:
    case DW_FORM_implicit_const:
        return 0;
    case DW_FORM_data1:
    case DW_FORM_ref1:
    case DW_FORM_flag:
    case DW_FORM_strx1:
    case DW_FORM_addrx1:
        return 1;
    case DW_FORM_data2:
    case DW_FORM_ref2:
    case DW_FORM_strx2:
    case DW_FORM_addrx2:
        return 2;
    case DW_FORM_strx3:
    case DW_FORM_addrx3:
        return 3;
    case DW_FORM_data4:
    case DW_FORM_ref4:
    case DW_FORM_ref_sup4:
    case DW_FORM_strx4:
    case DW_FORM_addrx4:
        return 4;
    case DW_FORM_data8:
    case DW_FORM_ref8:
    case DW_FORM_ref_sig8:
    case DW_FORM_ref_sup8:
        return 8;
    case DW_FORM_data16:
        return 16;
    case DW_FORM_addr:
        return entries->address_bytes;
    case DW_FORM_ref_addr:
        return entries->version < 3 ? entries->address_bytes : entries->offset_bytes;
    case DW_FORM_strp:
    case DW_FORM_line_strp:
    case DW_FORM_sec_offset:
    case DW_FORM_strp_sup:
    case DW_FORM_GNU_strp_alt:
    case DW_FORM_GNU_ref_alt:
        return entries->offset_bytes;
    default:
        return is_variable(form) ? DEPENDS : UNKNOWN_FORM;
    }
}

// Behind a value whose length is in its content; NULL when it does not end in the unit.
static const uint8_t *pass_value(const struct ht_entries *entries, const uint8_t *at, unsigned form)
{
    const uint8_t *end = entries->end;
    uint64_t length = 0;
    uint32_t head = form == DW_FORM_block1 ? 1 : form == DW_FORM_block2 ? 2 : form == DW_FORM_block4 ? 4 : 0;
    if (form == DW_FORM_string) {
        const uint8_t *zero = memchr(at, '\0', (size_t)(end - at));
        return zero != NULL ? zero + 1 : NULL;
    }
    if (head > 0) {
        if ((size_t)(end - at) < head)
            return NULL;
        length = read_fixed(at, head);
        at += head;
    } else if (!read_uleb(&at, end, &length)) {
        return NULL;
    }
    if (form == DW_FORM_indirect) { // the form is in the entry
        unsigned inner = (unsigned)length;
        uint32_t bytes =
            length > UINT16_MAX || inner == DW_FORM_indirect ? UNKNOWN_FORM : form_bytes(entries, inner);
        if (bytes == UNKNOWN_FORM)
            return NULL;
        if (bytes == DEPENDS)
            return pass_value(entries, at, inner);
        length = bytes;
    } else if (head == 0 && form != DW_FORM_block && form != DW_FORM_exprloc) {
        return at; // a number
    }
    return length <= (size_t)(end - at) ? at + length : NULL;
}

static bool matters(unsigned name)
{
    return name == DW_AT_sibling || name == DW_AT_low_pc || name == DW_AT_high_pc || name == DW_AT_ranges;
}

struct learning {
    struct ht_entries *entries;
    struct ht_shape *shape;
    bool failed;
};

static int learn_attribute(Dwarf_Attribute *attribute, void *arg)
{
    struct learning *learning = arg;
    struct ht_entries *entries = learning->entries;
    unsigned name = dwarf_whatattr(attribute), form = dwarf_whatform(attribute);
    uint32_t bytes = form_bytes(entries, form);
    if (bytes == UNKNOWN_FORM) {
        learning->failed = true;
        return DWARF_CB_ABORT;
    }
    bool is_fixed = bytes != DEPENDS;
    struct ht_shape_step *last =
        learning->shape->step_count > 0 ? &entries->steps[entries->step_count - 1] : NULL;
    if (is_fixed && !matters(name) && last != NULL && last->form == 0) {
        last->bytes += bytes;
        return DWARF_CB_OK;
    }
    HT_RESERVE(entries->steps, entries->step_capacity, entries->step_count + 1);
    entries->steps[entries->step_count++] = (struct ht_shape_step){
        .form = is_fixed && !matters(name) ? 0 : (uint16_t)form,
        .name = (uint16_t)name,
        .bytes = is_fixed ? bytes : 0,
    };
    learning->shape->step_count++;
    return DWARF_CB_OK;
}

// The shape of an abbreviation code, from the first entry that has it.
static int learn(struct ht_entries *entries, const uint8_t *at, uint64_t code)
{
    if (code >= CODE_LIMIT)
        return -1;
    if (code >= entries->shape_count) {
        size_t count = (size_t)code + 1;
        HT_RESERVE(entries->shapes, entries->shape_capacity, count);
        memset(&entries->shapes[entries->shape_count], 0,
               (count - entries->shape_count) * sizeof *entries->shapes);
        entries->shape_count = count;
    }
    struct ht_shape *shape = &entries->shapes[code];
    Dwarf_Die die = {.addr = (void *)(uintptr_t)at, .cu = entries->cu};
    struct learning learning = {.entries = entries, .shape = shape};
    *shape = (struct ht_shape){.steps = (uint32_t)entries->step_count};
    int tag = dwarf_tag(&die), has_children = dwarf_haschildren(&die);
    if (tag == DW_TAG_invalid || has_children < 0 ||
        dwarf_getattrs(&die, learn_attribute, &learning, 0) < 0 || learning.failed)
        return -1;
    shape->tag = (uint16_t)tag;
    shape->has_children = has_children != 0;
    shape->is_known = true;
    return 0;
}

// What a value that matters says. high_pc is an address, or a length from low_pc.
static void note_value(const struct ht_entries *entries, const struct ht_shape_step *step, const uint8_t *at,
                       struct ht_entry *entry)
{
    uint64_t value = step->bytes > 0 ? read_fixed(at, step->bytes) : 0;
    switch (step->name) {
    case DW_AT_sibling:
        if (step->form == DW_FORM_ref_udata)
            read_uleb(&at, entries->end, &value);
        else if (step->form != DW_FORM_ref1 && step->form != DW_FORM_ref2 && step->form != DW_FORM_ref4 &&
                 step->form != DW_FORM_ref8)
            break;
        if (value < (size_t)(entries->end - entries->start))
            entry->sibling = entries->start + value;
        break;
    case DW_AT_low_pc:
        entry->pc = step->form == DW_FORM_addr && entry->pc == HT_PC_NONE ? HT_PC_RANGE : HT_PC_ASK;
        entry->low = value;
        break;
    case DW_AT_high_pc:
        if (entry->pc == HT_PC_RANGE && step->form == DW_FORM_addr)
            entry->high = value;
        else if (entry->pc == HT_PC_RANGE && (step->form == DW_FORM_data1 || step->form == DW_FORM_data2 ||
                                              step->form == DW_FORM_data4 || step->form == DW_FORM_data8))
            entry->high = entry->low + value;
        else
            entry->pc = HT_PC_ASK;
        break;
    default:
        entry->pc = HT_PC_ASK;
        break;
    }
}

int ht_entries_read(struct ht_entries *entries, const uint8_t *at, struct ht_entry *ret_entry)
{
    uint64_t code;
    struct ht_entry entry = {.at = at};
    if (at >= entries->end || !read_uleb(&at, entries->end, &code))
        return -1;
    if (code == 0) {
        ret_entry->children = at;
        return 0;
    }
    if ((code >= entries->shape_count || !entries->shapes[code].is_known) &&
        learn(entries, entry.at, code) < 0)
        return -1;
    const struct ht_shape *shape = &entries->shapes[code];
    for (uint32_t i = 0; i < shape->step_count; i++) {
        const struct ht_shape_step *step = &entries->steps[shape->steps + i];
        const uint8_t *value = at;
        if (step->bytes > 0 || step->form == DW_FORM_flag_present || step->form == DW_FORM_implicit_const ||
            step->form == 0) {
            if ((size_t)(entries->end - at) < step->bytes)
                return -1;
            at += step->bytes;
        } else {
            at = pass_value(entries, at, step->form);
            if (at == NULL)
                return -1;
        }
        if (step->form != 0 && matters(step->name))
            note_value(entries, step, value, &entry);
    }
    if (entry.pc == HT_PC_RANGE && entry.high == 0)
        entry.pc = HT_PC_ASK; // the address alone
    if (entry.sibling != NULL && entry.sibling <= entry.at)
        entry.sibling = NULL; // backwards: would never end
    entry.children = at;
    entry.has_children = shape->has_children;
    entry.tag = shape->tag;
    *ret_entry = entry;
    return 1;
}

const uint8_t *ht_entries_pass(struct ht_entries *entries, const struct ht_entry *entry)
{
    if (!entry->has_children)
        return entry->children;
    if (entry->sibling != NULL)
        return entry->sibling;
    const uint8_t *at = entry->children;
    for (size_t depth = 1; depth > 0;) {
        struct ht_entry next;
        int result = ht_entries_read(entries, at, &next);
        if (result < 0)
            return NULL;
        at = next.children;
        if (result == 0)
            depth--;
        else if (next.has_children && next.sibling != NULL)
            at = next.sibling;
        else if (next.has_children)
            depth++;
    }
    return at;
}

int ht_entries_begin(struct ht_entries *entries, Dwarf_Die *unit)
{
    const unsigned char *identity =
        (const unsigned char *)elf_getident(dwarf_getelf(dwarf_cu_getdwarf(unit->cu)), NULL);
    if (identity == NULL || (identity[EI_DATA] == ELFDATA2LSB) != (__BYTE_ORDER == __LITTLE_ENDIAN))
        return ht_fail("debug info of another byte order");
    Dwarf_Off entry = dwarf_dieoffset(unit), unit_offset = entry - dwarf_cuoffset(unit), next, abbreviations;
    Dwarf_Half version;
    uint8_t address_bytes, offset_bytes;
    if (dwarf_next_unit(dwarf_cu_getdwarf(unit->cu), unit_offset, &next, NULL, &version, &abbreviations,
                        &address_bytes, &offset_bytes, NULL, NULL) != 0)
        return ht_fail("%s", dwarf_errmsg(-1));
    entries->cu = unit->cu;
    entries->first = unit->addr;
    entries->start = entries->first - (entry - unit_offset);
    entries->end = entries->start + (next - unit_offset);
    entries->version = version;
    entries->address_bytes = address_bytes;
    entries->offset_bytes = offset_bytes;
    entries->shape_count = 0;
    entries->step_count = 0;
    return 0;
}

void ht_entries_free(struct ht_entries *entries)
{
    free(entries->shapes);
    free(entries->steps);
    memset(entries, 0, sizeof *entries);
}
