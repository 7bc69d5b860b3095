// A region whose process is killed in the middle of everything: what is left is whole, entry by entry and
// sample by sample. By kills, while two threads record; and after each instruction of one thread.
#include "base/error.h"
#include "record/filter.h"
#include "record/kinds.h"
#include "record/live.h"
#include "record/stacks.h"
#include "record/view.h"
#include "region/copy.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sanitized.h"

#include "checks.h"

#ifdef UNDER_TSAN // many times slower, forks above all
#define KILLS           60
#define STEPPED_SAMPLES 9u
#else
#define KILLS           300
#define STEPPED_SAMPLES 24u
#endif
#define THREADS      2
#define STACKS       64u // that both threads use; everybody has more of its own
#define HELD         4096u
#define MOST_SAMPLES 24000u // by then a small region has thinned and overflows
#define JITTER       4096u

static uint64_t *samples; // recorded by the process that will be killed; shared with it
static uint64_t held_at_once = HELD;
static char live_directory[] = "/dev/shm/heaptap-killed-XXXXXX";
static struct ht_region region;

// Sizes go with stacks, so that a sample that got into the wrong entry, or half into one, is seen.
static uint64_t size_of_stack(uint64_t stack)
{
    return 24 + stack % 40 * 24;
}

static uint32_t entry_of(uint64_t stack)
{
    uint64_t frames[3] = {0x1000 + stack * 16, ~(0x1000 + stack * 16), 0x77};
    return ht_entry_intern(&region, HT_KIND_HEAP, frames, 3, 0, ht_size_class(size_of_stack(stack)), 0);
}

// Some ranks are low, so that thinning lets those samples go, and some outlive every floor.
static float rank_of(uint64_t size, uint64_t i)
{
    uint64_t luck = i * UINT64_C(0x9E3779B97F4A7C15) >> 44; // 20 bits
    return (float)size * (float)(1 << 20) / (float)(luck + 1);
}

