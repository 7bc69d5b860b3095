// Threads that fork while others allocate hard; the child allocates, starts threads of its own and outlives
// its main thread's stack; the parent's thread goes away with blocks that the child still uses.
//@ shower tree
//@ unwiped
#include "children.h"

#include <pthread.h>

static volatile int stop;

static void *allocate(void *unused)
{
    unsigned char *blocks[200] = {NULL};
    for (unsigned i = 0; !stop; i++) {
        size_t at = i * 7919 % 200, size = i * 31 % 5000 + 1;
        free(blocks[at]);
        blocks[at] = malloc(size);
        CHECK(blocks[at]);
        blocks[at][0] = blocks[at][size - 1] = 1;
    }
    for (size_t i = 0; i < 200; i++)
        free(blocks[i]);
    return unused;
}

static void *use_heap_once(void *unused)
{
    use_heap();
    return unused;
}

static void *fork_often(void *unused)
{
    for (int i = 0; i < 5; i++) {
        unsigned char *mine = malloc(5000);
        CHECK(mine);
        fill(mine, 5000, (unsigned char)i);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            pthread_t thread;
            CHECK(!pthread_create(&thread, NULL, use_heap_once, NULL));
            use_heap();
            CHECK(filled(mine, 5000, (unsigned char)i));
            free(mine);
            pthread_join(thread, NULL);
            exit(40 + i);
        }
        free(mine);
        expect_exit(child, 40 + i);
    }
    return unused;
}

int main(void)
{
    pthread_t threads[5];
    for (size_t i = 0; i < 5; i++)
        CHECK(!pthread_create(&threads[i], NULL, i < 3 ? allocate : fork_often, NULL));
    pthread_join(threads[3], NULL);
    pthread_join(threads[4], NULL);
    stop = 1;
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    puts("ok");
    return 0;
}
