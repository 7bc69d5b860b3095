// What is left of a profile: by names of frames, by labels, by the profile's own drop_frames.
#ifndef HT_PROFILE_FILTER_H
#define HT_PROFILE_FILTER_H

#include "profile/profile.h"

// pprof's options of the same names; NULL or "": not used. Regular expressions of base/regex.h.
struct ht_filter {
    const char *focus, *ignore, *hide, *show, *show_from, *prune_from;
    const char *tag_focus, *tag_ignore, *tag_show, *tag_hide;
};

// Context: tool. Both change the profile and keep its invariants; locations may be left that nothing refers
// to.

// Applies drop_frames and keep_frames. Fails when they are no regular expressions (the profile is unchanged).
int ht_filter_drop_frames(struct ht_profile *profile);

// Applies the filters in pprof's order. Warns about each that matched nothing. Fails on a bad expression,
// before any change.
int ht_filter_apply(struct ht_profile *profile, const struct ht_filter *filter);

// Unit of a numeric label's key: the first that is written, else what the key implies ("request" and
// "alignment": bytes; any other: the key).
const char *ht_filter_label_unit(const struct ht_profile *profile, uint32_t key);

#endif
