// Call frame information: parses .eh_frame_hdr, CIEs and FDEs and interprets their instructions within given
// bounds.
#include "unwind/cfi.h"

#include "unwind/cursor.h"

#include <string.h>

// The head of an entry of .eh_frame: a cursor over what its length covers. False: the terminator, or
// nonsense.
static bool ht_open_entry(const struct ht_cfi_tables *tables, uintptr_t address, struct ht_cursor *ret_body)
{
    struct ht_cursor c = ht_cursor_at(tables, address, tables->hi);
    uint64_t length = ht_cursor_get(&c, 4);
    if (length == 0xffffffff) {
        length = ht_cursor_get(&c, 8);
    }
    if (c.bad || length == 0 || length > c.end - c.at) {
        return false;
    }
    ret_body->at = c.at;
    ret_body->end = c.at + length;
    ret_body->bad = false;
    return true;
}

// The letters after 'z': what else an FDE of this CIE carries.
static bool ht_parse_augmentation(struct ht_cursor *c, struct ht_cursor letters,
                                  struct ht_cfi_function *function)
{
    for (;;) {
        uint8_t encoding;
        switch ((char)ht_cursor_get(&letters, 1)) {
        case '\0':
            return !letters.bad;
        case 'R':
            function->encoding = (uint8_t)ht_cursor_get(c, 1);
            break;
        case 'L':
            ht_cursor_get(c, 1);
            break;
        case 'P':
            encoding = (uint8_t)ht_cursor_get(c, 1);
            if ((encoding & 0x70) == PE_ALIGNED) {
                return false;
            }
            ht_cursor_encoded(c, encoding & 0x0f, 0);
            break;
        case 'S':
            function->is_signal_frame = true;
            break;
        case 'B': // aarch64: return addresses are signed with key B
        case 'G': // aarch64: tagged stack
            break;
        default:
            return true; // unknown letters: the length of the data says where it ends
        }
    }
}

static bool ht_parse_cie(const struct ht_cfi_tables *tables, uintptr_t address,
                         struct ht_cfi_function *function)
{
    struct ht_cursor c;
    if (!ht_open_entry(tables, address, &c) || ht_cursor_get(&c, 4) != 0) {
        return false;
    }
    uint8_t version = (uint8_t)ht_cursor_get(&c, 1);
    if (version != 1 && version != 3 && version != 4) {
        return false;
    }
    struct ht_cursor letters = c;
    while (ht_cursor_get(&c, 1) != 0 && !c.bad) {
    }
    if (version == 4) {
        ht_cursor_get(&c, 2); // address size, segment selector size
    }
    function->code_align = ht_cursor_uleb(&c);
    function->data_align = ht_cursor_sleb(&c);
    uint64_t column = version == 1 ? ht_cursor_get(&c, 1) : ht_cursor_uleb(&c);
    function->encoding = PE_ABSPTR;
    function->is_signal_frame = false;
    if (c.bad || column >= HT_ARCH_REG_COUNT) {
        return false;
    }
    function->ra_column = (unsigned)column;
    uint8_t first = (uint8_t)ht_cursor_get(&letters, 1);
    function->has_augmentation = first == 'z';
    if (function->has_augmentation) {
        uint64_t length = ht_cursor_uleb(&c);
        if (c.bad || length > c.end - c.at) {
            return false;
        }
        struct ht_cursor data = {c.at, c.at + length, false};
        if (!ht_parse_augmentation(&data, letters, function) || data.bad) {
            return false;
        }
        c.at += length;
    } else if (first != '\0') {
        return false; // "eh" and others of before 2000: no length to skip by
    }
    function->cie_code = c.at;
    function->cie_code_end = c.end;
    return !c.bad;
}

