// A forked child that has recorded nothing yet, seen through its parent's region.
#ifndef HT_REGION_HEIR_H
#define HT_REGION_HEIR_H

#include "region/process.h"

// Context: tool; pure but for memory and the clocks. Makes of a copy of the parent's region what the child
// (is_heir) would have in its own: the blocks of before the fork that its parent still holds. It holds those,
// for it would have a region if it had freed a sampled one, and perhaps others that its parent has freed
// since: at least these.
void ht_heir_take(struct ht_region_copy *copy, const struct ht_process *child);

#endif
