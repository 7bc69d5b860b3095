// mlockall with little memory that may be locked: every mapping counts and may be refused, malloc fails or
// works but nothing else happens.
//@ root: locks without a limit, and then gives up its capabilities
//@ set log=none
//@ skip jemalloc: it maps more at a time than may be locked
//@ shower tree
#include "children.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    CHECK(syscall(SYS_capset, &header, none) == 0);
}

static void blocks_of_a_megabyte(int least)
{
    static unsigned char *blocks[64];
    int got = 0;
    while (got < 64 && (blocks[got] = malloc(1 << 20)) != NULL)
        got++;
    CHECK(got >= least && (got == 64 || errno == ENOMEM));
    while (got > 0)
        free(blocks[--got]);
    for (int i = 0; i < 20; i++)
        use_heap();
}

static int little(void *unused)
{
    (void)unused;
    struct rlimit limit = {8u << 20, 8u << 20};
    CHECK(!setrlimit(RLIMIT_MEMLOCK, &limit));
    drop_capabilities();
    CHECK(!mlockall(MCL_FUTURE));
    for (int i = 0; i < 20; i++)
        use_heap();
    blocks_of_a_megabyte(2);
    CHECK(!munlockall());
    blocks_of_a_megabyte(64);
    return 2;
}

// With the capability there is no limit: everything is locked, and so is what anybody maps from here on.
static int everything(void *unused)
{
    (void)unused;
    CHECK(!mlockall(MCL_CURRENT | MCL_FUTURE));
    blocks_of_a_megabyte(64);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        use_heap();
        exit(2);
    }
    expect_exit(child, 2);
    return 2;
}

int main(void)
{
    expect_exit(fork_into(little, NULL), 2);
    expect_exit(fork_into(everything, NULL), 2);
    for (int i = 0; i < 20; i++)
        use_heap();
    expect_exit(fork_into(little, NULL), 2);
    expect_exit(fork_into(everything, NULL), 2);
    puts("ok");
    return 0;
}
