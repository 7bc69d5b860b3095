// One thread stops another by a signal, wherever that is, the allocator included, and allocates while the
// other stands still (from an arena of its own, so that bare nobody waits): asking the allocator for its
// figures would wait for ever.
//@ skip jemalloc: its threads share what they lock
//@ profiles any
#include "self.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

static sem_t stopped, go_on;
static atomic_int ends;

static void stand_still(int signal)
{
    (void)signal;
    int saved = errno;
    sem_post(&stopped);
    while (sem_wait(&go_on))
        ;
    errno = saved;
}

// Almost always inside the allocator, under its arena's lock.
static void *allocate(void *unused)
{
    while (!ends) {
        void *blocks[20];
        for (size_t i = 0; i < 20; i++)
            blocks[i] = malloc(3000 + i * 500);
        for (size_t i = 0; i < 20; i++)
            free(blocks[i]);
    }
    return unused;
}

static void *stop_it(void *thread)
{
    // Its own arena, and what it will need, is there before.
    free(malloc(100000));
    for (int i = 0; i < 300; i++) {
        CHECK(!pthread_kill(*(pthread_t *)thread, SIGUSR1));
        while (sem_wait(&stopped))
            ;
        for (size_t j = 0; j < 30; j++) {
            void *block = malloc(2000 + j);
            CHECK(block);
            free(block);
        }
        CHECK(!sem_post(&go_on));
        usleep(500);
    }
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = stand_still, .sa_flags = SA_RESTART};
    pthread_t worker, stopper;
    CHECK(!sem_init(&stopped, 0, 0) && !sem_init(&go_on, 0, 0));
    CHECK(!sigaction(SIGUSR1, &action, NULL));
    CHECK(!pthread_create(&worker, NULL, allocate, NULL));
    CHECK(!pthread_create(&stopper, NULL, stop_it, &worker));
    pthread_join(stopper, NULL);
    ends = 1;
    pthread_join(worker, NULL);
    puts("ok");
    return 0;
}
