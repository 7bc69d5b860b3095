// A preload that gives a signal an empty handler, as the shim does: what still differs then comes from EINTR.
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void ignore(int number)
{
    (void)number;
}

__attribute__((constructor)) static void load(void)
{
    const char *name = getenv("HT_HANDLER_SIGNAL");
    int number = name != NULL ? atoi(name) : SIGUSR2;
    struct sigaction old;
    if (sigaction(number, NULL, &old) == 0 && (old.sa_flags & SA_SIGINFO) == 0 && old.sa_handler == SIG_DFL) {
        struct sigaction ours;
        memset(&ours, 0, sizeof ours);
        ours.sa_handler = ignore;
        ours.sa_flags = SA_RESTART;
        sigaction(number, &ours, NULL);
    }
}
