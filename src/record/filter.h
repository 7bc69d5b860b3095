// The filter in front of every free: "surely not sampled" from one byte, in about a nanosecond.
//
// A counting filter in private memory, one byte for each hash of an address. A byte is never below the number of live
// samples that hash to it (it sticks at 255), so 0 means: not sampled. The invariant under growth:
//  F1 whoever adds a sample makes the record visible in the table first and then looks for filters to count it in;
//     whoever grows publishes the new filter first and then counts the table (both sequentially consistent), so
//     every sample is counted in the new filter by one or the other;
//  F2 a filter is counted down only by who saw it in force while the record was still in the table (the token), when
//     it held this record for certain; a filter that is being filled is never counted down. It may end too
//     high, never too low.
#ifndef HT_RECORD_FILTER_H
#define HT_RECORD_FILTER_H

#include "record/region.h"
#include "sys/atomic.h"

// Where the bytes begin; the low six bits of this address are at the same time the shift of the hash (the memory behind it
// is aligned to 64 and the bytes begin so far into it), so that one word read whole says both.
extern uintptr_t ht_filter_word HT_HIDDEN;

static inline uint64_t ht_address_hash(uintptr_t address)
{
    return (uint64_t)address * UINT64_C(0x9E3779B97F4A7C15);
}

static inline bool ht_filter_hit(const void *address)
{
    uintptr_t word = ht_load_relaxed(&ht_filter_word);
    return ht_load_relaxed((const uint8_t *)word + (ht_address_hash((uintptr_t)address) >> (word & 63))) != 0;
}

void ht_filter_add(uintptr_t address);
// Taken before the record is taken out of the table, and given back after.
uintptr_t ht_filter_token(void);
void ht_filter_remove(uintptr_t address, uintptr_t token);
// For a block that must always take the slow way: never counted down again, and kept when the filter grows.
void ht_filter_pin(uintptr_t address);
// Everything to zero but pinned addresses (a copied process that starts empty; no other thread exists).
void ht_filter_reset(void);
// A larger filter when the table of live samples has this many slots. One caller at a time (the level's maker).
void ht_filter_grow(struct ht_region *region, uint64_t slot_count);
// Private memory held.
uint64_t ht_filter_bytes(void);

#endif
