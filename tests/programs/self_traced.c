// A child that traces its parent, against debuggers, as copy protections do: it hands on what arrives, and
// neither of them sees a stop or an end that it would not see otherwise.
#include "self.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

static int to_child[2], to_parent[2];

static int watch(void *unused)
{
    (void)unused;
    pid_t parent = getppid(), pid;
    int status;
    CHECK(!ptrace(PTRACE_SEIZE, parent, NULL, PTRACE_O_TRACEEXIT));
    CHECK(write(to_parent[1], "x", 1) == 1);
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        if (!WIFSTOPPED(status))
            continue;
        // Only the main thread was seized: no other may be seen.
        CHECK(pid == parent);
        int number = WSTOPSIG(status);
        long pass = status >> 16 || number == SIGTRAP ? 0 : number;
        ptrace(PTRACE_CONT, pid, NULL, (void *)pass);
    }
    return 0;
}

int main(void)
{
    char byte;
    CHECK(!pipe(to_child) && !pipe(to_parent));
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    record_some();
    pid_t child = fork_into(watch, NULL);
    close(to_parent[1]);
    if (read(to_parent[0], &byte, 1) != 1) {
        wait_status(child);
        puts("ok"); // tracing is forbidden here
        return 0;
    }
    for (int i = 0; i < 50; i++) {
        use_heap();
        usleep(1000);
    }
    record_some();
    puts("ok");
    return 0;
}
