// The calls of include/heaptap/heaptap.h.
#include "heaptap/heaptap.h"

#include "core/guard.h"
#include "core/process.h"
#include "record/control.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/compiler.h"
#include "trigger/request.h"
#include "trigger/start.h"

#include <errno.h>

#define SNAPSHOT_DEADLINE_NS UINT64_C(20000000000)

static int ht_call_end(struct ht_guard guard, int result)
{
    ht_guard_leave(guard);
    return result;
}

static struct ht_region *ht_call_region(void)
{
    struct ht_region *region = ht_start() && ht_load_relaxed(&ht_settings.on) ? ht_process_region() : NULL;
    return region != NULL && ht_load_relaxed(&region->header->failed) == 0 ? region : NULL;
}

HT_EXPORT int heaptap_snapshot(void)
{
    struct ht_guard guard = ht_guard_enter(HT_SETUP);
    if (!ht_start() || !ht_load_relaxed(&ht_settings.on)) {
        return ht_call_end(guard, -EAGAIN);
    }
    return ht_call_end(guard, ht_request_now(ht_clock_raw_monotonic_ns() + SNAPSHOT_DEADLINE_NS));
}

HT_EXPORT int heaptap_start(void)
{
    struct ht_guard guard = ht_guard_enter(HT_SETUP);
    struct ht_region *region = ht_call_region();
    if (region == NULL) {
        return ht_call_end(guard, -EAGAIN);
    }
    ht_control_activate(region->header, ht_clock_monotonic_ns());
    return ht_call_end(guard, 0);
}

HT_EXPORT int heaptap_stop(void)
{
    struct ht_guard guard = ht_guard_enter(HT_SETUP);
    struct ht_region *region = ht_call_region();
    if (region == NULL) {
        return ht_call_end(guard, -EAGAIN);
    }
    ht_control_deactivate(region->header, ht_clock_monotonic_ns());
    return ht_call_end(guard, 0);
}
