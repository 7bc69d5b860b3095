// The bare thread: runs, is gone, works from signal handlers and beside malloc, and survives what the host
// does meanwhile.
#include "sys/clock.h"
#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/raw.h"
#include "trigger/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sanitized.h"

// What runs in the bare thread is built without sanitizers: they keep their own thread-locals.
#define BARE __attribute__((no_sanitize("address", "undefined", "thread")))

static const uint64_t second_ns = UINT64_C(1000000000);

static uint32_t runs;
static long seen_tid, seen_uid;
static uint64_t seen_mask;

BARE static void count_run(void *arg)
{
    (void)arg;
    seen_tid = ht_raw0(SYS_gettid);
    seen_uid = ht_raw0(SYS_geteuid);
    ht_raw4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&seen_mask, 8);
    __atomic_fetch_add(&runs, 1, __ATOMIC_SEQ_CST);
}

static bool wait_idle(void)
{
    return ht_thread_wait(ht_clock_raw_monotonic_ns() + 10 * second_ns);
}

// The kernel says that the thread has left its stack a moment before it takes it off the list of tasks.
static bool becomes_single_threaded(void)
{
    struct stat status = {.st_nlink = 0};
    while (stat("/proc/self/task", &status) == 0 && status.st_nlink != 3) {
        sched_yield();
    }
    return status.st_nlink == 3;
}

// Until the main thread has left.
BARE static void outlive(void *arg)
{
    (void)arg;
    char stat[1024];
    const char *state = NULL;
    while (state == NULL || *state != 'Z') {
        ht_raw0(SYS_sched_yield);
        state = ht_io_read_file("/proc/self/stat", stat, sizeof stat) > 0 ? ht_text_stat_field(stat, 3) : "Z";
    }
}

// The process has the status of its main thread, however long the bare thread lives.
static void test_keeps_exit_status(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool started = ht_thread_run(outlive, NULL);
        ht_raw1(SYS_exit, started ? 7 : 8);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static uint32_t hold;

BARE static void wait_for_release(void *arg)
{
    (void)arg;
    struct timespec pause = {0, 1000000};
    while (__atomic_load_n(&hold, __ATOMIC_SEQ_CST) != 0) {
        ht_raw2(SYS_nanosleep, (long)&pause, 0);
    }
}

// A fork handler that runs before ours may have started one in the child: its stack is not given to another.
static void test_survives_own_fork_handler(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        hold = 1;
        bool alone = ht_thread_run(wait_for_release, NULL);
        ht_thread_fork_child();
        alone = alone && ht_thread_busy() && !ht_thread_run(count_run, NULL);
        __atomic_store_n(&hold, 0, __ATOMIC_SEQ_CST);
        _exit(alone && wait_idle() ? 7 : 8);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void test_runs_and_is_gone(void **state)
{
    (void)state;
    runs = 0;
    errno = 1234;
    sigset_t before, after;
    sigemptyset(&before);
    sigaddset(&before, SIGUSR1);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_true(ht_thread_run(count_run, NULL));
    assert_true(wait_idle());
    assert_int_equal(errno, 1234);
    assert_int_equal(runs, 1);
    assert_int_not_equal(seen_tid, getpid());
    // All but SIGKILL and SIGSTOP were blocked there, and nothing has changed here.
    assert_true(seen_mask == ~(UINT64_C(1) << (SIGKILL - 1) | UINT64_C(1) << (SIGSTOP - 1)));
    sigprocmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGUSR1), 1);
    assert_int_equal(sigismember(&after, SIGUSR2), 0);
    sigemptyset(&before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_true(becomes_single_threaded());
}

static void test_thousand_runs(void **state)
{
    (void)state;
    runs = 0;
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(ht_thread_run(count_run, NULL));
        assert_true(wait_idle());
    }
    assert_int_equal(runs, 1000);
    assert_true(becomes_single_threaded());
}

