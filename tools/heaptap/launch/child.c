// The child of `heaptap run`: starts it, passes signals on, ticks at exact intervals, and hands its exit
// status back.
#include "base/clock.h"
#include "base/error.h"
#include "base/proc.h"
#include "launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Passed on when a process sent them to us. Those that a fault raises, and KILL and STOP, are not among them.
static const int passed_on[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGUSR1, SIGUSR2, SIGTERM, SIGALRM,
                                SIGCONT, SIGTSTP, SIGWINCH, SIGIO,   SIGPWR,  SIGURG};

struct state {
    const struct ht_child *child;
    pid_t pid;
    pid_t ticker; // the process that takes the snapshots of this tick, 0: none
    uint64_t next_tick_ns;
    sigset_t waited, original_mask;
    struct sigaction original_chld;
};

// In the child: never returns. What stops exec is told through the pipe, which exec closes.
static void start_program(const struct state *state, int report_fd)
{
    const struct ht_child *child = state->child;
    sigaction(SIGCHLD, &state->original_chld, NULL);
    sigprocmask(SIG_SETMASK, &state->original_mask, NULL);
    execve(child->path, child->argv, child->environment);
    int error = errno;
    if (error == ENOEXEC) { // a script without #!: what every shell and execvp do
        size_t count = 0;
        while (child->argv[count] != NULL)
            count++;
        char **arguments = calloc(count + 2, sizeof *arguments);
        if (arguments != NULL) {
            arguments[0] = strdup("sh");
            arguments[1] = strdup(child->path);
            for (size_t i = 1; i < count; i++)
                arguments[i + 1] = child->argv[i];
            execve("/bin/sh", arguments, child->environment);
        }
    }
    ssize_t written = write(report_fd, &error, sizeof error);
    _exit(written == (ssize_t)sizeof error ? HT_RUN_CANNOT_EXECUTE : HT_RUN_OWN_FAILURE);
}

// 0, or the exit status after a message.
static int fork_program(struct state *state)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0 || (state->pid = fork()) < 0) {
        ht_run_say(state->child->say, "cannot start a process: %s", strerror(errno));
        return HT_RUN_OWN_FAILURE;
    }
    if (state->pid == 0)
        start_program(state, report[1]);
    close(report[1]);
    int error = 0;
    ssize_t got;
    do {
        got = read(report[0], &error, sizeof error);
    } while (got < 0 && errno == EINTR);
    close(report[0]);
    if (got != (ssize_t)sizeof error)
        return 0;
    waitpid(state->pid, NULL, 0);
    ht_run_say(state->child->say, "%s: cannot be executed: %s", state->child->path,
               error == ENOENT ? "its interpreter (of the #! line, or the loader) does not exist"
                               : strerror(error));
    return error == ENOENT ? HT_RUN_NOT_FOUND : HT_RUN_CANNOT_EXECUTE;
}

static void wake_child(const struct state *state)
{
    struct ht_proc_stat stat;
    if (ht_proc_stat((uint32_t)state->pid, &stat) && stat.state == 'T')
        kill(state->pid, SIGCONT);
}

static void pass_on(const struct state *state, const siginfo_t *info)
{
    if (info->si_signo == SIGCONT) { // mostly a shell's `fg`, which wakes the whole group
        wake_child(state);
        return;
    }
    if (info->si_code == SI_QUEUE) {
        sigqueue(state->pid, info->si_signo, info->si_value);
        return;
    }
    bool from_kernel = info->si_code > 0;
    bool in_our_group = getpgid(state->pid) == getpgrp();
    if (from_kernel && in_our_group)
        return; // the terminal told the whole group
    if (!from_kernel && info->si_pid == state->pid)
        return; // it signals its own group, and has it already
    kill(state->pid, info->si_signo);
}

// The program was stopped by the terminal (or stopped its group): a shell with job control waits for us, so
// we stop as well. When we are woken, so is the program.
static void stop_with_child(const struct state *state)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    kill(getpid(), SIGTSTP);               // ignored by the kernel where nobody could wake us
    sigprocmask(SIG_UNBLOCK, &stop, NULL); // here we stand still
    sigprocmask(SIG_BLOCK, &stop, NULL);
    ht_clock_wait(2000000); // for a shell that wakes the whole group
    wake_child(state);
}

