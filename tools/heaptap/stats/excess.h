// Whether a total is larger than another one by more than a limit, when both are estimates of few samples.
#ifndef HT_STATS_EXCESS_H
#define HT_STATS_EXCESS_H

#include <stdbool.h>
#include <stddef.h>

// One side as a multiple of a Poisson variable: fixed + weight * count, whose variance is weight^2 * count.
// README.md has the reasons.
struct ht_side {
    double value;    // the estimate
    double variance; // its error's square
    double weight;   // of a sample, as far as it is uncertain; 0: nothing is
};

// Context: tool; pure but for memory.

// The chance of a difference that speaks as much against "new is larger than old by `limit` at most" as this
// one does, or more, if it were just so much larger (score test, its probability counted out).
double ht_excess_p(const struct ht_side *new, const struct ht_side *old, double limit);

// Holm's procedure with weights, which bounds the chance of any wrong rejection by `chance`: tests whose
// p-value is at most their share of it are rejected, and leave it to the others, until none is. ret_levels:
// the share of each test at its turn. Weights are above 0.
void ht_holm(const double *p, const double *weights, size_t count, double chance, bool *ret_rejected,
             double *ret_levels);

// The smallest number of samples of new->weight that, added to `new`, would be proven beyond the limit at
// this level; 0: it already is. SIZE_MAX: more than a million.
size_t ht_excess_needed(const struct ht_side *new, const struct ht_side *old, double limit, double level);

#endif
