// The root directory is an empty one: by chroot, before and after the first allocation, and by pivot_root
// with all old mounts gone.
//@ root: chroot and mounts
//@ shower tree
//@ set log=none
#include "namespaces.h"

#include <sys/stat.h>
#include <sys/syscall.h>

static char folder[] = "/tmp/heaptap-other-root.XXXXXX";

static int life(void)
{
    work(40);
    CHECK(access("/tmp", F_OK) < 0 && access("/proc", F_OK) < 0 && access("/dev", F_OK) < 0);
    pid_t child = fork();
    CHECK(child >= 0);
    work(10);
    if (child == 0)
        exit(3);
    expect_exit(child, 3);
    return 4;
}

static int by_chroot(void *before)
{
    if (before)
        work(10);
    CHECK(!chroot(folder) && !chdir("/"));
    return life();
}

static int by_pivot(void *unused)
{
    (void)unused;
    work(10);
    own_mounts();
    CHECK(!mount("none", folder, "tmpfs", 0, "size=256k") && !chdir(folder) && !mkdir("old", 0700));
    CHECK(!syscall(SYS_pivot_root, ".", "old") && !chdir("/") && !umount2("/old", MNT_DETACH) &&
          !rmdir("/old"));
    return life();
}

int main(void)
{
    CHECK(mkdtemp(folder));
    expect_exit(fork_into(by_chroot, NULL), 4);
    expect_exit(fork_into(by_chroot, folder), 4);
    int status = wait_status(fork_into(by_pivot, NULL));
    CHECK(WEXITSTATUS(status) == 77 || status == 4 << 8);
    CHECK(!rmdir(folder)); // nothing was made in it by anybody
    puts("ok");
    return 0;
}
