// The sample types of several profiles.
#ifndef HT_PROFILE_TYPES_H
#define HT_PROFILE_TYPES_H

#include "profile/profile.h"

// Context: tool; internal to profile/.

// Where the columns are not the same, keeps those whose type every profile has, in the first one's order, and
// warns which are left out. Nothing happens where there is none.
void ht_types_share(struct ht_profile **profiles, size_t count);

// Brings all profiles to the finest unit of each sample type and of the period. Fails when they do not fit
// together.
int ht_types_unify(struct ht_profile **profiles, size_t count);

// Fails when types or units differ.
int ht_types_check(const struct ht_profile *a, const struct ht_profile *b);

#endif
