// The filter in front of every free: "surely not sampled" from one byte, in about a nanosecond.
//
// A counting filter in private memory, one byte for each hash of an address under a mask; it grows by a wider
// mask over the same array. A byte is never below the number of records in the table of live samples that
// hash to it (it sticks at 255), so 0 means: not sampled. What keeps that true:
//  F1 whoever adds a record makes it visible in the table first and then looks for masks to count it under;
//     whoever grows publishes the new mask as `next` first and then counts the table (both sequentially
//     consistent), so every record is counted under the new mask by one or the other, before that mask is in
//     force, or before the record is settled (L6 of live.c). All records are counted, also those that
//     thinning gave up: they leave the table one by one, and are counted down then.
//  F2 a byte is counted down only for a record that was counted there for certain. The token is a mask that
//  was in
//     force while the record stood in the table, settled: its owner takes it before he looks for it, after
//     the block was handed out; a sweeper takes it under his mark, having seen the record's rank, which is
//     stored after the count. By F1 the record was counted under that mask: if the mask is older than the
//     record, by who added it; if it is younger, by who grew. A mask that comes into force between the token
//     and the counting down may leave its byte one too high.
//  F3 a pinned address hits at every moment: it is put into the list first and then stuck under the masks, in
//     the order of F1.
// Bytes may end too high (what was counted under a narrower mask stays where it was), never too low.
// ht_filter_check (record/check.c) runs F1 to F3 at rest; tests/race opens the windows between their steps.
#ifndef HT_RECORD_FILTER_H
#define HT_RECORD_FILTER_H

#include "record/region.h"
#include "sys/atomic.h"

#define HT_FILTER_FIRST_BITS 16u
#define HT_FILTER_MAX_BITS   21u
#define HT_FILTER_STICKY     255u // a byte that was so high once, or is pinned, stays

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

// Taken before the record is taken out of the table (F2), and given back after.
uint32_t ht_filter_token(void);
void ht_filter_remove(uintptr_t address, uint32_t token);

// For a block that must always take the slow way: never counted down again, and kept when the filter grows.
void ht_filter_pin(uintptr_t address);
// Everything to zero but what sticks (a copied process that starts empty: nobody adds or grows meanwhile).
void ht_filter_reset(void);
// In a copied process: whoever was widening the filter is not here.
void ht_filter_after_fork(void);
// A wider mask when the table of live samples has this many slots. One caller at a time (the level's maker).
void ht_filter_grow(const struct ht_region *region, uint64_t slot_count);
// Pinned addresses, for ht_filter_check.
uint32_t ht_filter_pinned(const uintptr_t **ret_addresses);

#endif
