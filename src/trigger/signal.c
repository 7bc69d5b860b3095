// The handler of the snapshot signal: does almost nothing, and leaves what is not ours as it would be without
// us.
#include "trigger/signal.h"

#include "capture/process.h"
#include "sys/raw.h"
#include "trigger/request.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static void ht_on_signal(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    long pid = ht_raw0(SYS_getpid);
    if ((info->si_code == SI_USER || info->si_code == SI_QUEUE) && info->si_pid != pid) {
        struct ht_region *region = ht_process_region_if_made();
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
        ht_raw3(SYS_tgkill, pid, ht_raw0(SYS_gettid), signal);
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
