// Forty generations of processes, each forked while the threads of the one before are in the midst of
// allocating: whatever those had taken for a moment, the last child still has all that it needs.
//@ shower tree
//@ absent drop_scratch
#include "children.h"

#include <pthread.h>
#include <sched.h>

#define GENERATIONS 40
#define THREADS     6

static int at_work;

static void *allocate(void *stop)
{
    use_heap();
    __atomic_add_fetch(&at_work, 1, __ATOMIC_RELAXED);
    while (!*(volatile int *)stop)
        use_heap();
    return NULL;
}

static int generation(void *arg)
{
    int *left = arg;
    int stop = 0;
    at_work = 0; // the parent's are not here
    pthread_t threads[THREADS];
    use_heap();
    if (--*left == 0)
        return 6;
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&threads[i], NULL, allocate, &stop));
    while (__atomic_load_n(&at_work, __ATOMIC_RELAXED) < THREADS)
        sched_yield();
    pid_t child = fork_into(generation, left);
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_join(threads[i], NULL));
    expect_exit(child, 6);
    return 6;
}

int main(void)
{
    int left = GENERATIONS;
    CHECK(generation(&left) == 6);
    puts("ok");
    return 0;
}
