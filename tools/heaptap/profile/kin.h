// Profiles of several processes in one sum: what forked children share with their parents is counted once,
// and each sample says whose it is.
#ifndef HT_PROFILE_KIN_H
#define HT_PROFILE_KIN_H

#include "profile/profile.h"

// Of which process a sample is, where somebody asked for that.
#define HT_PROCESS_LABEL "heaptap::process"

struct ht_kin;

// Context: tool; pure but for memory.

// What is to be known of the profiles before they become one; their samples get labels. `names`: for profiles
// that do not say whose they are.
struct ht_kin *ht_kin_begin(struct ht_profile *const *profiles, const char *const *names, size_t count);

// The same profiles merged. For each stack the blocks that several have from one process count as many times
// as that process holds them, or, where it is not among the profiles or has freed some, as many as the child
// holds that has the most: exact as long as none frees some and gets others on the same stack. With
// `is_kept` the samples keep the label of their process; what is in no process of its own is "inherited from
// PID". Returns by how much that makes the live bytes less; frees the family.
int64_t ht_kin_end(struct ht_kin *kin, struct ht_profile *merged, bool is_kept);

void ht_kin_free(struct ht_kin *kin); // of one that was only begun; NULL is allowed

// Without any of that: what was inherited stands in the samples anyhow.
void ht_kin_forget_inherited(struct ht_profile *profile);

#endif
