// Two snapshots compared: old, new and change for each allocating call site, the largest growth first.
#ifndef HT_STATS_COMPARE_H
#define HT_STATS_COMPARE_H

#include "profile/filter.h"
#include "stats/site.h"

// How a change is judged. A row of one sample is no proof of anything.
enum ht_change_verdict {
    HT_CHANGE_UNKNOWN, // the profiles do not tell their errors
    HT_CHANGE_NOISE,   // no more than sampling makes by chance
    HT_CHANGE_GROWS,
    HT_CHANGE_SHRINKS,
};

// What is told of one row or of the total; all that is known about the certainty of a change belongs in here.
struct ht_change {
    int64_t old, new;
    int64_t change;   // new - old
    double error;     // standard error of the change, by the sampling alone; NaN: unknown
    double low, high; // its 95 % interval
    double p_value;   // chance of such a change, up or down, where there is none
    enum ht_change_verdict verdict;
    double freed_share; // of all that was ever allocated, in the newer snapshot; NaN: not to be told
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
    double minutes;     // between the snapshots; 0: unknown
    double false_share; // of the rows that are said to change, expected to be chance at most
    bool has_errors;
    const char *sample_type, *unit;
};

struct ht_compare_options {
    const char *sample_index;
    int granularity; // HT_BY_LINES, HT_BY_FUNCTIONS, HT_BY_FILEFUNCTIONS or HT_BY_FILES
    bool leaf_sites; // the frame nearest to the allocation, whatever it is
    struct ht_filter filter;
};

// When the snapshots were taken.
struct ht_compare_times {
    int64_t old_ns, new_ns; // 0: unknown, or of two runs
    int64_t old_ticks;      // by the clock of the births, of one process; 0: unknown
};

// Context: tool. Applies the filters (the profile changes) and computes the rows. The samples of the older
// snapshot carry the label HT_COMPARE_OLD_LABEL (profile/profile.h). Fails on an unknown sample type or a bad
// expression.
int ht_compare_init(struct ht_compare *compare, struct ht_profile *profile,
                    const struct ht_compare_options *options, struct ht_compare_times times);
void ht_compare_free(struct ht_compare *compare);

// NaN: the time between the snapshots is unknown.
double ht_compare_per_minute(const struct ht_compare *compare, int64_t change);

#endif
