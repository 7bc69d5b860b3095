// Every window between two steps that belong together, opened on purpose: at each seam of each operation
// every other one runs from end to end, as another thread's would, and in its seams a third; afterwards all
// invariants hold.
#include "actors.h"
#include "record/check.h"
#include "record/filter.h"
#include "record/live.h"
#include "record/stacks.h"
#include "seams.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sanitized.h"

// Of the cases that are too many to run all, every so manyth runs, a prime number.
#ifdef UNDER_SANITIZER
#define STRIDE        4001
#define BEHIND_STRIDE 37
#else
#define STRIDE        101
#define BEHIND_STRIDE 1
#endif
#define SEAMS 24u // that an operation passes, at most, each name SEAM_REPEATS times

// Blocks whose addresses share a byte of the filter and, but for one, a home bucket.
enum {
    KEPT = 6,     // stay
    AGAIN = KEPT, // thinning gives it up; its owner frees it, gets it again, and the new record stays
    FREED,        // lives, and is freed
    DYING,        // thinning gives it up
    DYING_LATER,  // the second thinning does
    DYING_FREED,  // and its owner frees it
    UNMATCHED,    // lives, and comes again without having been freed
    DYING_AGAIN, // as AGAIN, but the new record is given up too; in another bucket, to get its own slot again
    NEW,         // comes
    NEW_DYING,   // comes with a rank that thinning gives up
    BLOCKS,
};
#define SIZE  100u
#define RATE  524288
#define LEAST 600000.f  // a rank below the first thinning's floor
#define LATER 5000000.f // and below the second's

enum state { ABSENT, LIVE, MAYBE };

static uint64_t addresses[BLOCKS + 8]; // and scratch ones, at every depth another
static struct ht_region own, *region = &own;
static uint32_t entry_ref;
static enum state states[BLOCKS];
static float ranks[BLOCKS];
static bool busy[BLOCKS]; // an operation that is under way has it
static bool resizing;     // what ht_resizing stands for in the real thing
static _Thread_local unsigned depth;
static uint64_t pinned; // an address that hits, or 0
static uint64_t births;
static unsigned populated = UINT32_MAX; // bits of the blocks that are there from the beginning
static const char *failure, *failed_at;

static void fail_with(const char *what)
{
    if (failure == NULL) {
        failure = what;
        failed_at = seams_where();
    }
}

static bool is_dead(float rank)
{
    return rank <= ht_live_floor(region->header);
}

static void find_addresses(void)
{
    if (addresses[0] != 0)
        return;
    uint64_t address = UINT64_C(0x7f0000001000);
    while (ht_filter_hash(address) >> 16 != 0) // its byte stays the same under every mask
        address += 16;
    addresses[0] = address;
    for (unsigned found = 1; found < BLOCKS; found++) {
        do
            address += 16;
        while (((ht_filter_hash(address) ^ ht_filter_hash(addresses[0])) & 0xffff) != 0 ||
               (((ht_address_hash(address) ^ ht_address_hash(addresses[0])) >> 32) & 127) !=
                   (found == DYING_AGAIN ? 64 : 0) ||
               (found == DYING && (ht_filter_hash(address) >> 16 & 3) == 0)); // the first widening moves it
        addresses[found] = address;
    }
    for (unsigned i = BLOCKS; i < BLOCKS + 8; i++)
        addresses[i] = UINT64_C(0x7e0000000000) + i * 64;
}

// Adds one to the totals of the entry, and to the table.
static void insert(unsigned block, float rank)
{
    struct ht_live_copy live = {addresses[block], SIZE, ++births, RATE, rank, entry_ref};
    ht_entry_add(region, entry_ref, SIZE, ht_live_weight(&live, 0), 0.5);
    if (!ht_live_insert(region, &live))
        fail_with("no slot");
}

// As free does: looks at the filter first. False: not recorded.
static bool freed(unsigned block)
{
    struct ht_live_copy got;
    if (!ht_filter_hit((const void *)(uintptr_t)addresses[block]) ||
        !ht_live_remove(region, addresses[block], &got))
        return false;
    if (got.size_bytes != SIZE || got.entry_ref != entry_ref)
        fail_with("a record is torn");
    return true;
}

static void take_out(unsigned block)
{
    enum state was = states[block];
    busy[block] = true;
    if (!freed(block) && !(was == MAYBE && is_dead(ranks[block])))
        fail_with("a free was not recorded");
    states[block] = ABSENT;
    busy[block] = false;
}

