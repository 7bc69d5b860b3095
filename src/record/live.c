// The table of live samples: levels of open addressing, growth, thinning and sweeping.
//
// Invariants:
//  L1 a record stands in the probe path of its address: bucket home..home+PROBES-1 of one level; passed[] of
//     each bucket before its own counts it for as long as it stands there.
//  L2 a key is changed away from an address only by the thread that frees the block, or by a sweeper for a
//     record whose rank is at or below the floor. Who has marked a key is the only one to take the mark away,
//     but for the owner, who then leaves the slot HT_SLOT_BUSY to the sweeper: nothing new comes into a slot
//     while somebody goes by what he saw in it under the mark.
//  L3 stripes add up to the slots whose key is not 0.
//  L4 levels, the floor and thinned_since_ns are written by the maker of the region, then by the one thread
//     that holds ht_resizing; others read level_count with acquire before any level below it.
//  L5 an address stands once in the whole table.
//  L6 a record whose rank is 0 is not settled: visible, but not yet counted in the filter. Readers and
//     sweepers pass it by; its block has not been handed out, so it has no owner. The rank is stored last,
//     and a sweeper that sees it sees the filter's count (release in ht_settle, acquire in ht_rank_of).
//  L7 where the floor is above 0, thinned_since_ns says since when (written first).
// record/check.c runs L1, L3, L5, L7, the fields of each record (L8), and what holds at rest of L2 and L6.
#include "record/live.h"

#include "record/filter.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/raw.h"
#include "sys/seam.h"

#include <math.h>

#define FULL_PERCENT  70
#define THIN_LOOKS    128u
#define SWEEP_BUCKETS 2u
#define FULL_WAIT_NS  UINT64_C(100000000)
#define SWEEP_SHIFT   32 // in sweep_cursor: above it the sweep's number, below it the next bucket

struct ht_table {
    uint64_t *keys;
    struct ht_live_slot *slots;
    uint32_t *passed;
    uint32_t mask;
    uint32_t home; // of the address that is looked for
};

static struct ht_table ht_table_at(const struct ht_region *region, uint32_t level, uint64_t address)
{
    const struct ht_live_level *l = &region->levels[level];
    struct ht_table table = {
        .keys = (uint64_t *)(region->base + l->keys_offset),
        .slots = (struct ht_live_slot *)(region->base + l->slots_offset),
        .passed = (uint32_t *)(region->base + l->passed_offset),
        .mask = l->bucket_count - 1,
    };
    table.home = (uint32_t)(ht_address_hash(address) >> 32) & table.mask;
    return table;
}

static void ht_count_slots(struct ht_region_header *header, uint64_t address, int64_t change)
{
    // The stripe follows from the address, so that a slot is counted off where it was counted.
    ht_add_relaxed(&header->stripes[(ht_address_hash(address) >> 20) % HT_STRIPES].live, change);
}

int64_t ht_live_count(const struct ht_region_header *header)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < HT_STRIPES; i++) {
        sum += ht_load_relaxed(&header->stripes[i].live);
    }
    return sum;
}

static uint64_t ht_capacity(const struct ht_region *region)
{
    uint64_t slots = 0;
    uint32_t levels = ht_load_acquire(&region->level_count);
    for (uint32_t i = 0; i < levels; i++) {
        slots += (uint64_t)region->levels[i].bucket_count * HT_BUCKET_SLOTS;
    }
    return slots;
}

static float ht_rank_of(const struct ht_live_slot *slot)
{
    float rank;
    __atomic_load(&slot->rank_bytes, &rank, __ATOMIC_ACQUIRE); // pairs with ht_settle
    return rank;
}

// Given up by thinning; a record that is not settled (L6) is not.
static bool ht_is_dead(const struct ht_live_slot *slot, float floor_bytes)
{
    float rank_bytes = ht_rank_of(slot);
    return rank_bytes > 0 && rank_bytes <= floor_bytes;
}

// Undoes L1's counts for a record that stood `probe` buckets behind its home.
static void ht_unpass(const struct ht_table *table, uint32_t home, uint32_t bucket)
{
    for (uint32_t b = home; b != bucket; b = (b + 1) & table->mask) {
        ht_sub_relaxed(&table->passed[b], 1);
    }
}

