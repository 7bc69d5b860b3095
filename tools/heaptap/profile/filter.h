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

// Makes each stack a single frame, the sample's values of this label ("process": HT_PROCESS_LABEL of
// profile/kin.h): a row for each value. Warns if no sample has one.
void ht_filter_rows_by_label(struct ht_profile *profile, const char *key, const char *unit);

// Puts labels into the stacks as frames, before any filter, so that filters see them: one frame for each of
// the keys (separated by commas, at most 64) on every sample, its function the label's values ("" where the
// sample has none), its file the key. The first key of `root` becomes the root of all stacks, the last one of
// `leaf` the leaf. Numbers are written in `unit`. Warns about a list of keys that no sample has. NULL or "":
// none.
void ht_filter_add_label_frames(struct ht_profile *profile, const char *root, const char *leaf,
                                const char *unit);

// What the key of a numeric label without a unit implies: bytes for "request" and "alignment", else the key
// itself.
const char *ht_filter_implied_unit(const struct ht_profile *profile, uint32_t key);

// Unit of a numeric label's key: the first that is written, else what the key implies.
const char *ht_filter_label_unit(const struct ht_profile *profile, uint32_t key);

#endif
