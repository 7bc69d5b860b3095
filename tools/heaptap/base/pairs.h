// A hash table from a pair of positions to a position, for the hottest loops of reports: apart from struct
// ht_index (memory.h), whose owner compares keys, because it holds its keys itself.
#ifndef HT_BASE_PAIRS_H
#define HT_BASE_PAIRS_H

#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Open addressing, at most half full. All zero is empty.
struct ht_pairs {
    uint64_t *keys; // first << 32 | second; UINT64_MAX: no entry
    uint32_t *values;
    size_t count, used; // places, a power of two or 0; entries
};

// Doubles the places.
void ht_pairs_grow(struct ht_pairs *pairs);
void ht_pairs_free(struct ht_pairs *pairs);

// The pair's value; *ret_is_new: the entry was made just now and its value is to be set. Valid until the next
// call. Not for the pair (UINT32_MAX, UINT32_MAX).
static inline uint32_t *ht_pairs_at(struct ht_pairs *pairs, uint32_t first, uint32_t second, bool *ret_is_new)
{
    if (pairs->used * 2 >= pairs->count)
        ht_pairs_grow(pairs);
    uint64_t key = (uint64_t)first << 32 | second;
    size_t at = ht_hash_add(0, key) & (pairs->count - 1);
    while (pairs->keys[at] != key && pairs->keys[at] != UINT64_MAX)
        at = (at + 1) & (pairs->count - 1);
    *ret_is_new = pairs->keys[at] != key;
    pairs->used += *ret_is_new;
    pairs->keys[at] = key;
    return &pairs->values[at];
}

// The same, NULL where there is no entry.
static inline const uint32_t *ht_pairs_find(const struct ht_pairs *pairs, uint32_t first, uint32_t second)
{
    uint64_t key = (uint64_t)first << 32 | second;
    if (pairs->count == 0)
        return NULL;
    size_t at = ht_hash_add(0, key) & (pairs->count - 1);
    while (pairs->keys[at] != key && pairs->keys[at] != UINT64_MAX)
        at = (at + 1) & (pairs->count - 1);
    return pairs->keys[at] == key ? &pairs->values[at] : NULL;
}

#endif
