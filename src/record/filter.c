// The counting filter: counting, and growing without losing an address.
#include "record/filter.h"

#include "record/live.h"
#include "sys/seam.h"

#define PINNED_MAX 4096u // as many blocks as heap/real.c has room for; untouched pages cost nothing
#define STICKY     HT_FILTER_STICKY

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

// Applies `count` to the byte of each mask that is in force or being filled, or comes into force meanwhile;
// what is counted stands where whoever grows looks for it (F1, pairs with the fence in ht_filter_grow).
static void ht_under_masks(uintptr_t address, void (*count)(uint32_t index))
{
    uint32_t hash = ht_filter_hash(address);
    ht_fence_seqcst();
    uint32_t current = ht_load_seqcst(&ht_filter_mask);
    HT_SEAM(count_current);
    uint32_t next = ht_load_seqcst(&ht_filter_next);
    HT_SEAM(count_next);
    count(hash & current);
    if (next != 0 && (hash & next) != (hash & current)) {
        count(hash & next);
    }
    HT_SEAM(count_done);
    // The mask may have been widened between the two loads.
    uint32_t now = ht_load_seqcst(&ht_filter_mask);
    if (now != current && now != next && (hash & now) != (hash & current)) {
        count(hash & now);
    }
}

void ht_filter_add(uintptr_t address)
{
    ht_under_masks(address, ht_count_up);
}

uint32_t ht_filter_token(void)
{
    return ht_load_seqcst(&ht_filter_mask);
}

void ht_filter_remove(uintptr_t address, uint32_t token)
{
    uint8_t *byte = &ht_filter_bytes[ht_filter_hash(address) & token];
    uint8_t seen = ht_load_relaxed(byte);
    if (seen == 0) {
        HT_SEAM(filter_below_zero); // F2 does not hold
    }
    while (seen != STICKY && seen != 0 && !ht_cas_seqcst(byte, &seen, (uint8_t)(seen - 1))) {
    }
}

static void ht_stick(uint32_t index)
{
    ht_store_seqcst(&ht_filter_bytes[index], STICKY);
}

static void ht_pin_all(uint32_t mask)
{
    uint32_t count = ht_load_seqcst(&ht_pinned_count);
    for (uint32_t i = 0; i < count && i < PINNED_MAX; i++) {
        uintptr_t address = ht_load_seqcst(&ht_pinned[i]);
        if (address != 0) { // else whoever is putting it in finds our mask
            ht_stick(ht_filter_hash(address) & mask);
        }
    }
}

void ht_filter_pin(uintptr_t address)
{
    uint32_t slot = ht_add_relaxed(&ht_pinned_count, 1);
    HT_SEAM(pin_slot);
    if (slot < PINNED_MAX) {
        ht_store_seqcst(&ht_pinned[slot], address);
    }
    HT_SEAM(pin_known);
    ht_under_masks(address, ht_stick);
}

uint32_t ht_filter_pinned(const uintptr_t **ret_addresses)
{
    uint32_t count = ht_load_seqcst(&ht_pinned_count);
    *ret_addresses = ht_pinned;
    return count < PINNED_MAX ? count : PINNED_MAX;
}

void ht_filter_reset(void)
{
    uint32_t next = ht_filter_next;
    uint32_t last = next > ht_filter_mask ? next : ht_filter_mask;
    ht_filter_next = 0;
    for (uint32_t i = 0; i <= last; i++) { // a pinned address hits at every moment
        if (ht_filter_bytes[i] != STICKY) {
            ht_filter_bytes[i] = 0;
        }
    }
}

void ht_filter_after_fork(void)
{
    ht_filter_next = 0;
}

// Counts every record under the mask to come, also those that thinning gave up: they are counted down when
// they are swept.
static void ht_count_table(const struct ht_region *region, uint32_t current, uint32_t next)
{
    uint32_t levels = ht_load_acquire(&region->level_count);
    for (uint32_t level = 0; level < levels; level++) {
        const struct ht_live_level *l = &region->levels[level];
        const uint64_t *keys = (const uint64_t *)(region->base + l->keys_offset);
        uint64_t slots = (uint64_t)l->bucket_count * HT_BUCKET_SLOTS;
        for (uint64_t i = 0; i < slots; i++) {
            uint64_t key = ht_load_seqcst(&keys[i]);
            uint32_t hash = ht_filter_hash((uintptr_t)(key & ~HT_SWEEP_MARK));
            if (key > HT_SLOT_BUSY && (hash & next) != (hash & current)) {
                ht_count_up(hash & next);
            }
        }
        HT_SEAM(grow_level);
    }
}

void ht_filter_grow(const struct ht_region *region, uint64_t slot_count)
{
    unsigned bits = HT_FILTER_FIRST_BITS;
    while (bits < HT_FILTER_MAX_BITS && (UINT64_C(1) << bits) < slot_count * 8) {
        bits++;
    }
    uint32_t current = ht_load_seqcst(&ht_filter_mask), next = (1u << bits) - 1;
    if (next <= current) {
        return;
    }
    HT_SEAM(grow_begin);
    ht_store_seqcst(&ht_filter_next, next);
    ht_fence_seqcst();
    HT_SEAM(grow_next);
    ht_pin_all(next);
    ht_count_table(region, current, next);
    HT_SEAM(grow_counted);
    ht_store_seqcst(&ht_filter_mask, next);
    HT_SEAM(grow_mask);
    ht_store_seqcst(&ht_filter_next, 0);
}
