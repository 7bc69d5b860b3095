// The counting filter: counting, and growing without losing an address.
#include "record/filter.h"

#include "sys/raw.h"

#include <string.h>
#include <sys/mman.h>

#define FIRST_BITS  16u
#define MAX_BITS    22u
#define PINNED_MAX  256u
#define STICKY      255u

static uint8_t ht_first_filter[(1u << FIRST_BITS) + HT_CACHE_LINE] HT_ALIGNED(HT_CACHE_LINE);
// Valid before any constructor has run: hooks are called that early.
uintptr_t ht_filter_word = (uintptr_t)(ht_first_filter + (64 - FIRST_BITS));
static uintptr_t ht_filter_next;  // being filled, or 0
static uint64_t ht_filter_mapped; // bytes of all filters that were mapped
static uintptr_t ht_pinned[PINNED_MAX];
static uint32_t ht_pinned_count;

static uint8_t *ht_byte_of(uintptr_t word, uintptr_t address)
{
    return (uint8_t *)word + (ht_address_hash(address) >> (word & 63));
}

static void ht_count_up(uintptr_t word, uintptr_t address)
{
    uint8_t *byte = ht_byte_of(word, address);
    uint8_t seen = ht_load_relaxed(byte);
    while (seen != STICKY && !ht_cas_seqcst(byte, &seen, (uint8_t)(seen + 1))) {
    }
}

void ht_filter_add(uintptr_t address)
{
    // The record is in the table already; F1 (pairs with the fence in ht_filter_grow).
    ht_fence_seqcst();
    uintptr_t current = ht_load_seqcst(&ht_filter_word);
    uintptr_t next = ht_load_seqcst(&ht_filter_next);
    ht_count_up(current, address);
    if (next != 0 && next != current) {
        ht_count_up(next, address);
    }
    // The filter may have been replaced between the two loads and the counting.
    uintptr_t now = ht_load_seqcst(&ht_filter_word);
    if (now != current && now != next) {
        ht_count_up(now, address);
    }
}

uintptr_t ht_filter_token(void)
{
    return ht_load_seqcst(&ht_filter_word);
}

void ht_filter_remove(uintptr_t address, uintptr_t token)
{
    uint8_t *byte = ht_byte_of(token, address);
    uint8_t seen = ht_load_relaxed(byte);
    while (seen != STICKY && seen != 0 && !ht_cas_seqcst(byte, &seen, (uint8_t)(seen - 1))) {
    }
}

static void ht_pin_all(uintptr_t word)
{
    uint32_t count = ht_load_acquire(&ht_pinned_count);
    for (uint32_t i = 0; i < count && i < PINNED_MAX; i++) {
        *ht_byte_of(word, ht_pinned[i]) = STICKY;
    }
}

void ht_filter_pin(uintptr_t address)
{
    uint32_t slot = ht_add_relaxed(&ht_pinned_count, 1);
    if (slot < PINNED_MAX) {
        ht_pinned[slot] = address;
    }
    *ht_byte_of(ht_load_seqcst(&ht_filter_word), address) = STICKY;
}

void ht_filter_reset(void)
{
    uintptr_t word = ht_filter_word;
    ht_filter_next = 0;
    memset((void *)word, 0, (size_t)1 << (64 - (word & 63)));
    ht_pin_all(word);
}

static bool ht_count_one(void *arg, const struct ht_live_copy *live)
{
    ht_count_up(*(uintptr_t *)arg, live->address);
    return true;
}

void ht_filter_grow(struct ht_region *region, uint64_t slot_count)
{
    unsigned bits = FIRST_BITS;
    while (bits < MAX_BITS && (UINT64_C(1) << bits) < slot_count * 8) {
        bits++;
    }
    uintptr_t current = ht_load_seqcst(&ht_filter_word);
    if (bits <= 64 - (current & 63)) {
        return;
    }
    uint64_t bytes = (UINT64_C(1) << bits) + HT_CACHE_LINE;
    long base = ht_raw6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base < 0 && base >= -4095) {
        return; // the smaller filter stays right, only less sharp
    }
    ht_add_relaxed(&ht_filter_mapped, bytes);
    uintptr_t next = (uintptr_t)base | (64 - bits);
    ht_store_seqcst(&ht_filter_next, next);
    ht_fence_seqcst();
    ht_pin_all(next);
    struct ht_view view = {region->base, region->header->used_bytes, region->header};
    ht_view_each_live(&view, ht_count_one, &next);
    ht_store_seqcst(&ht_filter_word, next);
    ht_store_seqcst(&ht_filter_next, 0);
    // The old bytes are never unmapped: a free of another thread may be about to read one.
}

uint64_t ht_filter_bytes(void)
{
    return sizeof ht_first_filter + ht_load_relaxed(&ht_filter_mapped);
}
