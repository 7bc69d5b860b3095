// Regions that dead processes of this user left behind.
#ifndef HT_TRIGGER_LEFTOVERS_H
#define HT_TRIGGER_LEFTOVERS_H

#include "record/region.h"

// Bounds the leftovers in the directory of `own`: at most HT_LEFTOVER_FILES files and HT_LEFTOVER_BYTES of
// memory; the oldest go first. Only regular files of this user and this pid namespace whose process is gone.
// Also removes what this very process left when it called exec. Context: hook, once in a process; raw system
// calls only.
void ht_leftovers_clean(const struct ht_region *own);

#define HT_LEFTOVER_FILES 8u
#define HT_LEFTOVER_BYTES (UINT64_C(256) << 20)

#endif
