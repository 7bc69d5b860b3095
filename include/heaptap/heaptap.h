// Calls for programs that may run under heaptap: take a snapshot here, record from here to there.
//
// Nothing is to be linked: the functions are weak and resolve to libheaptap.so where that is preloaded.
// Without it they are NULL, and the inline functions below (the ones to use) do nothing and return
// HEAPTAP_ABSENT. All may be called by any thread at any time, but not in a signal handler. errno is kept.
// The interface only grows: HEAPTAP_API_VERSION.
//
//     #include <heaptap/heaptap.h>
//     ...
//     load_the_index();
//     heaptap_take_snapshot();   // heaptap.PROGRAM.PID.SEQ.manual.pb.gz, when profiled
#ifndef HEAPTAP_HEAPTAP_H
#define HEAPTAP_HEAPTAP_H

#define HEAPTAP_API_VERSION 1

// Results: 0, HEAPTAP_ABSENT, or a negative errno.
#define HEAPTAP_ABSENT (-10000)

#ifdef __cplusplus
extern "C" {
#endif

// Exported by the shim. -EAGAIN: dormant for good (HEAPTAP_RATE=0, HEAPTAP_ONLY, or recording was given up).
extern int heaptap_snapshot(void) __attribute__((weak));
extern int heaptap_start(void) __attribute__((weak));
extern int heaptap_stop(void) __attribute__((weak));

// Whether the profiler is loaded.
static inline int heaptap_is_loaded(void)
{
    return heaptap_snapshot != 0;
}

// Writes a profile with the trigger `manual` now, and returns when it is written (milliseconds). -EBUSY:
// another snapshot was being written for too long; -ENOSPC and the like: no file.
static inline int heaptap_take_snapshot(void)
{
    return heaptap_snapshot ? heaptap_snapshot() : HEAPTAP_ABSENT;
}

// Switches recording on (after HEAPTAP_ACTIVE=0 or a stop) and off, as `heaptap start` and `heaptap stop` do
// from outside. Frees of recorded blocks are seen all the time.
static inline int heaptap_start_recording(void)
{
    return heaptap_start ? heaptap_start() : HEAPTAP_ABSENT;
}

static inline int heaptap_stop_recording(void)
{
    return heaptap_stop ? heaptap_stop() : HEAPTAP_ABSENT;
}

#ifdef __cplusplus
}
#endif

#endif
