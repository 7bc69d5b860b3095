// Asking for a snapshot: from the signal handler, at a sample, at exit.
#ifndef HT_TRIGGER_REQUEST_H
#define HT_TRIGGER_REQUEST_H

#include "record/region.h"
#include "snapshot/file.h"

#include <stdbool.h>
#include <stdint.h>

// Remembers which root directory HEAPTAP_OUT is meant in; root makes it. Context: load.
void ht_request_start(void);

// A snapshot by the short-lived thread; where that cannot start now (one is running, clone is refused), the
// request stays noted for the next sample. Context: signal handler, hook; errno kept.
void ht_request(enum ht_trigger trigger);

// Serves what stayed noted. Context: hook, at a sample.
void ht_request_again(void);

// One snapshot with the trigger `manual`; the calling thread waits for it. 0, or a negative errno (-EAGAIN:
// none is begun here, -EBUSY: the deadline, CLOCK_MONOTONIC, has passed). Context: a call of the host's.
int ht_request_now(uint64_t deadline_ns);

// What was asked for and is not written yet, and with `last` the last snapshot, with a deadline; the calling
// thread waits. None is begun after it. False: the last one is not written. Context: exit.
bool ht_request_exit(bool last);

// No snapshot is begun from now on, and one that is under way has ended (or the deadline, CLOCK_MONOTONIC,
// has passed); the opposite. Context: the host's call that restricts it.
void ht_request_refuse(uint64_t deadline_ns);
void ht_request_allow(void);

// After fork, in the child; after the first region was made.
void ht_request_fork_child(void);
void ht_request_region_made(struct ht_region *region);

#endif
