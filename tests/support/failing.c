// Runs a program in which system calls of one library fail: `failing SEEN LIBRARY ERRNO FIRST LAST -- PROGRAM
// ARGS`.
// The program does not exec.
//
// Counted are, from 1 on, the calls that are made by instructions of LIBRARY (a file's name without its
// folder), in the program, its threads and its children, but for those that no shortage makes fail. Calls
// FIRST to LAST fail with ERRNO and are not made; clone with EAGAIN, as the kernel does it. SEEN is a file:
// it gets the count, and the number of the first system call that failed (-1: none). The status is the
// program's own, 128 and the signal, or 125.
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_THREADS 4096

static const char *library;
static long failure, first, last, count, first_failed = -1;
static struct {
    pid_t tid;
    long result; // of the call that it is in and that is not made; 0: it is made
} threads[MAX_THREADS];

static void stop_with(const char *what)
{
    perror(what);
    exit(125);
}

static long *result_of(pid_t tid)
{
    for (size_t i = 0; i < MAX_THREADS; i++) {
        if (threads[i].tid == tid || threads[i].tid == 0) {
            threads[i].tid = tid;
            return &threads[i].result;
        }
    }
    errno = EAGAIN;
    stop_with("failing: too many threads");
    return NULL;
}

static bool never_fails(long number)
{
    static const long calls[] = {SYS_exit,           SYS_exit_group,    SYS_rt_sigreturn, SYS_rt_sigaction,
                                 SYS_rt_sigprocmask, SYS_rt_sigpending, SYS_getpid,       SYS_gettid,
                                 SYS_geteuid,        SYS_clock_gettime, SYS_sched_yield,  SYS_close};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (calls[i] == number)
            return true;
    }
    return false;
}

// Whether this address is in the library, in this process at this moment.
static bool look_up(pid_t tid, uint64_t address)
{
    char path[64], line[PATH_MAX + 128];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)tid);
    FILE *maps = fopen(path, "r");
    bool found = false;
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        unsigned long start, limit;
        const char *slash = strrchr(line, '/');
        line[strcspn(line, "\n")] = '\0';
        found = sscanf(line, "%lx-%lx", &start, &limit) == 2 && address >= start && address < limit &&
                slash != NULL && strcmp(slash + 1, library) == 0;
    }
    if (maps != NULL)
        fclose(maps);
    return found;
}

// The program does not exec, and unloads nothing, so what was found out stays true.
static bool is_in_library(pid_t tid, uint64_t address)
{
    static struct {
        uint64_t address;
        bool is_in;
    } known[256];
    size_t at = address % (sizeof known / sizeof *known);
    if (known[at].address != address) {
        known[at].is_in = look_up(tid, address);
        known[at].address = address;
    }
    return known[at].is_in;
}

#if defined(__x86_64__)
static bool set_call(pid_t tid, long number)
{
    return ptrace(PTRACE_POKEUSER, tid, (void *)offsetof(struct user_regs_struct, orig_rax),
                  (void *)number) == 0;
}

static bool set_result(pid_t tid, long result)
{
    return ptrace(PTRACE_POKEUSER, tid, (void *)offsetof(struct user_regs_struct, rax), (void *)result) == 0;
}
#elif defined(__aarch64__)
static bool set_call(pid_t tid, long number)
{
    int call = (int)number;
    struct iovec data = {&call, sizeof call};
    return ptrace(PTRACE_SETREGSET, tid, (void *)(long)NT_ARM_SYSTEM_CALL, &data) == 0;
}

static bool set_result(pid_t tid, long result)
{
    struct user_regs_struct registers;
    struct iovec data = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)(long)NT_PRSTATUS, &data) != 0)
        return false;
    registers.regs[0] = (unsigned long)result;
    return ptrace(PTRACE_SETREGSET, tid, (void *)(long)NT_PRSTATUS, &data) == 0;
}
#endif

static void enter(pid_t tid, long number, uint64_t address)
{
    if (never_fails(number) || !is_in_library(tid, address))
        return;
    count++;
    if (count < first || count > last)
        return;
    if (!set_call(tid, -1)) // killed meanwhile
        return;
    if (first_failed < 0)
        first_failed = number;
    *result_of(tid) = number == SYS_clone ? -EAGAIN : -failure;
}

static void at_system_call(pid_t tid)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) <= 0)
        return;
    long *result = result_of(tid);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        enter(tid, (long)info.entry.nr, info.instruction_pointer);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && *result != 0) {
        set_result(tid, *result);
        *result = 0;
    }
}

// The status of `process`.
static int trace(pid_t process)
{
    bool begun = false;
    for (;;) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0)
            stop_with("failing: waitpid");
        if (!WIFSTOPPED(status)) {
            *result_of(tid) = 0;
            if (tid == process)
                return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int signal = WSTOPSIG(status);
        if (!begun) {
            long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                           PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
            if (ptrace(PTRACE_SETOPTIONS, tid, NULL, (void *)options) != 0)
                stop_with("failing: ptrace");
            begun = true;
        }
        if (signal == (SIGTRAP | 0x80))
            at_system_call(tid);
        if (signal == (SIGTRAP | 0x80) || signal == SIGTRAP || signal == SIGSTOP)
            signal = 0;
        ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(long)signal); // it may have been killed meanwhile
    }
}

int main(int argc, char **argv)
{
    if (argc < 8 || strcmp(argv[6], "--") != 0) {
        fprintf(stderr, "usage: failing SEEN LIBRARY ERRNO FIRST LAST -- PROGRAM ARGS\n");
        return 125;
    }
    library = argv[2];
    failure = atol(argv[3]);
    first = atol(argv[4]);
    last = atol(argv[5]);
    pid_t process = fork();
    if (process == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            stop_with("failing: ptrace");
        execv(argv[7], argv + 7);
        stop_with(argv[7]);
    }
    int status = trace(process);
    FILE *seen = fopen(argv[1], "w");
    if (seen == NULL || fprintf(seen, "%ld %ld\n", count, first_failed) < 0 || fclose(seen) != 0)
        stop_with(argv[1]);
    return status;
}
