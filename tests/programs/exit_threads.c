// exit while other threads are at work: from a second thread, from two at once, from the last one when main
// has long left, and with threads that go on allocating and freeing until the process is gone.
#include "self.h"

#include <pthread.h>
#include <sched.h>

static pthread_barrier_t together;
static void *passed[64];
static int at_work;

static void *exit_with(void *status)
{
    pthread_barrier_wait(&together);
    record_some();
    exit((int)(intptr_t)status);
}

static void *exit_last(void *main_thread)
{
    CHECK(!pthread_join(*(pthread_t *)main_thread, NULL));
    record_some();
    exit(7);
}

// Blocks wander from thread to thread, so that the last snapshot is written amid frees of recorded blocks.
_Noreturn static void allocate_endlessly(void)
{
    for (size_t i = 0;; i++) {
        if (i == 64)
            __atomic_add_fetch(&at_work, 1, __ATOMIC_RELAXED);
        free(__atomic_exchange_n(&passed[i * 7 % 64], malloc(i % 3000), __ATOMIC_ACQ_REL));
    }
}

static void *allocate_for_ever(void *unused)
{
    (void)unused;
    allocate_endlessly();
}

static void allocate_at_exit(void)
{
    record_some();
}

static void start(void *(*work)(void *), void *argument)
{
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, work, argument));
}

static void run(int way)
{
    static pthread_t self;
    self = pthread_self();
    CHECK(!pthread_barrier_init(&together, NULL, 2));
    atexit(allocate_at_exit);
    switch (way) {
    case 0:
        start(exit_with, (void *)9);
        pthread_barrier_wait(&together);
        for (;;)
            pause();
    case 1:
        start(exit_with, (void *)9);
        start(exit_with, (void *)9);
        for (;;)
            pause();
    case 2:
        start(exit_last, &self);
        start(allocate_for_ever, NULL);
        pthread_exit(NULL);
    default:
        for (int i = 0; i < 3; i++)
            start(allocate_for_ever, NULL);
        while (__atomic_load_n(&at_work, __ATOMIC_RELAXED) < 3)
            sched_yield();
        exit(8);
    }
}

int main(void)
{
    static const int statuses[] = {9, 9, 7, 8};
    for (int round = 0; round < 5; round++)
        for (int way = 0; way < 4; way++) {
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0)
                run(way);
            int status = wait_status(child);
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == statuses[way]);
        }
    puts("ok");
    return 0;
}