static void test_one_at_a_time_and_deadline(void **state)
{
    (void)state;
    hold = 1;
    assert_true(ht_thread_run(wait_for_release, NULL));
    assert_true(ht_thread_busy());
    assert_false(ht_thread_run(count_run, NULL));
    uint64_t begun = ht_clock_raw_monotonic_ns();
    assert_false(ht_thread_wait(begun + 50 * 1000 * 1000));
    assert_true(ht_clock_raw_monotonic_ns() - begun >= 50 * 1000 * 1000);
    __atomic_store_n(&hold, 0, __ATOMIC_SEQ_CST);
    assert_true(wait_idle());
    assert_false(ht_thread_busy());
}

static uint32_t handled, refused;

static void on_signal(int signal)
{
    (void)signal;
    handled++;
    if (!ht_thread_run(count_run, NULL)) {
        refused++;
    }
}

// A timer interrupts malloc and free; the handler starts threads.
static void test_from_a_handler_while_malloc_runs(void **state)
{
    (void)state;
    runs = handled = refused = 0;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    struct itimerspec every = {{0, 500000}, {0, 500000}};
    timer_t timer;
    assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
    while (__atomic_load_n(&handled, __ATOMIC_SEQ_CST) < 200 ||
           __atomic_load_n(&runs, __ATOMIC_SEQ_CST) < 20) {
        void *blocks[64];
        for (unsigned i = 0; i < 64; i++) {
            blocks[i] = malloc(i * 37 + 1);
            memset(blocks[i], 1, i * 37 + 1);
        }
        for (unsigned i = 0; i < 64; i++) {
            free(blocks[i]);
        }
    }
    timer_delete(timer);
    assert_true(wait_idle());
    sigaction(SIGALRM, &old, NULL);
    assert_int_equal(runs, handled - refused);
}

