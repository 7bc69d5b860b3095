// exit, _exit, quick_exit and return from main while other threads allocate, free, and run to the last
// moment.
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4

enum way { EXIT, EXIT_BY_THREAD, QUICK_EXIT, UNDERSCORE_EXIT, TWICE, WAYS };

static void *slots[64];
static int freed_late, at_work;
static pthread_barrier_t both;

static void *allocate_for_ever(void *argument)
{
    unsigned state = (unsigned)(uintptr_t)argument;
    for (unsigned i = 0;; i++) {
        if (i == 64)
            __atomic_add_fetch(&at_work, 1, __ATOMIC_RELAXED);
        state = state * 1103515245u + 12345u;
        void *p = malloc(state >> 16 & 4095);
        // Blocks go from thread to thread, those of dead threads and of main as well.
        free(__atomic_exchange_n(&slots[state >> 8 & 63], p, __ATOMIC_ACQ_REL));
    }
    return NULL;
}

static void *leave(void *argument)
{
    pthread_barrier_wait(&both);
    exit((int)(uintptr_t)argument);
}

static void at_exit(void)
{
    for (size_t i = 0; i < 200; i++)
        free(malloc(i * 10));
    for (size_t i = 0; i < 64; i++)
        free(__atomic_exchange_n(&slots[i], NULL, __ATOMIC_ACQ_REL));
    freed_late = 1;
}

__attribute__((destructor)) static void destruct(void)
{
    // After the last snapshot: the tables have to bear frees and allocations until the process is gone.
    void *p = realloc(malloc(100), 10000);
    usleep(1000);
    free(p);
}

static void child(enum way way)
{
    pthread_t thread;
    CHECK(!atexit(at_exit) && !at_quick_exit(at_exit));
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&thread, NULL, allocate_for_ever, (void *)(i + 1)));
    CHECK(!pthread_barrier_init(&both, NULL, way == TWICE ? 2 : 1));
    while (__atomic_load_n(&at_work, __ATOMIC_RELAXED) < THREADS)
        sched_yield();
    switch (way) {
    case EXIT:
        exit(10);
    case EXIT_BY_THREAD:
        CHECK(!pthread_create(&thread, NULL, leave, (void *)(uintptr_t)11));
        allocate_for_ever((void *)(uintptr_t)99);
        break;
    case QUICK_EXIT:
        quick_exit(12);
    case UNDERSCORE_EXIT:
        _exit(13);
    default:
        // The second exit waits until the first has ended the process, or does nothing.
        CHECK(!pthread_create(&thread, NULL, leave, (void *)(uintptr_t)14));
        pthread_barrier_wait(&both);
        exit(14);
    }
}

int main(void)
{
    for (int round = 0; round < 2; round++)
        for (int way = EXIT; way < WAYS; way++) {
            int status;
            pid_t pid = fork();
            CHECK(pid >= 0);
            if (!pid)
                child((enum way)way);
            while (waitpid(pid, &status, 0) != pid)
                CHECK(errno == EINTR);
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 10 + way);
        }
    CHECK(!freed_late);
    puts("ok");
    return 0;
}