static void put_in(unsigned block, float rank)
{
    busy[block] = true;
    ranks[block] = rank;
    insert(block, rank);
    states[block] = rank < FLT_MAX ? MAYBE : LIVE;
    busy[block] = false;
}

static void do_insert(void)
{
    if (states[NEW] == ABSENT && !busy[NEW])
        put_in(NEW, FLT_MAX);
}

static void do_insert_dying(void)
{
    if (states[NEW_DYING] == ABSENT && !busy[NEW_DYING])
        put_in(NEW_DYING, LEAST);
}

static void do_free(void)
{
    if (states[FREED] == LIVE && !busy[FREED])
        take_out(FREED);
}

static void do_free_dying(void)
{
    if (states[DYING_FREED] == MAYBE && !busy[DYING_FREED])
        take_out(DYING_FREED);
}

static void take_and_put(unsigned block, float rank)
{
    if (states[block] != MAYBE || busy[block])
        return;
    take_out(block);
    put_in(block, rank);
}

static void do_again(void)
{
    take_and_put(AGAIN, FLT_MAX);
}

static void do_again_dying(void)
{
    take_and_put(DYING_AGAIN, LEAST);
}

static void do_unmatched(void)
{
    if (busy[UNMATCHED])
        return;
    uint64_t before = region->header->health[HT_HEALTH_UNMATCHED];
    put_in(UNMATCHED, FLT_MAX);
    if (region->header->health[HT_HEALTH_UNMATCHED] == before)
        fail_with("a record whose block comes again was not found");
}

static void do_sweep(void)
{
    unsigned scratch = BLOCKS + depth + actors_self();
    for (int i = 0; i < 70 + 70 * (int)region->header->level_count && region->header->sweep_active != 0;
         i++) {
        insert(scratch, FLT_MAX);
        if (!freed(scratch))
            fail_with("a free was not recorded");
    }
}

static void do_thin(void)
{
    if (resizing)
        return;
    resizing = true;
    ht_live_thin(region);
    resizing = false;
}

static void do_level(void)
{
    if (resizing || region->header->level_count > 3)
        return;
    resizing = true;
    if (!ht_live_add_level(region, 64))
        fail_with("no level");
    resizing = false;
}

static void do_widen(void)
{
    if (resizing)
        return;
    resizing = true;
    ht_filter_grow(region, ht_filter_mask < 1u << 17 ? 1u << 15 : 1u << 18);
    resizing = false;
}

static bool tick_off(void *arg, const struct ht_live_copy *live)
{
    unsigned *seen = arg;
    for (unsigned i = 0; i < BLOCKS; i++)
        seen[i] += live->address == addresses[i];
    if (live->size_bytes != SIZE || live->entry_ref != entry_ref)
        fail_with("a reader saw a torn record");
    return true;
}

// What a reader sees of the blocks that nobody is busy with.
static void check_seen(const unsigned *seen)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        if (!busy[i] && (states[i] == ABSENT ? seen[i] != 0 : states[i] == LIVE && seen[i] != 1))
            fail_with(seen[i] == 0 ? "a reader missed a live sample" : "a reader saw what is not there");
}

static void do_look(void)
{
    unsigned seen[BLOCKS] = {0};
    enum state before[BLOCKS];
    memcpy(before, states, sizeof before);
    struct ht_view view;
    if (ht_view_init(&view, region->base, region->backed_bytes) != HT_VIEW_OK)
        fail_with("no view");
    ht_view_each_live(&view, tick_off, seen);
    for (unsigned i = 0; i < BLOCKS; i++) // that changed while we looked
        if (before[i] != states[i] || i == UNMATCHED || i == AGAIN)
            seen[i] = states[i] == LIVE;
    check_seen(seen);
}

// Another address each time, and none of the byte that the blocks share.
static void do_pin(void)
{
    static uint64_t next = UINT64_C(0x7d0000000000);
    do
        next += 16;
    while (((ht_filter_hash(next) ^ ht_filter_hash(addresses[0])) & 0xffff) == 0);
    ht_filter_pin((uintptr_t)next);
    pinned = next;
}

