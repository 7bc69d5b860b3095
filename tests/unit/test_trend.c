// Tests for drift against exact values, and verdicts on series that are what they are.
#include "stats/drift.h"
#include "stats/trend.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define SNAPSHOTS 61

static void assert_near(double value, double wanted, double share)
{
    if (!(fabs(value - wanted) <= share * fabs(wanted)))
        fail_msg("%g is not %g", value, wanted);
}

// Student's distribution: from tables, and 1 degree (Cauchy) and 2 in closed form.
static void test_student(void **state)
{
    (void)state;
    assert_near(ht_student_tail(2.228139, 10), 0.025, 1e-5);
    assert_near(ht_student_tail(3.169273, 10), 0.005, 1e-5);
    assert_near(ht_student_tail(1, 1), 0.25, 1e-12);
    assert_near(ht_student_tail(-1, 1), 0.75, 1e-12);
    assert_near(ht_student_tail(5, 2), 0.5 - 5 / (2 * sqrt(27)), 1e-9);
    assert_near(ht_student_tail(1.959964, 1e7), 0.025, 1e-4);
}

static double binomial_tail(int n, int least)
{
    double sum = 0;
    for (int k = least; k <= n; k++)
        sum += exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2));
    return sum;
}

// With equal steps the sign-flip test is the binomial one.
static void test_flips(void **state)
{
    (void)state;
    for (int n = 8; n <= 60; n += 4)
        for (int ups = n / 2 + 2; ups <= n; ups++) {
            double d[60];
            for (int i = 0; i < n; i++)
                d[i] = i < ups ? 3 : -3;
            assert_near(ht_flip_p(d, (size_t)n), binomial_tail(n, ups), 0.12);
        }
    double mixed[] = {1, 2, 4, 8, -16};
    // All 32 sums of signs: 15 are above -1, those with -16 turned; the sum is -1: no growth.
    assert_true(ht_flip_p(mixed, 5) == 1);
    double large[] = {1, 2, 4, 8, 16, -1};
    // Sums of at least 30: 16 + 8 + 4 + 2 + 1 -+ 1 and 16 + 8 + 4 + 2 - 1 + 1: 3 of 64; the bound is not
    // below.
    assert_true(ht_flip_p(large, 6) >= 3.0 / 64 && ht_flip_p(large, 6) < 0.1);
    assert_true(ht_flip_p(NULL, 0) == 1);
}

static void test_poisson(void **state)
{
    (void)state;
    assert_near(ht_poisson_below(0, 3), exp(-3), 1e-12);
    assert_near(ht_poisson_below(2, 3), exp(-3) * (1 + 3 + 4.5), 1e-12);
    assert_near(ht_poisson_above(3, 3), 1 - exp(-3) * (1 + 3 + 4.5), 1e-12);
    double low, high;
    ht_poisson_limits(10, 1.96, &low,
                      &high); // the score interval: both ends are 1.96 of their own errors away
    assert_near((10 - low) / sqrt(low), 1.96, 1e-9);
    assert_near((high - 10) / sqrt(high), 1.96, 1e-9);
}

static void test_slope(void **state)
{
    (void)state;
    double times[SNAPSHOTS], values[SNAPSHOTS];
    for (int k = 0; k < SNAPSHOTS; k++) {
        times[k] = k * 10 + (k % 3);
        values[k] = 5 + 0.25 * times[k] + (k % 2 ? 1 : -1);
    }
    struct ht_slope slope = ht_slope_of(values, times, SNAPSHOTS);
    assert_near(slope.per_s, 0.25, 0.01);
    assert_true(slope.error < 0.005 && slope.p_up < 1e-6);
}

static uint64_t random_state;

static double unit(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return ((double)(random_state >> 11) + 0.5) * 0x1p-53;
}

// The slope's error on random walks is that of their slopes: the spread over many of them. 400 walks: the
// relative error of a standard deviation is 1/sqrt(800), 3.5 %; the estimate's own bias is allowed 20 %.
static void test_slope_error(void **state)
{
    (void)state;
    double times[SNAPSHOTS], values[SNAPSHOTS], squares = 0, mean_error = 0;
    enum { WALKS = 400 };
    random_state = 1;
    for (int walk = 0; walk < WALKS; walk++) {
        for (int k = 0; k < SNAPSHOTS; k++) {
            times[k] = k;
            values[k] = k == 0 ? 0 : values[k - 1] + (unit() < 0.5 ? 1 : -1);
        }
        struct ht_slope slope = ht_slope_of(values, times, SNAPSHOTS);
        squares += slope.per_s * slope.per_s / WALKS;
        mean_error += slope.error / WALKS;
    }
    assert_near(mean_error, sqrt(squares), 0.2);
}

