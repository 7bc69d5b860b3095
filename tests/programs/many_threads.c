// A thousand threads at once that all end at the same moment, on small stacks, while snapshots are taken.
#include "check.h"

#include <pthread.h>

#define THREADS 1000

static pthread_barrier_t barrier;

static void *run(void *argument)
{
    void *p = malloc(300 + (size_t)(uintptr_t)argument % 500);
    CHECK(p);
    pthread_barrier_wait(&barrier);
    free(p);
    return malloc(10);
}

int main(void)
{
    static pthread_t threads[THREADS];
    pthread_attr_t attributes;
    CHECK(!pthread_attr_init(&attributes) && !pthread_attr_setstacksize(&attributes, 32768));
    for (int round = 0; round < 2; round++) {
        CHECK(!pthread_barrier_init(&barrier, NULL, THREADS + 1));
        for (uintptr_t i = 0; i < THREADS; i++)
            CHECK(!pthread_create(&threads[i], &attributes, run, (void *)i));
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < THREADS; i++) {
            void *last;
            CHECK(!pthread_join(threads[i], &last));
            free(last);
        }
        pthread_barrier_destroy(&barrier);
    }
    puts("ok");
    return 0;
}