static const struct operation {
    const char *name;
    void (*run)(void);
} operations[] = {
    {"insert", do_insert},
    {"insert dying", do_insert_dying},
    {"free", do_free},
    {"free dying", do_free_dying},
    {"again", do_again},
    {"unmatched", do_unmatched},
    {"sweep", do_sweep},
    {"thin", do_thin},
    {"level", do_level},
    {"widen", do_widen},
    {"again dying", do_again_dying},
    {"look", do_look},
    {"pin", do_pin},
};
#define OPERATIONS (sizeof operations / sizeof operations[0])
#define UNPINNED   (OPERATIONS - 1) // those that need no room in the list of pinned addresses

// Whatever is under way: each byte of the filter is at least the number of settled records that nobody is
// busy with (F1), so that a block that is live is looked up at its free.
static void check_hits(void)
{
    uint64_t found[64];
    unsigned count = 0;
    for (uint32_t level = 0; level < region->level_count; level++) {
        const struct ht_live_level *l = &region->levels[level];
        const uint64_t *keys = (const uint64_t *)(const void *)(region->base + l->keys_offset);
        const struct ht_live_slot *slots = (const void *)(region->base + l->slots_offset);
        for (uint32_t at = 0; at < l->bucket_count * HT_BUCKET_SLOTS && count < 64; at++)
            if (ht_load_acquire(&keys[at]) > HT_SLOT_BUSY && slots[at].rank_bytes > 0)
                found[count++] = ht_load_acquire(&keys[at]) & ~HT_SWEEP_MARK;
    }
    unsigned due = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        for (unsigned at = 0; at < count; at++)
            due += found[at] == addresses[i] && !busy[i] &&
                   ((ht_filter_hash(addresses[i]) ^ ht_filter_hash(addresses[0])) & ht_filter_mask) == 0;
    if (ht_filter_bytes[ht_filter_hash(addresses[0]) & ht_filter_mask] < due)
        fail_with("a byte of the filter is below the number of its records");
    for (unsigned i = 0; i < BLOCKS; i++)
        if (states[i] == LIVE && !busy[i] && !ht_filter_hit((const void *)(uintptr_t)addresses[i]))
            fail_with("a free would go by unseen");
    if (pinned != 0 && !ht_filter_hit((const void *)(uintptr_t)pinned))
        fail_with("a pinned address would go by unseen");
}

static void check_region(void)
{
    struct ht_view view;
    struct ht_check check;
    struct ht_bump memory;
    static char wrong[192];
    ht_bump_init(&memory, 64 << 20);
    if (ht_view_init(&view, region->base, region->backed_bytes) != HT_VIEW_OK)
        fail_with("no view");
    else if (ht_check_all(&check, &view, HT_CHECK_QUIET, &memory) != NULL ||
             ht_check_own(&check, region) != NULL) {
        memcpy(wrong, check.wrong, sizeof wrong);
        fail_with(wrong);
    }
    ht_bump_release(&memory);
}

static void fresh_filter(void)
{
    memset(ht_filter_bytes, 0, (size_t)ht_filter_mask + 1);
    ht_filter_mask = (1u << HT_FILTER_FIRST_BITS) - 1;
    const uintptr_t *old;
    for (uint32_t i = 0, count = ht_filter_pinned(&old); i < count; i++)
        ht_filter_bytes[ht_filter_hash(old[i]) & ht_filter_mask] = HT_FILTER_STICKY;
}

// `thinned`: the first thinning has been, and nothing is swept yet.
static void begin(bool thinned)
{
    uint64_t frames[] = {0x1000, 0x2000};
    entry_ref = ht_entry_intern(region, HT_KIND_HEAP, frames, 2, 0, ht_size_class(SIZE), 0);
    memset(states, 0, sizeof states);
    memset(busy, 0, sizeof busy);
    resizing = false;
    pinned = 0;
    depth = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        if (i < NEW && (populated >> i & 1) != 0)
            put_in(i, i == AGAIN || i == DYING || i == DYING_FREED || i == DYING_AGAIN ? LEAST
                      : i == DYING_LATER                                               ? LATER
                                                                                       : FLT_MAX);
    if (thinned)
        ht_live_thin(region);
    if (thinned && (!is_dead(LEAST) || is_dead(LATER)))
        fail_with("the first thinning is not what the test goes by");
}