// Without a thread of libc's and after ours, the process counts as single-threaded again.
static void test_single_threaded_afterwards(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!ht_thread_run(count_run, NULL) || !wait_idle() || !becomes_single_threaded()) {
            _exit(1);
        }
        _exit(unshare(CLONE_NEWUSER) == 0 || errno == EPERM || errno == ENOSPC ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_forked_while_it_runs(void **state)
{
    (void)state;
    hold = 1;
    assert_true(ht_thread_run(wait_for_release, NULL));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        // The parent's thread is not here, so nothing is busy.
        ht_thread_fork_child();
        runs = 0;
        bool right = !ht_thread_busy() && ht_thread_run(count_run, NULL) && wait_idle() && runs == 1;
        _exit(right ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    __atomic_store_n(&hold, 0, __ATOMIC_SEQ_CST);
    assert_true(wait_idle());
}

static pid_t copy_into_namespace(void)
{
    return (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
}

// What its parent was running is nobody's in a copy: before the fork handler, in it, and after it.
static bool takes_over(void)
{
    runs = 0;
    bool right =
        getpid() == 1 && !ht_thread_busy() && ht_thread_run(count_run, NULL) && wait_idle() && runs == 1;
    hold = 1;
    right = right && ht_thread_run(wait_for_release, NULL);
    ht_thread_fork_child();
    right = right && ht_thread_busy() && !ht_thread_run(count_run, NULL) && !ht_thread_here(count_run, NULL);
    __atomic_store_n(&hold, 0, __ATOMIC_SEQ_CST);
    return right && wait_idle() && runs == 1;
}

static int status_of(pid_t child)
{
    int status = -1;
    return waitpid(child, &status, 0) == child ? status : -1;
}

static int copied_status;

// Forks with the claim held by the thread that forks: what no handler of the host's can do to us.
BARE static void copy_here(void *arg)
{
    (void)arg;
    pid_t copy = copy_into_namespace();
    if (copy == 0) {
        _exit(takes_over() ? 0 : 1);
    }
    copied_status = status_of(copy);
}

// The first process of a pid namespace copies itself into another one: same pid, same numbers of threads.
static void test_copied_with_the_same_pid(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    pid_t first = copy_into_namespace();
    assert_true(first >= 0);
    if (first == 0) {
        hold = 1;
        bool right = getpid() == 1 && ht_thread_run(wait_for_release, NULL);
        pid_t copy = copy_into_namespace();
        if (copy == 0) {
            _exit(takes_over() ? 0 : 1);
        }
        right = right && status_of(copy) == 0 && ht_thread_busy();
        __atomic_store_n(&hold, 0, __ATOMIC_SEQ_CST);
        right = right && wait_idle() && ht_thread_here(copy_here, NULL) && copied_status == 0;
        _exit(right ? 0 : 1);
    }
    assert_int_equal(status_of(first), 0);
}

// From here on the kernel wipes the claim in copies; the tests before this one ran as on one that does not.
static void test_kernel_wipes(void **state)
{
    (void)state;
    ht_thread_start();
}

static uint64_t mask_here;
static bool other_ran;

static void look_here(void *arg)
{
    (void)arg;
    ht_raw4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask_here, 8);
    count_run(NULL);
}

static void *try_to_run(void *arg)
{
    (void)arg;
    other_ran = ht_thread_run(count_run, NULL) || ht_thread_here(count_run, NULL) || !ht_thread_busy();
    return NULL;
}

static void be_alone(void *arg)
{
    (void)arg;
    pthread_t thread;
    other_ran = pthread_create(&thread, NULL, try_to_run, NULL) != 0;
    pthread_join(thread, NULL);
}

static void test_in_the_calling_thread(void **state)
{
    (void)state;
    runs = 0;
    assert_true(ht_thread_here(look_here, NULL));
    assert_int_equal(runs, 1);
    assert_int_equal(seen_tid, gettid());
    assert_true(mask_here == ~(UINT64_C(1) << (SIGKILL - 1) | UINT64_C(1) << (SIGSTOP - 1)));
    ht_raw4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask_here, 8);
    assert_int_equal(mask_here, 0);
    assert_true(ht_thread_here(be_alone, NULL));
    assert_false(other_ran);
    assert_int_equal(runs, 1);
    assert_false(ht_thread_busy());
}

#if defined(__x86_64__)
#define TRACE 0x100u

static volatile unsigned traps;

static void on_trap(int signal)
{
    (void)signal;
    traps++;
}

static void set_trace(bool on)
{
    unsigned long long flags = __builtin_ia32_readeflags_u64();
    __builtin_ia32_writeeflags_u64(on ? flags | TRACE : flags & ~(unsigned long long)TRACE);
}

// The host steps through itself, and through us: a SIGTRAP that finds itself blocked would end the process.
static void test_stepped_by_the_host(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGTRAP, on_trap);
        runs = 0;
        set_trace(true);
        bool begun = ht_thread_run(count_run, NULL);
        set_trace(false);
        bool right = begun && wait_idle();
        set_trace(true);
        bool here = ht_thread_here(count_run, NULL);
        set_trace(false);
        _exit(right && here && runs == 2 && traps > 20 ? 0 : 1);
    }
    assert_int_equal(status_of(child), 0);
}
#endif

#define WAITERS 6

static long waiting[WAITERS]; // their numbers

static void *wait_for_it(void *own)
{
    __atomic_store_n((long *)own, ht_raw0(SYS_gettid), __ATOMIC_SEQ_CST);
    return ht_thread_wait(ht_clock_raw_monotonic_ns() + 3600 * second_ns) ? own : NULL;
}

// Whether a thread of ours sleeps in this system call.
static bool sleeps_in(long tid, long nr)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%ld/syscall", tid);
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(text, sizeof text, file) != NULL;
    if (file != NULL) {
        fclose(file);
    }
    return read && strtol(text, NULL, 10) == nr && text[0] != 'r'; // "running"
}

