// What is too much of a profile is cut, and the cut is told; labels are ordered whatever their number.
#include "base/error.h"
#include "base/measure.h"
#include "profile/bounds.h"
#include "profile/label_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ht_profile *make(void)
{
    struct ht_profile *p = ht_profile_new();
    ht_profile_add_sample_type(p, "space", "bytes");
    return p;
}

static uint32_t add_chain(struct ht_profile *p, const char *name, uint32_t depth)
{
    struct ht_line *lines = ht_alloc_zero(depth, sizeof *lines);
    uint32_t function = ht_profile_add_function(p, name, name, "", 0);
    for (uint32_t i = 0; i < depth; i++) {
        lines[i] = (struct ht_line){.function = function, .line = i + 1};
    }
    uint32_t location = ht_profile_add_location(p, HT_NONE, 16 + p->location_count, lines, depth);
    free(lines);
    return location;
}

static void add_stack(struct ht_profile *p, uint32_t location, size_t times)
{
    uint32_t *frames = ht_realloc_array(NULL, times, sizeof *frames);
    const int64_t value = 1;
    for (size_t i = 0; i < times; i++) {
        frames[i] = location;
    }
    ht_profile_add_sample(p, frames, times, &value, NULL, 0);
    free(frames);
}

static void keep_note(enum ht_note kind, const char *text, void *arg)
{
    (void)kind;
    snprintf(arg, 200, "%s", text);
}

static void expect_note(const char *part)
{
    char text[200] = "";
    ht_notes_take(keep_note, text);
    if (part == NULL) {
        assert_string_equal(text, "");
    } else {
        assert_non_null(strstr(text, part));
    }
}

static void test_inlines(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    uint32_t within = add_chain(p, "within", HT_INLINE_LIMIT), beyond = add_chain(p, "beyond", 1000);
    add_stack(p, within, 3);
    add_stack(p, beyond, 3);
    ht_profile_bound_inlines(p);
    expect_note("at 1 places more functions are inlined than are shown: 256 each");
    assert_int_equal(p->locations[within].line_count, HT_INLINE_LIMIT);
    const struct ht_location *location = &p->locations[beyond];
    assert_int_equal(location->line_count, HT_INLINE_LIMIT);
    assert_int_equal(p->lines[location->lines + HT_INLINE_LIMIT - 2].line, HT_INLINE_LIMIT - 1);
    assert_int_equal(p->lines[location->lines + HT_INLINE_LIMIT - 1].line, 1000);
    assert_int_equal(ht_profile_check(p), 0);
    ht_profile_bound_inlines(p);
    expect_note(NULL);
    ht_profile_free(p);
}

// A deep chain in a stack that goes through it again and again.
static void test_expanded_frames(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    uint32_t chain = add_chain(p, "chain", 200), alone = add_chain(p, "alone", 1);
    add_stack(p, chain, HT_EXPANDED_FRAMES_LIMIT / 100);
    add_stack(p, alone, 1);
    ht_profile_bound_inlines(p);
    expect_note("for all stacks together would be too long");
    assert_int_equal(p->locations[chain].line_count, 64);
    assert_int_equal(p->locations[alone].line_count, 1);
    ht_profile_free(p);
}

static void test_texts(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    char name[HT_TEXT_LIMIT_BYTES + 2];
    memset(name, 'a', sizeof name);
    name[HT_TEXT_LIMIT_BYTES] = '\0';
    uint32_t within = ht_profile_intern_text(p, name);
    memcpy(name + HT_TEXT_LIMIT_BYTES - 4, "\xc3\xa4zzz", 6);
    uint32_t beyond = ht_profile_intern_text(p, name);
    ht_profile_bound_texts(p);
    expect_note("1 texts are longer than is shown of them: 16384 bytes");
    assert_int_equal(p->strings[within].length, HT_TEXT_LIMIT_BYTES);
    assert_int_equal(p->strings[beyond].length, HT_TEXT_LIMIT_BYTES - 1); // no half of a character
    assert_string_equal(ht_profile_text(p, beyond) + HT_TEXT_LIMIT_BYTES - 5, "a...");
    ht_profile_free(p);
}

