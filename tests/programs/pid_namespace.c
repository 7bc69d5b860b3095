// Process 1 of a pid namespace, one namespace inside the other: it has the pid of its parent and of its
// neighbours, finds a /proc that is not its own, and has nobody to wait for but its children.
//@ root: makes pid namespaces
//@ shower tree
//@ profiles some
//@ unwiped
#include "namespaces.h"

static int leaf(void *unused)
{
    (void)unused;
    work(5);
    return 3;
}

static int first_process(void *inner)
{
    work(10);
    CHECK(getpid() == 1 && getppid() == 0);
    expect_exit(fork_into(leaf, NULL), 3);
    if (inner) {
        CHECK(!unshare(CLONE_NEWPID));
        work(10);
        expect_exit(fork_into(first_process, NULL), 4);
    }
    CHECK(waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD);
    work(10);
    return 4;
}

int main(void)
{
    void *kept = malloc(3 << 20); // a sample at any rate
    CHECK(kept);
    KEEP(kept);
    if (unshare(CLONE_NEWPID)) {
        printf("no pid namespace can be had (errno %d)\n", errno);
        return 77;
    }
    expect_exit(fork_into(first_process, kept), 4);
    CHECK(waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD);
    puts("ok");
    return 0;
}
