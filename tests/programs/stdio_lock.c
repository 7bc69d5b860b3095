// Another thread holds the locks of stdout and stderr, for good: allocating, new threads, snapshots and what
// we do at the end of the process need none of them. A library behind us ends it: the last flush of stdio
// waits for them itself since glibc 2.41.
//@ preload after liblast
//@ profiles some
#include "self.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>

static sem_t held;

_Noreturn static void hold(void)
{
    flockfile(stdout);
    flockfile(stderr);
    flockfile(stdin);
    sem_post(&held);
    for (;;)
        pause();
}

static void *hold_for_ever(void *unused)
{
    (void)unused;
    hold();
}

static void *allocate(void *unused)
{
    record_some();
    return unused;
}

static void allocate_at_exit(void)
{
    record_some();
}

int main(void)
{
    pthread_t thread;
    CHECK(!sem_init(&held, 0, 0) && !pthread_create(&thread, NULL, hold_for_ever, NULL));
    while (sem_wait(&held))
        CHECK(errno == EINTR);
    for (int i = 0; i < 10; i++) {
        record_some();
        CHECK(!pthread_create(&thread, NULL, allocate, NULL) && !pthread_join(thread, NULL));
    }
    atexit(allocate_at_exit);
    int *last_status = dlsym(RTLD_DEFAULT, "last_status");
    CHECK(last_status);
    *last_status = 4;
    CHECK(write(STDOUT_FILENO, "ok\n", 3) == 3);
    return 1; // the library has the last word
}
