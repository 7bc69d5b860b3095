// Walks the entries (DIEs) of a compilation unit by their bytes, for the many that only have to be passed by.
#ifndef HT_RESOLVE_ENTRIES_H
#define HT_RESOLVE_ENTRIES_H

#include "base/memory.h"

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

// What an abbreviation code says about its entries, learned from libdw at the first of them.
struct ht_shape {
    bool is_known, has_children;
    uint16_t tag;
    uint32_t step_count;
    uint32_t steps; // first in ht_entries.steps
};

// A part of an entry: bytes of known number, or one value whose length is in the bytes.
struct ht_shape_step {
    uint16_t form;  // 0: `bytes` of any attributes that do not matter here
    uint16_t name;  // attribute
    uint32_t bytes; // 0: depends on the content
};

struct ht_entries {
    Dwarf_CU *cu;
    const uint8_t *first, *end; // the unit's own entry, and behind the unit's last one
    const uint8_t *start;       // of the unit's header: references count from here
    unsigned address_bytes, offset_bytes;
    unsigned version;
    struct ht_shape *shapes; // by abbreviation code
    size_t shape_count, shape_capacity;
    struct ht_shape_step *steps;
    size_t step_count, step_capacity;
};

// One entry as far as a search for addresses needs it.
struct ht_entry {
    const uint8_t *at; // of its first byte
    const uint8_t
        *children; // behind its attributes: the first child if there are children, else the next entry
    const uint8_t *sibling; // NULL: not said
    bool has_children;
    uint16_t tag;
    enum { HT_PC_NONE, HT_PC_RANGE, HT_PC_ASK } pc; // HT_PC_ASK: dwarf_ranges() knows
    uint64_t low, high;                             // HT_PC_RANGE
};

// Context: tool. Debug info is foreign: every function stays inside the unit, whatever the bytes say.

// Makes ready for the unit of this entry. Keeps the memory of the unit before. Fails for debug info that is
// not of the byte order of this machine, or whose unit cannot be read.
int ht_entries_begin(struct ht_entries *entries, Dwarf_Die *unit);
void ht_entries_free(struct ht_entries *entries);

// Reads the entry at `at`. Returns 1, 0 at the end of a list of siblings (children is then behind its mark),
// -1 at the end of the unit or when the bytes make no sense.
int ht_entries_read(struct ht_entries *entries, const uint8_t *at, struct ht_entry *ret_entry);

// Where the entry after this one's children begins, NULL when the bytes make no sense.
const uint8_t *ht_entries_pass(struct ht_entries *entries, const struct ht_entry *entry);

static inline Dwarf_Die ht_entries_die(const struct ht_entries *entries, const struct ht_entry *entry)
{
    return (Dwarf_Die){.addr = (void *)(uintptr_t)entry->at, .cu = entries->cu};
}

#endif