static bool ht_parse_fde(const struct ht_cfi_tables *tables, uintptr_t address,
                         struct ht_cfi_function *ret_function)
{
    struct ht_cursor c;
    if (!ht_open_entry(tables, address, &c)) {
        return false;
    }
    uintptr_t id_at = c.at;
    uint64_t cie_distance = ht_cursor_get(&c, 4);
    struct ht_cfi_function function;
    if (c.bad || cie_distance == 0 || cie_distance > id_at ||
        !ht_parse_cie(tables, id_at - cie_distance, &function) || function.encoding == PE_OMIT ||
        (function.encoding & PE_INDIRECT)) {
        return false;
    }
    function.start = ht_cursor_encoded(&c, function.encoding, tables->header);
    uint64_t size_bytes = ht_cursor_encoded(&c, function.encoding & 0x0f, 0);
    if (function.start > UINTPTR_MAX - size_bytes) {
        return false;
    }
    function.limit = function.start + size_bytes;
    if (function.has_augmentation) {
        uint64_t length = ht_cursor_uleb(&c);
        if (c.bad || length > c.end - c.at) {
            return false;
        }
        c.at += length;
    }
    function.code = c.at;
    function.code_end = c.end;
    if (c.bad) {
        return false;
    }
    *ret_function = function;
    return true;
}

// Without a table that can be searched: entry by entry.
static bool ht_find_linearly(const struct ht_cfi_tables *tables, uintptr_t frames, uintptr_t pc,
                             struct ht_cfi_function *ret_function)
{
    uintptr_t at = frames;
    struct ht_cursor body;
    while (ht_open_entry(tables, at, &body)) {
        struct ht_cfi_function function;
        if (ht_parse_fde(tables, at, &function) && pc >= function.start && pc < function.limit) {
            *ret_function = function;
            return true;
        }
        at = body.end;
    }
    return false;
}

bool ht_cfi_find(const struct ht_cfi_tables *tables, uintptr_t pc, struct ht_cfi_function *ret_function)
{
    struct ht_cursor c = ht_cursor_at(tables, tables->header, tables->hi);
    uint8_t version = (uint8_t)ht_cursor_get(&c, 1);
    uint8_t frames_encoding = (uint8_t)ht_cursor_get(&c, 1);
    uint8_t count_encoding = (uint8_t)ht_cursor_get(&c, 1);
    uint8_t table_encoding = (uint8_t)ht_cursor_get(&c, 1);
    if (c.bad || version != 1 || frames_encoding == PE_OMIT || (frames_encoding & PE_INDIRECT)) {
        return false;
    }
    uintptr_t frames = ht_cursor_encoded(&c, frames_encoding, tables->header);
    if (count_encoding == PE_OMIT || table_encoding != (PE_DATAREL | PE_SDATA4)) {
        return !c.bad && ht_find_linearly(tables, frames, pc, ret_function);
    }
    uint64_t count = ht_cursor_encoded(&c, count_encoding, tables->header);
    if (c.bad || count == 0 || count > (c.end - c.at) / 8) {
        return false;
    }
    uintptr_t table = c.at;
    int64_t wanted = (int64_t)(pc - tables->header);
    uint64_t low = 0, high = count; // the last entry that begins at or before pc is in [low, high)
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        int32_t start;
        memcpy(&start, (const void *)(table + middle * 8), sizeof start);
        if (start <= wanted) {
            low = middle;
        } else {
            high = middle;
        }
    }
    int32_t distance;
    memcpy(&distance, (const void *)(table + low * 8 + 4), sizeof distance);
    struct ht_cfi_function function;
    if (!ht_parse_fde(tables, tables->header + (uintptr_t)(intptr_t)distance, &function) ||
        pc < function.start || pc >= function.limit) {
        return false;
    }
    *ret_function = function;
    return true;
}

// The state of an interpretation. Rows live in the scratch.
struct ht_machine {
    struct ht_unwind_scratch *scratch;
    const struct ht_cfi_function *function;
    uintptr_t header;
    uintptr_t location;
    unsigned saved_count;
    bool in_cie;
};

static bool ht_set(struct ht_machine *m, uint64_t reg, enum ht_cfi_kind kind, int64_t value)
{
    // Registers beyond ours (vector registers) hold nothing that a walk needs.
    if (reg < HT_ARCH_REG_COUNT) {
        m->scratch->row.kind[reg] = (uint8_t)kind;
        m->scratch->row.value[reg] = value;
    }
    return true;
}