static double times[SNAPSHOTS];

static struct ht_trend judge(struct ht_trend_sample *samples, size_t count)
{
    struct ht_trend trend;
    for (int k = 0; k < SNAPSHOTS; k++)
        times[k] = k * 10;
    ht_trend_judge(&trend, samples, count, times, SNAPSHOTS, 0.01);
    return trend;
}

static struct ht_trend_sample sample(double birth_s, uint32_t last)
{
    return (struct ht_trend_sample){.birth_s = birth_s,
                                    .value = 524288,
                                    .variance = 524288.0 * 524288,
                                    .first = birth_s <= 0 ? 0 : (uint32_t)ceil(birth_s / 10),
                                    .last = last};
}

static void test_verdicts(void **state)
{
    (void)state;
    enum { MANY = 60 };
    struct ht_trend_sample samples[2 * MANY];
    for (int i = 0; i < MANY; i++)
        samples[i] =
            sample(i * 10 + 5, SNAPSHOTS - 1); // the last one is born behind the last snapshot but one
    struct ht_trend trend = judge(samples, MANY);
    assert_int_equal(trend.verdict, HT_VERDICT_GROWS);
    assert_near(trend.per_s, 52428.8, 0.02);
    assert_true(trend.low > 0 && trend.low < trend.per_s && trend.per_s < trend.high &&
                trend.p_value < 1e-10);
    assert_near(trend.now, MANY * 524288.0, 1e-9);
    assert_near(trend.now_error, sqrt(MANY) * 524288, 1e-9);
    for (int i = 0; i < MANY; i++)
        samples[i] = sample(-50 + i * 0.1, SNAPSHOTS - 1);
    trend = judge(samples, MANY);
    assert_int_equal(trend.verdict, HT_VERDICT_NOISE);
    assert_true(fabs(trend.per_s) < 1e-3 && trend.error < 1e-3); // the same samples all the time: no error
    for (int i = 0; i < MANY; i++)
        samples[i] = sample(i * 3, SNAPSHOTS - 1); // until 180 s
    trend = judge(samples, MANY);
    assert_int_equal(trend.verdict, HT_VERDICT_LEVELS);
    assert_true(trend.ended_s > 130 && trend.ended_s < 230);
    for (int i = 0; i < MANY; i++)
        samples[i] = sample(i / 6 * 55 + 3, SNAPSHOTS - 1);
    trend = judge(samples, MANY);
    assert_int_equal(trend.verdict, HT_VERDICT_STEPS);
    for (int i = 0; i < MANY; i++)
        samples[i] = sample(-5, (uint32_t)i);
    trend = judge(samples, MANY);
    assert_int_equal(trend.verdict, HT_VERDICT_SHRINKS);
    for (int i = 0; i < 3; i++)
        samples[i] = sample(100 + i * 150, SNAPSHOTS - 1);
    trend = judge(samples, 3);
    assert_int_equal(trend.verdict, HT_VERDICT_UNDECIDED);
}

// Of a row that a leak fills: the slope's error is the spread of its slope over many runs (400: 3.5 %).
static void test_leak_error(void **state)
{
    (void)state;
    enum { RUNS = 400, MOST = 200 };
    double mean = 0, squares = 0, errors = 0;
    random_state = 7;
    for (int run = 0; run < RUNS; run++) {
        struct ht_trend_sample samples[MOST];
        size_t count = 0;
        for (double t = -log(unit()) * 10; t < 600 && count < MOST; t -= log(unit()) * 10)
            samples[count++] = sample(t, SNAPSHOTS - 1);
        struct ht_trend trend = judge(samples, count);
        mean += trend.per_s / RUNS;
        squares += trend.per_s * trend.per_s / RUNS;
        errors += trend.error / RUNS;
    }
    assert_near(mean, 52428.8,
                0.03); // 60 samples expected: 1/sqrt(60 * 400), 0.65 %, and what least squares adds
    assert_near(errors, sqrt(squares - mean * mean), 0.15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_student),     cmocka_unit_test(test_flips),
                                       cmocka_unit_test(test_poisson),     cmocka_unit_test(test_slope),
                                       cmocka_unit_test(test_slope_error), cmocka_unit_test(test_verdicts),
                                       cmocka_unit_test(test_leak_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
