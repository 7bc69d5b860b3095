// A sample from draw to record: distance, stack, entry, totals, live table.
#include "heap/sample.h"

#include "core/callbacks.h"
#include "core/guard.h"
#include "core/process.h"
#include "core/scratch.h"
#include "heap/link.h"
#include "heap/real.h"
#include "record/held.h"
#include "record/live.h"
#include "record/stacks.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/raw.h"
#include "unwind/objects.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <sys/prctl.h>

#define TIMED_SHARE    16u
#define TIMED_LIMIT_NS UINT64_C(100000)

// splitmix64 (Steele, Lea, Flood 2014): one addition and a finaliser for each number; streams differ by their
// seeds.
static uint64_t ht_random_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

// Uniform in [0, 1).
static double ht_random_unit(struct ht_thread *thread)
{
    thread->random += UINT64_C(0x9E3779B97F4A7C15);
    return (double)(ht_random_mix(thread->random) >> 11) * 0x1p-53;
}

static void ht_draw_distance(struct ht_thread *thread, double rate_bytes)
{
    thread->rate_bytes = (float)rate_bytes;
    if (rate_bytes <= 1.0) {
        thread->countdown_bytes = 0; // every allocation, exactly
        return;
    }
    // The float is what the weights go by, so it is also what the draw goes by.
    double distance = -log1p(-ht_random_unit(thread)) * (double)thread->rate_bytes;
    thread->countdown_bytes = distance < 9e18 ? (uint64_t)distance : UINT64_C(9000000000000000000);
}

static double ht_rate_now(const struct ht_region *region)
{
    double rate = (double)ht_settings.rate_bytes;
    if (region != NULL) {
        double floor_bytes = (double)ht_live_floor(region->header);
        rate = (double)ht_load_relaxed(&region->header->rate_bytes);
        rate = rate > floor_bytes ? rate : floor_bytes;
    }
    return rate;
}

static uint64_t ht_process_seed(void)
{
    static uint64_t ht_seed;
    uint64_t seed = ht_load_relaxed(&ht_seed);
    if (seed == 0) {
        seed = ht_settings.seed;
        for (const char *name = ht_settings.program; seed != 0 && *name != '\0'; name++) {
            seed =
                ht_random_mix(seed + (unsigned char)*name); // programs of one run have streams of their own
        }
        if (seed == 0) {
            seed = ht_unique_number();
        }
        ht_store_relaxed(&ht_seed, seed);
    }
    return seed;
}

// Seeds this thread's stream and draws the first distance, so that the first allocation is as likely a sample
// as any other. In a forked child that replaces what was left of the parent's distance.
static bool ht_thread_begin(struct ht_thread *thread)
{
    static uint64_t ht_threads;
    struct ht_guard guard = ht_guard_enter(HT_SETUP);
    bool ready = ht_callbacks.start();
    if (ready) {
        uint64_t ordinal = ht_add_relaxed(&ht_threads, 1) + 1;
        thread->generation = ht_generation;
        thread->label_ref = 0;
        thread->label_name[0] = '\0';
        thread->random =
            ht_random_mix(ht_process_seed() + ht_random_mix(ht_lineage) + ht_random_mix(ordinal << 32));
        ht_draw_distance(thread, ht_rate_now(ht_process_region_if_made()));
    }
    ht_guard_leave(guard);
    return ready;
}

// A broken invariant or too much waiting: nothing is recorded any more, the host runs on, and one line says
// so.
static void HT_COLD ht_give_up(struct ht_region *region)
{
    static uint32_t ht_given_up;
    uint32_t blocked = ht_load_relaxed(&region->header->failed) == HT_FAILURE_BLOCKED;
    ht_store_relaxed(&region->header->failed, blocked ? HT_FAILURE_BLOCKED : HT_FAILURE_BROKEN);
    ht_store_relaxed(&ht_settings.on, false);
    if (ht_swap_acqrel(&ht_given_up, 1) == 0) {
        ht_log_error(
            blocked
                ? "recording is switched off for good: the program's threads waited too long for each other"
                : "recording is switched off for good: the recorder's tables were written over or cut off",
            NULL, 0);
    }
}

// The region while it can be trusted, else NULL.
static struct ht_region *ht_sound(struct ht_region *region)
{
    if (region == NULL) {
        return NULL;
    }
    if (ht_likely(ht_load_relaxed(&region->header->failed) == 0 && ht_region_is_sound(region))) {
        return region;
    }
    ht_give_up(region);
    return NULL;
}

// What we ourselves cost: every 16th sample, and every 16th free of one, is timed. 0: not this one.
static uint64_t ht_timed_begin(const struct ht_thread *thread)
{
    return (thread->random >> 40) % TIMED_SHARE == 0 ? ht_clock_monotonic_ns() : 0;
}