static void *writer(void *arg)
{
    uint64_t id = (uint64_t)(uintptr_t)arg, held[HELD] = {0}, own_stacks = 0;
    for (uint64_t i = 1;; i++) {
        uint64_t stack = i % 8 == 0 ? STACKS + id + THREADS * own_stacks++ : (i * 7 + id) % STACKS;
        uint64_t *slot = &held[i % held_at_once];
        struct ht_live_copy live;
        if (*slot != 0)
            ht_live_remove(&region, *slot, &live);
        *slot = id << 40 | i << 4;
        uint64_t size = size_of_stack(stack);
        live = (struct ht_live_copy){.address = *slot,
                                     .size_bytes = size,
                                     .birth_ns = i,
                                     .rate_bytes = 1,
                                     .rank_bytes = rank_of(size, i),
                                     .entry_ref = entry_of(stack)};
        if (live.entry_ref == 0)
            abort(); // not even the overflow
        ht_entry_add(&region, live.entry_ref, size, 1, 0);
        ht_live_insert(&region, &live);
        __atomic_fetch_add(samples, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void record_until_killed(void)
{
    for (uintptr_t i = 1; i < THREADS; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, writer, (void *)i);
    }
    writer(NULL);
}

struct look {
    const struct ht_view *view;
    uint64_t entries, torn, foreign, live, overflowing;
};

static const struct ht_stack *stack_of(const struct ht_view *view, const struct ht_entry *entry)
{
    return ht_view_at(view, entry->stack_ref, sizeof(struct ht_stack) + 3 * sizeof(uint64_t));
}

static bool look_at_entry(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    struct look *look = arg;
    (void)ref;
    if (entry->stack_ref == 0) { // the overflow of a size class
        look->overflowing = 1;
        return true;
    }
    const struct ht_stack *stack = stack_of(look->view, entry);
    look->entries++;
    if (stack == NULL || stack->frame_count != 3 || stack->frames[0] != ~stack->frames[1] ||
        stack->frames[2] != 0x77) {
        look->foreign++;
        return true;
    }
    uint64_t size = size_of_stack((stack->frames[0] - 0x1000) / 16);
    look->foreign += entry->size_class != ht_size_class(size);
    look->torn += entry->values[HT_ENTRY_COUNT] >> ht_kind_heap.form.count_shift
                                                       << ht_kind_heap.form.amount_shift !=
                  entry->values[HT_ENTRY_AMOUNT] / size;
    return true;
}

static bool look_at_live(void *arg, const struct ht_live_copy *live)
{
    struct look *look = arg;
    const struct ht_entry *entry = ht_view_at(look->view, live->entry_ref, sizeof *entry);
    const struct ht_stack *stack = entry != NULL ? stack_of(look->view, entry) : NULL;
    look->live++;
    if (entry != NULL && entry->stack_ref == 0)
        return true;
    if (stack == NULL || live->size_bytes != size_of_stack((stack->frames[0] - 0x1000) / 16))
        look->foreign++;
    return true;
}

// Waits until so many samples are recorded, and then for a part of one more.
static bool has_recorded(pid_t pid, uint64_t count, unsigned jitter)
{
    while (__atomic_load_n(samples, __ATOMIC_RELAXED) < count) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return false;
        for (unsigned i = 0; i < 100 && __atomic_load_n(samples, __ATOMIC_RELAXED) < count; i++)
            sched_yield();
    }
    for (volatile unsigned i = 0; i < jitter; i++) {
    }
    return true;
}

// What a killed process left behind.
static struct look look_at_region(bool *ret_thinned)
{
    struct stat stat;
    struct ht_region_copy copy;
    int fd = ht_region_open(region.header->region_path, O_RDONLY, &stat);
    assert_true(fd >= 0);
    if (ht_region_read(fd, &copy) != 0)
        fail_msg("%s", ht_error());
    close(fd);
    checks_pass(&copy.view, HT_CHECK_STOPPED, NULL);
    struct look look = {.view = &copy.view};
    assert_true(ht_view_each_entry(&copy.view, look_at_entry, &look));
    assert_true(ht_view_each_live(&copy.view, look_at_live, &look));
    *ret_thinned = copy.view.header->thinned_since_ns != 0;
    ht_region_copy_free(&copy);
    return look;
}

static void test_killed_at_any_moment(void **state)
{
    (void)state;
    struct look all = {0};
    unsigned seed = (unsigned)getpid(), thinned = 0;
    for (unsigned i = 0; i < KILLS; i++) {
        struct ht_identity identity = {.pid = (uint32_t)getpid(), .rate_bytes = 1, .active = 1};
        // Every second one is small: its memory ends, and thinning and overflow are under way.
        assert_true(ht_region_create(&identity, live_directory, i % 2 ? 512 << 10 : 64 << 20, (uint64_t)i + 1,
                                     &region));
        *samples = 0;
        pid_t pid = fork();
        if (pid == 0)
            record_until_killed();
        assert_true(pid > 0);
        // From the very first samples to the last state that a region gets into.
        assert_true(has_recorded(pid, 1 + (uint64_t)i * i * MOST_SAMPLES / (KILLS * KILLS),
                                 (unsigned)rand_r(&seed) % JITTER));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        bool has_thinned;
        struct look look = look_at_region(&has_thinned);
        assert_int_equal(look.foreign, 0);
        assert_true(look.entries > 0 && look.live > 0);
        all.torn += look.torn;
        all.entries += look.entries;
        all.live += look.live;
        all.overflowing += look.overflowing;
        thinned += has_thinned;
        ht_region_destroy(&region);
    }
    print_message("%u kills, %u after thinning, %llu after an overflow: %llu entries, %llu live samples, "
                  "%llu torn\n",
                  KILLS, thinned, (unsigned long long)all.overflowing, (unsigned long long)all.entries,
                  (unsigned long long)all.live, (unsigned long long)all.torn);
    assert_true(thinned > 0 && thinned < KILLS && all.overflowing > 0 && all.overflowing < KILLS);
    assert_int_equal(all.torn, 0);
}

#if defined(__x86_64__) // elsewhere a pair of exclusive load and store never succeeds step by step
#define STEPPED_HELD 8u

static bool step(pid_t pid)
{
    int status;
    return ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
           WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

// What a kill would leave behind here, and here, and here.
static void test_whole_after_each_instruction(void **state)
{
    (void)state;
    struct ht_identity identity = {.pid = (uint32_t)getpid(), .rate_bytes = 1, .active = 1};
    assert_true(ht_region_create(&identity, live_directory, 512 << 10, KILLS + 1, &region));
    *samples = 0;
    held_at_once = STEPPED_HELD;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        writer(NULL);
    }
    held_at_once = HELD;
    int status;
    assert_true(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_EXITKILL), 0);
    struct look look = {0};
    uint64_t instructions = 0, most_live = 0;
    for (; *samples < STEPPED_SAMPLES; instructions++) {
        assert_true(step(pid));
        struct ht_view view;
        assert_int_equal(ht_view_init(&view, region.base, region.backed_bytes), HT_VIEW_OK);
        look = (struct look){.view = &view};
        assert_true(ht_view_each_entry(&view, look_at_entry, &look));
        assert_true(ht_view_each_live(&view, look_at_live, &look));
        assert_int_equal(look.foreign + look.torn, 0);
        most_live = look.live > most_live ? look.live : most_live;
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    print_message("%llu instructions: %llu entries, %llu live samples at most\n",
                  (unsigned long long)instructions, (unsigned long long)look.entries,
                  (unsigned long long)most_live);
    assert_int_equal(look.entries, STEPPED_SAMPLES);
    assert_int_equal(most_live, STEPPED_HELD);
    ht_region_destroy(&region);
}
#endif

static int set_up(void **state)
{
    (void)state;
    samples = mmap(NULL, sizeof *samples, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return samples != MAP_FAILED && mkdtemp(live_directory) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(live_directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_at_any_moment),
#if defined(__x86_64__)
        cmocka_unit_test(test_whole_after_each_instruction),
#endif
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
