// Which health counters become warnings, and from how much on.
#include "stats/health.h"
#include "stats/unseen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct heard {
    unsigned count;
    char text[4096];
};

static void hear(void *arg, const char *text)
{
    struct heard *heard = arg;
    heard->count++;
    strcat(heard->text, text);
    strcat(heard->text, "\n");
}

// `comments`: "key=value" separated by blanks.
static struct heard judge(const char *comments)
{
    struct ht_profile *profile = ht_profile_new();
    char copy[512], line[600];
    snprintf(copy, sizeof copy, "%s", comments);
    for (char *save = NULL, *word = strtok_r(copy, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save)) {
        snprintf(line, sizeof line, "# heaptap: %s", word);
        ht_profile_add_comment(profile, line);
    }
    profile->time_ns = 2000000000;
    struct heard heard = {0};
    ht_health_each(profile, hear, &heard);
    ht_profile_free(profile);
    return heard;
}

static void expect(const char *comments, const char *words)
{
    struct heard heard = judge(comments);
    if (words == NULL) {
        assert_string_equal(heard.text, "");
        return;
    }
    assert_int_equal(heard.count, 1);
    if (strstr(heard.text, words) == NULL)
        fail_msg("'%s' gives '%s'", comments, heard.text);
}

static void test_thresholds(void **state)
{
    (void)state;
    expect("", NULL);
    expect("samples=100000 snapshots=7 thinned=12 drop_live_full=99 failed_unwinds=4999 unmatched=4999",
           NULL);
    expect("samples=100000 drop_live_full=100", "100 samples (0.1%) were lost");
    expect("samples=100 drop_reentrant=1", "signal handlers");
    expect("samples=100000 failed_unwinds=5000", "5000 samples (5%) end early");
    expect("samples=100000 truncated_stacks=50000", "cut at 256 frames");
    expect("samples=100 overflow_stacks=50", "[overflow]");
    expect("samples=100 unmatched=5", "in-use figures are too large");
    expect("failed_unwinds=1", "1 samples end early"); // older writers do not say how many samples there were
}

static void test_gaps_and_cost(void **state)
{
    (void)state;
    expect("samples=9 failed=1", "written over");
    expect("samples=9 snapshot_failures=2", "2 of the process's snapshots");
    expect("samples=9 failed=2", "wait too long");
    expect("samples=9 raw_fork=1", "without libc's fork");
    expect("samples=9 unknown_before=5", "older than the start");
    expect("samples=9 inactive_ns=90000000000", "off for 1m30s");
    expect("samples=9 thinnings=1 floor_bytes=1048576", "one sample in 1MB now");
    expect("samples=9 thinnings=1", NULL);
    // The process has lived for one second.
    expect("samples=9 created=1000000000 recorder_ns=30000000 snapshot_ns=10000000", NULL);
    expect("samples=9 created=1000000000 recorder_ns=50000000 snapshot_ns=50000000",
           "took 10% of a processor");
    expect("samples=9 created=1000000000 blocked_ns=9000000", NULL);
    expect("samples=9 created=1000000000 blocked_ns=20000000", "waited");
    expect("samples=9 recorder_ns=50000000", NULL);
}

// 100 MB held a moment before, 80 left: is that news?
static void test_exit(void **state)
{
    (void)state;
    static const struct {
        int64_t left, period;
        bool told;
    } rows[] = {{80000000, 1, false},
                {74000000, 1, true},
                {0, 1, true},
                {74000000, 524288, false},
                {50000000, 524288, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ht_profile *profile = ht_profile_new();
        ht_profile_add_sample_type(profile, "inuse_space", "bytes");
        ht_profile_add_sample(profile, NULL, 0, &rows[i].left, NULL, 0);
        ht_profile_add_comment(profile, "# heaptap: trigger=exit");
        ht_profile_add_comment(profile, "# heaptap: held_lately=100000000");
        profile->period = rows[i].period;
        struct heard heard = {0};
        ht_health_each(profile, hear, &heard);
        assert_int_equal(heard.count, rows[i].told);
        assert_true(!rows[i].told ||
                    strstr(heard.text, "of the 95.37MB held within the last second") != NULL);
        ht_profile_free(profile);
    }
    expect("samples=9 trigger=signal held_lately=100000000", NULL);
}

static void test_live_heap_far_below_memory(void **state)
{
    (void)state;
    char *text = ht_unseen_text(NULL, 1 << 20, 68 << 20);
    assert_string_equal(
        text, "live heap is 1MB of 68MB in memory: the rest did not come from malloc, or was freed and "
              "is kept by the allocator");
    free(text);
    text = ht_unseen_text(ht_runtime_of("node"), 1 << 20, 68 << 20);
    assert_non_null(strstr(text, "(Node): JavaScript objects lie in V8's own heap"));
    free(text);
    assert_null(ht_unseen_text(NULL, 5 << 20, 68 << 20));    // 63 MB
    assert_null(ht_unseen_text(NULL, 101 << 20, 400 << 20)); // more than a quarter
    expect("rss_bytes=90000000 program=php-fpm8.2", NULL);   // no heap profile
}

static void test_runtimes_by_name(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"php", "PHP"},
        {"php-fpm8.2", "PHP"},
        {"php8.2", "PHP"},
        {"libphp8.2.so", "PHP"},
        {"beam.smp", "Erlang"},
        {"java", "Java"},
        {"libjvm.so", "Java"},
        {"node", "Node"},
        {"libruby-3.1.so.3.1", "Ruby"},
        {"python3.11", "Python"},
        {"phpize2", NULL},
        {"pythonic", NULL},
        {"javac", NULL},
        {"beamer", NULL},
        {"libc.so.6", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct ht_runtime *runtime = ht_runtime_of(names[i][0]);
        assert_int_equal(runtime != NULL, names[i][1] != NULL);
        if (runtime != NULL)
            assert_string_equal(runtime->name, names[i][1]);
    }
    assert_true(ht_runtime_says("malloc_debug", "malloc"));
    assert_true(ht_runtime_says("-S 1 +Mea min", "Mea min"));
    assert_false(ht_runtime_says("pymalloc", "malloc"));
    assert_false(ht_runtime_says("10", "0"));
    assert_false(ht_runtime_says(NULL, "0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_live_heap_far_below_memory),
        cmocka_unit_test(test_runtimes_by_name),
        cmocka_unit_test(test_gaps_and_cost),
        cmocka_unit_test(test_exit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
