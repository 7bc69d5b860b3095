// Unwind buffers: taken for the length of one sample, so that a walk needs next to nothing of the host's
// stack.
#ifndef HT_CORE_SCRATCH_H
#define HT_CORE_SCRATCH_H

#include "record/region.h"
#include "unwind/unwind.h"

#include <stdint.h>

// A buffer, and the bit to give it back with. NULL: no memory, or every buffer stayed in use for long; what
// was waited is counted in the region. Context: hook, `inside` set; lock-free, raw system calls only.
struct ht_unwind_scratch *ht_scratch_take(struct ht_region *region, uint32_t *ret_bit);
void ht_scratch_give(uint32_t bit);

// In a forked child, before its first walk.
void ht_scratch_after_fork(void);

#endif
