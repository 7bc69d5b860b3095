// A hash table from nonzero 64-bit keys (addresses, references) to small numbers, in a bump arena.
#ifndef HT_SNAPSHOT_NUMBERS_H
#define HT_SNAPSHOT_NUMBERS_H

#include "sys/memory.h"

#include <stdint.h>

// Zero with `memory` set is an empty table. One thread.
struct ht_numbers {
    struct ht_bump *memory;
    uint64_t *keys; // 0: free
    uint32_t *values;
    uint32_t capacity; // power of two
    uint32_t count;
};

// The value of a key, 0 when the key is new (it is added; the caller stores the value). NULL: no memory for a
// new key.
uint32_t *ht_numbers_at(struct ht_numbers *numbers, uint64_t key);

#endif
