// The table of live samples under threads that insert, remove each other's blocks, thin, make it larger and
// read, all at once, and give up the processor in the seams between two steps.
#include "record/filter.h"
#include "record/live.h"
#include "record/stacks.h"
#include "record/view.h"
#include "seams.h"
#include "sys/atomic.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checks.h"

// So many are held that the table grows several times, and the filter with it. All is checked after each
// phase.
enum { THREADS = 4, PHASES = 4, ROUNDS = 8000, HELD = 3000 };

static struct ht_region region;
static uint32_t stop;
static uint64_t torn, lost;

// Each thread owns addresses of its own; a block is handed to the next thread through a slot, and freed
// there.
static uint64_t mailbox[THREADS][HELD];

// Each record of an address is another one: its parts belong together by this alone.
static uint64_t size_of(uint64_t address, uint64_t birth_ns)
{
    return (address ^ (birth_ns * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & 0xfff0;
}

static void free_block(uint64_t address, bool may_be_thinned)
{
    struct ht_live_copy got;
    if (!ht_filter_hit((void *)(uintptr_t)address) || !ht_live_remove(&region, address, &got)) {
        if (!may_be_thinned) {
            ht_add_relaxed(&lost, 1);
        }
        return;
    }
    if (got.size_bytes != size_of(address, got.birth_ns)) {
        ht_add_relaxed(&torn, 1);
    }
}

struct worker {
    unsigned id;
    bool thinning;
    uint64_t seed, rounds; // how far it is
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    uint64_t frames[3] = {worker->id, 2, 3};
    for (uint64_t end = worker->rounds + ROUNDS; worker->rounds < end; worker->rounds++) {
        uint64_t i = worker->rounds;
        frames[1] = next_random(&worker->seed) % 100;
        // Half are freed here at once, and come again soon; half by another thread later.
        bool at_once = next_random(&worker->seed) & 1;
        uint64_t address =
            UINT64_C(0x100000000) * (worker->id + 1) + (at_once ? UINT64_C(0x80000000) + i % 8 * 16 : i * 16);
        struct ht_live_copy live = {address, size_of(address, i + 1), i + 1, 1.0f, 1e30f, 0};
        if (worker->thinning && (i & 1)) {
            live.rank_bytes = 1.25f;
        }
        live.entry_ref =
            ht_entry_intern(&region, HT_KIND_HEAP, frames, 3, 0, ht_size_class(live.size_bytes), 0);
        ht_entry_add(&region, live.entry_ref, live.size_bytes, 1.0, 0);
        if (!ht_live_insert(&region, &live)) {
            ht_add_relaxed(&lost, 1);
            continue;
        }
        if (at_once) {
            free_block(address, worker->thinning);
        } else {
            uint64_t *slot =
                &mailbox[next_random(&worker->seed) % THREADS][next_random(&worker->seed) % HELD];
            uint64_t other = ht_swap_acqrel(slot, address);
            if (other != 0) {
                free_block(other, worker->thinning);
            }
        }
    }
    return NULL;
}

static bool look(void *arg, const struct ht_live_copy *live)
{
    (void)arg;
    if (live->size_bytes != size_of(live->address, live->birth_ns)) {
        ht_add_relaxed(&torn, 1);
    }
    return true;
}

static void *watch(void *arg)
{
    (void)arg;
    while (!ht_load_relaxed(&stop)) {
        struct ht_view view;
        if (ht_view_init(&view, region.base, region.header->size_bytes) == HT_VIEW_OK) {
            ht_view_each_live(&view, look, NULL);
        }
    }
    return NULL;
}

static void *thin(void *arg)
{
    (void)arg;
    while (!ht_load_relaxed(&stop)) {
        if (!ht_load_relaxed(&region.header->sweep_active) && ht_live_floor(region.header) < 1e6f) {
            ht_live_thin(&region);
        }
    }
    return NULL;
}

static void run_phase(struct worker *workers, bool thinning)
{
    pthread_t threads[THREADS], watcher, thinner;
    stop = 0;
    pthread_create(&watcher, NULL, watch, NULL);
    if (thinning) {
        pthread_create(&thinner, NULL, thin, NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ht_store_relaxed(&stop, 1);
    pthread_join(watcher, NULL);
    if (thinning) {
        pthread_join(thinner, NULL);
    }
}

static void run(bool thinning)
{
    static struct ht_identity identity = {.pid = 1, .program = "test", .rate_bytes = 1, .active = 1};
    memset(ht_filter_bytes, 0, sizeof ht_filter_bytes);
    ht_filter_mask = (1u << HT_FILTER_FIRST_BITS) - 1;
    assert_true(ht_region_create(&identity, NULL, UINT64_C(64) << 20, 1, &region));
    memset(mailbox, 0, sizeof mailbox);
    torn = lost = 0;
    seams_yield(512);
    struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){i, thinning, i + 1, 0};
    }
    for (unsigned phase = 0; phase < PHASES; phase++) {
        run_phase(workers, thinning);
        checks_pass_own(&region);
        assert_int_equal(seams_below_zero(), 0);
    }
    seams_yield(0);
    assert_true(ht_filter_mask >= 1u << HT_FILTER_FIRST_BITS); // it was widened
    for (unsigned t = 0; t < THREADS; t++) {
        for (unsigned i = 0; i < HELD; i++) {
            if (mailbox[t][i] != 0) {
                free_block(mailbox[t][i], thinning);
            }
        }
    }
    assert_int_equal(torn, 0);
    assert_int_equal(lost, 0);
    checks_pass_own(&region);
    if (!thinning) {
        assert_int_equal(ht_live_count(region.header), 0);
    }
    ht_region_destroy(&region);
}

static void test_insert_remove_read(void **state)
{
    (void)state;
    run(false);
}

static void test_with_thinning(void **state)
{
    (void)state;
    run(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_insert_remove_read),
                                       cmocka_unit_test(test_with_thinning)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
