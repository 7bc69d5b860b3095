// Functions without names in a profile: how much passes through them, and what would name them.
#ifndef HT_STATS_NAMES_H
#define HT_STATS_NAMES_H

#include "profile/profile.h"

// Calls `warn` with one sentence (no newline) for each of at most three files, and for code that a program
// made at run time, through whose functions without names a twentieth of the profile or more passes. Files
// that are not here are none of these: whoever looked for names has said so. `sample_index`: what is weighed,
// NULL: the profile's default. Context: tool, after resolving.
void ht_names_judge(const struct ht_profile *profile, const char *sample_index,
                    void (*warn)(const char *text));

#endif
