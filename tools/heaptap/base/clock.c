// The kernel's clocks, in nanoseconds.
#include "base/clock.h"

#include <errno.h>

uint64_t ht_clock_ns(clockid_t clock)
{
    struct timespec now;
    return clock_gettime(clock, &now) == 0 ? ht_ns_of(now) : 0;
}

void ht_clock_wait(uint64_t ns)
{
    struct timespec left = ht_timespec_of(ns);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
