// No process and no thread can be made (RLIMIT_NPROC): fork and pthread_create fail as they do without
// anybody else, and nothing else does. Where no file may grow either, the exiting thread itself fails to
// write.
//@ root: the limit counts the processes of a user that has no other
//@ set log=none
#include "children.h"

#include <grp.h>
#include <pthread.h>
#include <sys/resource.h>

static void *nothing(void *unused)
{
    return unused;
}

static int refused(void *no_files)
{
    struct rlimit none = {0, 0};
    if (no_files)
        CHECK(!setrlimit(RLIMIT_FSIZE, &none));
    CHECK(!setgroups(0, NULL) && !setgid(65534) && !setuid(65534));
    CHECK(!setrlimit(RLIMIT_NPROC, &none));
    for (int i = 0; i < 60; i++)
        use_heap();
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, nothing, NULL) == EAGAIN);
    errno = 0;
    CHECK(fork() < 0 && errno == EAGAIN);
    for (int i = 0; i < 60; i++)
        use_heap();
    return 2;
}

int main(void)
{
    expect_exit(fork_into(refused, NULL), 2);
    for (int i = 0; i < 20; i++)
        use_heap();
    expect_exit(fork_into(refused, NULL), 2);
    expect_exit(fork_into(refused, (void *)1), 2);
    puts("ok");
    fflush(stdout);
    return refused(NULL) - 2;
}
