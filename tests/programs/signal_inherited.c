// The snapshot signal ignored before exec stays ignored; ignored later as well; and a host that sets the
// default back itself dies of the signal.
#include "self.h"

#include <signal.h>

static void sent_by_a_child(pid_t target)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(kill(target, SIGUSR2) ? 1 : 0);
    CHECK(wait_status(child) == 0);
}

int main(int count, char **arguments)
{
    struct sigaction now;
    record_some();
    if (count == 1) {
        signal(SIGUSR2, SIG_IGN);
        execl(arguments[0], arguments[0], "again", (char *)NULL);
        CHECK(0);
    }
    CHECK(!sigaction(SIGUSR2, NULL, &now) && now.sa_handler == SIG_IGN && !(now.sa_flags & SA_SIGINFO));
    sent_by_a_child(getpid());
    raise(SIGUSR2);
    record_some();
    int started[2];
    char byte;
    CHECK(!pipe(started));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGUSR2, SIG_DFL);
        record_some();
        CHECK(write(started[1], "", 1) == 1);
        for (;;)
            pause();
    }
    CHECK(read(started[0], &byte, 1) == 1 && !kill(child, SIGUSR2));
    int status = wait_status(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
    signal(SIGUSR2, SIG_DFL);
    signal(SIGUSR2, SIG_IGN);
    sent_by_a_child(getpid());
    puts("ok");
    return 0;
}
