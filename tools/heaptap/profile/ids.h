// The ids of one table of a profile that is being read: any numbers, and used before they are defined.
#ifndef HT_PROFILE_IDS_H
#define HT_PROFILE_IDS_H

#include "base/memory.h"

// From the ids to references 0, 1, 2 ... in order of first sight.
struct ht_ids {
    uint32_t *dense; // id -> reference + 1
    size_t dense_count;
    struct ht_index sparse;
    uint64_t *ids;      // by reference
    uint32_t *position; // by reference: in the table, HT_NONE until defined
    size_t count, ids_capacity, position_capacity;
};

// Context: tool; pure but for memory. All zero is empty.
void ht_ids_free(struct ht_ids *ids);
uint64_t ht_ids_memory(const struct ht_ids *ids); // bytes

// The element with this id is at `position`. Fails for the id 0 and for one that is defined already; `what`
// is the element's name.
int ht_ids_define(struct ht_ids *ids, uint64_t id, size_t position, const char *what);

// Fails when a reference was never defined.
int ht_ids_check(const struct ht_ids *ids, const char *user, const char *what);

uint32_t ht_ids_reference_slow(struct ht_ids *ids, uint64_t id);

static inline uint32_t ht_ids_reference(struct ht_ids *ids, uint64_t id)
{
    if (id < ids->dense_count && ids->dense[id] != 0)
        return ids->dense[id] - 1;
    return ht_ids_reference_slow(ids, id);
}

#endif
