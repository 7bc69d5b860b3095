// Writes the control words of a region.
#include "record/control.h"

#include "sys/atomic.h"

void ht_control_activate(struct ht_region_header *header, uint64_t now_ns)
{
    uint64_t never = 0;
    uint64_t stopped_ns = ht_swap_acqrel(&header->stopped_since_ns, 0);
    if (!ht_cas_acqrel(&header->first_active_ns, &never, now_ns) && stopped_ns != 0 && stopped_ns < now_ns) {
        ht_add_relaxed(&header->inactive_ns, now_ns - stopped_ns);
    }
    ht_store_release(&header->active, 1); // last: a hook that sees it finds the times
}

void ht_control_deactivate(struct ht_region_header *header, uint64_t now_ns)
{
    if (ht_swap_acqrel(&header->active, 0) != 0) {
        ht_store_relaxed(&header->stopped_since_ns, now_ns);
    }
}
