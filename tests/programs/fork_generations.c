// Forty generations of processes, each forked while the threads of the one before are in the midst of
// allocating: whatever those had taken for a moment, the last child still has all that it needs.
//@ shower tree
//@ absent drop_scratch
#include "children.h"

#include <pthread.h>

#define GENERATIONS 40
#define THREADS     6

static void *allocate(void *stop)
{
    while (!*(volatile int *)stop)
        use_heap();
    return NULL;
}

static int generation(void *arg)
{
    int *left = arg;
    int stop = 0;
    pthread_t threads[THREADS];
    use_heap();
    if (--*left == 0)
        return 6;
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&threads[i], NULL, allocate, &stop));
    usleep(3000);
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
