// Time in nanoseconds: what every room asks of the kernel's clocks.
#ifndef HT_BASE_CLOCK_H
#define HT_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define HT_NS_PER_SECOND UINT64_C(1000000000)

// Context: tool. CLOCK_MONOTONIC is the clock of the region's birth_ns and of all waiting, CLOCK_BOOTTIME
// that of the start of processes, CLOCK_PROCESS_CPUTIME_ID the processor time of this command. 0: there is no
// such clock.
uint64_t ht_clock_ns(clockid_t clock);

static inline uint64_t ht_ns_of(struct timespec time)
{
    return (uint64_t)time.tv_sec * HT_NS_PER_SECOND + (uint64_t)time.tv_nsec;
}

static inline struct timespec ht_timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / HT_NS_PER_SECOND),
                             .tv_nsec = (long)(ns % HT_NS_PER_SECOND)};
}

// Waits so long, whatever signals come meanwhile.
void ht_clock_wait(uint64_t ns);

#endif
