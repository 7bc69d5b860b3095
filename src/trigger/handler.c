// Signal handlers by libc's sigaction, which brings what a return from one needs, and by the kernel's answer.
#include "trigger/handler.h"

#include "sys/raw.h"

#include <string.h>

bool ht_handler_of(int signal, uintptr_t *ret_handler)
{
    uintptr_t installed[4]; // unlike libc's, the kernel's struct begins with the handler
    if (ht_raw4(SYS_rt_sigaction, signal, 0, (long)installed, 8) != 0) {
        return false;
    }
    *ret_handler = installed[0];
    return true;
}

bool ht_handler_is(int signal, void (*handler)(int, siginfo_t *, void *))
{
    uintptr_t installed;
    return ht_handler_of(signal, &installed) && installed == (uintptr_t)handler;
}

void ht_handler_install(int signal, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction old;
    if (sigaction(signal, NULL, &old) != 0 || (old.sa_flags & SA_SIGINFO) != 0 || old.sa_handler != SIG_DFL) {
        return;
    }
    struct sigaction ours;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = handler;
    ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    sigaction(signal, &ours, NULL);
}

void ht_handler_put_default(int signal)
{
    struct sigaction fallback;
    memset(&fallback, 0, sizeof fallback);
    fallback.sa_handler = SIG_DFL;
    sigaction(signal, &fallback, NULL);
}