// Takes a record below the floor out of its slot and leaves the slot HT_SLOT_BUSY for the caller; see
// layout.h for the mark. False: it is alive, or somebody else was faster.
static bool ht_reap(struct ht_region *region, const struct ht_table *table, uint32_t bucket, uint32_t i,
                    uint64_t address, float floor_bytes)
{
    uint64_t *key = &table->keys[bucket * HT_BUCKET_SLOTS + i];
    const struct ht_live_slot *slot = &table->slots[bucket * HT_BUCKET_SLOTS + i];
    if (!ht_is_dead(slot, floor_bytes)) {
        return false;
    }
    HT_SEAM(reap_looked);
    uint64_t seen = address;
    if (!ht_cas_acqrel(key, &seen, address | HT_SWEEP_MARK)) {
        return false;
    }
    HT_SEAM(reap_marked);
    // The slot may have been freed and filled again with the same address since the first look; under the
    // mark only the owner can touch it. The token is this record's (F2), so it is taken under the mark too.
    uint32_t token = ht_filter_token();
    bool dead = ht_is_dead(slot, floor_bytes);
    HT_SEAM(reap_judged);
    seen = address | HT_SWEEP_MARK;
    if (!ht_cas_acqrel(key, &seen, dead ? HT_SLOT_BUSY : address)) {
        return seen == HT_SLOT_BUSY; // its owner has freed the block meanwhile, and left us the slot (L2)
    }
    if (!dead) {
        return false;
    }
    HT_SEAM(reap_taken);
    struct ht_table its = *table;
    its.home = (uint32_t)(ht_address_hash(address) >> 32) & table->mask;
    ht_unpass(&its, its.home, bucket);
    ht_count_slots(region->header, address, -1);
    HT_SEAM(reap_unpassed);
    ht_filter_remove((uintptr_t)address, token);
    ht_health_add(region->header, HT_HEALTH_THINNED, 1);
    return true;
}

// A slot of this bucket with key HT_SLOT_BUSY, ours to fill; -1 when all are taken by live samples.
static int ht_claim(struct ht_region *region, const struct ht_table *table, uint32_t bucket)
{
    uint64_t *keys = &table->keys[bucket * HT_BUCKET_SLOTS];
    float floor_bytes = ht_live_floor(region->header);
    for (uint32_t i = 0; i < HT_BUCKET_SLOTS; i++) {
        uint64_t key = ht_load_relaxed(&keys[i]);
        if (key == 0) {
            if (ht_cas_acqrel(&keys[i], &key, HT_SLOT_BUSY)) {
                return (int)i;
            }
        } else if (floor_bytes > 0 && (key & HT_SWEEP_MARK) == 0 &&
                   ht_reap(region, table, bucket, i, key, floor_bytes)) {
            return (int)i;
        }
    }
    return -1;
}

// Makes the record visible, without its rank (L6).
static void ht_fill(struct ht_live_slot *slot, uint64_t *key, const struct ht_live_copy *live)
{
    ht_store_relaxed(&slot->seq, slot->seq + 1);
    ht_fence_release(); // readers that see a field of this record see the new seq (pairs with
                        // ht_view_each_live)
    ht_store_relaxed(&slot->size_bytes, live->size_bytes);
    ht_store_relaxed(&slot->birth_ns, live->birth_ns);
    float rate_bytes = live->rate_bytes, not_settled = 0;
    __atomic_store(&slot->rate_bytes, &rate_bytes, __ATOMIC_RELAXED);
    __atomic_store(&slot->rank_bytes, &not_settled, __ATOMIC_RELAXED);
    ht_store_relaxed(&slot->entry_ref, live->entry_ref);
    ht_store_seqcst(key, live->address); // F1: visible before the filter is looked up
}

// From here on it is a sample to everybody, sweepers too.
static void ht_settle(struct ht_live_slot *slot, const struct ht_live_copy *live)
{
    float rank_bytes = live->rank_bytes;
    __atomic_store(&slot->rank_bytes, &rank_bytes, __ATOMIC_RELEASE);
}

static bool ht_insert_in_level(struct ht_region *region, uint32_t level, const struct ht_live_copy *live,
                               bool *ret_crowded)
{
    struct ht_table table = ht_table_at(region, level, live->address);
    uint32_t bucket = table.home;
    for (uint32_t probe = 0; probe < HT_LIVE_PROBES && probe <= table.mask; probe++) {
        int i = ht_claim(region, &table, bucket);
        if (i >= 0) {
            uint32_t at = bucket * HT_BUCKET_SLOTS + (uint32_t)i;
            HT_SEAM(insert_claimed);
            ht_count_slots(region->header, live->address, 1);
            ht_fill(&table.slots[at], &table.keys[at], live);
            HT_SEAM(insert_visible);
            ht_filter_add((uintptr_t)live->address);
            HT_SEAM(insert_counted);
            ht_settle(&table.slots[at], live);
            return true;
        }
        *ret_crowded = true;
        ht_add_relaxed(&table.passed[bucket], 1);
        HT_SEAM(insert_passed);
        bucket = (bucket + 1) & table.mask;
    }
    ht_unpass(&table, table.home, bucket);
    return false;
}

