// A sample: deciding that an allocation is one, and recording it.
#ifndef HT_HEAP_SAMPLE_H
#define HT_HEAP_SAMPLE_H

#include "core/thread.h"
#include "record/estimate.h"
#include "record/layout.h"

// Context of all: hook; errno is kept. Hand-written and generated code does not always align its stack as the
// ABI asks for, which the common allocators do not mind: hence HT_REALIGN.

// Charges the allocation on the slow path. True: record it, drawn with *ret_rate_bytes. `caller`: whoever
// called the hook; samples of what an allocator asks for on its way (heap/link.h) are thrown away.
HT_REALIGN bool ht_sample_due(size_t size_bytes, const void *caller, float *ret_rate_bytes);

// Records the block. `start` is the register state of the hook that the host called.
HT_REALIGN void ht_sample_record(const void *block, size_t size_bytes, float rate_bytes,
                                 const struct ht_unwind_start *start);

// Takes the record of a block out before the real allocator may give its address away. False: it was not
// sampled.
HT_REALIGN bool ht_sample_forget(const void *block, struct ht_live_copy *ret_live);
// Puts it back: the real realloc failed.
HT_REALIGN void ht_sample_restore(const struct ht_live_copy *live);
// A sampled block is gone for good.
HT_REALIGN void ht_sample_freed(void);

#endif
