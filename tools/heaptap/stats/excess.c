// The score test for two Poisson variables with weights, and Holm's procedure over many tests.
#include "stats/excess.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

// Above so many samples the normal distribution is taken: its tail is then wrong by less than a tenth at five
// standard errors.
#define COUNT_LIMIT 20000.0

// The probability is counted out at the means that explain the counts best, not at the worst ones: over all
// means it would be larger, by less than this (unit.test_excess).
#define AT_WORST 1.25

// What is tested, in units of one: the estimates are weight * count, the fixed parts are in the limit.
struct test {
    double new_weight, old_weight, limit;
};

// The mean of the new side that explains both counts best, among those that are larger than the old one's by
// just the limit: the larger root of the likelihood's derivative, a quadratic.
static double best_mean(const struct test *test, double new_count, double old_count)
{
    double a = 1 / test->new_weight + 1 / test->old_weight;
    double b = a * test->limit + new_count + old_count;
    double root = sqrt(fmax(b * b - 4 * a * new_count * test->limit, 0));
    if (b < 0) // the same root, without taking a number from one that is nearly as large
        return fmax(2 * new_count * test->limit / (b - root), 0);
    return fmax((b + root) / (2 * a), fmax(test->limit, 0));
}

static double score(const struct test *test, double new_count, double old_count)
{
    double mean = best_mean(test, new_count, old_count);
    double variance = test->new_weight * mean + test->old_weight * (mean - test->limit);
    double excess = test->new_weight * new_count - test->old_weight * old_count - test->limit;
    return variance > 0 ? excess / sqrt(variance) : 0;
}

// Where a Poisson variable can be: beyond it is less than 1e-17.
struct window {
    size_t first, count;
};

static struct window window_of(double mean)
{
    double half = 9 * sqrt(mean) + 25;
    size_t first = mean > half ? (size_t)(mean - half) : 0;
    return (struct window){first, (size_t)(mean + half) - first + 1};
}

static double log_mass(double count, double mean)
{
    if (mean <= 0)
        return count == 0 ? 0 : -INFINITY;
    return count * log(mean) - mean - lgamma(count + 1);
}

// The probability of each count of the window and all above it.
static double *tails_of(const struct window *window, double mean)
{
    double *tails = ht_realloc_array(NULL, window->count + 1, sizeof *tails), sum = 0;
    tails[window->count] = 0;
    for (size_t i = window->count; i-- > 0;)
        tails[i] = sum += exp(log_mass((double)(window->first + i), mean));
    return tails;
}

// P(score >= observed) at the best means. The score grows with the new count and falls with the old one: for
// each old count the new ones from some number on are counted, a number that never falls.
static double count_out(const struct test *test, double mean, double observed)
{
    double new_mean = mean / test->new_weight, old_mean = fmax(mean - test->limit, 0) / test->old_weight;
    struct window new = window_of(new_mean), old = window_of(old_mean);
    double *tails = tails_of(&new, new_mean), p = 0;
    double slack = observed * (1 - 1e-9); // what is as extreme belongs to it, whatever rounding says
    for (size_t o = 0, n = 0; o < old.count; o++) {
        double old_count = (double)(old.first + o);
        while (n < new.count && score(test, (double)(new.first + n), old_count) < slack)
            n++;
        p += exp(log_mass(old_count, old_mean)) * tails[n];
    }
    free(tails);
    return fmin(p * AT_WORST, 1);
}

// One side is exact: the other one's count alone is an accident.
static double one_sided(const struct ht_side *side, double mean, bool is_new)
{
    double count = side->variance / (side->weight * side->weight);
    double expected = fmax(mean - (side->value - side->weight * count), 0) / side->weight;
    if (expected + count > COUNT_LIMIT) {
        double z = (count - expected) / sqrt(expected);
        return erfc((is_new ? z : -z) / sqrt(2)) / 2;
    }
    struct window window = window_of(expected);
    double p = 0;
    for (size_t i = 0; i < window.count; i++) {
        double at = (double)(window.first + i);
        if (is_new ? at >= count * (1 - 1e-9) : at <= count * (1 + 1e-9))
            p += exp(log_mass(at, expected));
    }
    return fmin(p, 1);
}

double ht_excess_p(const struct ht_side *new, const struct ht_side *old, double limit)
{
    if (!(new->value - old->value > limit))
        return 1;
    if (new->weight <= 0 || old->weight <= 0) {
        if (new->weight <= 0 && old->weight <= 0)
            return 0;
        return new->weight > 0 ? one_sided(new, old->value + limit, true)
                               : one_sided(old, new->value - limit, false);
    }
    double new_count = new->variance / (new->weight *new->weight);
    double old_count = old->variance / (old->weight * old->weight);
    struct test test = {new->weight, old->weight,
                        limit - (new->value - new->weight *new_count) +
                            (old->value - old->weight * old_count)};
    double observed = score(&test, new_count, old_count), mean = best_mean(&test, new_count, old_count);
    if (!(observed > 0))
        return 1;
    double normal = erfc(observed / sqrt(2)) / 2;
    bool is_many = mean / test.new_weight + (mean - test.limit) / test.old_weight > COUNT_LIMIT;
    return is_many || normal > 0.2 ? normal : count_out(&test, mean, observed);
}

struct ordered {
    size_t test;
    double p, weight;
};

static int compare_tests(const void *left, const void *right)
{
    const struct ordered *a = left, *b = right;
    double x = a->p * b->weight, y = b->p * a->weight;
    return (x > y) - (x < y);
}

void ht_holm(const double *p, const double *weights, size_t count, double chance, bool *ret_rejected,
             double *ret_levels)
{
    struct ordered *order = ht_realloc_array(NULL, count, sizeof *order);
    double left = 0;
    for (size_t i = 0; i < count; i++) {
        order[i] = (struct ordered){i, p[i], weights[i]};
        left += weights[i];
    }
    if (count > 0)
        qsort(order, count, sizeof *order, compare_tests);
    bool is_over = false;
    for (size_t i = 0; i < count; i++) {
        double level = chance * order[i].weight / left;
        is_over = is_over || !(order[i].p <= level);
        ret_rejected[order[i].test] = !is_over;
        ret_levels[order[i].test] = level;
        if (!is_over && i + 1 < count)
            left = fmax(left - order[i].weight, order[i + 1].weight);
    }
    free(order);
}

static bool is_proven(const struct ht_side *new, const struct ht_side *old, double limit, double level,
                      size_t more)
{
    double count = (double)more;
    struct ht_side with = {new->value + count *new->weight, new->variance + count *new->weight *new->weight,
                           new->weight};
    return ht_excess_p(&with, old, limit) <= level;
}

size_t ht_excess_needed(const struct ht_side *new, const struct ht_side *old, double limit, double level)
{
    const size_t most = 1000000;
    size_t low = 0, high = 1; // not proven, proven
    if (is_proven(new, old, limit, level, 0))
        return 0;
    while (!is_proven(new, old, limit, level, high)) {
        low = high;
        high *= 2;
        if (high > most)
            return SIZE_MAX;
    }
    while (high > low + 1) {
        size_t at = low + (high - low) / 2;
        if (is_proven(new, old, limit, level, at))
            high = at;
        else
            low = at;
    }
    return high;
}
