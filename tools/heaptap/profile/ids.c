// The ids of one table of a profile that is being read: an array where they are small, an index where not.
#include "profile/ids.h"

#include "base/error.h"

#include <stdlib.h>

enum {
    DENSE_IDS = 1 << 22,       // larger ids are never looked up in an array, nor are ids
    DENSE_FIRST_IDS = 1 << 14, // above this and above
    DENSE_SPREAD = 8,          // so much for each id seen: one large id costs no large array
};

void ht_ids_free(struct ht_ids *ids)
{
    free(ids->dense);
    ht_index_free(&ids->sparse);
    free(ids->ids);
    free(ids->position);
}

uint64_t ht_ids_memory(const struct ht_ids *ids)
{
    return ids->dense_count * sizeof *ids->dense + ids->sparse.slot_count * sizeof *ids->sparse.slots +
           ids->ids_capacity * sizeof *ids->ids + ids->position_capacity * sizeof *ids->position;
}

static uint32_t add(struct ht_ids *ids, uint64_t id)
{
    HT_RESERVE(ids->ids, ids->ids_capacity, ids->count + 1);
    HT_RESERVE(ids->position, ids->position_capacity, ids->count + 1);
    ids->ids[ids->count] = id;
    ids->position[ids->count] = HT_NONE;
    return (uint32_t)ids->count++;
}

static void dense_reserve(struct ht_ids *ids, uint64_t id)
{
    size_t count = ids->dense_count == 0 ? 1024 : ids->dense_count;
    while (count <= id)
        count *= 2;
    if (count > ids->dense_count) {
        ids->dense = ht_realloc_array(ids->dense, count, sizeof *ids->dense);
        memset(ids->dense + ids->dense_count, 0, (count - ids->dense_count) * sizeof *ids->dense);
        ids->dense_count = count;
    }
}

uint32_t ht_ids_reference_slow(struct ht_ids *ids, uint64_t id)
{
    uint64_t hash = ht_hash_add(0, id);
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&ids->sparse, hash, &cursor)) != HT_NONE;)
        if (ids->ids[at] == id)
            return at;
    uint32_t reference = add(ids, id);
    if (id < DENSE_IDS && id < DENSE_FIRST_IDS + DENSE_SPREAD * (uint64_t)ids->count) {
        dense_reserve(ids, id);
        ids->dense[id] = reference + 1;
    } else {
        ht_index_add(&ids->sparse, hash, reference);
    }
    return reference;
}

int ht_ids_define(struct ht_ids *ids, uint64_t id, size_t position, const char *what)
{
    if (id == 0)
        return ht_fail("malformed profile: %s with the reserved id 0", what);
    uint32_t reference = ht_ids_reference(ids, id);
    if (ids->position[reference] != HT_NONE)
        return ht_fail("malformed profile: two %ss with the id %llu", what, (unsigned long long)id);
    ids->position[reference] = (uint32_t)position;
    return 0;
}

int ht_ids_check(const struct ht_ids *ids, const char *user, const char *what)
{
    for (size_t i = 0; i < ids->count; i++)
        if (ids->position[i] == HT_NONE)
            return ht_fail("malformed profile: a %s refers to the missing %s %llu", user, what,
                           (unsigned long long)ids->ids[i]);
    return 0;
}
