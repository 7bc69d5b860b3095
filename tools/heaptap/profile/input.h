// Whatever a person names on the command line as a profile: a file, a live region or a process.
#ifndef HT_PROFILE_INPUT_H
#define HT_PROFILE_INPUT_H

#include "profile/profile.h"

// Context: tool. Opens a profile file, a region file or the region of a process (by its pid). "-" is standard
// input. Fails with the reason and what to do.
int ht_input_open(const char *argument, struct ht_profile **ret_profile);

// Answered where live regions are known (the command links it in): is this argument a region file or a pid,
// and its present content as a profile. A file that exists always wins over a pid of the same name.
bool ht_region_input_matches(const char *argument);
int ht_region_input_load(const char *argument, struct ht_profile **ret_profile);

#endif
