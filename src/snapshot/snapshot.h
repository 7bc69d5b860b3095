// One snapshot: a view of a region becomes a file, or bytes in a sink.
#ifndef HT_SNAPSHOT_SNAPSHOT_H
#define HT_SNAPSHOT_SNAPSHOT_H

#include "record/region.h"
#include "record/view.h"
#include "snapshot/file.h"
#include "snapshot/sink.h"

#include <stddef.h>
#include <stdint.h>

// Where a snapshot goes. Everything may be zero or NULL; nothing is kept after the call.
struct ht_snapshot_target {
    const char *directory; // absolute; NULL: the region's HEAPTAP_OUT
    const char *heap_name; // the heap's in its file's name, which is then numbered by itself; NULL: none
    // The region's own header, writable: the number is taken from `seq` and the counters of `health` grow.
    // NULL where nobody may write to it.
    struct ht_region_header *header;
    uint32_t *seq;                  // where the number is taken from without `header`; NULL: from 0
    struct ht_rotation *rotation;   // NULL: nothing is removed
    uint32_t keep;                  // HEAPTAP_KEEP, with `rotation`
    uint64_t rss_bytes;             // resident memory of the process (ht_snapshot_rss); 0: unknown
    uint64_t private_bytes;         // how much of that is heaptap's, beside the region (filter, stacks)
    uint64_t deadline_ns;           // CLOCK_MONOTONIC; 0: none
    bool (*is_too_late)(void *arg); // asked before the file gets its name; NULL: it never is. -ECANCELED then
    void *arg;
    uint64_t monotonic_ns;       // CLOCK_MONOTONIC when a view that is a copy was made; 0: it is made now
    uint64_t memory_bytes;       // what encoding may take; 0: ht_encode_memory_bytes
    const char *const *comments; // further "key=value"
    uint32_t comment_count;
};

// Writes the heap's file, and one more for each other kind that has recorded something, under the same
// number. 0, or a negative errno, the first failure's; a file that failed is not left. ret_path (NULL: not
// wanted) gets the heap's path. Context: exit, bare thread, tool; one at a time in a process (in the host:
// the claim of trigger/thread.c).
int ht_snapshot_write(const struct ht_view *view, enum ht_trigger trigger,
                      const struct ht_snapshot_target *target, char *ret_path, size_t path_bytes);

// The same bytes of one kind (record/kinds.h) into a sink, with this number in the comment; writes no file
// and takes no number.
int ht_snapshot_encode(const struct ht_view *view, uint32_t kind, enum ht_trigger trigger, uint32_t seq,
                       const struct ht_snapshot_target *target, struct ht_sink *sink);

// Writes a valid profile without samples, for a process that has no region yet. target->header is ignored;
// target->seq is the number's word (the later region goes on from it).
int ht_snapshot_empty(const struct ht_identity *identity, enum ht_trigger trigger,
                      const struct ht_snapshot_target *target, char *ret_path, size_t path_bytes);

// Resident memory of a process, 0: unknown. `pid` 0: the calling one. Any context.
uint64_t ht_snapshot_rss(uint32_t pid);

#endif
