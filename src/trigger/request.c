// Requests for snapshots, and the work of the short-lived thread.
#include "trigger/request.h"

#include "core/owner.h"
#include "core/process.h"
#include "snapshot/snapshot.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/fpu.h"
#include "sys/io.h"
#include "sys/log.h"
#include "sys/memory.h"
#include "sys/raw.h"
#include "sys/seam.h"
#include "trigger/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define EXIT_DEADLINE_NS UINT64_C(20000000000)

static uint32_t ht_wanted; // bit for each trigger that was asked for and not begun
static uint32_t ht_exit_written;
static uint32_t ht_refused; // 1: no snapshot is begun (trigger/sandbox.c)
static uint32_t ht_exiting; // 1: none but the last one is begun
static uint32_t ht_complained;
static int ht_manual_result;      // of the last manual snapshot
static uint32_t ht_empty_seq;     // numbers of profiles written before there was a region
static struct stat ht_first_root; // the root directory that HEAPTAP_OUT is meant in
static struct ht_rotation ht_rotation;
static struct ht_identity ht_identity; // for empty profiles; used by one snapshot at a time

static uint64_t ht_memory_share(void)
{
    uint64_t share = ht_settings.memory_bytes / 4;
    return share < (UINT64_C(512) << 10) ? UINT64_C(512) << 10 : share;
}

// Ours beside the region: what we have mapped, and the pages of our zero-initialised data (filter, caches) in
// use.
static uint64_t ht_private_bytes(void)
{
    extern const char _edata[] __attribute__((visibility("hidden")));
    extern const char _end[] __attribute__((visibility("hidden")));
    return ht_memory_mapped_bytes() + ht_memory_resident_bytes(_edata, (uint64_t)(_end - _edata));
}

// In another root (chroot) the path may lead to a directory, and then profiles go there; none is made.
static bool ht_directory_can_be_made(void)
{
    struct stat root;
    return ht_raw4(SYS_newfstatat, AT_FDCWD, (long)"/", (long)&root, 0) == 0 &&
           root.st_dev == ht_first_root.st_dev && root.st_ino == ht_first_root.st_ino;
}

// Where it cannot be looked at (a filter refuses), opening it will tell.
static bool ht_directory_is_there(void)
{
    struct stat status;
    long result = ht_raw4(SYS_newfstatat, AT_FDCWD, (long)ht_settings.out_dir, (long)&status, 0);
    return result != -ENOENT && result != -ENOTDIR;
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
    struct ht_region *own = ht_process_region_if_made();
    struct ht_region *region = own != NULL ? own : ht_process_region_inherited();
    struct ht_snapshot_target target = {
        .rotation = &ht_rotation,
        .keep = ht_settings.keep,
        .rss_bytes = ht_snapshot_rss(0),
        .private_bytes = ht_private_bytes(),
        .deadline_ns = deadline_ns,
        .memory_bytes = ht_memory_share(),
    };
    if (!ht_directory_is_there() && !ht_directory_can_be_made()) {
        if (own != NULL) {
            ht_health_add(own->header, HT_HEALTH_SNAPSHOT_FAILURES, 1);
        }
        return -ENOENT;
    }
    if (region == NULL) {
        return ht_write_empty(trigger, &target);
    }
    struct ht_view view;
    // Not beyond what is backed now: what comes later is absent, as if it had come after the snapshot.
    if (ht_view_init(&view, region->base, ht_load_acquire(&region->backed_bytes)) != HT_VIEW_OK) {
        return -EIO;
    }
    target.header = region->header;
    ht_store_relaxed(&region->header->health[HT_HEALTH_PRIVATE_BYTES], target.private_bytes);
    return ht_snapshot_write(&view, trigger, &target, NULL, 0);
}

// What is asked for while the process exits is not noted: requests that keep coming, faster than they are
// served, would keep the exit waiting until its deadline.
static bool ht_may_ask(void)
{
    return !ht_load_acquire(&ht_refused) && !ht_load_acquire(&ht_exiting);
}

static int ht_serve_one(enum ht_trigger trigger)
{
    if (ht_load_acquire(&ht_refused)) {
        return -EAGAIN;
    }
    return ht_write_one(trigger,
                        trigger == HT_TRIGGER_EXIT ? ht_clock_raw_monotonic_ns() + EXIT_DEADLINE_NS : 0);
}

// Context: bare thread, or the exiting thread where no thread can be had.
static void ht_serve(void *arg)
{
    (void)arg;
    uint32_t wanted;
    while ((wanted = ht_swap_acqrel(&ht_wanted, 0)) != 0) {
        HT_SEAM(request_taken);
        for (int trigger = HT_TRIGGER_COUNT - 1; trigger >= 0; trigger--) {
            if ((wanted & (1u << trigger)) == 0) {
                continue;
            }
            int error = ht_serve_one((enum ht_trigger)trigger);
            if (trigger == HT_TRIGGER_MANUAL) {
                ht_store_release(&ht_manual_result, error); // the caller tells its user
            } else if (error == 0 && trigger == HT_TRIGGER_EXIT) {
                ht_store_release(&ht_exit_written, 1);
            } else if (error != 0 && error != -EAGAIN && ht_swap_acqrel(&ht_complained, 1) == 0) {
                ht_log_error("cannot write a snapshot into", ht_settings.out_dir, error);
            }
        }
    }
}

