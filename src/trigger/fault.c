// Survives a region's file that is cut off: puts private memory in its place, and recording ends.
//
// A file on a tmpfs can be truncated by its user at any moment (a cleaner of /dev/shm, a slip), and no lock
// or seal holds it without a descriptor. Looking before each use would cost a system call for each sample.
// What is not survived: a host with a handler of its own for SIGBUS, or a thread that blocks it.
#include "trigger/fault.h"

#include "core/process.h"
#include "sys/compiler.h"
#include "sys/raw.h"
#include "trigger/handler.h"

#include <errno.h>
#include <signal.h>

// Also in a process that shares its maker's memory: its touch has found out what the other would have.
static void ht_on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    // Called by a handler that the host installed later, `info` may be anything. Where the kernel may not be
    // asked (trigger/sandbox.h), it is ours as far as anybody knows.
    uintptr_t handler;
    bool ours = !ht_handler_of(SIGBUS, &handler) || handler == (uintptr_t)ht_on_fault;
    if (!ours || info->si_code != BUS_ADRERR || !ht_process_replace_region((uintptr_t)info->si_addr)) {
        ht_handler_put_default(signal);
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
    if (signal != 0 && ht_settings.live_dir[0] != '\0') {
        ht_handler_install(SIGBUS, ht_on_fault);
    }
}

uint64_t ht_fault_mask(void)
{
    return ht_handler_is(SIGBUS, ht_on_fault) ? UINT64_C(1) << (SIGBUS - 1) : 0;
}
