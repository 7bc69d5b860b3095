// Clocks in nanoseconds.
#ifndef HT_SYS_CLOCK_H
#define HT_SYS_CLOCK_H

#include <stdint.h>

// For hooks: through the vdso once it was found, else by system call. errno untouched.
uint64_t ht_clock_monotonic_ns(void);
uint64_t ht_clock_realtime_ns(void);

// Finds the vdso's clock. Context: load.
void ht_clock_use_vdso(void);

// From now on by system call: the processor's time stamp counter may not be read. Context: the host's prctl.
void ht_clock_use_kernel(void);

// Before ht_raw_sealed is set: both clocks go on from here, without the vdso and without the kernel.
void ht_clock_seal(void);

// For bare threads and everything that is not hot: one system call.
uint64_t ht_clock_raw_monotonic_ns(void);
uint64_t ht_clock_raw_realtime_ns(void);
uint64_t ht_clock_raw_thread_cpu_ns(void); // CPU time of the calling thread

#endif
