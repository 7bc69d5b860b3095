// What is known of a change beside its size: what came, what went, and how well sampling tells either.
#ifndef HT_STATS_EVIDENCE_H
#define HT_STATS_EVIDENCE_H

#include "stats/compare.h"

// Sums over samples; README.md beside this file has the formulas. Zero is nothing seen.
struct ht_evidence {
    double up, up_variance, up_count;       // what came: value, variance of its estimate, samples
    double down, down_variance, down_count; // what went
    double allocated, in_use;               // of the newer snapshot
    bool is_unknown;                        // an error that the profile does not tell is among them
};

// Context: tool; pure.

// One sample's value on one side, where nothing is shared by the two sides.
void ht_evidence_total(struct ht_evidence *evidence, double value, double variance, bool old);

// A row's births. Of the newer snapshot: what was born since the older one has come, the rest has survived;
// of the older one all has gone that has not survived. `in_bytes`: bytes are counted, not objects.
void ht_evidence_births(struct ht_evidence *evidence, const struct ht_profile *profile, size_t sample,
                        bool old, int64_t old_ticks, bool in_bytes);

// Sets error, interval and p-value of a change, and the verdict of a row that stands alone.
void ht_evidence_judge(const struct ht_evidence *evidence, struct ht_change *change);

#endif
