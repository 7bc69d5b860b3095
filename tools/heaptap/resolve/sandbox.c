// Limits, then a filter of system calls that nothing can take off again.
#include "resolve/sandbox.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#endif

#if defined(__x86_64__)
#define OUR_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

static const uint64_t start_bytes = UINT64_C(1) << 30; // on top of what the program has when it starts
static const uint64_t start_seconds = 120;
// Beside a file itself its sections without compression (resolve/inflate.c), and an index of both.
enum { LARGEST_GROWTH = 10 };
static const uint64_t file_limit_bytes = UINT64_C(64) << 30;

static uint64_t allowed_bytes, allowed_seconds;

static void set_limit(int what, uint64_t value)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)what, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max != RLIM_INFINITY && value > limit.rlim_max ? limit.rlim_max : value;
    setrlimit((__rlimit_resource_t)what, &limit);
}

// Address space, for that is what a limit can be set on. Sanitizers take terabytes of it.
static void set_memory(void)
{
#ifndef IS_SANITIZED
    set_limit(RLIMIT_AS, allowed_bytes);
#endif
}

void ht_sandbox_allow(uint64_t bytes)
{
    allowed_bytes += LARGEST_GROWTH * (bytes < file_limit_bytes ? bytes : file_limit_bytes);
    allowed_seconds += bytes >> 21;
    set_memory();
    set_limit(RLIMIT_CPU, allowed_seconds);
}

static uint64_t own_address_space(void)
{
    char text[32] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    uint64_t pages = file != NULL && fgets(text, sizeof text, file) != NULL ? strtoul(text, NULL, 10) : 0;
    if (pages == 0)
        pages = (64 << 20) / 4096;
    if (file != NULL)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

#ifdef OUR_ARCHITECTURE

// What may be called at all; mmap and mprotect without PROT_EXEC. fstat is newfstatat in newer libcs: it may
// then look at names, too, which tells no more than the rights allow.
static const unsigned int allowed_calls[] = {
    SYS_read,
    SYS_pread64,
    SYS_write,
    SYS_pwrite64,
    SYS_recvmsg,
    SYS_sendmsg,
    SYS_sendto,
    SYS_close,
    SYS_fstat,
    SYS_newfstatat,
    SYS_lseek,
    SYS_fcntl,
    SYS_dup,
    SYS_ftruncate,
    SYS_memfd_create,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_futex,
    SYS_getrandom,
    SYS_clock_gettime,
    SYS_prlimit64,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigreturn,
    SYS_restart_syscall,
#ifdef SYS_statx
    SYS_statx,
#endif
#ifdef IS_SANITIZED // for its report
    SYS_gettid,
    SYS_getpid,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_tgkill,
    SYS_sigaltstack,
    SYS_sched_yield,
    SYS_nanosleep,
    SYS_clock_nanosleep,
#endif
};

enum { CALLS = sizeof allowed_calls / sizeof allowed_calls[0], FILTER_LIMIT = CALLS * 2 + 16 };

static void add(struct sock_fprog *program, uint16_t code, uint8_t if_true, uint8_t if_false, uint32_t value)
{
    program->filter[program->len++] = (struct sock_filter)BPF_JUMP(code, value, if_true, if_false);
}

static void load(struct sock_fprog *program, size_t offset)
{
    add(program, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void answer(struct sock_fprog *program, uint32_t what)
{
    add(program, BPF_RET | BPF_K, 0, 0, what);
}

static int set_filter(void)
{
    struct sock_filter filter[FILTER_LIMIT];
    struct sock_fprog program = {.filter = filter};
    const unsigned int mappers[] = {SYS_mmap, SYS_mprotect};
    const uint16_t equal = BPF_JMP | BPF_JEQ | BPF_K;
    const size_t low_half = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4;
    load(&program, offsetof(struct seccomp_data, arch));
    add(&program, equal, 1, 0, OUR_ARCHITECTURE);
    answer(&program, SECCOMP_RET_ERRNO | EPERM);
    load(&program, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++) {
        add(&program, equal, 0, 1, allowed_calls[i]);
        answer(&program, SECCOMP_RET_ALLOW);
    }
    for (size_t i = 0; i < 2; i++)
        add(&program, equal, (uint8_t)(i == 0 ? 1 : 0), (uint8_t)(i == 0 ? 0 : 3), mappers[i]);
    load(&program, offsetof(struct seccomp_data, args[2]) + low_half);
    add(&program, BPF_JMP | BPF_JSET | BPF_K, 1, 0, PROT_EXEC);
    answer(&program, SECCOMP_RET_ALLOW);
    answer(&program, SECCOMP_RET_ERRNO | EPERM);
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

#else

static int set_filter(void)
{
    return -1;
}

#endif

int ht_sandbox_enter(struct ht_owner owner)
{
    const struct rlimit none = {0, 0};
    allowed_bytes = own_address_space() + start_bytes;
    allowed_seconds = start_seconds;
    if (ht_rights_give_up(owner) < 0)
        return -1;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &none);
    ht_sandbox_allow(0);
    set_filter(); // a kernel without it: rights and limits are left
    return 0;
}
