// Control words of a live region: the few that the command may write while the program runs.
#ifndef HT_REGION_CONTROL_H
#define HT_REGION_CONTROL_H

#include "record/layout.h"

#include <stdbool.h>
#include <stdint.h>

// Context: tool, one thread. Why a mapping and not pwrite: the hooks read these words with plain loads at any
// moment, and only an atomic store is promised never to show them half of the old and half of the new value;
// seq and health are also written by the program itself, which takes compare-and-swap and add. The price is
// SIGBUS when somebody cuts the file meanwhile: it is caught here, and the change fails like any other.

// Maps the header of the region `fd` (O_RDWR), runs change(header, arg), unmaps. Returns 0, or -1 with
// ht_error() when the header cannot be mapped, is not a region's of this version, or was cut off. `change`
// must do nothing but loads and stores in the header and in *arg.
int ht_control_apply(int fd, void (*change)(struct ht_region_header *header, void *arg), void *arg);

// The changes.
struct ht_control_result {
    uint32_t was_active, failed;
    uint64_t old_rate_bytes, new_rate_bytes;
    uint64_t first_active_ns; // before the change
};
void ht_control_start(struct ht_region_header *header, void *result);
void ht_control_stop(struct ht_region_header *header, void *result);
void ht_control_rate(struct ht_region_header *header, void *result);

// A file was written from outside under this number: later numbers follow, and the snapshot is counted.
struct ht_control_written {
    uint32_t seq;
    uint64_t recorder_ns;
    bool failed;
};
void ht_control_count_snapshot(struct ht_region_header *header, void *written);

// A rate as people write it: "512K", "1000", "1 (exact)".
enum { HT_RATE_TEXT_BYTES = 32 };
void ht_control_rate_text(uint64_t rate_bytes, char text[HT_RATE_TEXT_BYTES]);

#endif