static void ht_sweep_bucket(struct ht_region *region, const struct ht_table *table, uint32_t bucket,
                            float floor_bytes)
{
    uint64_t *keys = &table->keys[bucket * HT_BUCKET_SLOTS];
    for (uint32_t i = 0; i < HT_BUCKET_SLOTS; i++) {
        uint64_t key = ht_load_relaxed(&keys[i]);
        if (key != 0 && (key & HT_SWEEP_MARK) == 0 && ht_reap(region, table, bucket, i, key, floor_bytes)) {
            HT_SEAM(sweep_reaped);
            ht_store_release(&keys[i], 0);
        }
    }
}

// Sweeps a few buckets for the thinning that is under way, so that dead samples go without anybody's long
// wait. Whoever takes the last ones ends the sweep that he took them from, not one that began meanwhile.
static void ht_sweep_some(struct ht_region *region)
{
    struct ht_region_header *header = region->header;
    uint64_t taken = ht_add_acqrel(&header->sweep_cursor, SWEEP_BUCKETS); // pairs with ht_thin
    uint64_t cursor = (uint32_t)taken;
    uint32_t sweep = (uint32_t)(taken >> SWEEP_SHIFT);
    HT_SEAM(sweep_cursor);
    float floor_bytes = ht_live_floor(header);
    uint32_t levels = ht_load_acquire(&region->level_count);
    for (uint32_t level = 0; level < levels; level++) {
        uint32_t buckets = region->levels[level].bucket_count;
        if (cursor >= buckets) {
            cursor -= buckets;
            continue;
        }
        struct ht_table table = ht_table_at(region, level, 0);
        for (uint32_t bucket = (uint32_t)cursor; bucket < buckets && bucket < cursor + SWEEP_BUCKETS;
             bucket++) {
            ht_sweep_bucket(region, &table, bucket, floor_bytes);
        }
        return;
    }
    HT_SEAM(sweep_end);
    ht_cas_acqrel(&header->sweep_active, &sweep, 0);
}

bool ht_live_add_level(struct ht_region *region, uint32_t bucket_count)
{
    struct ht_region_header *header = region->header;
    uint32_t level = region->level_count;
    if (level >= HT_LIVE_LEVELS) {
        return false;
    }
    uint64_t slots = (uint64_t)bucket_count * HT_BUCKET_SLOTS;
    uint64_t keys_bytes = slots * sizeof(uint64_t);
    uint64_t slots_bytes = slots * sizeof(struct ht_live_slot);
    uint64_t bytes = keys_bytes + slots_bytes + (uint64_t)bucket_count * sizeof(uint32_t);
    // Half of the region at most: stacks need room as well.
    uint64_t held = ht_capacity(region) * (sizeof(uint64_t) + sizeof(struct ht_live_slot) + 1);
    if (level > 0 && held + bytes > region->size_bytes / 2) {
        return false;
    }
    uint64_t offset = ht_region_take(region, bytes, HT_CACHE_LINE, false);
    if (offset == 0) {
        return false;
    }
    struct ht_live_level *l = &region->levels[level];
    l->keys_offset = offset;
    l->slots_offset = offset + keys_bytes;
    l->passed_offset = offset + keys_bytes + slots_bytes;
    l->bucket_count = bucket_count;
    // Readers first: a sample must not stand where they do not look yet.
    header->levels[level] = *l;
    HT_SEAM(level_described);
    ht_store_release(&header->level_count, level + 1);
    HT_SEAM(level_announced);
    ht_store_release(&region->level_count, level + 1);
    return true;
}

struct ht_look {
    unsigned count;
    float size_bytes[THIN_LOOKS], rate_bytes[THIN_LOOKS];
};

