// Requests for snapshots, and the work of the short-lived thread.
#include "trigger/request.h"

#include "capture/process.h"
#include "snapshot/snapshot.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/raw.h"
#include "trigger/thread.h"

#include <errno.h>

#define EXIT_DEADLINE_NS UINT64_C(20000000000)

static uint32_t ht_wanted; // bit for each trigger that was asked for and not begun
static uint32_t ht_exit_written;
static uint32_t ht_complained;
static uint32_t ht_empty_seq; // numbers of profiles written before there was a region
static struct ht_rotation ht_rotation;
static struct ht_identity ht_identity; // for empty profiles; used by one snapshot at a time

static uint64_t ht_memory_share(void)
{
    uint64_t share = ht_settings.memory_bytes / 4;
    return share < (UINT64_C(512) << 10) ? UINT64_C(512) << 10 : share;
}

static int ht_write_empty(enum ht_trigger trigger, const struct ht_snapshot_target *target)
{
    ht_process_identity(&ht_identity);
    struct ht_snapshot_target own = *target;
    own.seq = &ht_empty_seq;
    return ht_snapshot_empty(&ht_identity, trigger, &own, NULL, 0);
}

static int ht_write_one(enum ht_trigger trigger, uint64_t deadline_ns)
{
    struct ht_region *region = ht_process_region_if_made();
    struct ht_snapshot_target target = {
        .rotation = &ht_rotation,
        .keep = ht_settings.keep,
        .rss_bytes = ht_snapshot_rss(0),
        .deadline_ns = deadline_ns,
        .memory_bytes = ht_memory_share(),
    };
    if (region == NULL) {
        return ht_write_empty(trigger, &target);
    }
    struct ht_view view;
    if (ht_view_init(&view, region->base, region->header->size_bytes) != HT_VIEW_OK) {
        return -EIO;
    }
    target.header = region->header;
    return ht_snapshot_write(&view, trigger, &target, NULL, 0);
}

// Context: bare thread, or the exiting thread where no thread can be had.
static void ht_serve(void *arg)
{
    (void)arg;
    uint32_t wanted;
    while ((wanted = ht_swap_acqrel(&ht_wanted, 0)) != 0) {
        for (int trigger = HT_TRIGGER_COUNT - 1; trigger >= 0; trigger--) {
            if ((wanted & (1u << trigger)) == 0) {
                continue;
            }
            uint64_t deadline =
                trigger == HT_TRIGGER_EXIT ? ht_clock_raw_monotonic_ns() + EXIT_DEADLINE_NS : 0;
            int error = ht_write_one((enum ht_trigger)trigger, deadline);
            if (error == 0 && trigger == HT_TRIGGER_EXIT) {
                ht_store_release(&ht_exit_written, 1);
            } else if (error != 0 && ht_swap_acqrel(&ht_complained, 1) == 0) {
                ht_log_error("cannot write a snapshot into", ht_settings.out_dir, error);
            }
        }
    }
}

void ht_request(enum ht_trigger trigger)
{
    __atomic_fetch_or(&ht_wanted, 1u << trigger, __ATOMIC_ACQ_REL);
    ht_thread_run(ht_serve, NULL);
}

void ht_request_again(void)
{
    if (ht_unlikely(ht_load_relaxed(&ht_wanted) != 0) && !ht_thread_busy()) {
        ht_thread_run(ht_serve, NULL);
    }
}

bool ht_request_exit(void)
{
    uint64_t deadline = ht_clock_raw_monotonic_ns() + EXIT_DEADLINE_NS;
    if (!ht_thread_wait(deadline)) {
        return false;
    }
    __atomic_fetch_or(&ht_wanted, 1u << HT_TRIGGER_EXIT, __ATOMIC_ACQ_REL);
    if (ht_thread_run(ht_serve, NULL)) {
        ht_thread_wait(deadline);
    } else if (!ht_thread_busy()) {
        ht_serve(NULL);
    }
    return ht_load_acquire(&ht_exit_written) != 0;
}

void ht_request_fork_child(void)
{
    ht_wanted = 0;
    ht_exit_written = 0;
    ht_empty_seq = 0;
    ht_thread_fork_child();
}

void ht_request_region_made(struct ht_region *region)
{
    ht_store_relaxed(&region->header->seq, ht_load_relaxed(&ht_empty_seq));
}
