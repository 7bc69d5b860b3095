// Live heap far below what a process has in memory: what that may be, by its runtime.
#ifndef HT_STATS_UNSEEN_H
#define HT_STATS_UNSEEN_H

#include "base/runtime.h"
#include "profile/profile.h"

// By the program's name and those of the files that stacks pass through; NULL: none that is known.
const struct ht_runtime *ht_runtime_of_profile(const struct ht_profile *profile);

// Context: tool. The texts are parts of a sentence, to be freed; NULL: the live heap is most of it, or that
// is not known.

// A quarter of what is in memory, at most, and 64 MB less: no fragmentation and no program's code is as much.
char *ht_unseen_text(const struct ht_runtime *runtime, double live_bytes, double resident_bytes);

// Of a process: its anonymous memory, also what is swapped out.
char *ht_unseen_of_process(uint32_t pid, double live_bytes);

// Of a heap profile, by what its writer says; not of one at exit, when most is freed already.
char *ht_unseen_of_profile(const struct ht_profile *profile);

#endif
