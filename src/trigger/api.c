// The calls of include/heaptap/heaptap.h.
#include "heaptap/heaptap.h"

#include "capture/process.h"
#include "capture/thread.h"
#include "record/control.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/compiler.h"
#include "trigger/request.h"

#include <errno.h>

#define SNAPSHOT_DEADLINE_NS UINT64_C(20000000000)

// The calling thread's allocations meanwhile are ours (SETUP), and errno is the host's.
struct ht_call {
    uint32_t inside;
    int saved;
};

static struct ht_call ht_call_begin(void)
{
    struct ht_call call = {ht_thread.inside, errno};
    ht_thread.inside = HT_SETUP;
    return call;
}

static int ht_call_end(struct ht_call call, int result)
{
    ht_thread.inside = call.inside;
    errno = call.saved;
    return result;
}

static struct ht_region *ht_call_region(void)
{
    struct ht_region *region = ht_start() && ht_load_relaxed(&ht_settings.on) ? ht_process_region() : NULL;
    return region != NULL && ht_load_relaxed(&region->header->failed) == 0 ? region : NULL;
}

HT_EXPORT int heaptap_snapshot(void)
{
    struct ht_call call = ht_call_begin();
    if (!ht_start() || !ht_load_relaxed(&ht_settings.on)) {
        return ht_call_end(call, -EAGAIN);
    }
    return ht_call_end(call, ht_request_now(ht_clock_raw_monotonic_ns() + SNAPSHOT_DEADLINE_NS));
}

HT_EXPORT int heaptap_start(void)
{
    struct ht_call call = ht_call_begin();
    struct ht_region *region = ht_call_region();
    if (region == NULL) {
        return ht_call_end(call, -EAGAIN);
    }
    ht_control_activate(region->header, ht_clock_monotonic_ns());
    return ht_call_end(call, 0);
}

HT_EXPORT int heaptap_stop(void)
{
    struct ht_call call = ht_call_begin();
    struct ht_region *region = ht_call_region();
    if (region == NULL) {
        return ht_call_end(call, -EAGAIN);
    }
    ht_control_deactivate(region->header, ht_clock_monotonic_ns());
    return ht_call_end(call, 0);
}
