// The gate: suppressions as LeakSanitizer reads them, and false alarms and power over many simulated pairs of
// runs.
#include "stats/gate.h"

#include "base/error.h"
#include "profile/birth.h"
#include "record/estimate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"foo", "foo", true},
        {"foo", "a_foo_b", true},
        {"foo", "fo", false},
        {"f*o", "xfabco", true},
        {"f*o", "xfabc", false},
        {"*", "a", true},
        {"^foo", "foobar", true},
        {"^foo", "afoo", false},
        {"foo$", "afoo", true},
        {"foo$", "foo foo2", false},
        {"foo$", "foo2foo", true},
        {"^foo$", "foo", true},
        {"^foo$", "foo2", false},
        {"a*b*c", "a1b2b3c", true},
        {"a*b*c", "acb", false},
        {"aab", "aaab", true},
        {"a*$", "ba", true},
        {"^*b", "aab", true},
        {"lib*.so", "/x/liby.so.1", true},
        {"foo", "", false},
        {"**a", "ba", true},
        {"^a*b$", "axbxb", true},
        {"^a*b$", "axbxc", false},
        {"$x", "a$x", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ht_suppression_matches(cases[i].pattern, cases[i].text) != cases[i].matches)
            fail_msg("'%s' against '%s'", cases[i].pattern, cases[i].text);
}

static void count_note(enum ht_note kind, const char *text, void *arg)
{
    (void)kind;
    (void)text;
    ++*(int *)arg;
}

static void test_parse(void **state)
{
    (void)state;
    static const char good[] = "# of ours\n\n  leak:foo*bar \r\nrace:x\nleak:a b\n#leak:no\nleak:last";
    struct ht_suppressions list = {0};
    int notes = 0;
    assert_int_equal(ht_suppressions_parse(&list, good, sizeof good - 1), 0);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0].pattern, "foo*bar");
    assert_string_equal(list.items[1].pattern, "a b");
    assert_string_equal(list.items[2].pattern, "last");
    assert_int_equal(list.items[2].line, 7);
    ht_notes_take(count_note, &notes);
    assert_int_equal(notes, 1);
    static const char *const bad[] = {"leak:a\nwhat\n", "leak:a\nleak:\n", "leak:a\n :x\n",
                                      "leak:a\nLEAK:x\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ht_suppressions_parse(&list, bad[i], strlen(bad[i])), -1);
        assert_non_null(strstr(ht_error(), "line 2"));
    }
    assert_int_equal(ht_suppressions_parse(&list, "leak:a\0b", 8), -1);
    ht_suppressions_free(&list);
}

// ---- Profiles of runs.

static uint64_t random_state;

static double uniform(void)
{
    uint64_t z = random_state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static struct ht_profile *new_profile(uint32_t locations[8])
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct ht_profile *profile = ht_profile_new();
    ht_profile_add_sample_type(profile, "inuse_objects", "count");
    ht_profile_add_sample_type(profile, "inuse_space", "bytes");
    struct ht_profile_mapping mapping = {.file = ht_profile_intern_text(profile, "/x/libmine.so")};
    uint32_t object = ht_profile_add_mapping(profile, &mapping);
    for (size_t i = 0; i < 8; i++) {
        struct ht_line line = {.function = ht_profile_add_function(profile, names[i], names[i], "x.c", 1),
                               .line = (int64_t)i + 1};
        locations[i] = ht_profile_add_location(profile, object, 4096 + i, &line, 1);
    }
    return profile;
}

