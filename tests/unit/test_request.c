// Snapshots that are asked for while another one is being written: each is written too, and nobody gets a
// line.
//
// The writer is held in the middle by a tracer, this process: it stops at the call that gives the file its
// name.
#include "core/owner.h"
#include "core/process.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "trigger/request.h"
#include "trigger/thread.h"

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sanitized.h"

static char directory[] = "/dev/shm/heaptap-request-XXXXXX";
static char log_path[sizeof directory + 8];
static int held[2]; // the tracer writes a byte when the writer is held

static uint64_t far(void)
{
    return ht_clock_raw_monotonic_ns() + UINT64_C(600000000000);
}

// Files of the directory whose names have this in them.
static unsigned files_with(const char *part)
{
    unsigned count = 0;
    DIR *listing = opendir(directory);
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;)
        count += strstr(entry->d_name, part) != NULL;
    if (listing != NULL)
        closedir(listing);
    return count;
}

static void remove_files(void)
{
    DIR *listing = opendir(directory);
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;)
        unlinkat(dirfd(listing), entry->d_name, 0);
    if (listing != NULL)
        closedir(listing);
}

static pid_t copy_into_namespace(void)
{
    return (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
}

static void wait_until_held(void)
{
    char byte;
    if (read(held[0], &byte, 1) != 1)
        _exit(90);
}

// The rest of these run in the process that is traced; they return its status, 0 when all was right.
static void start_traced(void)
{
    ht_settings.on = true;
    ht_settings.memory_bytes = 64 << 20;
    snprintf(ht_settings.program, sizeof ht_settings.program, "tester");
    snprintf(ht_settings.out_dir, sizeof ht_settings.out_dir, "%s", directory);
    ht_log_setup(HT_LOG_FILE, log_path, false);
    if (!ht_owner_start())
        _exit(91);
    ht_request_start();
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
        _exit(92);
}

// In a copy of a process whose thread is in the middle of a snapshot. A signal comes before the fork handler.
static int serve_as_copy(pid_t pid_of_parent)
{
    if (getpid() != pid_of_parent)
        return 10;
    ht_request(HT_TRIGGER_SIGNAL);
    ht_request_fork_child();
    if (!ht_thread_wait(far()) || files_with(".signal.") != 1)
        return 11;
    if (!ht_request_exit(true) || files_with(".exit.") != 1)
        return 12;
    return 0;
}

static int copied_with_the_same_pid(void)
{
    ht_request(HT_TRIGGER_SIGNAL);
    wait_until_held();
    pid_t child = copy_into_namespace();
    if (child == 0)
        _exit(serve_as_copy(1));
    int status;
    return getpid() == 1 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                                     : 20;
}

static bool forbid_threads(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void *ask_for_manual(void *ret_result)
{
    *(int *)ret_result = forbid_threads() ? ht_request_now(far()) : 1;
    return NULL;
}

// One thread writes a snapshot itself, since no thread can be had; another one exits meanwhile.
static int exits_beside_a_writer(void)
{
    pthread_t thread;
    int result = 1;
    if (pthread_create(&thread, NULL, ask_for_manual, &result) != 0 || !forbid_threads())
        return 30;
    wait_until_held();
    bool written = ht_request_exit(true);
    pthread_join(thread, NULL);
    return result != 0                                                ? 31
           : !written                                                 ? 32
           : files_with(".manual.") != 1 || files_with(".exit.") != 1 ? 33
                                                                      : 0;
}

// What the tracer sees of one of its threads' system calls, as it enters.
static bool enters(pid_t tid, long first, long second)
{
    struct __ptrace_syscall_info info;
    return ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_ENTRY &&
           ((long)info.entry.nr == first || (long)info.entry.nr == second);
}

struct tracer {
    pid_t process, writer; // writer 0: not held yet
    bool until_waiting;    // let the writer go when the process's first thread waits for it
    bool released;
};

static void go_on(struct tracer *tracer, pid_t tid, int status)
{
    int signal = WSTOPSIG(status), event = status >> 16;
    if (signal == (SIGTRAP | 0x80) || event != 0 || signal == SIGSTOP)
        signal = 0;
    if (tracer->writer == 0 && tid != tracer->process && enters(tid, SYS_linkat, SYS_renameat2)) {
        tracer->writer = tid;
        assert_int_equal(write(held[1], "x", 1), 1);
        return;
    }
    if (tracer->writer != 0 && !tracer->released && tid == tracer->process && tracer->until_waiting &&
        enters(tid, SYS_futex, SYS_futex)) {
        tracer->released = true;
        assert_int_equal(ptrace(PTRACE_SYSCALL, tracer->writer, NULL, NULL), 0);
    }
    ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(long)signal); // it may have been killed meanwhile
}

// The status of `run` in a process of its own, the first of a pid namespace.
static int traced(int (*run)(void), bool until_waiting)
{
    assert_int_equal(pipe(held), 0);
    pid_t process = copy_into_namespace();
    assert_true(process >= 0);
    if (process == 0) {
        start_traced();
        _exit(run());
    }
    struct tracer tracer = {.process = process, .until_waiting = until_waiting};
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFSTOPPED(status));
    long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, process, NULL, (void *)options), 0);
    assert_int_equal(ptrace(PTRACE_SYSCALL, process, NULL, NULL), 0);
    for (;;) {
        pid_t tid = waitpid(-1, &status, __WALL);
        assert_true(tid > 0);
        if (WIFSTOPPED(status))
            go_on(&tracer, tid, status);
        else if (tid == process)
            break;
    }
    close(held[0]);
    close(held[1]);
    bool silent = access(log_path, F_OK) != 0;
    remove_files();
    assert_int_not_equal(tracer.writer, 0);
    assert_true(silent);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_copied_while_a_snapshot_is_written(void **state)
{
    (void)state;
#ifdef UNDER_ASAN
    skip(); // a copy's thread stands where ASan has its parent's frames in its books
#endif
    assert_int_equal(traced(copied_with_the_same_pid, false), 0);
}

static void test_exit_while_another_thread_writes(void **state)
{
    (void)state;
    assert_int_equal(traced(exits_beside_a_writer, true), 0);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(log_path, sizeof log_path, "%s/log", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_files();
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copied_while_a_snapshot_is_written),
        cmocka_unit_test(test_exit_while_another_thread_writes),
    };
#ifdef UNDER_TSAN
    print_message("not run: ThreadSanitizer's instrumentation needs its own thread-locals in every thread\n");
    return sizeof tests == 0;
#else
    if (geteuid() != 0) {
        print_message("not run: needs root for pid namespaces\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
#endif
}
