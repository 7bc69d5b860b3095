// A process that is copied in the middle of everything: at each seam of each operation, and at any moment of
// threads that are at it. What the child takes over is whole, and every rule holds in its own region.
#include "core/owner.h"
#include "core/process.h"
#include "heap/sample.h"
#include "record/filter.h"
#include "record/live.h"
#include "record/stacks.h"
#include "seams.h"
#include "sys/atomic.h"

#include <float.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "checks.h"

#define HELD    64u // that nobody touches
#define LEAST   600000.f
#define RATE    524288
#define THREADS 3
#define FORKS   150

static char live_directory[] = "/dev/shm/heaptap-fork-race-XXXXXX";
static bool as_expected; // of all children of a process

static uint64_t held_address(unsigned i)
{
    return UINT64_C(0x7f0000000000) + i * 48;
}

static uint64_t size_of(uint64_t address)
{
    return 16 + address / 16 % 64 * 16;
}

static void record(uint64_t address, float rank)
{
    struct ht_region *region = ht_process_region();
    uint64_t frames[2] = {0x1000 + address / 16 % 16, 0x2000};
    struct ht_live_copy live = {address, size_of(address), 1, RATE, rank, 0};
    live.entry_ref = ht_entry_intern(region, HT_KIND_HEAP, frames, 2, 0, ht_size_class(live.size_bytes), 0);
    ht_entry_add(region, live.entry_ref, live.size_bytes, ht_live_weight(&live, 0), 0.5);
    ht_live_insert(region, &live);
}

static bool forget(uint64_t address)
{
    struct ht_live_copy got;
    return ht_filter_hit((const void *)(uintptr_t)address) &&
           ht_live_remove(ht_process_region(), address, &got) && got.size_bytes == size_of(address);
}

static bool is_whole(void *arg, const struct ht_live_copy *live)
{
    bool *whole = arg;
    *whole = *whole && live->size_bytes == size_of(live->address);
    return true;
}

// In the child: its own region, with all that nobody touched.
static bool starts_well(void)
{
    const struct ht_region *region = ht_process_region();
    struct ht_view view;
    struct ht_check check;
    bool whole = true;
    if (region == NULL || region->header->pid != (uint32_t)getpid() ||
        ht_view_init(&view, region->base, region->backed_bytes) != HT_VIEW_OK)
        return false;
    if (*checks_find(&view, HT_CHECK_QUIET, region, &check) != '\0') {
        fprintf(stderr, "%s\n", check.wrong);
        return false;
    }
    ht_view_each_live(&view, is_whole, &whole);
    for (unsigned i = 0; i < HELD; i++)
        whole = whole && forget(held_address(i));
    // And it goes on with tables and a filter of its own.
    for (unsigned i = 0; i < 2000; i++)
        record(UINT64_C(0x7b0000000000) + i * 16, FLT_MAX);
    for (unsigned i = 0; i < 2000; i++)
        whole = whole && forget(UINT64_C(0x7b0000000000) + i * 16);
    ht_view_init(&view, region->base, region->backed_bytes); // it has grown
    if (*checks_find(&view, HT_CHECK_QUIET, region, &check) != '\0') {
        fprintf(stderr, "%s\n", check.wrong);
        return false;
    }
    return whole && seams_below_zero() == 0;
}

static void leave(bool right)
{
    struct ht_region *region = ht_process_region_if_made();
    if (region != NULL)
        ht_region_unlink(region);
    _exit(right ? 0 : 1);
}

static bool ended_well(pid_t child)
{
    int status;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void copy_here(void *arg)
{
    (void)arg;
    ht_fork_prepare();
    pid_t child = _Fork();
    if (child == 0) {
        ht_fork_child();
        leave(starts_well());
    }
    ht_fork_parent();
    as_expected = ended_well(child) && as_expected;
}

static void do_insert(void)
{
    record(UINT64_C(0x7e0000000000), FLT_MAX);
}

static void do_free(void)
{
    as_expected = forget(UINT64_C(0x7d0000000000)) && as_expected;
}

static void do_thin(void)
{
    if (ht_live_floor(ht_process_region()->header) < 1e8f)
        ht_live_thin(ht_process_region());
}

static void do_sweep(void)
{
    do_thin();
    for (int i = 0; i < 200; i++) {
        record(UINT64_C(0x7e0000000000), FLT_MAX);
        as_expected = forget(UINT64_C(0x7e0000000000)) && as_expected;
    }
}

// Until the filter has been widened.
static void do_grow(void)
{
    for (unsigned i = 0; i < 6000; i++)
        record(UINT64_C(0x7c0000000000) + i * 16, FLT_MAX);
}

static const struct operation {
    const char *name;
    void (*run)(void);
} operations[] = {
    {"insert", do_insert}, {"free", do_free}, {"thin", do_thin}, {"sweep", do_sweep}, {"grow", do_grow},
};

// In a process of its own. True: it was copied there, and all is well; *ret_copied false: there are not so
// many seams.
static bool copied_in_seam(const struct operation *operation, unsigned nth, bool *ret_copied)
{
    pid_t process = _Fork();
    if (process == 0) {
        as_expected = true;
        for (unsigned i = 0; i < HELD; i++)
            record(held_address(i), FLT_MAX);
        for (unsigned i = 0; i < HELD; i++)
            record(UINT64_C(0x7a0000000000) + i * 80, LEAST);
        record(UINT64_C(0x7d0000000000), FLT_MAX);
        seams_plan(NULL, nth, copy_here, NULL);
        operation->run();
        bool copied = seams_end();
        struct ht_region *region = ht_process_region();
        struct ht_view view;
        struct ht_check check;
        if (ht_view_init(&view, region->base, region->backed_bytes) != HT_VIEW_OK ||
            *checks_find(&view, HT_CHECK_QUIET, region, &check) != '\0') {
            fprintf(stderr, "the copied process: %s\n", check.wrong);
            as_expected = false;
        }
        ht_region_unlink(region);
        _exit(as_expected ? copied ? 0 : 3 : 1);
    }
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    *ret_copied = status == 0;
    return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3);
}

