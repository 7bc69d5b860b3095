// /dev/shm is missing, read-only, no tmpfs, a plain file, a link into nowhere, or a fifo that nobody reads.
//@ root: mounts
//@ skip signals: between exec and a handler the signal ends the program, as it does bare
//@ set log=none
#include "namespaces.h"

#include <fcntl.h>
#include <sys/stat.h>

static char folder[] = "/tmp/heaptap-shm-odd.XXXXXX";

static int in(void *kind)
{
    own_mounts();
    // Another /dev, in which the programs' usual devices are not needed.
    switch (*(const char *)kind) {
    case 'd': // a disk's directory
        CHECK(!mount(folder, "/dev/shm", NULL, MS_BIND, NULL));
        break;
    case 'r':
        CHECK(!mount("none", "/dev/shm", "tmpfs", MS_RDONLY, NULL));
        break;
    default:
        CHECK(!mount("none", "/dev", "tmpfs", 0, "size=1m"));
        if (*(const char *)kind == 'f')
            CHECK(!close(open("/dev/shm", O_WRONLY | O_CREAT, 0600)));
        if (*(const char *)kind == 'l')
            CHECK(!symlink("/nonexistent/folder", "/dev/shm"));
        if (*(const char *)kind == 'p')
            CHECK(!mkfifo("/dev/shm", 0600));
        break;
    }
    return again(kind);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        work(40);
        pid_t child = fork();
        CHECK(child >= 0);
        work(10);
        if (child == 0)
            exit(3);
        expect_exit(child, 3);
        return 4;
    }
    CHECK(mkdtemp(folder));
    int status = wait_status(fork_into(in, (void *)"missing"));
    if (WEXITSTATUS(status) == 77) {
        rmdir(folder);
        return 77;
    }
    CHECK(status == 4 << 8);
    expect_exit(fork_into(in, (void *)"disk"), 4);
    expect_exit(fork_into(in, (void *)"read-only"), 4);
    expect_exit(fork_into(in, (void *)"file"), 4);
    expect_exit(fork_into(in, (void *)"link"), 4);
    expect_exit(fork_into(in, (void *)"pipe"), 4);
    CHECK(!rmdir(folder)); // nothing was left in it
    puts("ok");
    return 0;
}
