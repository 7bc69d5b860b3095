// The allocator behind the recorder: which it is, whether all that it gives out is seen, and its own figures.
#ifndef HT_TRIGGER_ALLOCATOR_H
#define HT_TRIGGER_ALLOCATOR_H

#include "record/region.h"

#include <stdbool.h>

// Finds out whose malloc it is. Context: the shim's constructor.
void ht_allocator_find(void);

// Writes that into a region. Context: hook.
void ht_allocator_describe(struct ht_region_header *header);

// Asks the allocator for its figures, now and then, and keeps them in the region. It takes locks of its own
// for that, so this is done only where nobody can stand still inside of it, waiting for us: by a host's
// thread, behind the real call, that is `calm` (struct ht_unwind_result, and no frame of the allocator's on
// its stack), while the program has no signal handler but ours, or no second thread. Context: hook, `inside`
// set.
void ht_allocator_look(struct ht_region *region, bool is_calm);

// The last time, whenever the one before was. Context: exit.
void ht_allocator_look_at_exit(struct ht_region *region);

// Whoever was asking is not here. Context: a forked child.
void ht_allocator_fork_child(void);

#endif