static bool ht_restore(struct ht_machine *m, uint64_t reg)
{
    if (reg < HT_ARCH_REG_COUNT) {
        m->scratch->row.kind[reg] = m->scratch->initial.kind[reg];
        m->scratch->row.value[reg] = m->scratch->initial.value[reg];
    }
    return !m->in_cie;
}

static bool ht_set_expression(struct ht_machine *m, struct ht_cursor *c, enum ht_cfi_kind kind)
{
    uint64_t reg = ht_cursor_uleb(c);
    uintptr_t at = c->at;
    uint64_t length = ht_cursor_uleb(c);
    if (c->bad || length > c->end - c->at) {
        return false;
    }
    c->at += length;
    return ht_set(m, reg, kind, (int64_t)at);
}

static bool ht_set_cfa(struct ht_machine *m, uint64_t reg, int64_t offset)
{
    struct ht_cfi_row *row = &m->scratch->row;
    row->cfa_reg = reg < HT_ARCH_REG_COUNT ? (uint8_t)reg : HT_ARCH_REG_COUNT;
    row->cfa_offset = offset;
    row->cfa_expression = 0;
    return reg < HT_ARCH_REG_COUNT;
}

static int64_t ht_scaled(const struct ht_machine *m, uint64_t factor)
{
    return (int64_t)(factor * (uint64_t)m->function->data_align);
}

// DW_CFA_def_cfa*, remember and restore.
static bool ht_run_cfa(struct ht_machine *m, struct ht_cursor *c, uint8_t op)
{
    struct ht_unwind_scratch *s = m->scratch;
    uint64_t reg, length;
    switch (op) {
    case 0x0a: // remember_state
        if (m->saved_count == HT_CFI_SAVED_ROWS) {
            return false;
        }
        s->saved_rows[m->saved_count++] = s->row;
        return true;
    case 0x0b: // restore_state
        if (m->saved_count == 0) {
            return false;
        }
        s->row = s->saved_rows[--m->saved_count];
        return true;
    case 0x0c: // def_cfa
        reg = ht_cursor_uleb(c);
        return ht_set_cfa(m, reg, (int64_t)ht_cursor_uleb(c));
    case 0x0d: // def_cfa_register
        return s->row.cfa_expression == 0 && ht_set_cfa(m, ht_cursor_uleb(c), s->row.cfa_offset);
    case 0x0e: // def_cfa_offset
        return s->row.cfa_expression == 0 && ht_set_cfa(m, s->row.cfa_reg, (int64_t)ht_cursor_uleb(c));
    case 0x0f: // def_cfa_expression
        s->row.cfa_expression = c->at;
        length = ht_cursor_uleb(c);
        if (c->bad || length > c->end - c->at) {
            return false;
        }
        c->at += length;
        return true;
    case 0x12: // def_cfa_sf
        reg = ht_cursor_uleb(c);
        return ht_set_cfa(m, reg, ht_scaled(m, (uint64_t)ht_cursor_sleb(c)));
    case 0x13: // def_cfa_offset_sf
        return s->row.cfa_expression == 0 &&
               ht_set_cfa(m, s->row.cfa_reg, ht_scaled(m, (uint64_t)ht_cursor_sleb(c)));
    default:
        return false;
    }
}

