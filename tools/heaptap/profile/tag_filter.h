// Filters by labels: which samples stay, and which labels.
#ifndef HT_PROFILE_TAG_FILTER_H
#define HT_PROFILE_TAG_FILTER_H

#include "profile/matcher.h"

enum { HT_TAG_EXPRESSIONS = 16 };

// One tagfocus or tagignore: a range on numbers, or expressions on texts.
struct ht_tag_filter {
    bool used, is_range;
    bool any_key;
    const char *key; // of length key_length
    size_t key_length;
    double low, high;
    bool has_low, has_high;
    const char *unit;
    struct ht_regex *expressions[HT_TAG_EXPRESSIONS];
    size_t expression_count;
};

// Context: tool; internal to profile/. `unit` is room for the filter's lifetime. Fails on a bad expression;
// free it then as well.
int ht_tag_filter_init(struct ht_tag_filter *filter, const char *option, const char *value, char unit[32]);
void ht_tag_filter_free(struct ht_tag_filter *filter);

// Keeps the samples that `focus` matches and `ignore` does not. Warns about a filter that matched nothing.
void ht_tag_filter_apply(struct ht_profile *profile, const struct ht_tag_filter *focus,
                         const struct ht_tag_filter *ignore);

// Keeps the labels whose keys `show` matches and `hide` does not. Warns likewise.
void ht_tag_filter_keys(struct ht_profile *profile, struct ht_matcher *show, struct ht_matcher *hide);

#endif