// The kernel wakes one; none of the others is left waiting.
static void test_many_wait(void **state)
{
    (void)state;
    hold = 1;
    assert_true(ht_thread_run(wait_for_release, NULL));
    pthread_t threads[WAITERS];
    for (unsigned i = 0; i < WAITERS; i++) {
        waiting[i] = 0;
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_it, &waiting[i]), 0);
    }
    for (unsigned i = 0; i < WAITERS; i++) {
        while (!sleeps_in(__atomic_load_n(&waiting[i], __ATOMIC_SEQ_CST), SYS_futex)) {
            sched_yield();
        }
    }
    __atomic_store_n(&hold, 0, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < WAITERS; i++) {
        void *right;
        assert_int_equal(pthread_join(threads[i], &right), 0);
        assert_ptr_equal(right, &waiting[i]);
    }
}

static int own_fd;
static uint32_t descriptors_before;

BARE static void open_and_wait(void *arg)
{
    (void)arg;
    descriptors_before = (uint32_t)ht_raw3(SYS_fcntl, 100, F_GETFD, 0);
    int fd = (int)ht_raw4(SYS_openat, AT_FDCWD, (long)"/dev/null", O_WRONLY, 0);
    __atomic_store_n(&own_fd, fd, __ATOMIC_SEQ_CST);
    wait_for_release(NULL);
    own_fd = (int)ht_raw3(SYS_write, own_fd, (long)"x", 1);
}

// Closing and reusing every descriptor in the host does not reach the thread's, and the other way round.
// Returns the line that does not hold, or 0.
static int check_own_descriptors(void)
{
    int fds[2];
    if (pipe(fds) != 0 || dup2(fds[1], 100) != 100) {
        return __LINE__;
    }
    close(fds[1]);
    hold = 1;
    own_fd = -1;
    if (!ht_thread_run(open_and_wait, NULL)) {
        return __LINE__;
    }
    while (__atomic_load_n(&own_fd, __ATOMIC_SEQ_CST) < 0) {
        sched_yield();
    }
    if ((int32_t)descriptors_before >= 0) {
        return __LINE__;
    }
    close(100);
    char byte;
    if (read(fds[0], &byte, 1) != 0) { // the thread does not keep the pipe open
        return __LINE__;
    }
    for (int fd = 3; fd < 200; fd++) {
        close(fd);
    }
    if (open("/dev/full", O_WRONLY) != 3) {
        return __LINE__;
    }
    __atomic_store_n(&hold, 0, __ATOMIC_SEQ_CST);
    bool written = wait_idle() && own_fd == 1;
    close(3);
    return written ? 0 : __LINE__;
}

