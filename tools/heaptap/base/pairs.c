// The part of the table of pairs that is not hot.
#include "base/pairs.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_COUNT = 1024 };

void ht_pairs_grow(struct ht_pairs *pairs)
{
    size_t count = pairs->count == 0 ? FIRST_COUNT : pairs->count * 2;
    struct ht_pairs grown = {.count = count, .used = pairs->used};
    grown.keys = ht_realloc_array(NULL, count, sizeof *grown.keys);
    grown.values = ht_realloc_array(NULL, count, sizeof *grown.values);
    memset(grown.keys, 0xff, count * sizeof *grown.keys);
    for (size_t i = 0; i < pairs->count; i++) {
        if (pairs->keys[i] == UINT64_MAX)
            continue;
        size_t at = ht_hash_add(0, pairs->keys[i]) & (count - 1);
        while (grown.keys[at] != UINT64_MAX)
            at = (at + 1) & (count - 1);
        grown.keys[at] = pairs->keys[i];
        grown.values[at] = pairs->values[i];
    }
    ht_pairs_free(pairs);
    *pairs = grown;
}

void ht_pairs_free(struct ht_pairs *pairs)
{
    free(pairs->keys);
    free(pairs->values);
    *pairs = (struct ht_pairs){0};
}
