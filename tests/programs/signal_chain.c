// A host that installs its handler for the snapshot signal late and calls the one that was there before
// (whose arguments it may forget), and that puts back what it had found.
//@ skip signals: it dies of the signal in the end
#include "self.h"

#include <signal.h>

static struct sigaction old;
static volatile int seen;
static volatile int forgetful;

static void handler(int number, siginfo_t *info, void *context)
{
    seen++;
    if (old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN)
        return;
    if (!forgetful && (old.sa_flags & SA_SIGINFO)) {
        old.sa_sigaction(number, info, context);
    } else {
        // One argument only: in the registers of the others lies anything.
        void (*chained)(int, void *, void *);
        memcpy(&chained, &old.sa_handler, sizeof(chained));
        chained(number, (void *)8, (void *)8);
    }
}

static void signals(void)
{
    int before = seen;
    for (int i = 0; i < 10; i++) {
        raise(SIGUSR2);
        record_some();
    }
    pid_t parent = getpid(), child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(kill(parent, SIGUSR2) ? 1 : 0);
    CHECK(wait_status(child) == 0);
    while (seen < before + 11)
        ;
    CHECK(seen == before + 11);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO}, now;
    record_some();
    // A library that only looks.
    CHECK(!sigaction(SIGUSR2, NULL, &old));
    CHECK(!sigaction(SIGUSR2, &action, &now));
    CHECK(now.sa_handler == old.sa_handler);
    signals();
    forgetful = 1;
    signals();
    action.sa_flags |= (int)SA_RESETHAND;
    CHECK(!sigaction(SIGUSR2, &action, NULL));
    raise(SIGUSR2);
    CHECK(seen == 23);
    // What was there before is put back; the host's own signal is then deadly, as it was at the start.
    CHECK(!sigaction(SIGUSR2, &old, NULL));
    puts("ok");
    fflush(stdout);
    raise(SIGUSR2);
    return 1;
}
