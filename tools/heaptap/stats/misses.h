// Large blocks that one side had as well, but did not sample: growth that is none.
#ifndef HT_STATS_MISSES_H
#define HT_STATS_MISSES_H

#include "stats/excess.h"

enum { HT_MISSES_SIZES = 20 };

// Of blocks at or above the rate the Poisson law does not hold: each is seen almost always, and when it is
// not, all of it is missing. Sizes within a quarter of each other count as one, the largest.
struct ht_misses {
    double blocks[2][HT_MISSES_SIZES]; // of both sides
    double jump[HT_MISSES_SIZES];      // what one stands for
    double chance[HT_MISSES_SIZES];    // that the older side does not see it
    double variance[2][HT_MISSES_SIZES];
};

// Context: tool; pure.

// Whether a block of this size is as good as always seen at this mean distance, and counted here.
bool ht_misses_take(double bytes, double rate_bytes);
// `blocks` may be below 0: what both sides share.
void ht_misses_add(struct ht_misses *misses, bool is_new, double blocks, double bytes, double stands_for,
                   double rate_bytes, double variance);

// Of so many blocks of a size that the older side misses some of them anyway, chance works both ways, and the
// Poisson law will do: they are no misses then. Returns the variance of a side's, and adds what it has of
// skew.
double ht_misses_give_back(const struct ht_misses *misses, bool is_new, double *skew);

// ht_excess_p, over all numbers of blocks that the older side may have missed.
double ht_misses_p(const struct ht_misses *misses, const struct ht_side *new, const struct ht_side *old,
                   double limit);

#endif