// Everything is freed, what is dead is swept: nothing is left.
static void finish(void)
{
    check_hits();
    check_region();
    do_sweep();
    struct ht_live_copy swept;
    if ((is_dead(LEAST) && ht_live_remove(region, addresses[DYING], &swept)) ||
        (is_dead(LATER) && ht_live_remove(region, addresses[DYING_LATER], &swept)))
        fail_with("a sweep ended before it had been everywhere");
    for (unsigned i = 0; i < BLOCKS; i++)
        if (states[i] != ABSENT)
            take_out(i);
    do_sweep();
    check_region();
    if (ht_live_count(region->header) != 0)
        fail_with("records are left");
}

// What runs in a seam: an operation, and another in its nth seam, or (BEHIND) after it.
#define BEHIND UINT32_MAX
struct third {
    unsigned operation, nth;
    bool ran;
};

struct second {
    unsigned operation;
    struct third *third; // or NULL
};

static void run_third(void *arg)
{
    struct third *third = arg;
    depth++;
    operations[third->operation].run();
    check_hits();
    depth--;
}

static void run_second(void *arg)
{
    struct second *second = arg;
    depth++;
    if (second->third != NULL)
        seams_plan(NULL, second->third->nth, run_third, second->third);
    operations[second->operation].run();
    if (second->third != NULL)
        second->third->ran = seams_end();
    if (second->third != NULL && second->third->nth == BEHIND)
        run_third(second->third);
    check_hits();
    depth--;
}

static void begin_case(bool thinned)
{
    static struct ht_identity identity = {.pid = 1, .program = "test", .rate_bytes = RATE, .active = 1};
    find_addresses();
    fresh_filter();
    failure = NULL;
    region = &own;
    assert_true(ht_region_create(&identity, NULL, 1 << 20, 1, &own));
    begin(thinned);
}

static void end_case(const char *first, const char *second, const char *third, bool thinned)
{
    static unsigned below_zero;
    finish();
    ht_region_destroy(&own);
    if (failure == NULL && seams_below_zero() != below_zero)
        failure = "a byte of the filter was counted below zero";
    below_zero = seams_below_zero();
    if (failure != NULL)
        fail_msg("%s: seam %s, %s%s, %s, %s", failure, failed_at != NULL ? failed_at : "none", first,
                 thinned ? " after a thinning" : "", second, third);
}

// The first operation with the second in its nth seam. False: it has not so many.
static bool run_case(unsigned first, unsigned nth, struct second *second, bool thinned)
{
    begin_case(thinned);
    seams_plan(NULL, nth, run_second, second);
    operations[first].run();
    bool ran = seams_end();
    end_case(operations[first].name, operations[second->operation].name,
             second->third != NULL ? operations[second->third->operation].name : "alone", thinned);
    return ran;
}

static void test_one_in_another(void **state)
{
    (void)state;
    unsigned cases = 0;
    for (unsigned thinned = 0; thinned < 2; thinned++)
        for (unsigned first = 0; first < OPERATIONS; first++)
            for (unsigned other = 0; other < OPERATIONS; other++)
                for (unsigned nth = 0; run_case(first, nth, &(struct second){other, NULL}, thinned); nth++)
                    cases++;
    print_message("%u cases\n", cases);
    assert_true(cases > 1000);
}

static void test_two_behind_each_other_in_another(void **state)
{
    (void)state;
    unsigned cases = 0;
    for (unsigned i = 0; i < 2 * UNPINNED * UNPINNED * UNPINNED; i += BEHIND_STRIDE) {
        struct third third = {i / 2 % UNPINNED, BEHIND, false};
        struct second second = {i / 2 / UNPINNED % UNPINNED, &third};
        for (unsigned nth = 0; run_case(i / 2 / UNPINNED / UNPINNED, nth, &second, i % 2); nth++)
            cases++;
    }
    print_message("%u cases\n", cases);
}

static void test_three_in_each_other(void **state)
{
    (void)state;
    unsigned cases = 0;
    for (unsigned i = 0; i < 2 * UNPINNED * UNPINNED * UNPINNED * SEAMS * SEAMS; i += STRIDE, cases++) {
        unsigned all = i / 2 / SEAMS / SEAMS;
        struct third third = {all % UNPINNED, i / 2 / SEAMS % SEAMS, false};
        struct second second = {all / UNPINNED % UNPINNED, &third};
        run_case(all / UNPINNED / UNPINNED, i / 2 % SEAMS, &second, i % 2);
    }
    print_message("%u cases\n", cases);
}

