// Rights are given up after the start: other users, no capabilities, undumpable, no new privileges; what was
// opened or made before cannot be reached any more.
//@ root: has rights to give up
//@ shower tree
//@ set log=none
#include "children.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NOBODY 65534

static void work(int rounds)
{
    for (int i = 0; i < rounds; i++)
        use_heap();
}

static int life(void)
{
    work(40);
    pid_t child = fork();
    CHECK(child >= 0);
    work(10);
    if (child == 0)
        exit(3);
    expect_exit(child, 3);
    CHECK(prctl(PR_GET_PDEATHSIG, &child) == 0);
    return 4;
}

static int all_ids(void *unused)
{
    (void)unused;
    CHECK(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY));
    CHECK(prctl(PR_GET_DUMPABLE) == 0); // what belongs to /proc/self is root's now
    CHECK(open("/proc/self/maps", O_RDONLY) < 0 || getuid() == NOBODY);
    CHECK(setuid(0) < 0);
    return life();
}

// To and fro, as servers do that act for their clients.
static int effective_only(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++) {
        CHECK(!setegid(NOBODY) && !seteuid(NOBODY));
        work(5);
        CHECK(!seteuid(0) && !setegid(0));
        work(5);
        setfsuid(NOBODY);
        work(5);
        setfsuid(0);
    }
    return life();
}

static int no_capabilities(void *unused)
{
    (void)unused;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    for (int capability = 0; capability < 64; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    CHECK(syscall(SYS_capset, &header, none) == 0);
    CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    return life();
}

// A wish to die with the parent's thread is for that thread, and no other one of the parent's may end before
// it.
static int dies_with_parent(void *unused)
{
    (void)unused;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(!prctl(PR_SET_PDEATHSIG, SIGKILL) && !prctl(PR_SET_DUMPABLE, 0));
        work(60);
        exit(3);
    }
    work(60);
    expect_exit(child, 3);
    CHECK(!prctl(PR_SET_DUMPABLE, 0) && prctl(PR_GET_DUMPABLE) == 0);
    return life();
}

int main(void)
{
    work(10);
    umask(0777);
    expect_exit(fork_into(all_ids, NULL), 4);
    expect_exit(fork_into(effective_only, NULL), 4);
    expect_exit(fork_into(no_capabilities, NULL), 4);
    expect_exit(fork_into(dies_with_parent, NULL), 4);
    puts("ok");
    return 0;
}
