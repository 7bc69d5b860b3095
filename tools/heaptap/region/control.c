// Control words of a live region: writes them through a mapping of its header.
#include "region/control.h"

#include "base/clock.h"
#include "base/error.h"
#include "record/control.h"
#include "sys/atomic.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

static sigjmp_buf cut_off;

static void on_bus_error(int signal)
{
    siglongjmp(cut_off, signal);
}

static bool is_ours(const struct ht_region_header *header)
{
    return ht_load_acquire(&header->magic) == HT_REGION_MAGIC && header->version == HT_REGION_VERSION;
}

int ht_control_apply(int fd, void (*change)(struct ht_region_header *header, void *arg), void *arg)
{
    struct ht_region_header *header =
        mmap(NULL, HT_REGION_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED)
        return ht_fail_errno("its region cannot be mapped for writing");
    struct sigaction action = {.sa_handler = on_bus_error}, before;
    volatile int result = 0;
    sigaction(SIGBUS, &action, &before);
    if (sigsetjmp(cut_off, 1) != 0)
        result =
            ht_fail("its region was cut off while it was being changed; nothing is recorded there any more");
    else if (!is_ours(header))
        result = ht_fail("its region is not of version %u; use the heaptap that came with its libheaptap.so",
                         HT_REGION_VERSION);
    else
        change(header, arg);
    sigaction(SIGBUS, &before, NULL);
    munmap(header, HT_REGION_HEADER_BYTES);
    return result;
}

static void look(const struct ht_region_header *header, struct ht_control_result *result)
{
    result->was_active = ht_load_relaxed(&header->active);
    result->failed = ht_load_relaxed(&header->failed);
    result->old_rate_bytes = ht_load_relaxed(&header->rate_bytes);
    result->first_active_ns = ht_load_relaxed(&header->first_active_ns);
}

void ht_control_start(struct ht_region_header *header, void *result)
{
    look(header, result);
    ht_control_activate(header, ht_clock_ns(CLOCK_MONOTONIC));
}

void ht_control_stop(struct ht_region_header *header, void *result)
{
    look(header, result);
    ht_control_deactivate(header, ht_clock_ns(CLOCK_MONOTONIC));
}

void ht_control_rate(struct ht_region_header *header, void *result)
{
    struct ht_control_result *change = result;
    look(header, change);
    ht_store_relaxed(&header->rate_bytes, change->new_rate_bytes);
}

void ht_control_count_snapshot(struct ht_region_header *header, void *written)
{
    const struct ht_control_written *what = written;
    ht_add_relaxed(&header->health[HT_HEALTH_SNAPSHOT_NS], what->recorder_ns);
    if (what->failed) {
        ht_add_relaxed(&header->health[HT_HEALTH_SNAPSHOT_FAILURES], 1);
        return;
    }
    ht_add_relaxed(&header->health[HT_HEALTH_SNAPSHOTS], 1);
    uint32_t next = ht_load_relaxed(&header->seq);
    while (next <= what->seq && !ht_cas_acqrel(&header->seq, &next, what->seq + 1)) {
    }
}

void ht_control_rate_text(uint64_t rate_bytes, char text[HT_RATE_TEXT_BYTES])
{
    static const char units[] = " KMGT";
    unsigned unit = 0;
    uint64_t shown = rate_bytes;
    while (shown != 0 && shown % 1024 == 0 && unit < 4) {
        shown /= 1024;
        unit++;
    }
    snprintf(text, HT_RATE_TEXT_BYTES, unit == 0 ? "%" PRIu64 : "%" PRIu64 "%c", shown, units[unit]);
    if (rate_bytes <= 1)
        snprintf(text, HT_RATE_TEXT_BYTES, "1 (exact)");
}
