// Who asks for a snapshot and waits for it learns how that one went: never how an older one did.
//
// The seams of trigger/request.c are opened in threads that have no thread-locals of a test, so what happens
// in them is one table for all.
#define HT_SEAMS // declares ht_seam
#include "sys/seam.h"

#include "core/owner.h"
#include "core/process.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/raw.h"
#include "trigger/request.h"
#include "trigger/thread.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sanitized.h"

#define ONCE 4u

// What is done at the next seams of these names, each once; `work` is NULL when it has been.
static struct {
    const char *seam;
    void (*work)(void);
} planned[ONCE];

static char directory[] = "/dev/shm/heaptap-request-XXXXXX";
static char file_instead[sizeof directory + 8];
static uint32_t let_go, taken, released;

static bool are_equal(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

void ht_seam(const char *name)
{
    for (unsigned i = 0; i < ONCE; i++) {
        void (*work)(void) = __atomic_load_n(&planned[i].work, __ATOMIC_ACQUIRE);
        if (work != NULL && are_equal(planned[i].seam, name) &&
            __atomic_compare_exchange_n(&planned[i].work, &work, NULL, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            work();
            return;
        }
    }
}

static void plan(unsigned at, const char *seam, void (*work)(void))
{
    planned[at].seam = seam;
    __atomic_store_n(&planned[at].work, work, __ATOMIC_RELEASE);
}

static uint64_t far(void)
{
    return ht_clock_raw_monotonic_ns() + UINT64_C(600000000000);
}

static void wait_for(const uint32_t *word)
{
    while (!ht_load_acquire(word))
        ht_raw0(SYS_sched_yield);
}

static void write_into(const char *path)
{
    snprintf(ht_settings.out_dir, sizeof ht_settings.out_dir, "%s", path);
}

static void refuse(void)
{
    ht_request_refuse(0);
}

// Another thread of the host forbids snapshots when the request is under way already.
static void test_refused_after_a_success(void **state)
{
    (void)state;
    assert_int_equal(ht_request_now(far()), 0);
    plan(0, "request_taken", refuse);
    assert_int_equal(ht_request_now(far()), -EAGAIN);
    assert_null(planned[0].work);
    ht_request_allow();
    assert_int_equal(ht_request_now(far()), 0);
}

static void test_failed_after_a_success(void **state)
{
    (void)state;
    assert_int_equal(ht_request_now(far()), 0);
    write_into(file_instead);
    assert_int_equal(ht_request_now(far()), -ENOTDIR);
    write_into(directory);
    assert_int_equal(ht_request_now(far()), 0);
}

// A thread that serves nobody, as one does that is about to end.
static void stand_in_the_way(void *unused)
{
    (void)unused;
    wait_for(&let_go);
}

static void let_it_go(void)
{
    ht_store_release(&let_go, 1);
}

static void stop_before_writing(void)
{
    ht_store_release(&taken, 1);
    wait_for(&released);
}

static void somebody_else_asks(void)
{
    ht_request(HT_TRIGGER_SIGNAL);
    wait_for(&taken);
}

static void go_on(void)
{
    ht_store_release(&released, 1);
}

static void waits(void)
{
    let_it_go();
    plan(3, "request_waits", go_on);
}

// The thread that was under way ends without having seen the request, and before its caller looks again,
// somebody else's thread takes it along: that one is waited for as well.
static void test_taken_by_another_ones_thread(void **state)
{
    (void)state;
    assert_int_equal(ht_request_now(far()), 0);
    write_into(file_instead);
    assert_true(ht_thread_run(stand_in_the_way, NULL));
    plan(0, "request_waits", waits);
    plan(1, "request_waited", somebody_else_asks);
    plan(2, "request_taken", stop_before_writing);
    int result = ht_request_now(far());
    go_on();
    assert_true(ht_thread_wait(far()));
    assert_true(ht_load_acquire(&taken));
    assert_int_equal(result, -ENOTDIR);
    write_into(directory);
}

static int set_up(void **state)
{
    (void)state;
    ht_settings.on = true;
    ht_settings.memory_bytes = 64 << 20;
    snprintf(ht_settings.program, sizeof ht_settings.program, "tester");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(file_instead, sizeof file_instead, "%s.file", directory);
    FILE *file = fopen(file_instead, "w");
    if (file == NULL || fclose(file) != 0)
        return -1;
    ht_log_setup(HT_LOG_NONE, "", false);
    write_into(directory);
    if (!ht_owner_start())
        return -1;
    ht_request_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -r %s %s", directory, file_instead);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_after_a_success),
        cmocka_unit_test(test_failed_after_a_success),
        cmocka_unit_test(test_taken_by_another_ones_thread),
    };
#ifdef UNDER_TSAN
    print_message("not run: ThreadSanitizer's instrumentation needs its own thread-locals in every thread\n");
    return sizeof tests == 0;
#else
    return cmocka_run_group_tests(tests, set_up, tear_down);
#endif
}
