// Classes by the ages of live samples: processes of known behaviour are sampled as heaptap samples, many
// times.
#include "profile/birth.h"
#include "stats/leaks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define RATE  524288.0
#define SIZE  4096.0
#define AGE_S 3600.0
#define MB    1048576.0
enum { RUNS = 200 };

static uint64_t random_state;
static struct ht_profile *profile;
static double allocated;

static double unit(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return ((double)(random_state >> 11) + 0.5) * 0x1p-53;
}

static void begin(void)
{
    uint32_t function, location;
    profile = ht_profile_new();
    ht_profile_add_sample_type(profile, "alloc_space", "bytes");
    ht_profile_add_sample_type(profile, "inuse_space", "bytes");
    function = ht_profile_add_function(profile, "keep", "keep", "/srv/keep.c", 1);
    location =
        ht_profile_add_location(profile, HT_NONE, 1, &(struct ht_line){.function = function, .line = 5}, 1);
    int64_t values[] = {0, 0};
    ht_profile_add_sample(profile, &location, 1, values, NULL, 0);
    profile->time_ns = INT64_C(1700000000000000000);
    profile->tick_ns = 10000000;
    profile->ticks_now = 100000000;
    ht_profile_add_comment(profile, "# heaptap: created=1699996400000000000"); // an hour before
    allocated = 0;
}

// A block that was sampled when it was so old; it is there unless it has lived for `life_s`.
static void sampled(double age_s, double life_s)
{
    double p = -expm1(-SIZE / RATE);
    allocated += SIZE / p;
    if (age_s >= life_s)
        return;
    HT_RESERVE(profile->births, profile->birth_capacity, profile->birth_count + 1);
    profile->births[profile->birth_count++] =
        (struct ht_birth){.ticks = profile->ticks_now - (int64_t)(age_s * 100),
                          .size_bytes = (uint64_t)SIZE,
                          .rate_bytes = (float)RATE};
    ht_profile_values(profile, 0)[1] += (int64_t)(SIZE / p);
}

// So many MB an hour from one age to another; 0: they stay.
static void births(double mb_per_hour, double from_age_s, double to_age_s, double mean_life_s, bool fixed)
{
    double mean = RATE / (mb_per_hour * MB / 3600);
    for (double age = from_age_s + log(unit()) * mean; age > to_age_s; age += log(unit()) * mean)
        sampled(age, mean_life_s == 0 ? INFINITY : fixed ? mean_life_s : -log(unit()) * mean_life_s);
}

static struct ht_leak_row finish(void)
{
    struct ht_leaks leaks;
    struct ht_leak_row row = {.class = HT_AGES_UNDECIDED};
    ht_profile_values(profile, 0)[0] = (int64_t)allocated;
    profile->samples[0].birth_count = (uint32_t)profile->birth_count;
    assert_int_equal(ht_leaks_judge(&leaks, profile, &(struct ht_leaks_options){.granularity = HT_BY_LINES}),
                     0);
    if (leaks.count > 0)
        row = leaks.rows[0];
    ht_leaks_free(&leaks);
    ht_profile_free(profile);
    return row;
}

static void leak(void)
{
    births(20, AGE_S, 0, 0, false);
}

static void leak_in_churn(void)
{
    births(20, AGE_S, 0, 0, false);
    births(6000, AGE_S, 0, 2, false);
}

static void late_leak(void)
{
    births(60, AGE_S / 3, 0, 0, false);
}

static void full_cache(void)
{
    births(60, AGE_S, 0, AGE_S / 4, true);
}

static void start_up(void)
{
    births(1000, AGE_S, AGE_S * 0.98, 0, false);
}

static void short_use(void)
{
    births(2000, AGE_S, 0, 10, false);
}

static void long_use(void)
{
    births(200, AGE_S, 0, 300, false);
}

static void one_burst(void)
{
    births(1000, AGE_S * 0.4, AGE_S * 0.38, 0, false);
}

static void few(void)
{
    births(1, AGE_S, 0, 0, false);
}

static const struct shape {
    void (*make)(void);
    unsigned right; // classes
    double least;   // of the runs; a steady rate passes the test of evenness in 95 %
} shapes[] = {
    {leak, 1u << HT_AGES_GROWS, 0.9},
    {leak_in_churn, 1u << HT_AGES_GROWS, 0.9},
    {late_leak, 1u << HT_AGES_GROWS, 0.85},
    {full_cache, 1u << HT_AGES_BOUNDED, 0.9},
    {start_up, 1u << HT_AGES_STARTUP, 1},
    {short_use, 1u << HT_AGES_TRANSIENT | 1u << HT_AGES_BOUNDED, 0.95},
    {long_use, 1u << HT_AGES_BOUNDED | 1u << HT_AGES_UNDECIDED, 0.98},
    {one_burst, 1u << HT_AGES_UNDECIDED, 0.95},
    {few, 1u << HT_AGES_UNDECIDED, 0.95},
};

static void test_classes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        double right = 0, counts[HT_AGE_CLASSES] = {0};
        random_state = i + 1;
        for (int run = 0; run < RUNS; run++) {
            begin();
            shapes[i].make();
            struct ht_leak_row row = finish();
            right += (shapes[i].right >> row.class & 1) / (double)RUNS;
            counts[row.class]++;
        }
        if (right < shapes[i].least)
            fail_msg("shape %zu: %.2f right; grows %g, bounded %g, start-up %g, in use %g, undecided %g", i,
                     right, counts[0], counts[1], counts[2], counts[3], counts[4]);
    }
}

// 20 MB an hour: its estimate is right on average, and its interval holds the truth.
static void test_rate(void **state)
{
    (void)state;
    double mean = 0, covered = 0, count = 0;
    random_state = 99;
    for (int run = 0; run < RUNS; run++) {
        begin();
        leak();
        struct ht_leak_row row = finish();
        if (row.class != HT_AGES_GROWS)
            continue;
        mean += row.per_s;
        covered += row.low <= 20 * MB / 3600 && 20 * MB / 3600 <= row.high;
        count++;
    }
    // 40 samples a run: 16 % each, 1.1 % of 200.
    assert_true(fabs(mean / count / (20 * MB / 3600) - 1) < 0.05);
    assert_true(covered / count > 0.9);
}

static void test_without_births(void **state)
{
    (void)state;
    struct ht_leaks leaks;
    begin();
    profile->tick_ns = 0;
    assert_int_equal(ht_leaks_judge(&leaks, profile, &(struct ht_leaks_options){0}), -1);
    ht_profile_free(profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_classes), cmocka_unit_test(test_rate),
                                       cmocka_unit_test(test_without_births)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
