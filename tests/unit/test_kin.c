// Profiles of a family of processes: what forked children share is counted once, and the field that says so
// is read and written.
#include "base/error.h"
#include "profile/birth.h"
#include "profile/kin.h"
#include "profile/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PLACES = 2 };

static void comment(struct ht_profile *p, const char *key, long value)
{
    char *text = ht_format("# heaptap: %s=%ld", key, value);
    ht_profile_add_comment(p, text);
    free(text);
}

// The snapshot of a process that holds so many bytes at each place; `inherited`: of those from `parent`, 0:
// nobody.
static struct ht_profile *snapshot(long pid, long parent, const int64_t *held, const int64_t *inherited)
{
    struct ht_profile *p = ht_profile_new();
    ht_profile_add_sample_type(p, "inuse_space", "bytes");
    struct ht_profile_mapping mapping = {.start = 0x1000, .limit = 0x2000};
    uint32_t m = ht_profile_add_mapping(p, &mapping);
    struct ht_label bytes = {.key = ht_profile_intern_text(p, "bytes"), .number = 64};
    struct ht_label mark = {.key = ht_profile_intern_text(p, HT_INHERITED_LABEL),
                            .text = ht_profile_intern_text(p, HT_INHERITED_LABEL)};
    struct ht_label both[2] = {bytes, mark};
    for (uint32_t i = 0; i < PLACES; i++) {
        uint32_t location = ht_profile_add_location(p, m, 0x1100 + i * 16, NULL, 0);
        ht_profile_add_sample(p, &location, 1, &held[i], &bytes, 1);
        if (parent != 0)
            ht_profile_add_sample(p, &location, 1, &inherited[i], both, 2);
    }
    ht_profile_need_variances(p); // 10 times the value; what is inherited is a part of that
    for (size_t i = 0; i < p->sample_count; i++)
        p->variances[i] = p->samples[i].label_count == 1 ? 10 * (double)p->values[i] : 0;
    comment(p, "pid", pid);
    comment(p, "start", pid * 10);
    comment(p, "seq", 0);
    if (parent != 0) {
        comment(p, "inherited_pid", parent);
        comment(p, "inherited_start", parent * 10);
    }
    return p;
}

static void expect_sum(struct ht_profile **profiles, size_t count, const int64_t *wanted, int64_t wanted_less)
{
    static const char *const names[8] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct ht_kin *kin = ht_kin_begin(profiles, names, count);
    assert_int_equal(ht_profile_merge(profiles, count), 0);
    assert_int_equal(ht_kin_end(kin, profiles[0], false), wanted_less);
    assert_int_equal(ht_profile_check(profiles[0]), 0);
    int64_t sums[PLACES] = {0};
    double variances[PLACES] = {0};
    for (size_t i = 0; i < profiles[0]->sample_count; i++) {
        const struct ht_sample *sample = &profiles[0]->samples[i];
        assert_int_equal(sample->label_count, 1);
        uint64_t address = profiles[0]->locations[profiles[0]->frames[sample->frames]].address;
        sums[(address - 0x1100) / 16] += ht_profile_values(profiles[0], i)[0];
        variances[(address - 0x1100) / 16] += ht_profile_variances(profiles[0], i)[0];
    }
    for (int i = 0; i < PLACES; i++) {
        assert_int_equal(sums[i], wanted[i]);
        assert_true(fabs(variances[i] - 10 * (double)wanted[i]) <
                    1e-9); // so what is shared counts once there too
    }
    ht_profile_free(profiles[0]);
}

#define AT(...) ((const int64_t[PLACES]){__VA_ARGS__})

static void test_sums(void **state)
{
    (void)state;
    // A parent and two children that have got 10 and 20 of their own; one has freed 30 of what it had.
    struct ht_profile *all[] = {snapshot(1, 0, AT(100, 50), NULL), snapshot(2, 1, AT(110, 50), AT(100, 50)),
                                snapshot(3, 1, AT(90, 50), AT(70, 50))};
    expect_sum(all, 3, AT(130, 50), 270);
    // The children alone: what the one has that kept more.
    struct ht_profile *children[] = {snapshot(2, 1, AT(110, 40), AT(100, 40)),
                                     snapshot(3, 1, AT(90, 50), AT(70, 50))};
    expect_sum(children, 2, AT(130, 50), 110);
    // The parent has freed what its child keeps.
    struct ht_profile *freed[] = {snapshot(2, 1, AT(110, 40), AT(100, 40)), snapshot(1, 0, AT(30, 40), NULL)};
    expect_sum(freed, 2, AT(110, 40), 70);
    // A grandchild has of its parent's what that one inherited, and what it got itself.
    struct ht_profile *line[] = {snapshot(1, 0, AT(100, 5), NULL), snapshot(2, 1, AT(120, 5), AT(100, 5)),
                                 snapshot(3, 2, AT(121, 5), AT(120, 5))};
    expect_sum(line, 3, AT(121, 5), 230);
    // Strangers share nothing, whatever they inherited from whom.
    struct ht_profile *strangers[] = {snapshot(2, 1, AT(110, 40), AT(100, 40)),
                                      snapshot(9, 0, AT(1, 2), NULL), snapshot(4, 3, AT(7, 7), AT(7, 7))};
    expect_sum(strangers, 3, AT(118, 49), 0);
}

static void test_field(void **state)
{
    (void)state;
    struct ht_profile *p = snapshot(2, 1, AT(110, 50), AT(100, 50)), *again;
    struct ht_buffer bytes = {0};
    ht_profile_encode(p, &bytes);
    assert_int_equal(ht_profile_decode((const uint8_t *)bytes.data, bytes.length, NULL, &again), 0);
    assert_int_equal(again->sample_count, 4);
    assert_int_equal(ht_profile_check(again), 0);
    assert_int_equal(ht_profile_total(again, "inuse_space"), 160);
    // The label itself is in no file: its text is only in memory.
    assert_null(memmem(bytes.data, bytes.length, HT_INHERITED_LABEL, strlen(HT_INHERITED_LABEL)));
    ht_kin_forget_inherited(again);
    assert_int_equal(again->sample_count, 2);
    assert_int_equal(ht_profile_total(again, "inuse_space"), 160);
    ht_buffer_free(&bytes);
    ht_profile_free(again);
    ht_profile_free(p);
}

static void test_series(void **state)
{
    (void)state;
    struct ht_profile *a = snapshot(1, 0, AT(1, 2), NULL), *b = snapshot(1, 0, AT(1, 2), NULL);
    struct ht_profile *c = snapshot(2, 0, AT(1, 2), NULL), *d = snapshot(1, 0, AT(1, 2), NULL);
    a->time_ns = 5;
    b->time_ns = 6;
    assert_true(ht_source_is_series(a, b));
    assert_true(ht_source_is_newer(b, a));
    assert_false(ht_source_is_newer(a, b));
    assert_false(ht_source_is_series(a, c));
    comment(d, "seq", 1); // of several
    assert_false(ht_source_is_series(a, d));
    ht_profile_add_sample_type(b, "delay", "nanoseconds");
    assert_false(ht_source_is_series(a, b));
    ht_profile_free(a);
    ht_profile_free(b);
    ht_profile_free(c);
    ht_profile_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_field),
        cmocka_unit_test(test_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