static void test_in_every_seam(void **state)
{
    (void)state;
    unsigned cases = 0;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        bool copied = true;
        for (unsigned nth = 0; copied; nth++, cases += copied)
            if (!copied_in_seam(&operations[i], nth, &copied))
                fail_msg("%s, copied in seam %u", operations[i].name, nth);
    }
    print_message("%u copies\n", cases);
    assert_true(cases > 50);
}

static void insert_many(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 500; i++)
        record(UINT64_C(0x790000000000) + i * 16, FLT_MAX);
}

// Between counting what the child is to have and copying it, other threads record a lot.
static bool crowded_while_copied(void)
{
    as_expected = true;
    for (unsigned i = 0; i < HELD; i++)
        record(held_address(i), FLT_MAX);
    seams_plan("look_key", 0, insert_many, NULL); // the first that is copied
    ht_fork_prepare();
    bool began = seams_end();
    pid_t child = _Fork();
    if (child == 0) {
        ht_fork_child();
        const struct ht_region *region = ht_process_region();
        leave(region->header->health[HT_HEALTH_INHERIT_LOST] == 0 && starts_well());
    }
    ht_fork_parent();
    return began && ended_well(child);
}

static void test_crowded_while_copied(void **state)
{
    (void)state;
    pid_t process = _Fork();
    if (process == 0)
        leave(crowded_while_copied());
    assert_true(ended_well(process));
}

static uint32_t begun, freed; // by another thread; freed 2: and it was recorded

static void *free_elsewhere(void *arg)
{
    struct ht_live_copy got;
    ht_store_release(&begun, 1);
    bool recorded = ht_sample_forget((const void *)(uintptr_t)held_address(0), &got);
    ht_store_release(&freed, recorded ? 2 : 1);
    return arg;
}

static pthread_t freer;

static void start_freer(void *arg)
{
    (void)arg;
    as_expected = pthread_create(&freer, NULL, free_elsewhere, NULL) == 0 && as_expected;
    while (ht_load_acquire(&begun) == 0)
        sched_yield();
    // It has to wait for us: it is not done, however long we look. (Seconds would end the recording.)
    for (int i = 0; i < 50 && ht_load_acquire(&freed) == 0; i++)
        sched_yield();
}

// A child's thread frees what the child inherits while another makes the child's region: it is taken out
// there.
static bool freed_while_made(void)
{
    as_expected = true;
    for (unsigned i = 0; i < HELD; i++)
        record(held_address(i), FLT_MAX);
    ht_fork_prepare();
    pid_t child = _Fork();
    if (child == 0) {
        ht_fork_child();
        seams_plan("insert_counted", 2, start_freer, NULL); // of the third of the inherited
        ht_process_region();
        bool began = seams_end() && as_expected;
        if (began)
            pthread_join(freer, NULL);
        leave(began && ht_load_acquire(&freed) == 2 &&
              ht_live_count(ht_process_region()->header) == (int64_t)HELD - 1);
    }
    ht_fork_parent();
    return ended_well(child);
}

static void test_freed_while_made(void **state)
{
    (void)state;
    pid_t process = _Fork();
    if (process == 0)
        leave(freed_while_made());
    assert_true(ended_well(process));
}

static uint32_t stop;

static void *churn(void *arg)
{
    uint64_t first = (uint64_t)(uintptr_t)arg << 32;
    for (uint64_t i = 0; !ht_load_relaxed(&stop); i++) {
        record(first + i % 4000 * 16, i % 2 ? FLT_MAX : LEAST);
        if (i % 4000 == 3999 || i % 3 == 0)
            forget(first + i % 4000 * 16);
        if (i % 1000 == 0)
            do_thin();
    }
    return NULL;
}

// At any moment of other threads, which do not exist in the child: blocks of theirs may be there or not.
static bool copied_among_threads(void)
{
    pthread_t threads[THREADS];
    as_expected = true;
    for (unsigned i = 0; i < HELD; i++)
        record(held_address(i), FLT_MAX);
    seams_yield(512);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
    for (unsigned i = 0; i < FORKS && as_expected; i++)
        copy_here(NULL);
    ht_store_relaxed(&stop, 1);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < HELD; i++)
        as_expected = forget(held_address(i)) && as_expected;
    return as_expected && seams_below_zero() == 0;
}

static void test_among_threads(void **state)
{
    (void)state;
#if defined(HT_TSAN)
    print_message("not run: a copy of a process with threads has ThreadSanitizer's own locks as they were\n");
#else
    pid_t process = _Fork();
    if (process == 0)
        leave(copied_among_threads());
    assert_true(ended_well(process));
#endif
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(live_directory) == NULL)
        return -1;
    ht_settings.rate_bytes = RATE;
    ht_settings.memory_bytes = 16 << 20;
    snprintf(ht_settings.program, sizeof ht_settings.program, "forker");
    snprintf(ht_settings.live_dir, sizeof ht_settings.live_dir, "%s", live_directory);
    return ht_owner_start() ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(live_directory); // nothing was left behind
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_every_seam), cmocka_unit_test(test_crowded_while_copied),
        cmocka_unit_test(test_freed_while_made), cmocka_unit_test(test_among_threads)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
