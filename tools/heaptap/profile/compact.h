// Joins what is equal in one profile.
#ifndef HT_PROFILE_COMPACT_H
#define HT_PROFILE_COMPACT_H

#include "profile/profile.h"

// Context: tool; internal to profile/. Equal samples become one, empty ones go, and so does what nothing
// refers to then; the rest is in order of first use.
void ht_profile_compact(struct ht_profile *profile);

#endif
