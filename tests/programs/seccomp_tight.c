// The narrowest sandboxes: strict mode, and a filter with four calls. The memory was prepared before; no
// allocation, no free and no exit may ask the kernel for anything else.
//@ skip jemalloc: it asks the kernel for memory in other ways
//@ shower tree
#include "seccomp.h"

#include <sys/resource.h>

static const int allowed[] = {SYS_read, SYS_write, SYS_exit_group, SYS_brk, SYS_rt_sigreturn, -1};

static void allocate_a_lot(void)
{
    static void *kept[3000];
    work(40);
    deep(200, 10);
    for (size_t i = 0; i < 3000; i++) {
        kept[i] = malloc(i % 700);
        CHECK(kept[i]);
    }
    for (size_t i = 0; i < 3000; i++)
        free(kept[i]);
}

static int four_calls(void *way)
{
    filter_calls((enum way)(uintptr_t)way, allowed, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
    allocate_a_lot();
    return 5;
}

// Strict mode knows read, write, exit and sigreturn; exit_group is not among them.
static int strict(void *way)
{
    long result = way ? syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL)
                      : prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
    CHECK(result == 0);
    allocate_a_lot();
    syscall(SYS_exit, 5);
    return 9;
}

int main(void)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    prepare_arena();
    for (enum way way = BY_PRCTL; way <= BY_SYSCALL; way++) {
        expect_exit(fork_into(four_calls, (void *)way), 5);
        expect_exit(fork_into(strict, (void *)way), 5);
    }
    work(20);
    for (enum way way = BY_PRCTL; way <= BY_SYSCALL; way++) {
        expect_exit(fork_into(four_calls, (void *)way), 5);
        expect_exit(fork_into(strict, (void *)way), 5);
    }
    puts("ok");
    return 0;
}