// Lets one system call end in that way: SECCOMP_RET_...
static bool filter_call(int number, uint32_t action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void check_in_child(bool has_close_range)
{
    int result[2], line = -1, status;
    assert_int_equal(pipe(result), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(result[1], STDOUT_FILENO); // above 2 everything gets closed
        line = has_close_range || filter_call(SYS_close_range, SECCOMP_RET_ERRNO | ENOSYS)
                   ? check_own_descriptors()
                   : __LINE__;
        _exit(write(STDOUT_FILENO, &line, sizeof line) == sizeof line ? 0 : 1);
    }
    close(result[1]);
    assert_int_equal(read(result[0], &line, sizeof line), sizeof line);
    close(result[0]);
    assert_int_equal(line, 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_own_descriptors(void **state)
{
    (void)state;
    check_in_child(true);
    check_in_child(false); // kernels before 5.9
}

BARE static void divide(void *arg)
{
    volatile double zero = 0;
    *(volatile double *)arg = 1 / zero;
}

// Numeric programs unmask exceptions; ours stay masked, since a SIGFPE in the thread would end the program.
static void test_unmasked_float_exceptions(void **state)
{
    (void)state;
    double result = 0;
    assert_true(feenableexcept(FE_DIVBYZERO | FE_INVALID) >= 0);
    bool begun = ht_thread_run(divide, &result);
    bool ended = wait_idle();
    fedisableexcept(FE_ALL_EXCEPT);
    assert_true(begun && ended && isinf(result));
}

static void test_credentials(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (seteuid(65534) != 0) {
            _exit(3);
        }
        seen_uid = -1;
        _exit(ht_thread_run(count_run, NULL) && wait_idle() && seen_uid == 65534 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static long seen_policy;

BARE static void see_policy(void *arg)
{
    (void)arg;
    seen_policy = ht_raw1(SYS_sched_getscheduler, 0);
}

static int fixed_priority_child(int policy, bool filtered)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sched_param ten = {.sched_priority = 10};
        if (sched_setscheduler(0, policy, &ten) != 0 ||
            (filtered && !filter_call(SYS_sched_setscheduler, SECCOMP_RET_KILL_PROCESS))) {
            _exit(77);
        }
        seen_policy = -1;
        _exit(ht_thread_run(see_policy, NULL) && wait_idle() && sched_getscheduler(0) == policy
                  ? (int)seen_policy
                  : 99);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

// A snapshot does not run at the fixed priority of the thread that asked for it, except where giving that up
// might end the process.
static void test_fixed_priority(void **state)
{
    (void)state;
    int first = fixed_priority_child(SCHED_FIFO, false);
    if (first == 77) {
        skip(); // no right to fixed priorities here
    }
    assert_int_equal(first, SCHED_OTHER);
    assert_int_equal(fixed_priority_child(SCHED_RR, false), SCHED_OTHER);
    assert_int_equal(fixed_priority_child(SCHED_FIFO, true), SCHED_FIFO);
}

static void test_refused(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        if (setrlimit(RLIMIT_NPROC, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0)) {
            _exit(77);
        }
        // Refused, nothing is left behind, and it is refused again the same way.
        _exit(!ht_thread_run(count_run, NULL) && !ht_thread_busy() && !ht_thread_run(count_run, NULL) ? 0
                                                                                                      : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_exit_while_it_runs(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            hold = 1;
            _exit(ht_thread_run(wait_for_release, NULL) ? 7 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 7);
    }
}

static void *run_many(void *arg)
{
    uint32_t *started = arg;
    for (unsigned i = 0; i < 500; i++) {
        if (ht_thread_run(count_run, NULL)) {
            __atomic_fetch_add(started, 1, __ATOMIC_SEQ_CST);
        }
    }
    return NULL;
}

static void test_many_callers(void **state)
{
    (void)state;
    runs = 0;
    uint32_t started = 0;
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, &started), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(wait_idle());
    assert_true(started > 0);
    assert_int_equal(runs, started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_and_is_gone),
        cmocka_unit_test(test_keeps_exit_status),
        cmocka_unit_test(test_survives_own_fork_handler),
        cmocka_unit_test(test_thousand_runs),
        cmocka_unit_test(test_one_at_a_time_and_deadline),
        cmocka_unit_test(test_from_a_handler_while_malloc_runs),
        cmocka_unit_test(test_single_threaded_afterwards),
        cmocka_unit_test(test_forked_while_it_runs),
        cmocka_unit_test(test_copied_with_the_same_pid),
        cmocka_unit_test(test_kernel_wipes),
        cmocka_unit_test(test_forked_while_it_runs),
        cmocka_unit_test(test_survives_own_fork_handler),
        cmocka_unit_test(test_copied_with_the_same_pid),
        cmocka_unit_test(test_in_the_calling_thread),
        cmocka_unit_test(test_many_wait),
#if defined(__x86_64__)
        cmocka_unit_test(test_stepped_by_the_host),
#endif
        cmocka_unit_test(test_own_descriptors),
        cmocka_unit_test(test_unmasked_float_exceptions),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_fixed_priority),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_exit_while_it_runs),
        cmocka_unit_test(test_many_callers),
    };
#ifdef UNDER_TSAN
    print_message("not run: ThreadSanitizer's instrumentation needs its own thread-locals in every thread\n");
    return sizeof tests == 0;
#else
    return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
