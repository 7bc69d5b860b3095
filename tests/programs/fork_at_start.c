// A process forks while another of its threads makes its first allocations: what is being set up for the
// process at that moment is whole in the child, or not there at all.
//@ shower tree
//@ absent raw_fork
#include "self.h"

#include <pthread.h>

#define CHILDREN      40
#define GRANDCHILDREN 6

static int grandchild(void *unused)
{
    (void)unused;
    record_some();
    return 6;
}

static void *begin(void *unused)
{
    record_some();
    return unused;
}

static int child(void *unused)
{
    (void)unused;
    pthread_t thread;
    pid_t pids[GRANDCHILDREN];
    CHECK(!pthread_create(&thread, NULL, begin, NULL));
    for (int i = 0; i < GRANDCHILDREN; i++)
        pids[i] = fork_into(grandchild, NULL);
    CHECK(!pthread_join(thread, NULL));
    for (int i = 0; i < GRANDCHILDREN; i++)
        expect_exit(pids[i], 6);
    return 5;
}

int main(void)
{
    no_core();
    record_some();
    for (int i = 0; i < CHILDREN; i++)
        expect_exit(fork_into(child, NULL), 5);
    puts("ok");
    return 0;
}