// So many live blocks of one size at a place, by the recorder's law.
static void hold(struct ht_profile *profile, const uint32_t *location, size_t blocks, uint64_t bytes,
                 double rate, bool old)
{
    double p = ht_probability(bytes, rate), count = 0;
    for (size_t i = 0; i < blocks; i++)
        count += uniform() < p;
    const int64_t values[] = {(int64_t)llround(count / p), (int64_t)llround(count * (double)bytes / p)};
    struct ht_label label = {.key = ht_profile_intern_text(profile, HT_COMPARE_OLD_LABEL),
                             .text = ht_profile_intern_text(profile, "true")};
    if (count == 0)
        return;
    ht_profile_add_sample(profile, location, 1, values, old ? &label : NULL, old);
    size_t at = profile->sample_count - 1;
    HT_RESERVE(profile->variances, profile->variance_capacity, 2 * (at + 1));
    profile->variances[2 * at] = count * (1 - p) / (p * p);
    profile->variances[2 * at + 1] = (double)(bytes * bytes) * count * (1 - p) / (p * p);
}

// Two runs of a program that holds the same: sites of small and large blocks, busy and idle ones, and growth
// at the last of them.
static struct ht_gate judge(double old_rate, double new_rate, size_t growth, double limit, double chance,
                            struct ht_suppressions *list, struct ht_profile **ret_profile)
{
    static const struct {
        size_t blocks;
        uint64_t bytes;
    } sites[] = {{3000, 1000}, {200, 40000}, {2, 3000000}, {8000, 300},
                 {20, 600000}, {100, 100},   {1500, 4096}};
    uint32_t locations[8];
    struct ht_profile *profile = new_profile(locations);
    for (int old = 0; old < 2; old++)
        for (size_t i = 0; i < 7; i++) {
            double rate = old ? old_rate : new_rate;
            hold(profile, &locations[i], sites[i].blocks, sites[i].bytes, rate, old);
            if (i % 3 == 0) // another size class beside it
                hold(profile, &locations[i], 40, 7000, rate, old);
        }
    hold(profile, &locations[7], growth, 4096, new_rate, false);
    const struct ht_gate_options options = {.granularity = HT_BY_FUNCTIONS,
                                            .suppressions = list,
                                            .limit = limit,
                                            .chance = chance,
                                            .is_pair = true,
                                            .old_rate = old_rate,
                                            .new_rate = new_rate};
    struct ht_gate gate;
    if (ht_gate_judge(&gate, profile, &options) < 0)
        fail_msg("%s", ht_error());
    *ret_profile = profile;
    return gate;
}

static size_t count_failing(double old_rate, double new_rate, size_t growth, double limit, double chance,
                            size_t runs)
{
    size_t failing = 0;
    for (size_t i = 0; i < runs; i++) {
        struct ht_profile *profile;
        struct ht_gate gate = judge(old_rate, new_rate, growth, limit, chance, NULL, &profile);
        failing += gate.failing > 0;
        ht_gate_free(&gate);
        ht_profile_free(profile);
    }
    return failing;
}

// Of runs that hold the same at most the stated part fails; three standard errors are this simulation's own.
static void test_innocent(void **state)
{
    (void)state;
    static const double rates[][2] = {{524288, 524288}, {524288, 131072}, {131072, 524288},
                                      {65536, 65536},   {1, 524288},      {524288, 1}};
    static const double chances[] = {0.1, 0.01};
    random_state = 7;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        for (size_t c = 0; c < 2; c++) {
            const size_t runs = 400;
            size_t failing = count_failing(rates[i][0], rates[i][1], 0, 0, chances[c], runs);
            double most = (double)runs * chances[c];
            if ((double)failing > most + 3 * sqrt(most) + 1)
                fail_msg("rates %g and %g: %zu of %zu fail at %g", rates[i][0], rates[i][1], failing, runs,
                         chances[c]);
        }
    // At the edge of the limit it is the same: 1,500 blocks of 4 kB have come, and so much is allowed.
    size_t failing = count_failing(131072, 131072, 1500, 1500 * 4096, 0.05, 400);
    assert_in_range(failing, 0, 20 + 14);
}

