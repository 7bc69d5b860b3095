// The shim's end of the link to a companion library.
#include "heap/link.h"

#include "core/guard.h"
#include "heap/sample.h"
#include "record/filter.h"
#include "sys/atomic.h"
#include "sys/compiler.h"
#include "unwind/objects.h"

static struct ht_code_range ht_companion, ht_allocator; // set once, at load
static uint32_t ht_joined;
static bool ht_records;

bool ht_link_is_inside(const void *caller)
{
    const struct ht_code_range own = {ht_objects_own_start, ht_objects_own_limit};
    uintptr_t pc = (uintptr_t)caller;
    return ht_unlikely(ht_records) &&
           (ht_code_has(&ht_companion, pc) || ht_code_has(&ht_allocator, pc) || ht_code_has(&own, pc));
}

unsigned ht_link_drop_frames(uintptr_t *pcs, unsigned count)
{
    if (ht_likely(ht_companion.limit == 0)) {
        return count;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!ht_code_has(&ht_companion, pcs[i])) {
            pcs[kept++] = pcs[i];
        }
    }
    return kept;
}

static void ht_quietly(void (*fn)(void *arg), void *arg)
{
    struct ht_guard guard = ht_guard_enter(HT_SETUP);
    fn(arg);
    ht_guard_leave(guard);
}

static bool ht_join(const struct ht_code_range *own, const struct ht_code_range *allocator, bool records)
{
    if (ht_swap_acqrel(&ht_joined, 1) != 0) {
        return own->start == ht_companion.start;
    }
    ht_companion = *own;
    if (records) {
        ht_real_keep_frames();
        ht_allocator = *allocator;
        ht_records = true;
    }
    return true;
}

HT_EXPORT const struct ht_link *heaptap_link_1(void)
{
    static struct ht_link link = {
        .filter_bytes = ht_filter_bytes,
        .filter_mask = &ht_filter_mask,
        .due = ht_sample_due,
        .record = ht_sample_record,
        .forget = ht_sample_forget,
        .restore = ht_sample_restore,
        .freed = ht_sample_freed,
        .quietly = ht_quietly,
        .join = ht_join,
    };
    link.countdown_offset = (intptr_t)&ht_thread.countdown_bytes - (intptr_t)ht_arch_thread_pointer();
    return &link;
}
