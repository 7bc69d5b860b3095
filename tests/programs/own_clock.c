// A host with its own clock_gettime (as libfaketime and mocks have), which takes a lock and allocates under
// it: the recorder's clock is libc's, and the host counts its own calls only.
//@ ldflags -rdynamic
//@ skip jemalloc: it asks the clock itself, before it can allocate
#include "check.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int calls;

int clock_gettime(clockid_t clock, struct timespec *time)
{
    pthread_mutex_lock(&lock);
    calls++;
    void *p = malloc(500);
    KEEP(p);
    free(p);
    pthread_mutex_unlock(&lock);
    return (int)syscall(SYS_clock_gettime, clock, time);
}

int main(void)
{
    alarm(20); // a deadlock is a failure, not a wait
    struct timespec last = {0, 0};
    for (int i = 1; i <= 2000; i++) {
        void *p = malloc(3000);
        struct timespec now;
        CHECK(p && !clock_gettime(CLOCK_MONOTONIC, &now) && calls == i);
        CHECK(now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec));
        last = now;
        free(p);
    }
    puts("ok");
    return 0;
}
