// Programs that lock themselves in before they have allocated anything worth mentioning: strict mode, a
// filter with four calls, and one with those of a computing process.
//@ skip jemalloc: it asks the kernel for memory in other ways
#include "seccomp.h"

#include <sys/resource.h>

static const int four[] = {SYS_read, SYS_write, SYS_exit_group, SYS_brk, -1};
static const int computing[] = {SYS_read, SYS_write,  SYS_exit_group, SYS_rt_sigreturn, SYS_brk,
                                SYS_mmap, SYS_munmap, SYS_mremap,     SYS_getrandom,    -1};

static int sandboxed(char kind)
{
    if (kind != 'c')
        prepare_arena();
    if (kind == 's')
        CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
    else
        filter_calls(BY_PRCTL, kind == 'c' ? computing : four, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
    work(40);
    deep(200, 10);
    if (kind == 's')
        syscall(SYS_exit, 5);
    return 5;
}

static int again(void *kind)
{
    execl("/proc/self/exe", "again", (const char *)kind, (char *)NULL);
    return 9;
}

int main(int argc, char **argv)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (argc > 1)
        return sandboxed(argv[1][0]);
    expect_exit(fork_into(again, (void *)"strict"), 5);
    expect_exit(fork_into(again, (void *)"four"), 5);
    expect_exit(fork_into(again, (void *)"computing"), 5);
    puts("ok");
    return 0;
}