// The first live sample of each of THIN_LOOKS buckets, spread over all levels: what thinning goes by. A
// record that changes under the look is worth as much as any.
static void ht_look_around(const struct ht_region *region, struct ht_look *ret_look)
{
    const struct ht_region_header *header = region->header;
    uint64_t step = ht_capacity(region) / HT_BUCKET_SLOTS / THIN_LOOKS + 1;
    uint64_t next = 0, base = 0;
    float floor_bytes = ht_live_floor(header);
    uint32_t levels = ht_load_acquire(&region->level_count);
    ret_look->count = 0;
    for (uint32_t level = 0; level < levels; level++) {
        struct ht_table table = ht_table_at(region, level, 0);
        for (; next < base + table.mask + 1 && ret_look->count < THIN_LOOKS; next += step) {
            for (uint32_t i = 0; i < HT_BUCKET_SLOTS; i++) {
                uint64_t at = (next - base) * HT_BUCKET_SLOTS + i;
                if (ht_load_relaxed(&table.keys[at]) > HT_SWEEP_MARK &&
                    ht_rank_of(&table.slots[at]) > floor_bytes) {
                    ret_look->size_bytes[ret_look->count] =
                        (float)ht_load_relaxed(&table.slots[at].size_bytes);
                    __atomic_load(&table.slots[at].rate_bytes, &ret_look->rate_bytes[ret_look->count++],
                                  __ATOMIC_RELAXED);
                    break;
                }
            }
        }
        base += table.mask + 1;
    }
}

// The share of the looked-at samples that would be expected to survive a floor.
static double ht_survivors(const struct ht_look *look, double old_floor, double new_floor)
{
    double sum = 0;
    for (unsigned i = 0; i < look->count; i++) {
        uint64_t size = (uint64_t)look->size_bytes[i];
        double rate = (double)look->rate_bytes[i];
        double before = ht_probability(size, rate > old_floor ? rate : old_floor);
        double after = ht_probability(size, rate > new_floor ? rate : new_floor);
        sum += after / before;
    }
    return sum / look->count;
}

// A sample of rate r with rank k is what a coarser Poisson sampling of rate F would also have seen if and
// only if k > F; so raising the floor to F is the same as having sampled at max(r, F) all along. The floor
// follows from the sizes alone, never from the ranks, hence it does not bias who survives.
static void ht_thin(struct ht_region *region)
{
    struct ht_region_header *header = region->header;
    struct ht_look look;
    ht_look_around(region, &look);
    if (look.count == 0) {
        return;
    }
    double old_floor = (double)ht_live_floor(header);
    double rate = (double)ht_load_relaxed(&header->rate_bytes);
    double floor_bytes = old_floor > 1.0 ? old_floor : 1.0;
    if (floor_bytes < rate) {
        floor_bytes = rate;
    }
    floor_bytes = ht_cell_bytes(ht_cell_of_floor(floor_bytes)); // files tell ranks and floors by the grid
    do {
        floor_bytes *= 2;
    } while (floor_bytes < 1e18 && ht_survivors(&look, old_floor, floor_bytes) > 0.5);
    float chosen = (float)floor_bytes;
    // First the words that say so: whoever is killed in between must not leave estimates that look exact.
    if (header->thinned_since_ns == 0) {
        header->thinned_since_ns = ht_clock_realtime_ns(); // by the vdso: works without the kernel
    }
    ht_health_add(header, HT_HEALTH_THINNINGS, 1);
    HT_SEAM(thin_said);
    __atomic_store(&header->floor_bytes, &chosen, __ATOMIC_RELEASE);
    HT_SEAM(thin_floor);
    uint32_t sweep = (uint32_t)(ht_load_relaxed(&header->sweep_cursor) >> SWEEP_SHIFT) + 1;
    if (sweep == 0) {
        sweep = 1; // 0 says that none is under way
    }
    // Who takes buckets of this sweep goes by this floor (pairs with ht_sweep_some).
    ht_store_release(&header->sweep_cursor, (uint64_t)sweep << SWEEP_SHIFT);
    HT_SEAM(thin_cursor);
    ht_store_release(&header->sweep_active, sweep);
}

static uint32_t ht_resizing; // 1 while a thread adds a level or thins

static bool ht_resize_begin(void)
{
    uint32_t idle = 0;
    return ht_cas_acqrel(&ht_resizing, &idle, 1);
}

static void ht_resize_end(void)
{
    ht_store_release(&ht_resizing, 0);
}

void ht_live_thin(struct ht_region *region)
{
    if (ht_resize_begin()) {
        ht_thin(region);
        ht_resize_end();
    }
}

static void ht_make_room(struct ht_region *region, bool must)
{
    struct ht_region_header *header = region->header;
    uint64_t capacity = ht_capacity(region);
    if (!must && ht_live_count(header) * 100 < (int64_t)capacity * FULL_PERCENT) {
        return;
    }
    if (!ht_resize_begin()) {
        return;
    }
    if (ht_capacity(region) == capacity) { // nobody has done it since we looked
        uint32_t newest = region->levels[region->level_count - 1].bucket_count;
        bool grown = false;
        for (uint32_t buckets = newest * 2; !grown && buckets >= newest / 2 && buckets >= 64; buckets /= 2) {
            grown = ht_live_add_level(region, buckets);
        }
        HT_SEAM(room_made);
        if (grown) {
            ht_filter_grow(region, ht_capacity(region));
        } else if (!ht_load_relaxed(&header->sweep_active)) {
            ht_thin(region);
        }
    }
    ht_resize_end();
}

