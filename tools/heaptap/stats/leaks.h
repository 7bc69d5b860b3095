// What one snapshot tells of leaks: the ages of what is still there.
#ifndef HT_STATS_LEAKS_H
#define HT_STATS_LEAKS_H

#include "profile/filter.h"
#include "profile/place.h"

enum { HT_AGE_COLUMNS = 10 };

enum ht_age_class {
    HT_AGES_GROWS,     // all ages at an even rate: a leak, or a cache that still fills
    HT_AGES_BOUNDED,   // everything is replaced in time
    HT_AGES_STARTUP,   // all old
    HT_AGES_TRANSIENT, // all young
    HT_AGES_UNDECIDED, // too few, or none of these
    HT_AGE_CLASSES
};

const char *ht_age_class_name(enum ht_age_class class);

struct ht_leak_row {
    struct ht_place site;
    uint32_t heaviest; // the sample whose stack holds most
    int64_t heaviest_value;
    enum ht_age_class class;
    size_t samples;        // live ones
    double now, now_error; // bytes
    double freed_share;    // of what it ever allocated; NaN: not to be told
    double oldest_s, youngest_s, median_s;
    double older_than_s;         // grows: only what is older than this is at an even rate
    double reaches_s;            // grows: back to this age; bounded: nothing is older
    double per_s, error;         // grows: bytes, and one standard error
    double low, high;            // its 95 % interval
    double ages[HT_AGE_COLUMNS]; // live bytes by age, the oldest first, from the process's start to now
};

struct ht_leaks {
    struct ht_leak_row *rows; // by believed loss, then by what they hold
    size_t count;
    double age_s; // of the process, or of its oldest live sample if that is older
    double total;
};

struct ht_leaks_options {
    int granularity;
    bool leaf_sites;
    struct ht_filter filter;
};

// Context: tool. README.md beside this file says how it is judged. The filters change the profile. Fails if
// it has no births (field 1000), or the filter is wrong.
int ht_leaks_judge(struct ht_leaks *leaks, struct ht_profile *profile,
                   const struct ht_leaks_options *options);
void ht_leaks_free(struct ht_leaks *leaks);

#endif
