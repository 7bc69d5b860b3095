// The pool of unwind buffers: as many threads as there are buffers can sample at once; the others wait.
#include "core/scratch.h"

#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/memory.h"
#include "sys/raw.h"

#define SCRATCH_COUNT 16u

static struct ht_unwind_scratch *ht_scratches;
static uint32_t ht_scratch_taken; // bit for each

struct ht_unwind_scratch *ht_scratch_take(struct ht_region *region, uint32_t *ret_bit)
{
    struct ht_unwind_scratch *pool = ht_load_acquire(&ht_scratches);
    if (ht_unlikely(pool == NULL)) {
        uint64_t bytes = SCRATCH_COUNT * sizeof(struct ht_unwind_scratch);
        struct ht_unwind_scratch *fresh = ht_memory_map(bytes);
        if (fresh == NULL) {
            return NULL;
        }
        if (ht_cas_acqrel(&ht_scratches, &pool, fresh)) {
            pool = fresh;
        } else {
            ht_memory_unmap(fresh, bytes);
        }
    }
    uint64_t waiting_ns = 0;
    struct ht_unwind_scratch *scratch = NULL;
    for (unsigned tries = 0; tries < 1000 && scratch == NULL; tries++) {
        uint32_t taken = ht_load_relaxed(&ht_scratch_taken);
        uint32_t free_bits = ~taken & ((1u << SCRATCH_COUNT) - 1);
        if (free_bits == 0) {
            waiting_ns = waiting_ns != 0 ? waiting_ns : ht_clock_monotonic_ns();
            ht_raw0(SYS_sched_yield);
            continue;
        }
        uint32_t bit = free_bits & (0u - free_bits);
        if (ht_cas_acqrel(&ht_scratch_taken, &taken, taken | bit)) {
            *ret_bit = bit;
            scratch = &pool[__builtin_ctz(bit)];
        }
    }
    if (ht_unlikely(waiting_ns != 0)) {
        ht_region_blocked(region, ht_clock_monotonic_ns() - waiting_ns);
    }
    return scratch;
}

void ht_scratch_give(uint32_t bit)
{
    __atomic_fetch_and(&ht_scratch_taken, ~bit, __ATOMIC_RELEASE);
}

void ht_scratch_after_fork(void)
{
    ht_scratch_taken = 0; // their holders do not exist in the child
}