static void ht_timed_end(struct ht_region *region, uint64_t begun_ns)
{
    if (ht_unlikely(begun_ns != 0) && region != NULL) {
        uint64_t ns = ht_clock_monotonic_ns() - begun_ns;
        // The scheduler's time is not ours; what takes so long by itself is rare.
        ht_health_add(region->header, HT_HEALTH_RECORDER_NS,
                      (ns < TIMED_LIMIT_NS ? ns : TIMED_LIMIT_NS) * TIMED_SHARE);
    }
}

bool ht_sample_due(size_t size_bytes, const void *caller, float *ret_rate_bytes)
{
    struct ht_thread *thread = &ht_thread;
    if (thread->inside) {
        struct ht_region *region = ht_process_region_if_made();
        if (region != NULL && thread->inside == HT_RECORDING) {
            ht_health_add(region->header, HT_HEALTH_DROP_REENTRANT, 1);
        }
        return false;
    }
    if (ht_unlikely(thread->generation != ht_load_relaxed(&ht_generation)) && !ht_thread_begin(thread)) {
        return false;
    }
    if (!ht_load_relaxed(&ht_settings.on)) {
        thread->countdown_bytes = INT64_MAX;
        return false;
    }
    if (!ht_charge_slow(size_bytes)) {
        return false;
    }
    struct ht_guard guard = ht_guard_enter(HT_RECORDING);
    struct ht_region *region = ht_sound(ht_process_region());
    *ret_rate_bytes = thread->rate_bytes;
    ht_draw_distance(thread, ht_rate_now(region));
    ht_guard_leave(guard);
    // Dormant: the distances are drawn as ever and their samples thrown away, so that figures are exact from
    // the moment of the start on. So are those of what an allocator asks for on its way: it was charged on
    // the fast path as well.
    return region != NULL && ht_load_relaxed(&region->header->active) && !ht_link_is_inside(caller);
}

// The calling thread's name, remembered in the region once for each name.
static uint32_t ht_thread_label(struct ht_region *region, struct ht_thread *thread)
{
    char name[16] = "";
    ht_raw2(SYS_prctl, PR_GET_NAME, (long)name);
    if (thread->label_ref == 0 || memcmp(name, thread->label_name, sizeof name) != 0) {
        memcpy(thread->label_name, name, sizeof name);
        thread->label_ref = ht_string_intern(region, name, (uint32_t)strnlen(name, sizeof name));
    }
    return thread->label_ref;
}

// The largest rate at which this sample would also have been seen. Given that it was seen at `rate`, the
// latent uniform v of the Poisson process is below P(size, rate); it is seen at rate F when v < 1 -
// exp(-size/F).
static float ht_draw_rank(struct ht_thread *thread, uint64_t size_bytes, double probability,
                          double rate_bytes)
{
    double v = ht_random_unit(thread) * probability;
    double cost = size_bytes == 0 ? 1.0 : (double)size_bytes;
    double rank = v > 0 ? cost / -log1p(-v) : (double)FLT_MAX;
    if (rank > (double)FLT_MAX) {
        rank = (double)FLT_MAX;
    }
    float rounded = (float)rank;
    float least = nextafterf((float)rate_bytes, FLT_MAX);
    return rate_bytes > 1.0 && rounded < least ? least : rounded;
}

// Whether the interposer behind us made this allocation while it served one that we have seen
// (heap/real.c).
static bool HT_COLD ht_came_back(const struct ht_unwind_scratch *scratch, unsigned frame_count)
{
    uint32_t object = frame_count > 0 ? ht_objects_resolve(scratch->pcs[0]) : HT_OBJECT_NONE;
    return object != HT_OBJECT_NONE && object == ht_objects_resolve(ht_real_interposer);
}

// A callback of the allocator's, then, of the host's own making.
static bool ht_goes_through_allocator(const struct ht_unwind_scratch *scratch, unsigned frame_count)
{
    bool goes = false;
    for (unsigned i = 0; i < frame_count; i++) {
        goes |= ht_code_has(&ht_real_code, scratch->pcs[i]);
    }
    return goes;
}

