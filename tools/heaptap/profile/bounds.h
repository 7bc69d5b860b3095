// What of a foreign profile is more than anybody reads: cut before reports are made of it, each with a
// warning.
#ifndef HT_PROFILE_BOUNDS_H
#define HT_PROFILE_BOUNDS_H

#include "profile/profile.h"

enum {
    HT_INLINE_LIMIT = 256,              // functions that are inlined in one place
    HT_EXPANDED_FRAMES_LIMIT = 1 << 27, // of all stacks, with the inlined functions
    HT_LINES_LIMIT = 1 << 24,           // that names for addresses give to a profile
    HT_TEXT_LIMIT_BYTES = 16384,        // of a text that is shown
    HT_SHORT_TEXT_LIMIT_BYTES = 256,    // where those of all frames would be more than a gigabyte
    HT_SAMPLE_TYPES_LIMIT = 1024,       // of a profile that has samples
    HT_COMMENTS_LIMIT = 1 << 16,
};

// Context: tool. The profile stays whole (ht_profile_check).

// Chains of inlined functions, once all names are known: of those that are too long, or too many together,
// the innermost and the outermost function stay.
void ht_profile_bound_inlines(struct ht_profile *profile);

// Texts, for reports that show them; a cut one ends with "...".
void ht_profile_bound_texts(struct ht_profile *profile);

#endif
