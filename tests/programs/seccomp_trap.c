// A filter whose violations arrive as SIGSYS in a handler of the host's, which counts them: it sees its own
// calls and nobody else's.
//@ shower tree
#include "seccomp.h"

#include <signal.h>

static const int allowed[] = {
    SYS_read,   SYS_write,  SYS_exit,    SYS_exit_group, SYS_rt_sigreturn,  SYS_brk,       SYS_mmap,
    SYS_munmap, SYS_mremap, SYS_madvise, SYS_futex,      SYS_clock_gettime, SYS_getrandom, -1};

static volatile sig_atomic_t trapped;

static void on_trap(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
    trapped++;
}

static int sandboxed(void *warm)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    CHECK(!sigaction(SIGSYS, &action, NULL));
    if (warm)
        work(20);
    filter_calls(warm ? BY_SYSCALL : BY_PRCTL, allowed, SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP);
    work(40);
    CHECK(trapped == 0);
    for (int i = 1; i <= 5; i++) {
        syscall(SYS_getppid);
        CHECK(trapped == i);
        work(5);
        deep(50, 20);
        CHECK(trapped == i);
    }
    return 5;
}

int main(void)
{
    expect_exit(fork_into(sandboxed, NULL), 5);
    expect_exit(fork_into(sandboxed, (void *)1), 5);
    puts("ok");
    return 0;
}
