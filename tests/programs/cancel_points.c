// Threads are cancelled at every point between allocations; cleanup handlers allocate and free, and nothing
// is lost.
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <unistd.h>

struct progress {
    unsigned stop_at, reached, cleaned;
    void *blocks[20];
    sem_t ready;
};

static void clean(void *argument)
{
    struct progress *progress = argument;
    for (unsigned i = 0; i < 20; i++) {
        char *p = malloc(i * 30 + 1);
        CHECK(p);
        KEEP(p);
        free(p);
        free(progress->blocks[i]);
        progress->blocks[i] = NULL;
    }
    progress->cleaned = 1;
}

// Deferred: pending from the start or from outside; the n-th test acts on it, nothing before.
static void *deferred(void *argument)
{
    struct progress *progress = argument;
    pthread_cleanup_push(clean, progress);
    CHECK(!pthread_cancel(pthread_self()));
    for (unsigned i = 0; i < 20; i++) {
        void *p = malloc(i * 100), *q = realloc(p, i * 3000 + 1);
        CHECK(q);
        progress->blocks[i] = q;
        free(calloc(i, i));
        progress->reached = i;
        if (i == progress->stop_at)
            pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

// Asynchronous, where nothing but the thread's own arithmetic goes on: the handlers still allocate.
static void *asynchronous(void *argument)
{
    struct progress *progress = argument;
    int old;
    pthread_cleanup_push(clean, progress);
    for (unsigned i = 0; i < 20; i++)
        CHECK((progress->blocks[i] = malloc(i * 50 + 1)));
    sem_post(&progress->ready);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
    for (;;)
        progress->reached++;
    pthread_cleanup_pop(0);
    return NULL;
}

// Blocked in libc with blocks of its own and of libc's.
static void *blocked(void *argument)
{
    struct progress *progress = argument;
    pthread_cleanup_push(clean, progress);
    for (unsigned i = 0; i < 20; i++)
        CHECK((progress->blocks[i] = malloc(i * 50 + 1)));
    sem_post(&progress->ready);
    for (;;) {
        free(malloc(1000));
        pause();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void run(void *(*body)(void *), unsigned stop_at)
{
    struct progress progress = {.stop_at = stop_at};
    pthread_t thread;
    void *result;
    CHECK(!sem_init(&progress.ready, 0, 0));
    CHECK(!pthread_create(&thread, NULL, body, &progress));
    if (body != deferred) {
        while (sem_wait(&progress.ready))
            continue; // EINTR
        CHECK(!pthread_cancel(thread));
    }
    CHECK(!pthread_join(thread, &result) && result == PTHREAD_CANCELED && progress.cleaned);
    CHECK(body != deferred || progress.reached == stop_at);
    sem_destroy(&progress.ready);
}

int main(void)
{
    for (unsigned i = 0; i < 20; i++) {
        run(deferred, i);
        run(asynchronous, i);
        run(blocked, i);
    }
    puts("ok");
    return 0;
}
