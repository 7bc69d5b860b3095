// Call sites judged against a limit: which of them, and whether all together, hold more than may be.
#ifndef HT_STATS_GATE_H
#define HT_STATS_GATE_H

#include "profile/filter.h"
#include "profile/suppress.h"
#include "stats/excess.h"
#include "stats/site.h"

struct ht_gate_row {
    struct ht_place site;       // of the total: nothing
    int64_t old, new, change;   // as the profiles have them
    int64_t blocks;             // live ones of the newer profile
    double error;               // standard error of the change
    struct ht_side before, now; // without what both sides share
    double p_value, level;      // it fails where p_value is at most level
    bool fails;
    uint32_t stack; // the sample whose stack grew most
    int64_t stack_change;
};

struct ht_gate {
    const struct ht_profile *profile;
    struct ht_gate_row *rows; // by change, largest first; ties by name
    size_t row_count, failing;
    struct ht_gate_row total;
    double limit, chance;
    int64_t suppressed; // taken out of the newer side
    bool is_exact;      // nothing on either side was left to chance
    // The smallest growth that would have been proven: so many samples of such a size, of the total and of a
    // call site that held nothing before. Exact ones are 0 samples; SIZE_MAX: none.
    size_t total_samples, site_samples;
    double total_smallest, site_smallest;
    const char *sample_type, *unit;
};

struct ht_gate_options {
    int granularity; // HT_BY_LINES, ...
    struct ht_filter filter;
    struct ht_suppressions *suppressions; // NULL: none
    double limit, chance;                 // chance: of any wrong failure
    bool total_alone;                     // call sites are told, and not judged
    bool is_pair;              // samples of the older side carry HT_COMPARE_OLD_LABEL; else there is none
    int64_t old_ticks;         // of two snapshots of one process: the older one's time; 0: they share nothing
    double old_rate, new_rate; // mean distances in bytes; 0: unknown
};

// Context: tool; the profile, which has its names, is changed by filters and suppressions. Fails on a bad
// expression, without live bytes, and where the profile does not tell how it was sampled.
int ht_gate_judge(struct ht_gate *gate, struct ht_profile *profile, const struct ht_gate_options *options);
void ht_gate_free(struct ht_gate *gate);

#endif
