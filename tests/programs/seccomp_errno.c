// Filters that refuse: everything that a profiler could want fails with EPERM or ENOSYS, before or after the
// first allocations, installed so that no library sees it, and inherited by the next program.
//@ set log=none
#include "seccomp.h"

#include <stdbool.h>

// What this program itself does not need once it runs.
static const int unusual[] = {SYS_openat,
                              SYS_clone,
                              SYS_clone3,
                              SYS_prctl,
                              SYS_getrandom,
                              SYS_renameat2,
                              SYS_mkdirat,
                              SYS_readlinkat,
                              SYS_newfstatat,
                              SYS_statfs,
                              SYS_ftruncate,
                              SYS_fallocate,
                              SYS_fchmod,
                              SYS_rt_sigpending,
                              SYS_rt_sigtimedwait,
                              SYS_sched_yield,
                              SYS_prlimit64,
                              SYS_getrlimit,
                              SYS_geteuid,
                              SYS_getpid,
                              SYS_gettid,
                              SYS_tgkill,
                              SYS_unlinkat,
                              SYS_linkat,
                              SYS_getdents64,
                              SYS_clock_gettime,
                              SYS_fcntl,
                              SYS_close_range,
                              SYS_rt_sigprocmask,
                              SYS_close,
                              SYS_process_vm_readv,
                              SYS_sigaltstack,
                              SYS_lseek,
                              SYS_fstat,
                              SYS_pread64,
                              SYS_ioctl,
                              SYS_sysinfo,
                              SYS_rt_sigaction,
                              -1};

static const int memory[] = {SYS_mmap, SYS_munmap, SYS_mremap, SYS_madvise, SYS_mprotect, -1};

// What the loader does not need either.
static const int in_a_container[] = {SYS_clone,
                                     SYS_clone3,
                                     SYS_renameat2,
                                     SYS_statfs,
                                     SYS_fallocate,
                                     SYS_ftruncate,
                                     SYS_madvise,
                                     SYS_mremap,
                                     SYS_getrandom,
                                     SYS_sched_yield,
                                     SYS_rt_sigtimedwait,
                                     SYS_linkat,
                                     SYS_rt_sigpending,
                                     SYS_fchmod,
                                     SYS_mkdirat,
                                     SYS_getdents64,
                                     SYS_close_range,
                                     SYS_rt_sigprocmask,
                                     -1};

struct wish {
    const int *calls;
    uint32_t refusal;
    bool warm, exec;
};

static int refused(void *arg)
{
    const struct wish *wish = arg;
    if (wish->warm)
        work(20);
    filter_calls(BY_HAND, wish->calls, wish->refusal, SECCOMP_RET_ALLOW);
    if (wish->exec) {
        execl("/proc/self/exe", "again", "inside", (char *)NULL);
        return 9;
    }
    work(40);
    deep(100, 10);
    return 5;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        work(40);
        return 5;
    }
    prepare_arena();
    for (int i = 0; i < 4; i++) {
        uint32_t refusal = SECCOMP_RET_ERRNO | (i % 2 ? ENOSYS : EPERM);
        struct wish wish = {unusual, refusal, i / 2 != 0, false};
        expect_exit(fork_into(refused, &wish), 5);
        wish.calls = memory;
        expect_exit(fork_into(refused, &wish), 5);
        wish = (struct wish){in_a_container, refusal, false, true};
        if (i < 2)
            expect_exit(fork_into(refused, &wish), 5);
    }
    puts("ok");
    return 0;
}
