// Counts large blocks by size, and averages a test over how many of them were missed.
#include "stats/misses.h"

#include <math.h>

#define LEAST     0.6931 // bytes over rate: half of such blocks are seen
#define MOST      60.0   // none is missed
#define STEP      1.25
#define MANY      1.0
#define NOT_WORTH 1e-13

bool ht_misses_take(double bytes, double rate_bytes)
{
    return rate_bytes > 1 && bytes >= LEAST * rate_bytes;
}

void ht_misses_add(struct ht_misses *misses, bool is_new, double blocks, double bytes, double stands_for,
                   double rate_bytes, double variance)
{
    double rates = bytes / rate_bytes;
    if (!(rates < MOST))
        return;
    size_t at = (size_t)(log(rates / LEAST) / log(STEP));
    at = at < HT_MISSES_SIZES ? at : HT_MISSES_SIZES - 1;
    misses->blocks[is_new][at] += blocks;
    misses->variance[is_new][at] += variance;
    misses->jump[at] = fmax(misses->jump[at], stands_for);
    misses->chance[at] = fmax(misses->chance[at], exp(-rates));
}

static double expected(const struct ht_misses *misses, size_t at)
{
    return fmax(misses->blocks[0][at], misses->blocks[1][at]) * misses->chance[at];
}

double ht_misses_give_back(const struct ht_misses *misses, bool is_new, double *skew)
{
    double variance = 0;
    for (size_t at = 0; at < HT_MISSES_SIZES; at++) {
        if (expected(misses, at) <= MANY)
            continue;
        variance += misses->variance[is_new][at];
        *skew += misses->variance[is_new][at] * misses->jump[at];
    }
    return variance;
}

static double average(const struct ht_misses *misses, size_t at, const struct ht_side *new,
                      const struct ht_side *old, double limit, double worth)
{
    double blocks = 0;
    for (; at < HT_MISSES_SIZES && blocks <= 0; at++)
        blocks = expected(misses, at) <= MANY ? expected(misses, at) : 0;
    if (new->value - old->value <= limit)
        return 1;
    if (blocks <= 0)
        return ht_excess_p(new, old, limit);
    double mass = exp(-blocks), left = 1, sum = 0;
    for (double k = 0; left * worth > NOT_WORTH && k < 1000; k++) {
        double more = limit + k * misses->jump[at - 1];
        if (new->value - old->value <= more)
            break; // so many explain all of it, and so do more of them
        if (mass * worth > NOT_WORTH)
            sum += mass * average(misses, at, new, old, more, mass * worth);
        left -= mass;
        mass *= blocks / (k + 1);
    }
    return fmin(sum + fmax(left, 0), 1);
}

double ht_misses_p(const struct ht_misses *misses, const struct ht_side *new, const struct ht_side *old,
                   double limit)
{
    return average(misses, 0, new, old, limit, 1);
}
