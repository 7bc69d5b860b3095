// Growth beyond a limit: the test against exact values, its false alarms over all means, and Holm's
// procedure.
#include "stats/excess.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ht_side side_of(double count, double weight)
{
    return (struct ht_side){count * weight, count * weight * weight, weight};
}

static double poisson(int k, double mean)
{
    return mean <= 0 ? k == 0 : exp(k * log(mean) - mean - lgamma(k + 1));
}

// With one exact side it is Poisson's tail.
static void test_exact_side(void **state)
{
    (void)state;
    double tail = 1;
    for (int k = 0; k < 7; k++)
        tail -= poisson(k, 2.5);
    struct ht_side new = side_of(7, 1000), known = {2000, 0, 0};
    assert_float_equal(ht_excess_p(&new, &known, 500), tail, 1e-12);
    double below = poisson(0, 2.5) + poisson(1, 2.5);
    struct ht_side old = side_of(1, 1000), now = {2600, 0, 0};
    assert_float_equal(ht_excess_p(&now, &old, 100), below, 1e-12);
    // Both are exact: there is no chance.
    assert_true(ht_excess_p(&now, &known, 599) == 0 && ht_excess_p(&now, &known, 600) == 1);
    // A part of the estimate that is certain moves the limit.
    struct ht_side with = {7000 + 50000, 7e6, 1000}, base = {52000, 0, 0};
    assert_float_equal(ht_excess_p(&with, &base, 500), tail, 1e-12);
}

// The numbers that the manual names.
static void test_smallest(void **state)
{
    (void)state;
    struct ht_side nothing = side_of(0, 512 << 10), none = {0, 0, 0};
    assert_int_equal(ht_excess_needed(&nothing, &nothing, 0, 0.0075), 6);
    assert_int_equal(ht_excess_needed(&nothing, &nothing, 0, 0.01 / 4 / 200), 15);
    struct ht_side some = side_of(40, 512 << 10);
    assert_in_range(ht_excess_needed(&some, &some, 0, 0.0075), 22, 28);
    assert_true(ht_excess_needed(&some, &some, 10e6, 0.0075) > 40);
    struct ht_side much = side_of(100, 512 << 10);
    assert_int_equal(ht_excess_needed(&much, &none, 1e6, 0.0075), 0);
    struct ht_side many = side_of(30000, 10), more = side_of(31000, 10);
    assert_float_equal(ht_excess_p(&more, &many, 0), erfc(10000 / sqrt(6.1e6) / sqrt(2)) / 2, 1e-9);
    assert_true(ht_excess_needed(&many, &many, 1e12, 0.01) == SIZE_MAX);
}

enum { COUNTS = 64 };

// How often it would be wrong, at the worst of many means on the edge of what is allowed, as a part of what
// is said.
static double worst_of(double limit, double new_weight, double old_weight, double chance)
{
    static bool proven[COUNTS][COUNTS];
    for (int n = 0; n < COUNTS; n++)
        for (int o = 0; o < COUNTS; o++) {
            struct ht_side new = side_of(n, new_weight), old = side_of(o, old_weight);
            proven[n][o] = ht_excess_p(&new, &old, limit) <= chance;
        }
    double worst = 0;
    for (double old_mean = 0.01; old_mean < 28; old_mean *= 1.15) {
        double new_mean = (old_weight * old_mean + limit) / new_weight, sum = 0;
        for (int n = 0; n < COUNTS && new_mean < 28; n++)
            for (int o = 0; o < COUNTS; o++)
                sum += proven[n][o] ? poisson(n, new_mean) * poisson(o, old_mean) : 0;
        worst = fmax(worst, sum / chance);
    }
    return worst;
}

static void test_false_alarms(void **state)
{
    (void)state;
    static const double limits[] = {0, 1, 2, 5, 20}, chances[] = {1e-2, 7.5e-3, 1e-3, 1e-4, 1e-5};
    static const double weights[][2] = {{1, 1}, {1, 4}, {4, 1}, {16, 1}};
    double largest = 0;
    for (size_t l = 0; l < 5; l++)
        for (size_t w = 0; w < 4; w++)
            for (size_t c = 0; c < 5; c++) {
                double worst = worst_of(limits[l], weights[w][0], weights[w][1], chances[c]);
                if (worst > 1.001)
                    fail_msg("limit %g, weights %g and %g: %g of %g", limits[l], weights[w][0], weights[w][1],
                             worst, chances[c]);
                largest = fmax(largest, worst);
            }
    assert_true(largest > 0.8); // it is no test that never speaks
}

static void test_holm(void **state)
{
    (void)state;
    // Holm's own order: 0.01 <= 0.05/4, 0.013 <= 0.05/3, 0.03 > 0.05/2.
    double p[] = {0.03, 0.01, 0.04, 0.013}, weights[] = {1, 1, 1, 1}, levels[4];
    bool rejected[4];
    ht_holm(p, weights, 4, 0.05, rejected, levels);
    assert_true(!rejected[0] && rejected[1] && !rejected[2] && rejected[3]);
    assert_float_equal(levels[1], 0.0125, 1e-12);
    assert_float_equal(levels[0], 0.025, 1e-12);
    // Weights: the first alone has 3/4 of it, and leaves it to the others when it falls.
    double q[] = {0.007, 0.004, 0.009}, shares[] = {0.75, 0.125, 0.125};
    ht_holm(q, shares, 3, 0.01, rejected, levels);
    assert_true(rejected[0] && rejected[1] && rejected[2]);
    q[0] = 0.008;
    ht_holm(q, shares, 3, 0.01, rejected, levels);
    assert_true(!rejected[0] && !rejected[1] && !rejected[2]);
    assert_float_equal(levels[0], 0.0075, 1e-12);
    // What is as sure as can be falls, however many there are; and nothing is read where there is none.
    double sure[] = {0, 1}, even[] = {1, 1};
    ht_holm(sure, even, 2, 0.01, rejected, levels);
    assert_true(rejected[0] && !rejected[1]);
    ht_holm(NULL, NULL, 0, 0.01, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_side),
        cmocka_unit_test(test_smallest),
        cmocka_unit_test(test_false_alarms),
        cmocka_unit_test(test_holm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
