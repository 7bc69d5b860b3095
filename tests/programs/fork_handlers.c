// Fork handlers of the host that allocate and free, registered before and after everybody else's, and more of
// them than fit into the table that libc has ready, while other threads allocate hard.
//@ shower tree
//@ absent raw_fork
//@ skip jemalloc: it hangs by itself in handlers that run while it holds its locks for the fork
//@ unwiped
#include "children.h"

#include <pthread.h>

static int prepared, in_parent, in_child;
static unsigned char *kept;
static volatile int stop;

static void prepare(void)
{
    prepared++;
    free(kept);
    kept = malloc(20000);
    CHECK(kept);
    fill(kept, 20000, 7);
    use_heap();
}

static void parent(void)
{
    in_parent++;
    CHECK(filled(kept, 20000, 7));
    kept = realloc(kept, 30000);
    CHECK(kept && filled(kept, 20000, 7));
}

static void child(void)
{
    in_child++;
    CHECK(filled(kept, 20000, 7));
    kept = realloc(kept, 25000);
    CHECK(kept && filled(kept, 20000, 7));
    use_heap();
}

// Before the constructors of all libraries, those of preloaded ones included.
static void earliest(void)
{
    CHECK(!pthread_atfork(prepare, parent, child));
}
__attribute__((section(".preinit_array"), used)) static void (*const first_of_all)(void) = earliest;

static void *allocate(void *unused)
{
    while (!stop)
        use_heap();
    return unused;
}

int main(void)
{
    pthread_t threads[3];
    for (size_t i = 0; i < 60; i++)
        CHECK(!pthread_atfork(NULL, NULL, NULL)); // the table moves to the heap
    CHECK(!pthread_atfork(prepare, parent, child));
    for (size_t i = 0; i < 3; i++)
        CHECK(!pthread_create(&threads[i], NULL, allocate, NULL));
    for (int i = 1; i <= 12; i++) {
        pid_t forked = fork();
        CHECK(forked >= 0 && prepared == 2 * i);
        if (forked == 0) {
            CHECK(in_child == 2 && in_parent == 2 * (i - 1));
            use_heap();
            if (i % 2)
                _exit(i);
            exit(i);
        }
        CHECK(in_parent == 2 * i && in_child == 0);
        expect_exit(forked, i);
    }
    stop = 1;
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    free(kept);
    puts("ok");
    return 0;
}
