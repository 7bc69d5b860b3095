// A regular expression against the strings of a profile.
#ifndef HT_PROFILE_MATCHER_H
#define HT_PROFILE_MATCHER_H

#include "base/regex.h"
#include "profile/profile.h"

// Whether a string ht_matcher_matches, asked once for each string of the profile.
struct ht_matcher {
    const struct ht_profile *profile;
    struct ht_regex *regex; // NULL: not used
    bool simplify;          // function names are cut at their parameters first
    uint8_t *known;         // by string: 0 not asked yet, 1 no, 2 yes
};

// Context: tool; internal to profile/. A pattern that is NULL or "" makes a matcher that is not used. Fails
// on a bad expression; free it then as well.
int ht_matcher_init(struct ht_matcher *matcher, const struct ht_profile *profile, const char *pattern,
                    bool simplify);
void ht_matcher_free(struct ht_matcher *matcher);
bool ht_matcher_matches(struct ht_matcher *matcher, uint32_t string);

#endif
