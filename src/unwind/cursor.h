// Reading numbers of DWARF and .eh_frame from bytes that may be anything, within given bounds.
#ifndef HT_UNWIND_CURSOR_H
#define HT_UNWIND_CURSOR_H

#include "unwind/cfi.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Pointer encodings (Linux Standard Base core, section 10.5.1).
enum {
    PE_ABSPTR = 0x00,
    PE_ULEB128 = 0x01,
    PE_UDATA2 = 0x02,
    PE_UDATA4 = 0x03,
    PE_UDATA8 = 0x04,
    PE_SLEB128 = 0x09,
    PE_SDATA2 = 0x0a,
    PE_SDATA4 = 0x0b,
    PE_SDATA8 = 0x0c,
    PE_PCREL = 0x10,
    PE_DATAREL = 0x30,
    PE_ALIGNED = 0x50,
    PE_INDIRECT = 0x80,
    PE_OMIT = 0xff,
};

// A place in readable bytes. After a read beyond the end `bad` is set and every read gives 0.
struct ht_cursor {
    uintptr_t at, end;
    bool bad;
};

// Over [address, end), which is `bad` where it is not inside of the tables.
static inline struct ht_cursor ht_cursor_at(const struct ht_cfi_tables *tables, uintptr_t address,
                                            uintptr_t end)
{
    struct ht_cursor cursor = {address, end, false};
    if (address < tables->lo || end > tables->hi || address > end) {
        cursor = (struct ht_cursor){0, 0, true};
    }
    return cursor;
}

// Little-endian, `size` is 1, 2, 4 or 8.
static inline uint64_t ht_cursor_get(struct ht_cursor *c, unsigned size)
{
    if (c->bad || c->end - c->at < size) {
        c->bad = true;
        return 0;
    }
    uint64_t value = 0;
    memcpy(&value, (const void *)c->at, size);
    c->at += size;
    return value;
}

static inline int64_t ht_cursor_signed(struct ht_cursor *c, unsigned size)
{
    unsigned shift = 64 - 8 * size;
    return (int64_t)(ht_cursor_get(c, size) << shift) >> shift;
}

// LEB128; *ret_bits: how many bits were given, 0 behind nonsense.
static inline uint64_t ht_cursor_leb(struct ht_cursor *c, unsigned *ret_bits)
{
    uint64_t value = 0;
    *ret_bits = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = (uint8_t)ht_cursor_get(c, 1);
        if (shift < 64) {
            value |= (uint64_t)(byte & 0x7f) << shift;
        }
        if (!(byte & 0x80)) {
            *ret_bits = shift + 7;
            return value;
        }
    }
    c->bad = true;
    return 0;
}

static inline uint64_t ht_cursor_uleb(struct ht_cursor *c)
{
    unsigned bits;
    return ht_cursor_leb(c, &bits);
}

static inline int64_t ht_cursor_sleb(struct ht_cursor *c)
{
    unsigned bits;
    uint64_t value = ht_cursor_leb(c, &bits);
    if (bits != 0 && bits < 64 && (value >> (bits - 1) & 1) != 0) {
        value |= ~UINT64_C(0) << bits;
    }
    return (int64_t)value;
}

// `datarel` is the base of DW_EH_PE_datarel. Indirect pointers are not followed: the value is where the
// pointer lies.
static inline uint64_t ht_cursor_encoded(struct ht_cursor *c, uint8_t encoding, uintptr_t datarel)
{
    uintptr_t base = 0;
    switch (encoding & 0x70) {
    case 0:
        break;
    case PE_PCREL:
        base = c->at;
        break;
    case PE_DATAREL:
        base = datarel;
        break;
    default:
        c->bad = true;
        return 0;
    }
    switch (encoding & 0x0f) {
    case PE_ABSPTR:
    case PE_UDATA8:
    case PE_SDATA8:
        return base + ht_cursor_get(c, 8);
    case PE_UDATA2:
        return base + ht_cursor_get(c, 2);
    case PE_UDATA4:
        return base + ht_cursor_get(c, 4);
    case PE_SDATA2:
        return base + (uint64_t)ht_cursor_signed(c, 2);
    case PE_SDATA4:
        return base + (uint64_t)ht_cursor_signed(c, 4);
    case PE_ULEB128:
        return base + ht_cursor_uleb(c);
    case PE_SLEB128:
        return base + (uint64_t)ht_cursor_sleb(c);
    default:
        c->bad = true;
        return 0;
    }
}

#endif