// One name in a million frames.
static void test_texts_of_frames(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    char name[1200] = "";
    memset(name, 'n', sizeof name - 1);
    uint32_t location = add_chain(p, name, 1);
    uint32_t file = p->functions[p->lines[0].function].file = ht_profile_intern(p, name, 1100);
    add_stack(p, location, 1000000);
    ht_profile_bound_texts(p);
    expect_note("for those of all frames together would be too long");
    assert_int_equal(p->strings[p->functions[0].name].length, HT_SHORT_TEXT_LIMIT_BYTES);
    assert_int_equal(p->strings[file].length, 1100);
    ht_profile_free(p);
}

// So many that comparing each with each would never end; equal keys keep their order.
static void test_labels(void **state)
{
    (void)state;
    enum { LABELS = 1000000, KEYS = 1000 };
    struct ht_profile *p = make();
    struct ht_label_order order;
    HT_RESERVE(p->labels, p->label_capacity, LABELS);
    p->label_count = LABELS;
    for (uint32_t i = 0; i < LABELS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%03u", i * 7919 % KEYS);
        p->labels[i] = (struct ht_label){.key = ht_profile_intern_text(p, key), .number = i};
        p->labels[i].text = i % 2 == 0 ? p->labels[i].key : 0;
    }
    ht_label_order_init(&order, p, 0);
    ht_label_order_sort(&order, p->labels, LABELS);
    ht_label_order_free(&order);
    for (uint32_t i = 1; i < LABELS; i++) {
        const struct ht_label *a = &p->labels[i - 1], *b = &p->labels[i];
        int by_key = strcmp(ht_profile_text(p, a->key), ht_profile_text(p, b->key));
        assert_true((a->text != 0) >= (b->text != 0));
        assert_true((a->text == 0) != (b->text == 0) || by_key <= 0);
        assert_true((a->text == 0) != (b->text == 0) || by_key != 0 || a->number < b->number);
    }
    ht_profile_free(p);
}

// Whoever asks for a type that is not there is not told all of a thousand long names.
static void test_type_names(void **state)
{
    (void)state;
    struct ht_profile *p = ht_profile_new();
    char name[5000];
    size_t index;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    for (int i = 0; i < 1000; i++) {
        ht_profile_add_sample_type(p, i == 0 ? "first" : name, "bytes");
    }
    assert_int_equal(ht_profile_sample_index(p, "none", &index), -1);
    assert_non_null(strstr(ht_error(), "the profile has: first, nnn"));
    assert_non_null(strstr(ht_error(), "n..., n"));
    assert_null(strstr(ht_error(), "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"));
    ht_profile_free(p);
}

// A unit that others wrote ends with a whole character.
static void test_units(void **state)
{
    (void)state;
    char text[HT_MEASURE_TEXT_BYTES], unit[2000];
    for (size_t i = 0; i + 1 < sizeof unit; i += 2) {
        memcpy(unit + i, "\xc3\xa4", 2);
    }
    unit[sizeof unit - 2] = '\0';
    ht_measure_label(7, unit, unit, text);
    assert_int_equal(strlen(text), HT_MEASURE_TEXT_BYTES - 1); // the digit, and 255 characters
    assert_memory_equal(text + HT_MEASURE_TEXT_BYTES - 3, "\xc3\xa4", 3);
    ht_measure_label(17, unit, unit, text);
    assert_int_equal(strlen(text), HT_MEASURE_TEXT_BYTES - 2);
    ht_measure_label(7, "count", "things", text);
    assert_string_equal(text, "7things");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inlines),    cmocka_unit_test(test_expanded_frames),
        cmocka_unit_test(test_texts),      cmocka_unit_test(test_texts_of_frames),
        cmocka_unit_test(test_labels),     cmocka_unit_test(test_units),
        cmocka_unit_test(test_type_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
