// What a host's thread finds as it was after we have been at work on it: errno, the processor's state, and
// where the thread is.
#ifndef HT_CORE_GUARD_H
#define HT_CORE_GUARD_H

#include "core/thread.h"
#include "sys/fpu.h"

#include <errno.h>
#include <stdint.h>

struct ht_guard {
    struct ht_fpu fpu;
    uint32_t inside;
    int saved_errno;
};

// From here to ht_guard_leave the thread's allocations are ours. Guards nest. Context: any; a few cycles.
static inline struct ht_guard ht_guard_enter(enum ht_inside inside)
{
    struct ht_guard guard = {ht_fpu_enter(), ht_thread.inside, errno};
    ht_thread.inside = inside;
    return guard;
}

static inline void ht_guard_leave(struct ht_guard guard)
{
    ht_thread.inside = guard.inside;
    errno = guard.saved_errno;
    ht_fpu_leave(guard.fpu);
}

#endif