// Looks at what became of the children. True: the program is dead (and *ret_info filled in, not yet reaped).
static bool look_at_children(struct state *state, siginfo_t *ret_info)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)state->pid, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == state->pid &&
        (info.si_status == SIGTSTP || info.si_status == SIGTTIN || info.si_status == SIGTTOU))
        stop_with_child(state);
    memset(&info, 0, sizeof info);
    if (waitid(P_PID, (id_t)state->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == state->pid) {
        *ret_info = info;
        return true;
    }
    // Others: the ticker, and in a container where we are process 1, everybody's orphans.
    for (;;) {
        siginfo_t other = {0};
        if (waitid(P_ALL, 0, &other, WEXITED | WNOHANG | WNOWAIT) != 0 || other.si_pid == 0 ||
            other.si_pid == state->pid)
            return false;
        if (other.si_pid == state->ticker)
            state->ticker = 0;
        waitpid(other.si_pid, NULL, 0);
    }
}

// One tick in a process of its own: however long it takes, signals are passed on meanwhile, and nothing that
// goes wrong there can take the program's parent away. A tick whose predecessor is still at work is left out.
static void tick(struct state *state)
{
    const struct ht_child *child = state->child;
    uint64_t now = ht_clock_ns(CLOCK_MONOTONIC);
    if (child->interval_ns == 0 || now < state->next_tick_ns)
        return;
    state->next_tick_ns += child->interval_ns * ((now - state->next_tick_ns) / child->interval_ns + 1);
    if (state->ticker != 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        child->tick(state->pid, child->arg);
        _exit(0);
    }
    if (pid > 0)
        state->ticker = pid;
}

static void wait_for_signal(struct state *state)
{
    siginfo_t info;
    uint64_t now = ht_clock_ns(CLOCK_MONOTONIC);
    uint64_t wait_ns = UINT64_C(3600000000000);
    if (state->child->interval_ns != 0)
        wait_ns = state->next_tick_ns > now ? state->next_tick_ns - now : 0;
    struct timespec timeout = ht_timespec_of(wait_ns);
    int signal = sigtimedwait(&state->waited, &info, &timeout);
    if (signal > 0 && signal != SIGCHLD)
        pass_on(state, &info);
}

static void take_signals(struct state *state)
{
    sigemptyset(&state->waited);
    sigaddset(&state->waited, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaddset(&state->waited, passed_on[i]);
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
        sigaddset(&state->waited, signal);
    // An inherited "ignore" would reap the program before its status is read.
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &plain, &state->original_chld);
    sigprocmask(SIG_BLOCK, &state->waited, &state->original_mask);
}

int ht_child_run(const struct ht_child *child)
{
    struct state state = {.child = child};
    fflush(NULL);
    take_signals(&state);
    int failure = fork_program(&state);
    siginfo_t info = {0};
    if (failure == 0) {
        if (child->started != NULL)
            child->started(state.pid, child->arg);
        state.next_tick_ns = ht_clock_ns(CLOCK_MONOTONIC) + child->interval_ns;
        while (!look_at_children(&state, &info)) {
            wait_for_signal(&state);
            tick(&state);
        }
        if (state.ticker != 0)
            waitpid(state.ticker, NULL, 0);
        if (child->ended != NULL)
            child->ended(state.pid, &info, child->arg);
        waitpid(state.pid, NULL, 0);
    }
    sigprocmask(SIG_SETMASK, &state.original_mask, NULL);
    sigaction(SIGCHLD, &state.original_chld, NULL);
    if (failure != 0)
        return failure;
    if (info.si_pid == 0)
        return HT_RUN_OWN_FAILURE; // somebody else reaped it
    return info.si_code == CLD_EXITED ? info.si_status : HT_RUN_SIGNAL_BASE + info.si_status;
}
