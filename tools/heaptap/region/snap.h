// Snapshots from outside: a region's copy becomes a file, or bytes in memory.
#ifndef HT_REGION_SNAP_H
#define HT_REGION_SNAP_H

#include "region/target.h"
#include "snapshot/file.h"

#include <limits.h>

// Context: tool. Return 0, or -1 with ht_error() that can follow "PID: " or "FILE: ".

struct ht_snap {
    enum ht_trigger trigger;
    const char *directory;        // absolute; NULL: where the program itself writes (HEAPTAP_OUT)
    struct ht_rotation *rotation; // NULL: nothing is removed
    uint32_t keep;                // with `rotation`: HEAPTAP_KEEP
};

// Writes a file, counts it in the region of a live program (its next own file gets a later number), and says
// its path. As root the file is made with the rights of the region's owner (ht_target_owner), unless
// `directory` says where: the region's directory is his word, and root must not be led by it. Fails where
// such rights cannot be taken.
int ht_snap_write(const struct ht_target *target, const struct ht_snap *snap, char ret_path[PATH_MAX]);

// The same in memory (gzip'ed profile.proto), added to `out`; nothing is counted.
struct ht_buffer;
int ht_snap_encode(const char *argument, struct ht_buffer *out, struct ht_owner *ret_owner);

#endif
