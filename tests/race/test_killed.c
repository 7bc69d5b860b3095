// A region whose process is killed in the middle of everything: what is left is whole, entry by entry and
// sample by sample.
#include "record/filter.h"
#include "record/kinds.h"
#include "record/live.h"
#include "record/stacks.h"
#include "record/view.h"
#include "region/copy.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define KILLS   300
#define THREADS 2
#define STACKS  64u // that both threads use; everybody has more of its own
#define HELD    256u

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

static void *writer(void *arg)
{
    uint64_t id = (uint64_t)(uintptr_t)arg, held[HELD] = {0}, own_stacks = 0;
    for (uint64_t i = 1;; i++) {
        uint64_t stack = i % 16 == 0 ? STACKS + id + THREADS * own_stacks++ : (i * 7 + id) % STACKS;
        uint64_t *slot = &held[i % HELD];
        struct ht_live_copy live;
        if (*slot != 0)
            ht_live_remove(&region, *slot, &live);
        *slot = id << 40 | i << 4;
        uint64_t size = size_of_stack(stack);
        live = (struct ht_live_copy){.address = *slot,
                                     .size_bytes = size,
                                     .birth_ns = i,
                                     .rate_bytes = 1,
                                     .rank_bytes = 1e30f,
                                     .entry_ref = entry_of(stack)};
        if (live.entry_ref == 0)
            continue;
        ht_entry_add(&region, live.entry_ref, size, 1, 0);
        ht_live_insert(&region, &live);
    }
    return NULL;
}

static void live_and_wait(void)
{
    for (uintptr_t i = 1; i < THREADS; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, writer, (void *)i);
    }
    writer(NULL);
}

struct look {
    const struct ht_view *view;
    uint64_t entries, torn, foreign, live;
};

static const struct ht_stack *stack_of(const struct ht_view *view, const struct ht_entry *entry)
{
    return ht_view_at(view, entry->stack_ref, sizeof(struct ht_stack) + 3 * sizeof(uint64_t));
}

static bool look_at_entry(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    struct look *look = arg;
    (void)ref;
    if (entry->stack_ref == 0)
        return true; // the overflow of a size class
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

static void test_killed_at_any_moment(void **state)
{
    (void)state;
    struct look all = {0};
    unsigned seed = (unsigned)getpid();
    for (int i = 0; i < KILLS; i++) {
        struct ht_identity identity = {.pid = (uint32_t)getpid(), .rate_bytes = 1, .active = 1};
        // Every second one is small: its memory ends, and thinning and overflow are under way.
        assert_true(ht_region_create(&identity, live_directory, i % 2 ? 1 << 20 : 64 << 20, (uint64_t)i + 1,
                                     &region));
        pid_t pid = fork();
        if (pid == 0)
            live_and_wait();
        struct timespec wait = {.tv_nsec = 500000 + rand_r(&seed) % 8000000};
        nanosleep(&wait, NULL);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        struct stat stat;
        struct ht_region_copy copy;
        int fd = ht_region_open(region.header->region_path, O_RDONLY, &stat);
        assert_true(fd >= 0);
        assert_int_equal(ht_region_read(fd, &copy), 0);
        close(fd);
        const char *wrong = ht_region_check(&copy.view);
        assert_null(wrong);
        struct look look = {.view = &copy.view};
        assert_true(ht_view_each_entry(&copy.view, look_at_entry, &look));
        assert_true(ht_view_each_live(&copy.view, look_at_live, &look));
        assert_int_equal(look.foreign, 0);
        all.torn += look.torn;
        all.entries += look.entries;
        all.live += look.live;
        ht_region_copy_free(&copy);
        ht_region_destroy(&region);
    }
    print_message("%d kills: %llu entries, %llu live samples, %llu torn\n", KILLS,
                  (unsigned long long)all.entries, (unsigned long long)all.live,
                  (unsigned long long)all.torn);
    assert_true(all.entries > 0 && all.live > 0);
    assert_int_equal(all.torn, 0);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(live_directory) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(live_directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed_at_any_moment)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
