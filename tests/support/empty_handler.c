// Preload with an empty handler for SIGUSR2: the program as it would be with any handler, for runs under a
// shower of signals that are compared with the shim's.
#include <signal.h>
#include <stddef.h>

static void on_signal(int number)
{
    (void)number;
}

__attribute__((constructor)) static void start(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK}, old;
    if (!sigaction(SIGUSR2, NULL, &old) && old.sa_handler == SIG_DFL)
        sigaction(SIGUSR2, &action, NULL);
}
