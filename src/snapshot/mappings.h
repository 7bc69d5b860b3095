// The modules of a region as the mappings of a profile: which mapping an address lies in, and their parts.
#ifndef HT_SNAPSHOT_MAPPINGS_H
#define HT_SNAPSHOT_MAPPINGS_H

// Go's pprof up to Go 1.19 takes a mapping's start for the address of the first executable segment in the
// file, later ones for the page that this begins on. Where that is not the same, as the linkers lld and mold
// place their segments, both only agree on addresses that are the file's own, in a mapping from 0 to the end,
// which every reader takes as they are.

#include "record/view.h"
#include "snapshot/message.h"
#include "sys/memory.h"

#include <stdint.h>

struct ht_mapping {
    uint64_t key;                   // what the array is sorted by: first the order of writing, then the start
    uint64_t start, limit;          // profile addresses, as stacks have them
    uint64_t link_start;            // what `start` is written as, in a mapping of everything; 0: as it is
    const struct ht_module *module; // in the view; NULL: the program, of which no module is known
    uint32_t id;                    // 1, 2, 3, ... in the order of writing
};

struct ht_mappings {
    struct ht_mapping *items; // by start, once written
    uint32_t count;
};

// Collects the modules (program first, then as first seen) and writes them. 0 or -ENOMEM.
int ht_mappings_add(struct ht_mappings *mappings, const struct ht_view *view, struct ht_message *message,
                    struct ht_bump *memory);

// The id of the mapping that holds this profile address; 0: none. *address becomes what is written.
uint32_t ht_mappings_find(const struct ht_mappings *mappings, uint64_t *address);

#endif
