// The handler of the snapshot signal: does almost nothing, and leaves what is not ours as it would be without
// us.
#include "trigger/signal.h"

#include "core/process.h"
#include "sys/atomic.h"
#include "sys/compiler.h"
#include "sys/raw.h"
#include "trigger/handler.h"
#include "trigger/request.h"
#include "unwind/objects.h"

#include <errno.h>
#include <signal.h>

static void ht_on_signal(int signal, siginfo_t *info, void *context);

static int ht_snapshot_signal; // 0: none is wanted

// A handler that the host installed later calls the one that was there before, ours. The signal is the host's
// then, deadly to nobody, and `info` may be anything: the host need not know that there is one.
static bool ht_signal_is_chained(int signal)
{
    uintptr_t handler;
    return ht_handler_of(signal, &handler) && handler != (uintptr_t)ht_on_signal;
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
        ht_handler_put_default(signal);
        // The host has just made these calls itself.
        ht_raw_open6(SYS_tgkill, pid, ht_raw_open6(SYS_gettid, 0, 0, 0, 0, 0, 0), signal, 0, 0, 0);
    }
    errno = saved;
}

static bool ht_is_of_host(uintptr_t handler)
{
    return handler != (uintptr_t)SIG_DFL && handler != (uintptr_t)SIG_IGN &&
           handler - ht_objects_own_start >= ht_objects_own_limit - ht_objects_own_start;
}

bool ht_signal_none_of_host(void)
{
    bool none = true;
    for (int signal = 1; signal <= 64 && none; signal++) {
        uintptr_t handler = (uintptr_t)SIG_DFL;
        // 32 and 33 are libc's own (nptl): their handlers wait for nobody. KILL and STOP have none.
        if (signal != SIGKILL && signal != SIGSTOP && signal != 32 && signal != 33) {
            none = ht_handler_of(signal, &handler) && !ht_is_of_host(handler);
        }
    }
    return none;
}

void ht_signal_install(int signal)
{
    ht_snapshot_signal = signal;
    if (signal != 0) {
        ht_handler_install(signal, ht_on_signal);
    }
}

void ht_signal_tell(struct ht_region *region)
{
    struct ht_region_header *header = region->header;
    uint32_t asked = ht_load_acquire(&header->signal_asked);
    if (ht_likely(asked == ht_load_relaxed(&header->signal_answered) &&
                  ht_load_relaxed(&header->signal_owner) != HT_SIGNAL_UNKNOWN)) {
        return;
    }
    uint32_t owner = HT_SIGNAL_NONE;
    uintptr_t handler;
    if (ht_snapshot_signal != 0) {
        // A vfork child in this memory has handlers of its own; under a seccomp filter nothing can be found
        // out.
        if (header->pid != (uint32_t)ht_raw0(SYS_getpid) || !ht_handler_of(ht_snapshot_signal, &handler)) {
            return;
        }
        owner = handler == (uintptr_t)ht_on_signal ? HT_SIGNAL_OURS
                : handler == (uintptr_t)SIG_DFL    ? HT_SIGNAL_DEFAULT
                : handler == (uintptr_t)SIG_IGN    ? HT_SIGNAL_IGNORED
                                                   : HT_SIGNAL_PROGRAM;
    }
    ht_store_relaxed(&header->signal_number, (uint32_t)ht_snapshot_signal);
    ht_store_relaxed(&header->signal_owner, owner);
    ht_store_release(&header->signal_answered, asked);
}
