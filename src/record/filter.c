// The counting filter: counting, and growing without losing an address.
#include "record/filter.h"

#include "record/view.h"

#include <string.h>

#define PINNED_MAX 256u
#define STICKY     255u

uint8_t ht_filter_bytes[1u << HT_FILTER_MAX_BITS] HT_ALIGNED(HT_CACHE_LINE);
uint32_t ht_filter_mask =
    (1u << HT_FILTER_FIRST_BITS) - 1; // valid before any constructor: hooks are called that early
static uint32_t ht_filter_next;       // being filled, or 0
static uintptr_t ht_pinned[PINNED_MAX];
static uint32_t ht_pinned_count;

static void ht_count_up(uint32_t index)
{
    uint8_t *byte = &ht_filter_bytes[index];
    uint8_t seen = ht_load_relaxed(byte);
    while (seen != STICKY && !ht_cas_seqcst(byte, &seen, (uint8_t)(seen + 1))) {
    }
}

void ht_filter_add(uintptr_t address)
{
    uint32_t hash = ht_filter_hash(address);
    // The record is in the table already; F1 (pairs with the fence in ht_filter_grow).
    ht_fence_seqcst();
    uint32_t current = ht_load_seqcst(&ht_filter_mask);
    uint32_t next = ht_load_seqcst(&ht_filter_next);
    ht_count_up(hash & current);
    if (next != 0 && (hash & next) != (hash & current)) {
        ht_count_up(hash & next);
    }
    // The mask may have been widened between the two loads.
    uint32_t now = ht_load_seqcst(&ht_filter_mask);
    if (now != current && now != next && (hash & now) != (hash & current)) {
        ht_count_up(hash & now);
    }
}

uint32_t ht_filter_token(void)
{
    return ht_load_seqcst(&ht_filter_mask);
}

void ht_filter_remove(uintptr_t address, uint32_t token)
{
    uint8_t *byte = &ht_filter_bytes[ht_filter_hash(address) & token];
    uint8_t seen = ht_load_relaxed(byte);
    while (seen != STICKY && seen != 0 && !ht_cas_seqcst(byte, &seen, (uint8_t)(seen - 1))) {
    }
}

static void ht_pin_all(uint32_t mask)
{
    uint32_t count = ht_load_acquire(&ht_pinned_count);
    for (uint32_t i = 0; i < count && i < PINNED_MAX; i++) {
        ht_store_seqcst(&ht_filter_bytes[ht_filter_hash(ht_pinned[i]) & mask], STICKY);
    }
}

void ht_filter_pin(uintptr_t address)
{
    uint32_t slot = ht_add_relaxed(&ht_pinned_count, 1);
    if (slot < PINNED_MAX) {
        ht_pinned[slot] = address;
    }
    ht_store_seqcst(&ht_filter_bytes[ht_filter_hash(address) & ht_load_seqcst(&ht_filter_mask)], STICKY);
}

void ht_filter_reset(void)
{
    ht_filter_next = 0;
    memset(ht_filter_bytes, 0, (size_t)ht_filter_mask + 1);
    ht_pin_all(ht_filter_mask);
}

struct ht_widening {
    uint32_t current, next;
};

static bool ht_count_moved(void *arg, const struct ht_live_copy *live)
{
    const struct ht_widening *widening = arg;
    uint32_t hash = ht_filter_hash((uintptr_t)live->address);
    if ((hash & widening->next) != (hash & widening->current)) {
        ht_count_up(hash & widening->next);
    }
    return true;
}

void ht_filter_grow(struct ht_region *region, uint64_t slot_count)
{
    unsigned bits = HT_FILTER_FIRST_BITS;
    while (bits < HT_FILTER_MAX_BITS && (UINT64_C(1) << bits) < slot_count * 8) {
        bits++;
    }
    struct ht_widening widening = {ht_load_seqcst(&ht_filter_mask), (1u << bits) - 1};
    if (widening.next <= widening.current) {
        return;
    }
    ht_store_seqcst(&ht_filter_next, widening.next);
    ht_fence_seqcst();
    ht_pin_all(widening.next);
    struct ht_view view = {region->base, ht_load_acquire(&region->backed_bytes), region->header};
    ht_view_each_live(&view, ht_count_moved, &widening);
    ht_store_seqcst(&ht_filter_mask, widening.next);
    ht_store_seqcst(&ht_filter_next, 0);
}