// 0: not to be recorded.
static uint32_t ht_entry_of_stack(struct ht_region *region, struct ht_thread *thread, uint64_t size_bytes,
                                  const struct ht_unwind_start *start, bool *ret_is_calm)
{
    uint32_t bit = 0;
    struct ht_unwind_scratch *scratch = ht_scratch_take(region, &bit);
    if (scratch == NULL) {
        ht_health_add(region->header, HT_HEALTH_DROP_SCRATCH, 1);
        return 0;
    }
    struct ht_unwind_result result;
    ht_unwind(scratch, &thread->window, start, &result);
    if (ht_unlikely(thread->passing != 0) && ht_came_back(scratch, result.frame_count)) {
        ht_scratch_give(bit);
        return 0;
    }
    uint32_t flags = 0;
    if (result.truncated) {
        flags = HT_STACK_TRUNCATED;
        ht_health_add(region->header, HT_HEALTH_TRUNCATED_STACKS, 1);
    } else if (result.failed) {
        flags = HT_STACK_FAILED;
        ht_health_add(region->header, HT_HEALTH_FAILED_UNWINDS, 1);
    }
    uint32_t label_ref = (region->header->labels & HT_LABELS_THREAD) ? ht_thread_label(region, thread) : 0;
    *ret_is_calm = result.is_calm && !ht_goes_through_allocator(scratch, result.frame_count);
    unsigned frames = ht_link_drop_frames(scratch->pcs, result.frame_count);
    uint32_t ref = ht_entry_intern(region, HT_KIND_HEAP, scratch->pcs, frames, flags,
                                   ht_size_class(size_bytes), label_ref);
    ht_scratch_give(bit);
    return ref;
}

static void ht_track(const struct ht_region *region, const struct ht_live_copy *live, int sign,
                     uint64_t now_ns)
{
    double bytes = ht_live_weight(live, (double)ht_live_floor(region->header)) * (double)live->size_bytes;
    ht_held_add(region->header, bytes < 9e18 ? sign * (int64_t)bytes : 0, now_ns);
}

void ht_sample_record(const void *block, size_t size_bytes, float rate_bytes,
                      const struct ht_unwind_start *start)
{
    struct ht_thread *thread = &ht_thread;
    struct ht_guard guard = ht_guard_enter(HT_RECORDING);
    uint64_t begun_ns = ht_timed_begin(thread);
    struct ht_region *region = ht_process_region(); // sound a moment ago, in ht_sample_due
    bool is_calm = false;
    uint32_t entry_ref = region != NULL ? ht_entry_of_stack(region, thread, size_bytes, start, &is_calm) : 0;
    if (entry_ref != 0) {
        double rate = (double)rate_bytes;
        double probability = ht_probability(size_bytes, rate);
        struct ht_live_copy live = {
            .address = (uint64_t)(uintptr_t)block,
            .size_bytes = size_bytes,
            .birth_ns = ht_clock_monotonic_ns(),
            .rate_bytes = rate_bytes,
            .rank_bytes = ht_draw_rank(thread, size_bytes, probability, rate),
            .entry_ref = entry_ref,
        };
        ht_entry_add(region, entry_ref, size_bytes, 1.0 / probability, ht_random_unit(thread));
        // A distance drawn before a thinning may end in a sample that the thinning would have given up.
        if (live.rank_bytes > ht_live_floor(region->header) && ht_live_insert(region, &live)) {
            ht_track(region, &live, 1, live.birth_ns);
        }
    }
    if (region != NULL) {
        ht_callbacks.after_event(region, is_calm);
    }
    ht_timed_end(region, begun_ns);
    ht_guard_leave(guard);
}

bool ht_sample_forget(const void *block, struct ht_live_copy *ret_live)
{
    struct ht_thread *thread = &ht_thread;
    struct ht_guard guard = ht_guard_enter(HT_RECORDING);
    bool found = false;
    uint64_t begun_ns = ht_timed_begin(thread);
    struct ht_region *region = ht_process_region_if_made();
    if (region == NULL && ht_process_is_copy() && !guard.inside) {
        region = ht_process_region(); // the first own event of a forked child
    }
    region = ht_sound(region);
    if (region != NULL && ht_live_remove(region, (uint64_t)(uintptr_t)block, ret_live)) {
        ht_track(region, ret_live, -1, ht_clock_monotonic_ns());
        found = true;
    }
    ht_timed_end(region, begun_ns);
    ht_guard_leave(guard);
    return found;
}

void ht_sample_restore(const struct ht_live_copy *live)
{
    struct ht_guard guard = ht_guard_enter(HT_RECORDING);
    struct ht_region *region = ht_sound(ht_process_region_if_made());
    if (region != NULL && ht_live_insert(region, live)) {
        ht_track(region, live, 1, ht_clock_monotonic_ns());
    }
    ht_guard_leave(guard);
}

void ht_sample_freed(void)
{
    struct ht_region *region = ht_process_region_if_made();
    if (ht_thread.inside || region == NULL) {
        return;
    }
    struct ht_guard guard = ht_guard_enter(HT_RECORDING);
    ht_callbacks.after_event(region, false);
    ht_guard_leave(guard);
}
