// Threads that a test moves by hand.
#include "actors.h"

#include "seams.h"

#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>

static struct actor {
    pthread_t thread;
    sem_t go, stopped;
    void (*work)(void);
    const char *seam; // to stop at
    unsigned nth;
    bool waits, ends; // in a seam; for good
} actors[ACTORS];

static _Thread_local unsigned self;

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
    }
}

static void stop_in_seam(void *arg)
{
    struct actor *actor = arg;
    actor->waits = true;
    sem_post(&actor->stopped);
    wait_for(&actor->go);
    actor->waits = false;
    if (actor->seam != NULL)
        seams_plan(actor->seam, actor->nth, stop_in_seam, actor);
}

static void *act(void *arg)
{
    struct actor *actor = arg;
    self = (unsigned)(actor - actors);
    for (;;) {
        wait_for(&actor->go);
        if (actor->ends)
            return NULL;
        seams_plan(actor->seam, actor->nth, stop_in_seam, actor);
        actor->work();
        seams_end();
        sem_post(&actor->stopped);
    }
}

int actors_begin(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ACTORS; i++)
        if (sem_init(&actors[i].go, 0, 0) != 0 || sem_init(&actors[i].stopped, 0, 0) != 0 ||
            pthread_create(&actors[i].thread, NULL, act, &actors[i]) != 0)
            return -1;
    return 0;
}

int actors_end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ACTORS; i++) {
        actors[i].ends = true;
        sem_post(&actors[i].go);
        pthread_join(actors[i].thread, NULL);
    }
    return 0;
}

bool actors_work(unsigned number, void (*work)(void), const char *seam, unsigned nth)
{
    struct actor *actor = &actors[number];
    actor->work = work;
    actor->seam = seam;
    actor->nth = nth;
    sem_post(&actor->go);
    wait_for(&actor->stopped);
    return actor->waits;
}

bool actors_go_on(unsigned number, const char *seam)
{
    struct actor *actor = &actors[number];
    if (!actor->waits)
        return false;
    actor->seam = seam;
    actor->nth = 0;
    sem_post(&actor->go);
    wait_for(&actor->stopped);
    return actor->waits;
}

unsigned actors_self(void)
{
    return self;
}
