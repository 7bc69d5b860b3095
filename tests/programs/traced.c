// A child under ptrace: stepped instruction by instruction through malloc, stopped at each system call, and
// let go; it sees no stop that it would not see otherwise, and ends with its own status.
#include "children.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define STEPS 1500

static int life(void *unused)
{
    (void)unused;
    CHECK(!ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    raise(SIGSTOP);
    for (int i = 0; i < 3; i++)
        use_heap();
    raise(SIGSTOP);
    for (int i = 0; i < 20; i++)
        use_heap();
    return 5;
}

static int wait_stopped(pid_t child)
{
    int status = wait_status(child);
    CHECK(WIFSTOPPED(status));
    return WSTOPSIG(status);
}

// Stepping, with the signals that arrive handed on.
static void step(pid_t child, long how, int steps, int until)
{
    long pass = 0;
    for (int i = 0; i < steps; i++) {
        CHECK(!ptrace((enum __ptrace_request)how, child, NULL, (void *)pass));
        int number = wait_stopped(child);
        if (number == until)
            return;
        pass = number == SIGTRAP ? 0 : number;
    }
    CHECK(until == 0);
}

int main(void)
{
    use_heap();
    for (int i = 0; i < 2; i++) {
        pid_t child = fork_into(life, NULL);
        CHECK(wait_stopped(child) == SIGSTOP);
        step(child, PTRACE_SINGLESTEP, STEPS, 0);
        step(child, PTRACE_SYSCALL, 1000000, SIGSTOP);
        if (i == 0) {
            step(child, PTRACE_SINGLESTEP, STEPS, 0);
            CHECK(!ptrace(PTRACE_DETACH, child, NULL, NULL));
        } else {
            CHECK(!ptrace(PTRACE_CONT, child, NULL, NULL));
        }
        expect_exit(child, 5);
    }
    puts("ok");
    return 0;
}