void ht_live_after_fork(void)
{
    ht_resizing = 0;
    ht_filter_after_fork();
}

bool ht_live_insert(struct ht_region *region, const struct ht_live_copy *live)
{
    struct ht_region_header *header = region->header;
    if (ht_filter_hit((const void *)(uintptr_t)live->address)) {
        struct ht_live_copy stale;
        if (ht_live_remove(region, live->address, &stale)) {
            ht_health_add(header, HT_HEALTH_UNMATCHED, 1);
            HT_SEAM(insert_unmatched);
        }
    }
    if (ht_load_relaxed(&header->sweep_active)) {
        ht_sweep_some(region);
    }
    uint64_t begun_ns = 0;
    unsigned idle_rounds = 0;
    for (;;) {
        bool crowded = false;
        uint32_t levels = ht_load_acquire(&region->level_count);
        for (uint32_t level = levels; level-- > 0;) {
            if (ht_insert_in_level(region, level, live, &crowded)) {
                if (crowded) {
                    ht_make_room(region, false);
                }
                if (begun_ns != 0) {
                    ht_region_blocked(region, ht_clock_monotonic_ns() - begun_ns);
                }
                return true;
            }
        }
        ht_make_room(region, true);
        // Another thread may be at it, and not on a processor just now, or there is still something to sweep.
        // That is waited for, but not for ever: the other may be the one that a signal handler interrupted
        // below us.
        bool resizing = ht_load_acquire(&ht_resizing) != 0;
        bool sweeping = ht_load_relaxed(&header->sweep_active) != 0;
        uint64_t now_ns = ht_clock_monotonic_ns();
        if (begun_ns == 0) {
            begun_ns = now_ns;
        } else if (now_ns - begun_ns > FULL_WAIT_NS || (!resizing && !sweeping && ++idle_rounds > 2)) {
            ht_region_blocked(region, now_ns - begun_ns);
            break;
        }
        if (sweeping) {
            ht_sweep_some(region);
        } else if (resizing) {
            ht_raw0(SYS_sched_yield);
        }
    }
    ht_health_add(header, HT_HEALTH_DROP_LIVE_FULL, 1);
    return false;
}

// Takes `address` out of a bucket; the slot's fields are copied before the key is given up, for nobody but a
// sweeper may touch the slot of a block that is ours to free. Under a sweeper's mark the slot goes to him
// (L2).
static bool ht_remove_in_bucket(struct ht_region *region, const struct ht_table *table, uint32_t bucket,
                                uint64_t address, struct ht_live_copy *ret_live)
{
    for (uint32_t i = 0; i < HT_BUCKET_SLOTS; i++) {
        uint32_t at = bucket * HT_BUCKET_SLOTS + i;
        uint64_t key = ht_load_acquire(&table->keys[at]);
        while ((key & ~HT_SWEEP_MARK) == address) {
            struct ht_live_copy copy = ht_live_read_slot(&table->slots[at], address);
            HT_SEAM(remove_found);
            if (ht_cas_acqrel(&table->keys[at], &key, (key & HT_SWEEP_MARK) != 0 ? HT_SLOT_BUSY : 0)) {
                HT_SEAM(remove_taken);
                ht_unpass(table, table->home, bucket);
                ht_count_slots(region->header, address, -1);
                *ret_live = copy;
                return true;
            }
        }
    }
    return false;
}

bool ht_live_remove(struct ht_region *region, uint64_t address, struct ht_live_copy *ret_live)
{
    uint32_t token = ht_filter_token();
    HT_SEAM(remove_token);
    for (uint32_t level = ht_load_acquire(&region->level_count); level-- > 0;) {
        struct ht_table table = ht_table_at(region, level, address);
        uint32_t bucket = table.home;
        for (uint32_t probe = 0; probe < HT_LIVE_PROBES && probe <= table.mask; probe++) {
            if (ht_remove_in_bucket(region, &table, bucket, address, ret_live)) {
                HT_SEAM(remove_unpassed);
                ht_filter_remove((uintptr_t)address, token);
                return true;
            }
            if (ht_load_relaxed(&table.passed[bucket]) == 0) {
                break;
            }
            bucket = (bucket + 1) & table.mask;
        }
    }
    return false;
}