// What is beyond what the profiles can prove is found, at the site where it is, and exact ones count each
// byte.
static void test_guilty(void **state)
{
    (void)state;
    random_state = 11;
    struct ht_profile *profile;
    struct ht_gate gate = judge(524288, 524288, 0, 0, 0.01, NULL, &profile);
    assert_in_range(gate.site_samples, 8, 10);
    size_t needed = (size_t)(gate.site_smallest / 4096);
    ht_gate_free(&gate);
    ht_profile_free(profile);
    size_t found = 0;
    for (size_t i = 0; i < 100; i++) { // twice of it: 17 samples are expected where 9 are needed
        gate = judge(524288, 524288, 2 * needed, 0, 0.01, NULL, &profile);
        const char *top = ht_profile_text(profile, gate.rows[0].site.name);
        found += gate.failing > 0 && gate.rows[0].fails && strcmp(top, "h") == 0;
        ht_gate_free(&gate);
        ht_profile_free(profile);
    }
    assert_in_range(found, 90, 100);
    for (size_t limit = 39; limit <= 40; limit++) {
        gate = judge(1, 1, 10, (double)limit * 1024, 0.01, NULL, &profile);
        assert_true(gate.is_exact && gate.total.change == 40960);
        assert_int_equal(gate.failing, limit == 39 ? 2 : 0); // the total, and h
        ht_gate_free(&gate);
        ht_profile_free(profile);
    }
}

// Of large blocks that both sides have the older one misses one now and then: that is no growth. What is too
// large to be missed is.
static void test_large(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        int now, before;
        double least, most; // of the p-value
    } cases[] = {
        {3000000, 1, 0, 0.0032, 0.004}, {3000000, 2, 1, 0.0060, 0.008}, {3000000, 2, 0, 1e-5, 1e-4},
        {30000000, 1, 0, 0, 1e-20},     {1000000, 1, 0, 0.1, 0.16},     {600000, 40, 40, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t locations[8];
        struct ht_profile *profile = new_profile(locations);
        double p = ht_probability(cases[i].bytes, 524288), bytes = (double)cases[i].bytes;
        struct ht_label label = {.key = ht_profile_intern_text(profile, HT_COMPARE_OLD_LABEL),
                                 .text = ht_profile_intern_text(profile, "true")};
        for (int old = 0; old < 2; old++) {
            double count = old ? cases[i].before : cases[i].now;
            const int64_t values[] = {llround(count / p), llround(count * bytes / p)};
            if (count == 0)
                continue;
            ht_profile_add_sample(profile, locations, 1, values, old ? &label : NULL, (size_t)old);
            HT_RESERVE(profile->variances, profile->variance_capacity, 4);
            profile->variances[2 * old] = count * (1 - p) / (p * p);
            profile->variances[2 * old + 1] = bytes * bytes * count * (1 - p) / (p * p);
        }
        struct ht_gate_options options = {
            .is_pair = true, .chance = 0.01, .old_rate = 524288, .new_rate = 524288};
        struct ht_gate gate;
        assert_int_equal(ht_gate_judge(&gate, profile, &options), 0);
        if (!(gate.total.p_value >= cases[i].least && gate.total.p_value <= cases[i].most))
            fail_msg("%g bytes, %d and %d: %g", bytes, cases[i].now, cases[i].before, gate.total.p_value);
        assert_float_equal(gate.total.error,
                           sqrt((cases[i].now + cases[i].before) * bytes * bytes * (1 - p) / (p * p)), 1);
        ht_gate_free(&gate);
        ht_profile_free(profile);
    }
}

// Two empty profiles at the default rate: six samples, 3 MB.
static void test_empty(void **state)
{
    (void)state;
    uint32_t locations[8];
    struct ht_profile *profile = new_profile(locations);
    struct ht_gate_options options = {
        .is_pair = true, .chance = 0.01, .old_rate = 524288, .new_rate = 524288};
    struct ht_gate gate;
    assert_int_equal(ht_gate_judge(&gate, profile, &options), 0);
    assert_int_equal(gate.total_samples, 6);
    assert_true(gate.total_smallest == 6 * 524288 && gate.failing == 0);
    ht_gate_free(&gate);
    // A law that nobody knows proves nothing.
    const int64_t values[] = {1, 10};
    ht_profile_add_sample(profile, locations, 1, values, NULL, 0);
    assert_int_equal(ht_gate_judge(&gate, profile, &options), -1);
    ht_profile_free(profile);
}