void ht_request_start(void)
{
    ht_thread_start();
    ht_raw4(SYS_newfstatat, AT_FDCWD, (long)"/", (long)&ht_first_root, 0);
    // While it can still be made for all: who writes the first profile may have dropped its rights.
    if (ht_raw0(SYS_geteuid) == 0) {
        ht_file_make_directory(ht_settings.out_dir);
    }
}

void ht_request_refuse(uint64_t deadline_ns)
{
    ht_store_release(&ht_refused, 1);
    ht_thread_wait(deadline_ns);
}

void ht_request_allow(void)
{
    ht_store_release(&ht_refused, 0);
}

// A process that shares this memory without being its owner (a vfork child) has no thread of ours: it would
// die in the middle of its work when that process execs, or decide its exit status.
static bool ht_request_is_ours(void)
{
    return ht_owner_pid() == ht_raw_pid();
}

void ht_request(enum ht_trigger trigger)
{
    if (!ht_may_ask()) {
        return;
    }
    __atomic_fetch_or(&ht_wanted, 1u << trigger, __ATOMIC_ACQ_REL);
    if (ht_request_is_ours()) {
        ht_thread_run(ht_serve, NULL);
    }
}

void ht_request_again(void)
{
    if (ht_unlikely(ht_load_relaxed(&ht_wanted) != 0) && !ht_load_acquire(&ht_refused) &&
        ht_request_is_ours() && !ht_thread_busy()) {
        ht_thread_run(ht_serve, NULL);
    }
}

static bool ht_request_wait(uint64_t deadline_ns)
{
    HT_SEAM(request_waits);
    if (!ht_thread_wait(deadline_ns)) {
        struct ht_region *region = ht_process_region_if_made();
        if (region != NULL) {
            ht_health_add(region->header, HT_HEALTH_SNAPSHOT_SKIPPED, 1);
        }
        return false;
    }
    HT_SEAM(request_waited);
    return true;
}

// Has these triggers (a bit each) served, and waits until that is done. False: the deadline came first.
static bool ht_request_served(uint32_t triggers, uint64_t deadline_ns)
{
    __atomic_fetch_or(&ht_wanted, triggers, __ATOMIC_ACQ_REL);
    do {
        if (!ht_thread_run(ht_serve, NULL)) {
            ht_thread_here(ht_serve, NULL); // where no thread can be had
        }
        // A thread that was under way may end without having seen our bit.
        if (!ht_request_wait(deadline_ns)) {
            return false;
        }
    } while ((ht_load_acquire(&ht_wanted) & triggers) != 0);
    // Another one, begun for somebody else since then, may have taken our bit and be at it.
    return ht_request_wait(deadline_ns);
}

int ht_request_now(uint64_t deadline_ns)
{
    if (!ht_request_is_ours() || !ht_may_ask()) {
        return -EAGAIN;
    }
    return ht_request_served(1u << HT_TRIGGER_MANUAL, deadline_ns) ? ht_load_acquire(&ht_manual_result)
                                                                   : -EBUSY;
}

bool ht_request_exit(bool last)
{
    ht_store_release(&ht_exiting, 1);
    if (!last && ht_load_acquire(&ht_wanted) == 0 && !ht_thread_busy()) {
        return true;
    }
    uint64_t deadline = ht_clock_raw_monotonic_ns() + EXIT_DEADLINE_NS;
    if (ht_load_acquire(&ht_refused) || !ht_thread_wait(deadline)) {
        return !last;
    }
    uint32_t triggers = ht_load_acquire(&ht_wanted) | (last ? 1u << HT_TRIGGER_EXIT : 0);
    if (triggers != 0) {
        ht_request_served(triggers, deadline);
    }
    return !last || ht_load_acquire(&ht_exit_written) != 0;
}

void ht_request_fork_child(void)
{
    ht_thread_fork_child();
    // A signal that came before this handler may have had one begun here, which is not to be forgotten; from
    // now on none comes between.
    uint64_t eflags = ht_eflags_calm();
    uint64_t mask = ht_signal_mask(~UINT64_C(0));
    if (!ht_thread_busy()) {
        ht_store_relaxed(&ht_wanted, 0);
    }
    ht_signal_mask(mask);
    ht_eflags_restore(eflags);
    ht_exiting = 0;
    ht_exit_written = 0;
    ht_empty_seq = 0;
}

void ht_request_region_made(struct ht_region *region)
{
    ht_store_relaxed(&region->header->seq, ht_load_relaxed(&ht_empty_seq));
}
