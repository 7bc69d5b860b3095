// vfork: the child allocates and frees in its parent's memory, leaves by _exit or execs, also from one of
// many threads; nothing that belongs to the parent may be changed by it, and no thread may come up in it.
//@ profiles some
//@ set interval=1ms
//@ inuse 3150000 3160000
//@ unwiped
#include "children.h"

#include <pthread.h>
#include <sys/stat.h>

static volatile int stop;

static void *allocate(void *unused)
{
    while (!stop)
        use_heap();
    return unused;
}

// The block is taken by a process with another pid, and given back by this one.
__attribute__((noinline)) static void child_allocates(void)
{
    unsigned char *volatile taken = NULL;
    unsigned char *volatile given = malloc(10000);
    CHECK(given);
    fill(given, 10000, 3);
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        use_heap();
        taken = malloc(20000);
        fill(taken, 20000, 4);
        free(given);
        _exit(21);
    }
    expect_exit(child, 21);
    CHECK(taken && filled(taken, 20000, 4));
    free(taken);
}

__attribute__((noinline)) static void child_execs(void)
{
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        use_heap();
        execl("/proc/self/exe", "again", "22", (char *)NULL);
        _exit(9);
    }
    expect_exit(child, 22);
}

__attribute__((noinline)) static void exec_fails(void)
{
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/nonexistent/program", "program", (char *)NULL);
        use_heap();
        _exit(errno == ENOENT ? 23 : 9);
    }
    expect_exit(child, 23);
}

// A snapshot falls due in the child again and again: it is the parent's to take. (The number of threads is
// that of the folder's links less two.)
__attribute__((noinline)) static void child_stays_alone(void)
{
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int i = 0; i < 60; i++) {
            struct stat status;
            use_heap();
            if (stat("/proc/self/task", &status) || status.st_nlink != 3)
                _exit(9);
        }
        _exit(25);
    }
    expect_exit(child, 25);
}

static void *vfork_often(void *unused)
{
    for (int i = 0; i < 5; i++) {
        child_allocates();
        child_execs();
        exec_fails();
    }
    return unused;
}

// Whatever is set up with the first allocation is set up for the parent, whose memory it is in.
__attribute__((noinline)) static void child_is_first(void)
{
    unsigned char *volatile taken = NULL;
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        taken = malloc(3 << 20);
        _exit(24);
    }
    expect_exit(child, 24);
    CHECK(taken);
    fill(taken, 3 << 20, 5);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return atoi(argv[1]); // no allocation here: the profile that is asked for is that of the parent
    child_is_first();
    child_stays_alone();
    pthread_t threads[3];
    vfork_often(NULL);
    for (size_t i = 0; i < 3; i++)
        CHECK(!pthread_create(&threads[i], NULL, i < 2 ? allocate : vfork_often, NULL));
    pthread_join(threads[2], NULL);
    stop = 1;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    puts("ok");
    return 0;
}
