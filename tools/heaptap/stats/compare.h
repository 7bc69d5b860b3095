// Two snapshots compared: old, new and change for each allocating call site, the largest growth first.
#ifndef HT_STATS_COMPARE_H
#define HT_STATS_COMPARE_H

#include "profile/filter.h"
#include "stats/site.h"

// What is told of one row or of the total; all that is known about the certainty of a change belongs in here.
struct ht_change {
    int64_t old, new;
    int64_t change; // new - old
};

struct ht_compare_row {
    struct ht_place site;
    struct ht_change value;
    uint32_t heaviest; // the sample whose stack grew most
    int64_t heaviest_change;
};

struct ht_compare {
    const struct ht_profile *profile;
    struct ht_compare_row *rows; // by change, largest first; ties by name
    size_t row_count;
    size_t unchanged; // call sites whose value is the same; they are not among the rows
    struct ht_change total;
    double minutes; // between the snapshots; 0: unknown
    const char *sample_type, *unit;
};

struct ht_compare_options {
    const char *sample_index;
    int granularity; // HT_BY_LINES, HT_BY_FUNCTIONS, HT_BY_FILEFUNCTIONS or HT_BY_FILES
    bool leaf_sites; // the frame nearest to the allocation, whatever it is
    struct ht_filter filter;
};

// Context: tool. Applies the filters (the profile changes) and computes the rows. The samples of the older
// snapshot carry the label HT_COMPARE_OLD_LABEL (profile/profile.h). Fails on an unknown sample type or a bad
// expression. old_ns and new_ns are the snapshots' times (0 unknown).
int ht_compare_init(struct ht_compare *compare, struct ht_profile *profile,
                    const struct ht_compare_options *options, int64_t old_ns, int64_t new_ns);
void ht_compare_free(struct ht_compare *compare);

// NaN: the time between the snapshots is unknown.
double ht_compare_per_minute(const struct ht_compare *compare, int64_t change);

#endif
