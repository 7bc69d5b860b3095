// Whether a call site grew over a series of snapshots, how fast, and in which shape.
#ifndef HT_STATS_TREND_H
#define HT_STATS_TREND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// README.md beside this file has the formulas, their sources and assumptions, and what simulations say of
// them.
//
// Context of everything here: tool; pure but for memory. Times are seconds on one clock, values bytes (or
// what else the samples count).

// A sampled block as the snapshots saw it: live in those from `first` to `last`.
struct ht_trend_sample {
    double birth_s;
    double value;    // what it stands for: x / P
    double variance; // x^2 (1 - P) / P^2
    uint32_t first, last;
};

enum ht_verdict {
    HT_VERDICT_GROWS,     // until the last snapshot, beyond noise
    HT_VERDICT_STEPS,     // grew, in a few jumps
    HT_VERDICT_LEVELS,    // grew, and no longer does
    HT_VERDICT_CYCLES,    // goes up and down
    HT_VERDICT_SHRINKS,   //
    HT_VERDICT_NOISE,     // no change beyond what it does all the time
    HT_VERDICT_UNDECIDED, // too little was seen
    HT_VERDICTS
};

// The word of a verdict, as reports and JSON have it.
const char *ht_verdict_name(enum ht_verdict verdict);

struct ht_trend {
    enum ht_verdict verdict;
    double p_value;        // that a site without drift would look like growth as much as this one, at most
    double per_s, error;   // slope over the window, and its standard error: sampling and the site's own
    double low, high;      // 95 % interval of the slope
    double now, now_error; // at the last snapshot; of the sampling alone
    double mean;           // over the snapshots
    double began_s;        // when the growth began
    double ended_s;        // levels: since when it is flat
    double decides_s; // undecided: after so long a series it would be decided, if it goes on so; 0: unknown
    uint64_t births, deaths; // of samples, within the window
};

// `times` are those of `count` snapshots (at least 3, growing); the samples may be in any order and are
// sorted by birth. `chance`: how often a site that does not grow may be called growing (0.01).
void ht_trend_judge(struct ht_trend *trend, struct ht_trend_sample *samples, size_t sample_count,
                    const double *times, size_t count, double chance);

// The series of a site: values[k] at the k-th snapshot of what is older than `age_s`.
void ht_trend_series(double *values, const struct ht_trend_sample *samples, size_t sample_count,
                     const double *times, size_t count, double age_s);

#endif
