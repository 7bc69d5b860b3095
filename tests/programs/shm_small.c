// /dev/shm is tiny, is full from the start, or becomes full while it is in use: no SIGBUS, and nothing is
// refused.
//@ root: mounts
//@ skip signals: between exec and a handler the signal ends the program, as it does bare
//@ set log=none
//@ profiles some
#include "namespaces.h"

#include <fcntl.h>

#define KEPT 6000

// Takes all that is left.
static void fill_shm(void)
{
    static const char page[4096] = {1};
    int file = open("/dev/shm/filler", O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
    CHECK(file >= 0);
    while (write(file, page, sizeof page) > 0)
        ;
    CHECK(errno == ENOSPC && !close(file));
}

// Many blocks at once from many stacks make everybody's tables grow.
__attribute__((noinline)) static unsigned char *from_depth(size_t size, int depth)
{
    unsigned char *block = depth > 0 ? from_depth(size, depth - 1) : malloc(size);
    KEEP(block);
    return block;
}

static void grow(void)
{
    static unsigned char *kept[KEPT];
    for (int i = 0; i < KEPT; i++) {
        kept[i] = from_depth((size_t)i % 500 + 1, i % 60);
        CHECK(kept[i]);
        fill(kept[i], (size_t)i % 500 + 1, (unsigned char)i);
    }
    for (int i = 0; i < KEPT; i++) {
        CHECK(filled(kept[i], (size_t)i % 500 + 1, (unsigned char)i));
        free(kept[i]);
    }
}

static int in_shm_of(void *size)
{
    own_mounts();
    CHECK(!mount("none", "/dev/shm", "tmpfs", 0, size));
    return again(size);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        if (!strcmp(argv[1], "size=256k"))
            fill_shm();
        work(5);
        if (!strcmp(argv[1], "size=8m"))
            fill_shm();
        pid_t child = fork();
        CHECK(child >= 0);
        grow();
        if (child == 0)
            exit(3);
        expect_exit(child, 3);
        return 4;
    }
    int status = wait_status(fork_into(in_shm_of, (void *)"size=64k"));
    if (WEXITSTATUS(status) == 77)
        return 77;
    CHECK(status == 4 << 8);
    expect_exit(fork_into(in_shm_of, (void *)"size=256k"), 4);
    expect_exit(fork_into(in_shm_of, (void *)"size=8m"), 4);
    puts("ok");
    return 0;
}
