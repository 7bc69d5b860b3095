// Survives a region's file that is cut off: puts private memory in its place, and recording ends.
//
// A file on a tmpfs can be truncated by its user at any moment (a cleaner of /dev/shm, a slip), and no lock
// or seal holds it without a descriptor. Looking before each use would cost a system call for each sample.
// What is not survived: a host with a handler of its own for SIGBUS, or a thread that blocks it.
#include "trigger/fault.h"

#include "core/process.h"
#include "sys/compiler.h"
#include "sys/raw.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static void ht_on_fault(int signal, siginfo_t *info, void *context);

// The handler that the kernel has: unlike libc's, its struct begins with it.
static bool ht_fault_is_ours(void)
{
    uintptr_t installed[4];
    return ht_raw_open6(SYS_rt_sigaction, SIGBUS, 0, (long)installed, 8, 0, 0) == 0 &&
           installed[0] == (uintptr_t)ht_on_fault;
}

// Also in a process that shares its maker's memory: its touch has found out what the other would have.
static void ht_on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    // Called by a handler that the host installed later, `info` may be anything.
    bool ours = ht_fault_is_ours();
    if (!ours || info->si_code != BUS_ADRERR || !ht_process_replace_region((uintptr_t)info->si_addr)) {
        struct sigaction fallback;
        memset(&fallback, 0, sizeof fallback);
        fallback.sa_handler = SIG_DFL;
        sigaction(signal, &fallback, NULL);
        // A fault comes again when the handler returns; what was sent does not.
        if (ours && info->si_code <= 0) {
            ht_raw_open6(SYS_tgkill, ht_raw_open6(SYS_getpid, 0, 0, 0, 0, 0, 0),
                         ht_raw_open6(SYS_gettid, 0, 0, 0, 0, 0, 0), signal, 0, 0, 0);
        }
    }
    errno = saved;
}

void ht_fault_install(int signal)
{
    struct sigaction old;
    if (signal == 0 || ht_settings.live_dir[0] == '\0' || sigaction(SIGBUS, NULL, &old) != 0 ||
        (old.sa_flags & SA_SIGINFO) != 0 || old.sa_handler != SIG_DFL) {
        return;
    }
    struct sigaction ours;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = ht_on_fault;
    ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, &ours, NULL);
}

uint64_t ht_fault_mask(void)
{
    return ht_fault_is_ours() ? UINT64_C(1) << (SIGBUS - 1) : 0;
}
