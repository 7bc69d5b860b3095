// Encodes a region as a gzip'ed profile.proto: a pure function from a view to a sink.
#ifndef HT_SNAPSHOT_ENCODE_H
#define HT_SNAPSHOT_ENCODE_H

#include "record/view.h"
#include "snapshot/sink.h"
#include "sys/memory.h"

#include <stdint.h>

struct ht_encode_options {
    uint32_t kind;               // which entries (record/kinds.h)
    const char *trigger;         // for the comment; NULL: none
    uint32_t seq;                // for the comment
    uint64_t time_unix_ns;       // when the snapshot was begun
    uint64_t monotonic_ns;       // the same by CLOCK_MONOTONIC, as births are
    uint64_t rss_bytes;          // of the process without heaptap's memory; 0: unknown
    uint64_t held_lately_bytes;  // of a last snapshot: the most within the second before; 0: unknown
    uint64_t deadline_ns;        // CLOCK_MONOTONIC; 0: none
    const char *const *comments; // further "key=value", or NULL
    uint32_t comment_count;
};

// Writes the profile to `sink` in pieces of up to 64 KiB. All memory comes from `memory`, which the caller
// has initialised and releases. Returns 0, -EINVAL (no such kind), -ENOMEM, -ETIMEDOUT (deadline), or what
// the sink returned. Context: exit, bare thread, tool; no allocation, no errno, no lock. The region may
// change meanwhile, and its bytes may be arbitrary.
//
// Meaning of the heap's values: alloc_* are the entries' totals, which only grow. inuse_* are summed from the
// live samples, with 1/P of each at the present floor. Before the first thinning inuse is at most alloc in
// every sample, up to the rounding of the last digit. Afterwards a survivor stands for more than was added to
// alloc when it was drawn, so inuse may exceed alloc in a sample: both are unbiased estimates, and neither is
// bent to fit the other.
int ht_encode(const struct ht_view *view, const struct ht_encode_options *options, struct ht_sink *sink,
              struct ht_bump *memory);

// What `memory` should be allowed to take for a region of this size, so that the limit on all of our memory
// can be shared out: buffers, zlib's state and the tables by entry and by location. Where the locations do
// not fit, stacks are cut at `[truncated]` and the comment locations_full says so.
uint64_t ht_encode_memory_bytes(uint64_t region_bytes);

#endif