// Everything with its operands behind the opcode, but for the CFA.
static bool ht_run_extended(struct ht_machine *m, struct ht_cursor *c, uint8_t op)
{
    uint64_t reg;
    switch (op) {
    case 0x00: // nop
        return true;
    case 0x01: // set_loc
        m->location = ht_cursor_encoded(c, m->function->encoding, m->header);
        return true;
    case 0x02: // advance_loc1
        m->location += ht_cursor_get(c, 1) * m->function->code_align;
        return true;
    case 0x03: // advance_loc2
        m->location += ht_cursor_get(c, 2) * m->function->code_align;
        return true;
    case 0x04: // advance_loc4
        m->location += ht_cursor_get(c, 4) * m->function->code_align;
        return true;
    case 0x05: // offset_extended
        reg = ht_cursor_uleb(c);
        return ht_set(m, reg, HT_CFI_OFFSET, ht_scaled(m, ht_cursor_uleb(c)));
    case 0x06: // restore_extended
        return ht_restore(m, ht_cursor_uleb(c));
    case 0x07: // undefined
        return ht_set(m, ht_cursor_uleb(c), HT_CFI_UNDEFINED, 0);
    case 0x08: // same_value
        return ht_set(m, ht_cursor_uleb(c), HT_CFI_SAME, 0);
    case 0x09: // register
        reg = ht_cursor_uleb(c);
        return ht_set(m, reg, HT_CFI_REGISTER, (int64_t)ht_cursor_uleb(c));
    case 0x10: // expression
        return ht_set_expression(m, c, HT_CFI_EXPRESSION);
    case 0x11: // offset_extended_sf
        reg = ht_cursor_uleb(c);
        return ht_set(m, reg, HT_CFI_OFFSET, ht_scaled(m, (uint64_t)ht_cursor_sleb(c)));
    case 0x14: // val_offset
        reg = ht_cursor_uleb(c);
        return ht_set(m, reg, HT_CFI_VAL_OFFSET, ht_scaled(m, ht_cursor_uleb(c)));
    case 0x15: // val_offset_sf
        reg = ht_cursor_uleb(c);
        return ht_set(m, reg, HT_CFI_VAL_OFFSET, ht_scaled(m, (uint64_t)ht_cursor_sleb(c)));
    case 0x16: // val_expression
        return ht_set_expression(m, c, HT_CFI_VAL_EXPRESSION);
    case 0x2d: // aarch64: the return address is signed from here on; every one is stripped, so nothing to
               // remember
        return HT_ARCH_RA_IN_REGISTER != 0;
    case 0x2e: // GNU_args_size
        ht_cursor_uleb(c);
        return true;
    case 0x2f: // GNU_negative_offset_extended
        reg = ht_cursor_uleb(c);
        return ht_set(m, reg, HT_CFI_OFFSET, ht_scaled(m, 0 - ht_cursor_uleb(c)));
    default:
        return ht_run_cfa(m, c, op);
    }
}

// Runs instructions until they are at an end or speak of addresses above pc.
static bool ht_run(struct ht_machine *m, struct ht_cursor c, uintptr_t pc)
{
    while (c.at < c.end) {
        uint8_t op = (uint8_t)ht_cursor_get(&c, 1);
        uint8_t low = op & 0x3f;
        bool fine;
        switch (op >> 6) {
        case 1: // advance_loc
            m->location += low * m->function->code_align;
            fine = true;
            break;
        case 2: // offset
            fine = ht_set(m, low, HT_CFI_OFFSET, ht_scaled(m, ht_cursor_uleb(&c)));
            break;
        case 3: // restore
            fine = ht_restore(m, low);
            break;
        default:
            fine = ht_run_extended(m, &c, op);
            break;
        }
        if (!fine || c.bad) {
            return false;
        }
        if (m->location > pc) {
            return true;
        }
    }
    return true;
}

bool ht_cfi_row_at(const struct ht_cfi_tables *tables, const struct ht_cfi_function *function, uintptr_t pc,
                   struct ht_unwind_scratch *scratch)
{
    struct ht_machine m = {scratch, function, tables->header, function->start, 0, true};
    memset(&scratch->row, 0, sizeof scratch->row);
    scratch->row.cfa_reg = HT_ARCH_REG_COUNT; // nothing has been defined
    if (!ht_run(&m, (struct ht_cursor){function->cie_code, function->cie_code_end, false}, UINTPTR_MAX)) {
        return false;
    }
    scratch->initial = scratch->row;
    m.in_cie = false;
    m.location = function->start;
    return ht_run(&m, (struct ht_cursor){function->code, function->code_end, false}, pc) &&
           (scratch->row.cfa_expression != 0 || scratch->row.cfa_reg < HT_ARCH_REG_COUNT);
}