// The first to its nth seam, the second to its mth, the third whole, if any; then the first to its end, then
// the second.
static void run_crossed(unsigned first, unsigned second, unsigned third, unsigned nth, unsigned mth,
                        bool thinned)
{
    begin_case(thinned);
    actors_work(0, operations[first].run, NULL, nth);
    actors_work(1, operations[second].run, NULL, mth);
    if (third < UNPINNED)
        actors_work(2, operations[third].run, "none", 0);
    check_hits();
    actors_go_on(0, NULL);
    check_hits();
    actors_go_on(1, NULL);
    end_case(operations[first].name, operations[second].name,
             third < UNPINNED ? operations[third].name : "nothing", thinned);
}

static void test_two_across_each_other(void **state)
{
    (void)state;
    unsigned cases = 0;
    for (unsigned i = 0; i < 2 * UNPINNED * UNPINNED * SEAMS * SEAMS; i += STRIDE / 11, cases++) {
        unsigned both = i / 2 / SEAMS / SEAMS;
        run_crossed(both % UNPINNED, both / UNPINNED, UNPINNED, i / 2 % SEAMS, i / 2 / SEAMS % SEAMS, i % 2);
    }
    for (unsigned i = 0; i < 2 * UNPINNED * UNPINNED * UNPINNED * SEAMS * SEAMS; i += STRIDE, cases++) {
        unsigned all = i / 2 / SEAMS / SEAMS;
        run_crossed(all % UNPINNED, all / UNPINNED % UNPINNED, all / UNPINNED / UNPINNED, i / 2 % SEAMS,
                    i / 2 / SEAMS % SEAMS, i % 2);
    }
    print_message("%u cases\n", cases);
}

// A sweeper judges a record under his mark; its owner frees the block and gets it again; another, who saw the
// old record, marks the new one. The first must not take the mark of the second for his own.
static void test_a_mark_is_its_sweepers(void **state)
{
    (void)state;
    begin_case(true);
    // By AGAIN, the first that is dead in the bucket in which both look.
    assert_true(actors_work(0, do_insert, "reap_looked", 0));
    assert_true(actors_work(1, do_insert_dying, "reap_judged", 0));
    actors_work(2, do_again, "none", 0);
    actors_go_on(0, "reap_marked");
    actors_go_on(1, NULL);
    actors_go_on(0, NULL);
    end_case("insert", "insert dying", "again", true);
}

static void come_again_under_another_mask(void *arg)
{
    (void)arg;
    take_out(DYING);
    do_widen();
    put_in(DYING, LEAST);
}

// A sweeper looks at a record; its owner frees the block, the filter widens, the block comes again, and is
// given up as well: it was never counted under the mask that was in force at the first look.
static void test_a_token_is_its_records(void **state)
{
    (void)state;
    populated = 1u << 0 | 1u << DYING;
    begin_case(true);
    populated = UINT32_MAX;
    seams_plan("reap_looked", 0, come_again_under_another_mask, NULL);
    do_sweep();
    assert_true(seams_end());
    check_hits();
    end_case("sweep", "free, widen", "insert dying", true);
}

static void take_what_is_backed(void *arg)
{
    (void)arg;
    uint64_t left = region->backed_bytes - region->header->used_bytes;
    if (left > 0 && ht_region_take(region, left, 1, true) == 0)
        fail_with("what is backed cannot be taken");
    check_region(); // as whoever is killed here leaves it
}

// Between the two words that say how much is backed another thread takes memory.
static void test_used_is_backed(void **state)
{
    (void)state;
    begin_case(false);
    uint64_t left = region->backed_bytes - region->header->used_bytes;
    seams_plan("back_told", 0, take_what_is_backed, NULL);
    assert_true(ht_region_take(region, left + 1, 1, true) != 0);
    assert_true(seams_end());
    end_case("back", "take", "nothing", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_used_is_backed),
        cmocka_unit_test(test_one_in_another),
        cmocka_unit_test(test_two_behind_each_other_in_another),
        cmocka_unit_test(test_three_in_each_other),
        cmocka_unit_test(test_two_across_each_other),
        cmocka_unit_test(test_a_mark_is_its_sweepers),
        cmocka_unit_test(test_a_token_is_its_records),
    };
    return cmocka_run_group_tests(tests, actors_begin, actors_end);
}
