// What a companion library (src/companion) gets from the shim: the countdown and the filter for its fast
// paths, and the functions of a sample. The one way between the two, by the exported function heaptap_link_1.
#ifndef HT_HEAP_LINK_H
#define HT_HEAP_LINK_H

#include "core/thread.h"
#include "heap/real.h"
#include "record/estimate.h"
#include "unwind/unwind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Of the same build as the companion: the function's name changes with what is in here.
struct ht_link {
    intptr_t countdown_offset; // of this thread's countdown_bytes, from its thread pointer
    const uint8_t *filter_bytes;
    const uint32_t *filter_mask;
    // heap/sample.h
    bool (*due)(size_t size_bytes, const void *caller, float *ret_rate_bytes);
    void (*record)(const void *block, size_t size_bytes, float rate_bytes,
                   const struct ht_unwind_start *start);
    bool (*forget)(const void *block, struct ht_live_copy *ret_live);
    void (*restore)(const struct ht_live_copy *live);
    void (*freed)(void);
    // Runs `fn` as a part of our own work: what it allocates is none of the host's, errno is kept.
    void (*quietly)(void (*fn)(void *arg), void *arg);
    // A companion lies here; its frames are left out. With `records`, what is called from its code, and from
    // the allocator's (zero: unknown), is a part of a call that it has seen. False: another companion is
    // there already. Context: load.
    bool (*join)(const struct ht_code_range *own, const struct ht_code_range *allocator, bool records);
};

// NULL where no shim is loaded. Context: load.
extern const struct ht_link *heaptap_link_1(void) __attribute__((weak));

// Whether this caller of a hook is a companion, its allocator or the shim: what it asks for is a part of a
// call that has been seen.
bool ht_link_is_inside(const void *caller);

// Takes the companion's own frames out; returns how many are left.
unsigned ht_link_drop_frames(uintptr_t *pcs, unsigned count);

#endif
