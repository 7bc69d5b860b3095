// Clocks: libc's vdso call for hooks, the plain system call for everything else.
#include "sys/clock.h"

#include "sys/atomic.h"
#include "sys/raw.h"

#include <time.h>

// Strict seccomp mode also forbids the processor's time stamp counter, and with other clocks the vdso makes a
// system call: once sealed, time goes on by a microsecond with each look at it, so that it is monotonic and
// no wait is endless.
#define SEALED_STEP_NS 1000u
static uint64_t ht_sealed_monotonic_ns, ht_sealed_realtime_ns;

void ht_clock_seal(void)
{
    ht_store_relaxed(&ht_sealed_monotonic_ns, ht_clock_raw_monotonic_ns());
    ht_store_relaxed(&ht_sealed_realtime_ns, ht_clock_raw_realtime_ns());
}

static uint64_t ht_to_ns(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * UINT64_C(1000000000) + (uint64_t)time->tv_nsec;
}

static uint64_t ht_raw_clock(clockid_t clock)
{
    struct timespec now = {0, 0};
    ht_raw2(SYS_clock_gettime, clock, (long)&now);
    return ht_to_ns(&now);
}

uint64_t ht_clock_monotonic_ns(void)
{
    if (ht_unlikely(ht_load_relaxed(&ht_raw_sealed) != 0)) {
        return ht_add_relaxed(&ht_sealed_monotonic_ns, SEALED_STEP_NS);
    }
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail with this clock, so errno stays
    return ht_to_ns(&now);
}

uint64_t ht_clock_realtime_ns(void)
{
    if (ht_unlikely(ht_load_relaxed(&ht_raw_sealed) != 0)) {
        return ht_add_relaxed(&ht_sealed_realtime_ns, SEALED_STEP_NS);
    }
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    return ht_to_ns(&now);
}

uint64_t ht_clock_raw_monotonic_ns(void)
{
    return ht_raw_clock(CLOCK_MONOTONIC);
}

uint64_t ht_clock_raw_realtime_ns(void)
{
    return ht_raw_clock(CLOCK_REALTIME);
}

uint64_t ht_clock_raw_thread_cpu_ns(void)
{
    return ht_raw_clock(CLOCK_THREAD_CPUTIME_ID);
}
