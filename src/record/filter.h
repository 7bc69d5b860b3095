// The filter in front of every free: "surely not sampled" from one byte, in about a nanosecond.
//
// A counting filter in private memory, one byte for each hash of an address under a mask; it grows by a wider
// mask over the same array. A byte is never below the number of live samples that hash to it (it sticks at
// 255), so 0 means: not sampled. What keeps that true while it grows:
//  F1 whoever adds a sample makes the record visible in the table first and then looks for masks to count it
//  under;
//     whoever grows publishes the new mask as `next` first and then counts the table (both sequentially
//     consistent), so every sample is counted under the new mask by one or the other;
//  F2 a byte is counted down only under the mask that was in force while the record was still in the table
//  (the token),
//     when the record was counted under it for certain.
// Bytes may end too high (what was counted under a narrower mask stays where it was), never too low.
#ifndef HT_RECORD_FILTER_H
#define HT_RECORD_FILTER_H

#include "record/region.h"
#include "sys/atomic.h"

#define HT_FILTER_FIRST_BITS 16u
#define HT_FILTER_MAX_BITS   21u

// Untouched pages of the array cost nothing; a fixed place and size save instructions in every free.
extern uint8_t ht_filter_bytes[1u << HT_FILTER_MAX_BITS] HT_HIDDEN;
extern uint32_t ht_filter_mask HT_HIDDEN;

static inline uint64_t ht_address_hash(uintptr_t address)
{
    return (uint64_t)address * UINT64_C(0x9E3779B97F4A7C15);
}

// 32-bit arithmetic: a small constant, and the low half of an address is as good as the whole.
static inline uint32_t ht_filter_hash(uintptr_t address)
{
    return ((uint32_t)address * UINT32_C(0x9E3779B1)) >> (32 - HT_FILTER_MAX_BITS);
}

// Plain loads of a byte and of an aligned word, which are whole on every machine: the compiler folds them
// into the instructions that use them, as it does not with atomic ones.
static inline bool ht_filter_hit(const void *address)
{
#if defined(HT_TSAN)
    return ht_load_relaxed(
               &ht_filter_bytes[ht_filter_hash((uintptr_t)address) & ht_load_relaxed(&ht_filter_mask)]) != 0;
#else
    return ht_filter_bytes[ht_filter_hash((uintptr_t)address) & ht_filter_mask] != 0;
#endif
}

void ht_filter_add(uintptr_t address);

// Taken before the record is taken out of the table, and given back after.
uint32_t ht_filter_token(void);
void ht_filter_remove(uintptr_t address, uint32_t token);

// For a block that must always take the slow way: never counted down again, and kept when the filter grows.
void ht_filter_pin(uintptr_t address);
// Everything to zero but pinned addresses (a copied process that starts empty; no other thread exists).
void ht_filter_reset(void);
// A wider mask when the table of live samples has this many slots. One caller at a time (the level's maker).
void ht_filter_grow(struct ht_region *region, uint64_t slot_count);

#endif
