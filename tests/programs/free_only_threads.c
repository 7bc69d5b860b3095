// Threads that never allocate free hundreds of thousands of blocks that others made, while those go on and
// end; nothing stays in use but what is libc's own.
//@ inuse 0 20000
#include "check.h"

#include <pthread.h>
#include <sched.h>

#define RING   4096u
#define BLOCKS 100000u

static void *ring[2][RING];

static void *make(void *argument)
{
    size_t way = (size_t)(uintptr_t)argument;
    for (size_t i = 0; i < BLOCKS; i++) {
        unsigned char *p = malloc(8 + i % 300);
        CHECK(p);
        p[0] = (unsigned char)i;
        void *empty = NULL;
        while (!__atomic_compare_exchange_n(&ring[way][i % RING], &empty, p, 0, __ATOMIC_RELEASE,
                                            __ATOMIC_RELAXED)) {
            empty = NULL;
            sched_yield();
        }
    }
    return NULL;
}

static void *only_free(void *argument)
{
    size_t way = (size_t)(uintptr_t)argument;
    for (size_t i = 0; i < BLOCKS; i++) {
        unsigned char *p;
        while (!(p = __atomic_exchange_n(&ring[way][i % RING], NULL, __ATOMIC_ACQUIRE)))
            sched_yield();
        CHECK(p[0] == (unsigned char)i);
        free(p);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(!pthread_create(&threads[i], NULL, i % 2 ? only_free : make, (void *)(i / 2)));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    puts("ok");
    return 0;
}
