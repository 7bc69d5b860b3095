// The snapshot signal when it is the host's own: handler, ignored, blocked with sigtimedwait; and its default
// action.
//@ skip signals: it has the signal for itself and counts it
#include "check.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int seen;

static void on_signal(int number)
{
    (void)number;
    seen++;
}

static void allocate(void)
{
    for (size_t i = 0; i < 1000; i++)
        free(malloc(i));
}

int main(void)
{
    sigset_t set, empty;
    struct timespec soon = {.tv_sec = 1};
    allocate();
    pid_t child = fork();
    if (child == 0) {
        allocate();
        raise(SIGUSR2);
        _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        CHECK(errno == EINTR);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
    struct sigaction action = {.sa_handler = on_signal};
    CHECK(!sigaction(SIGUSR2, &action, NULL));
    raise(SIGUSR2);
    CHECK(seen >= 1);
    allocate();
    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR2);
    sigemptyset(&set);
    sigemptyset(&empty);
    sigaddset(&set, SIGUSR2);
    signal(SIGUSR2, SIG_DFL);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR2);
    allocate();
    CHECK(sigtimedwait(&set, NULL, &soon) == SIGUSR2);
    signal(SIGUSR2, SIG_IGN);
    puts("ok");
    return 0;
}
