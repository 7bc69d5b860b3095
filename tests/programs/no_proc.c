// No /proc: gone after the start, and not there at the start.
//@ root: mounts
//@ skip signals: between exec and a handler the signal ends the program, as it does bare
#include "namespaces.h"

#include <fcntl.h>

static char self[4096];

static int life(void)
{
    work(40);
    CHECK(access("/proc/self", F_OK) < 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        work(10);
        exit(3);
    }
    expect_exit(child, 3);
    return 4;
}

static int gone_later(void *unused)
{
    (void)unused;
    own_mounts();
    work(10);
    CHECK(!umount2("/proc", MNT_DETACH));
    return life();
}

static int not_there(void *unused)
{
    (void)unused;
    own_mounts();
    CHECK(!umount2("/proc", MNT_DETACH));
    execl(self, "again", "inside", (char *)NULL);
    return 9;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return life();
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    int status = wait_status(fork_into(gone_later, NULL));
    if (WEXITSTATUS(status) == 77)
        return 77;
    CHECK(status == 4 << 8);
    expect_exit(fork_into(not_there, NULL), 4);
    puts("ok");
    return 0;
}
