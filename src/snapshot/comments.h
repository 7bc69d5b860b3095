// The comments of a profile: `# heaptap: key=value`, by which series of snapshots are grouped and judged.
#ifndef HT_SNAPSHOT_COMMENTS_H
#define HT_SNAPSHOT_COMMENTS_H

#include "snapshot/encode.h"
#include "snapshot/message.h"

#include <stdbool.h>

// Keys, in this order, each left out where it is unknown, zero or does not apply:
//   version program program_path argv pid parent_pid uid start (clock ticks after boot) boot_id pid_namespace
//   created (Unix ns) run inherited_pid inherited_start (of whom a forked child took blocks over) seq rate
//   trigger rss_bytes (heaptap's own memory taken off), own_bytes (the region's memory), held_lately (at
//   exit: the most live bytes within the last second) active=0 (dormant at present), unknown_before (Unix ns:
//   blocks older than this were not seen), inactive_ns, failed=1 (recording was given up), thinned_since
//   (Unix ns), floor_bytes (effective rate after thinning), locations_full=1, the counters of
//   HT_HEALTH_TABLE, and the caller's.
void ht_comments_add(struct ht_message *message, const struct ht_view *view,
                     const struct ht_encode_options *options, float floor_bytes, bool locations_full);

#endif
