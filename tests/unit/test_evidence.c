// Errors, intervals and chances of a change by simulation: blocks that stay, come and go are sampled as
// heaptap does, many times over; the truth is known.
#include "stats/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define RATE 524288.0
enum { RUNS = 1500 };

static uint64_t random_state = 5;

static double unit(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return ((double)(random_state >> 11) + 0.5) * 0x1p-53;
}

static uint32_t poisson(double mean)
{
    uint32_t count = 0;
    for (double t = -log(unit()); t < mean; t -= log(unit()))
        count++;
    return count;
}

// How many of so many blocks of a size are sampled. Few of many small ones: a Poisson number.
static uint32_t sampled(double count, double size)
{
    double p = -expm1(-size / RATE);
    uint32_t found = 0;
    if (p < 0.01)
        return poisson(count * p);
    for (double i = 0; i < count; i++)
        found += unit() < p;
    return found;
}

struct result {
    double mean, spread, error, covered, called;
};

// One call site whose blocks of one size stay, come and go.
static struct result simulate(double size, double stay, double come, double go, bool in_bytes)
{
    struct result result = {0};
    struct ht_birth births[4096];
    struct ht_sample sample = {0};
    struct ht_profile profile = {.births = births, .samples = &sample};
    stay = round(stay);
    come = round(come);
    go = round(go);
    double truth = (come - go) * (in_bytes ? size : 1), squares = 0;
    for (int run = 0; run < RUNS; run++) {
        struct ht_evidence evidence = {0};
        struct ht_change change = {0};
        uint32_t kept = sampled(stay, size), gone = sampled(go, size), born = sampled(come, size);
        for (uint32_t i = 0; i < kept + gone + born; i++)
            births[i] = (struct ht_birth){
                .ticks = i < kept + gone ? 1 : 20, .size_bytes = (uint64_t)size, .rate_bytes = (float)RATE};
        double each = (in_bytes ? size : 1) / -expm1(-size / RATE);
        sample = (struct ht_sample){.births = 0, .birth_count = kept + gone};
        ht_evidence_births(&evidence, &profile, 0, true, 10, in_bytes);
        for (uint32_t i = 0; i < born; i++)
            births[kept + i] =
                (struct ht_birth){.ticks = 20, .size_bytes = (uint64_t)size, .rate_bytes = (float)RATE};
        sample.birth_count = kept + born;
        ht_evidence_births(&evidence, &profile, 0, false, 10, in_bytes);
        double estimate = ((double)born - gone) * each;
        change.change = (int64_t)llround(estimate);
        ht_evidence_judge(&evidence, &change);
        result.mean += estimate / RUNS;
        squares += (estimate - truth) * (estimate - truth) / RUNS;
        result.error += change.error * change.error / RUNS;
        result.covered += (change.low <= truth && truth <= change.high ? 1.0 : 0.0) / RUNS;
        result.called += (change.p_value <= 0.01 ? 1.0 : 0.0) / RUNS;
    }
    result.spread = sqrt(squares);
    result.error = sqrt(result.error);
    return result;
}

// 1,500 runs: a share of 0.95 has a standard error of 0.56 %, a standard deviation one of 1.8 %. Intervals
// may cover more than they promise where few samples are expected, never much less.
static void check(struct result result, double truth)
{
    if (!(fabs(result.mean - truth) <= 4 * result.spread / sqrt(RUNS)) ||
        !(fabs(result.error / result.spread - 1) < 0.05) ||
        !(result.covered > 0.935 && result.covered < 0.985))
        fail_msg("mean %g (truth %g), spread %g, error %g, covered %g", result.mean, truth, result.spread,
                 result.error, result.covered);
}

static void test_intervals(void **state)
{
    (void)state;
    static const double sizes[] = {64, 4096, 100000, 600000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int in_bytes = 0; in_bytes < 2; in_bytes++) {
            double size = sizes[i], each = 1 / -expm1(-size / RATE); // blocks for one sample
            double unit_of = in_bytes ? size : 1;
            check(simulate(size, 30 * each, 20 * each, 12 * each, in_bytes),
                  (round(20 * each) - round(12 * each)) * unit_of);
            check(simulate(size, 0, 100 * each, 100 * each, in_bytes), 0);
            check(simulate(size, 200 * each, 10 * each, 10 * each, in_bytes), 0);
        }
}

// What stays adds no error, however much it is.
static void test_survivors(void **state)
{
    (void)state;
    struct result few = simulate(4096, 0, 2000, 1500, true), many = simulate(4096, 200000, 2000, 1500, true);
    assert_true(fabs(few.error / many.error - 1) < 0.05);
    assert_true(fabs(few.spread / many.spread - 1) < 0.1);
}

// Where nothing changed, a change is seen in 1 % at most (and 4 standard errors of 1,500 runs: 1 %).
static void test_false_calls(void **state)
{
    (void)state;
    static const double samples[] = {1, 3, 10, 40, 300};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        double each = 1 / -expm1(-4096 / RATE);
        struct result result = simulate(4096, 20 * each, samples[i] * each, samples[i] * each, true);
        assert_true(result.called <= 0.0203);
    }
}

// Births alone: 3 MB of small blocks at 512K, six samples, are found at 0.99 in more than a half; 10 MB
// always.
static void test_power(void **state)
{
    (void)state;
    struct result small = simulate(256, 0, (8 << 20) / 256, 0, true),
                  large = simulate(256, 0, (20 << 20) / 256, 0, true);
    assert_true(small.called > 0.95 && large.called > 0.999);
}

static void test_exact(void **state)
{
    (void)state;
    struct ht_evidence evidence = {0};
    struct ht_change change = {.change = 100};
    ht_evidence_total(&evidence, 1000, 0, true);
    ht_evidence_total(&evidence, 1100, 0, false);
    ht_evidence_judge(&evidence, &change);
    assert_true(change.error == 0 && change.low == 100 && change.high == 100 && change.p_value == 0);
    assert_int_equal(change.verdict, HT_CHANGE_GROWS);
    evidence = (struct ht_evidence){0};
    ht_evidence_total(&evidence, 5, (double)NAN, false);
    ht_evidence_judge(&evidence, &change);
    assert_true(isnan(change.error) && isnan(change.low));
}

// One sample more is no growth.
static void test_single(void **state)
{
    (void)state;
    struct ht_evidence evidence = {.up = 524288, .up_variance = 524288.0 * 524288, .up_count = 1};
    struct ht_change change = {.change = 524288};
    ht_evidence_judge(&evidence, &change);
    assert_int_equal(change.verdict, HT_CHANGE_NOISE);
    assert_true(change.low < 0 && change.high > 524288);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_intervals),   cmocka_unit_test(test_survivors),
                                       cmocka_unit_test(test_false_calls), cmocka_unit_test(test_power),
                                       cmocka_unit_test(test_exact),       cmocka_unit_test(test_single)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
