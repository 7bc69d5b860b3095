// The handler of the snapshot signal: does almost nothing, and leaves what is not ours as it would be without
// us.
#include "trigger/signal.h"

#include "core/process.h"
#include "sys/raw.h"
#include "trigger/request.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static void ht_on_signal(int signal, siginfo_t *info, void *context);

// A handler that the host installed later calls the one that was there before, ours. The signal is the host's
// then, deadly to nobody, and `info` may be anything: the host need not know that there is one.
static bool ht_signal_is_chained(int signal)
{
    uintptr_t installed[4]; // the kernel's struct sigaction: the handler comes first
    return ht_raw4(SYS_rt_sigaction, signal, 0, (long)installed, 8) == 0 &&
           installed[0] != (uintptr_t)ht_on_signal;
}

static void ht_on_signal(int signal, siginfo_t *info, void *context)
{
    (void)context;
    if (ht_signal_is_chained(signal)) {
        return;
    }
    int saved = errno;
    struct ht_region *region = ht_process_region_if_made();
    long pid = ht_raw_pid();
    if (pid == 0) {
        pid = region != NULL ? (long)region->header->pid : 0; // sealed: see trigger/sandbox.h
    }
    if ((info->si_code == SI_USER || info->si_code == SI_QUEUE) && info->si_pid != pid) {
        // A vfork child stands in its parent's memory: not its snapshot to take.
        if (region == NULL || region->header->pid == (uint32_t)pid) {
            ht_request(HT_TRIGGER_SIGNAL);
        }
    } else {
        // The program's own: without us it would have died of it. Delivered when the handler returns and
        // unblocks it.
        struct sigaction fallback;
        memset(&fallback, 0, sizeof fallback);
        fallback.sa_handler = SIG_DFL;
        sigaction(signal, &fallback, NULL);
        // The host has just made these calls itself.
        ht_raw_open6(SYS_tgkill, pid, ht_raw_open6(SYS_gettid, 0, 0, 0, 0, 0, 0), signal, 0, 0, 0);
    }
    errno = saved;
}

void ht_signal_install(int signal)
{
    struct sigaction old;
    if (signal == 0 || sigaction(signal, NULL, &old) != 0 || (old.sa_flags & SA_SIGINFO) != 0 ||
        old.sa_handler != SIG_DFL) {
        return;
    }
    struct sigaction ours;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = ht_on_signal;
    ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    sigaction(signal, &ours, NULL);
}