static void test_suppressed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t rows;
    } cases[] = {
        {"leak:^h$", 7}, {"leak:mine.so", 0}, {"leak:x.c", 0}, {"leak:none", 8}, {"leak:^a\nleak:^b", 6}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ht_suppressions list = {0};
        struct ht_profile *profile;
        assert_int_equal(ht_suppressions_parse(&list, cases[i].text, strlen(cases[i].text)), 0);
        struct ht_gate gate = judge(1, 1, 10, 0, 0.01, &list, &profile);
        assert_int_equal(gate.row_count, cases[i].rows);
        if (i == 0)
            assert_true(gate.suppressed == 40960 && gate.failing == 0 && gate.total.change == 0);
        ht_gate_free(&gate);
        ht_profile_free(profile);
        ht_suppressions_free(&list);
    }
}

// Two snapshots of one process: what survived is the same draw, and no growth by itself; what was born since
// is.
static void test_survivors(void **state)
{
    (void)state;
    random_state = 5;
    for (size_t born = 0; born <= 12; born += 12) {
        uint32_t locations[8];
        struct ht_profile *profile = new_profile(locations);
        double p = ht_probability(4096, 524288), v = 4096.0 * 4096 * (1 - p) / (p * p);
        struct ht_label label = {.key = ht_profile_intern_text(profile, HT_COMPARE_OLD_LABEL),
                                 .text = ht_profile_intern_text(profile, "true")};
        for (size_t old = 0; old < 2; old++) {
            uint32_t samples = (uint32_t)(40 + (old ? 0 : born));
            const int64_t values[] = {(int64_t)(samples / p), (int64_t)(samples * 4096 / p)};
            ht_profile_add_sample(profile, locations, 1, values, old ? &label : NULL, old);
            HT_RESERVE(profile->variances, profile->variance_capacity, 4);
            profile->variances[2 * old] = samples / (p * p);
            profile->variances[2 * old + 1] = samples * v;
            struct ht_sample *sample = &profile->samples[old];
            sample->births = profile->birth_count;
            sample->birth_count = samples;
            HT_RESERVE(profile->births, profile->birth_capacity, profile->birth_count + samples);
            for (uint32_t i = 0; i < samples; i++)
                profile->births[profile->birth_count++] =
                    (struct ht_birth){.ticks = i < 40 ? 10 : 200, .size_bytes = 4096, .rate_bytes = 524288};
        }
        profile->tick_ns = 10000000;
        struct ht_gate_options options = {
            .is_pair = true, .chance = 0.01, .old_rate = 524288, .new_rate = 524288, .old_ticks = 100};
        struct ht_gate gate;
        assert_int_equal(ht_gate_judge(&gate, profile, &options), 0);
        // 12 new samples beside 40 that survived: of two processes that is nothing, here it is proven.
        assert_int_equal(gate.failing, born > 0 ? 2 : 0);
        assert_float_equal(gate.total.error, sqrt((double)born * v), 1);
        ht_gate_free(&gate);
        options.old_ticks = 0;
        assert_int_equal(ht_gate_judge(&gate, profile, &options), 0);
        assert_int_equal(gate.failing, 0);
        assert_float_equal(gate.total.error, sqrt((double)(80 + born) * v), 1);
        ht_gate_free(&gate);
        ht_profile_free(profile);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),  cmocka_unit_test(test_parse), cmocka_unit_test(test_innocent),
        cmocka_unit_test(test_guilty),    cmocka_unit_test(test_empty), cmocka_unit_test(test_suppressed),
        cmocka_unit_test(test_survivors), cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
