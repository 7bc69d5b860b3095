// Tests the flame graph's tree on profiles made by hand: sums, inlined frames, a base, what is cut, escaping,
// the forms.
#include "base/error.h"
#include "cmd/reports.h"
#include "view/escape.h"
#include "view/flame/flame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TYPES = 2 };

static struct ht_profile *make(void)
{
    struct ht_profile *p = ht_profile_new();
    ht_profile_add_sample_type(p, "inuse_objects", "count");
    ht_profile_add_sample_type(p, "inuse_space", "bytes");
    struct ht_profile_mapping program = {
        .start = 0x1000, .limit = 0x90000, .file = ht_profile_intern_text(p, "/srv/demo")};
    ht_profile_add_mapping(p, &program);
    return p;
}

// A location with the named function, or with `inlined` inside it.
static uint32_t place(struct ht_profile *p, const char *name, const char *inlined, int64_t line)
{
    struct ht_line lines[2];
    size_t count = 0;
    if (inlined != NULL)
        lines[count++] = (struct ht_line){
            .function = ht_profile_add_function(p, inlined, inlined, "/src/in.h", 1), .line = line};
    lines[count++] =
        (struct ht_line){.function = ht_profile_add_function(p, name, name, "/src/demo.c", 1), .line = line};
    return ht_profile_add_location(p, 0, 0x1000 + 16 * p->location_count, lines, count);
}

static void add(struct ht_profile *p, int64_t objects, int64_t bytes, bool is_base, const uint32_t *frames,
                size_t count)
{
    int64_t values[TYPES] = {objects, bytes};
    struct ht_label label = {.key = ht_profile_intern_text(p, "pprof::base"),
                             .text = ht_profile_intern_text(p, "true")};
    ht_profile_add_sample(p, frames, count, values, &label, is_base);
}

#define STACK(...) (uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)

struct built {
    struct ht_report report;
    struct ht_flame flame;
};

static void build(struct built *built, struct ht_profile *p, const struct ht_view_options *options)
{
    if (ht_report_init(&built->report, p, options) < 0 || ht_flame_build(&built->flame, &built->report) < 0)
        fail_msg("%s", ht_error());
    if (ht_flame_check(&built->flame) < 0)
        fail_msg("%s", ht_error());
}

static void release(struct built *built, struct ht_profile *p)
{
    ht_flame_free(&built->flame);
    ht_report_free(&built->report);
    ht_profile_free(p);
}

static struct ht_view_options defaults(void)
{
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    ht_report_settle(ht_report_find("flame"), &options);
    options.node_fraction = 0;
    return options;
}

// The kept node with this name and depth; fails if there is none.
static uint32_t find(struct ht_flame *flame, const char *name, uint32_t depth)
{
    for (uint32_t i = 0; i < flame->node_count; i++)
        if (flame->nodes[i].kept && flame->nodes[i].depth == depth &&
            strcmp(ht_flame_name(flame, i), name) == 0)
            return i;
    fail_msg("there is no %s at depth %u", name, depth);
    return 0;
}

static void test_tree(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    uint32_t start = place(p, "main", NULL, 5), parse = place(p, "parse", "copy", 10),
             again = place(p, "parse", "copy", 14), called = place(p, "copy", NULL, 3),
             idle = place(p, "idle", NULL, 7);
    add(p, 2, 100, false, STACK(parse, start));
    add(p, 1, 20, false, STACK(again, start));
    add(p, 1, 30, false, STACK(called, again, start)); // copy calls itself, not inlined
    add(p, 5, 7, false, STACK(idle, start, start));    // recursion stays a pile
    add(p, 1, 1, false, NULL, 0);                      // the filters drop what has no stack, as pprof's do
    add(p, 0, 0, false, STACK(idle));
    struct ht_view_options options = defaults();
    struct built b;
    build(&b, p, &options);
    uint32_t copy = find(&b.flame, "copy", 3), inner = find(&b.flame, "copy", 4);
    assert_int_equal(b.flame.order_count, 7);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.cum, 0, 0), 9);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.cum, 0, 1), 157);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.self, 0, 1), 0);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.cum, copy, 1), 150);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.self, copy, 1), 120);
    assert_true(b.flame.nodes[copy].is_inlined && !b.flame.nodes[copy].is_called);
    assert_true(!b.flame.nodes[inner].is_inlined && b.flame.nodes[inner].is_called);
    const struct ht_flame_node *node = &b.flame.nodes[find(&b.flame, "parse", 2)];
    assert_int_equal(node->line_first, 10);
    assert_int_equal(node->line_last, 14);
    assert_string_equal(ht_flame_file(&b.flame, copy), "/src/in.h");
    find(&b.flame, "idle", 3);
    // the heaviest first
    assert_string_equal(ht_flame_name(&b.flame, b.flame.order[2]), "parse");
    release(&b, p);
}

static void test_noinlines_and_lines(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    uint32_t parse = place(p, "parse", "copy", 10), other = place(p, "parse", "copy", 14);
    add(p, 1, 10, false, STACK(parse));
    add(p, 1, 20, false, STACK(other));
    struct ht_view_options options = defaults();
    options.noinlines = true;
    options.granularity = HT_BY_LINES;
    options.trim_path = "/src";
    struct built b;
    build(&b, p, &options);
    assert_int_equal(b.flame.order_count, 3);
    uint32_t first = find(&b.flame, "parse demo.c:14", 1);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.cum, first, 1), 20);
    assert_string_equal(ht_flame_file(&b.flame, first), "demo.c");
    assert_false(b.flame.nodes[first].is_inlined);
    release(&b, p);
}

static void test_base(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    uint32_t start = place(p, "main", NULL, 5), grew = place(p, "grew", NULL, 6),
             gone = place(p, "gone", NULL, 7);
    add(p, 3, 300, false, STACK(grew, start));
    add(p, -1, -100, true, STACK(grew, start));
    add(p, -2, -50, true, STACK(gone, start));
    struct ht_view_options options = defaults();
    options.sample_index = "inuse_space";
    struct built b;
    build(&b, p, &options);
    assert_true(b.flame.has_base);
    assert_false(b.flame.is_signed[1]);
    uint32_t node = find(&b.flame, "main", 1);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.cum, node, 1), 300);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.base.cum, node, 1), 150);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.change, node, 1), 250); // +200 and -50
    assert_int_equal(ht_flame_width(&b.flame, find(&b.flame, "gone", 2), 1), 0);
    ht_flame_free(&b.flame);
    ht_report_free(&b.report);
    options.drop_negative = true;
    build(&b, p, &options);
    assert_int_equal(b.flame.cut_frames[HT_FLAME_NEGATIVE], 1);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.base.cut, find(&b.flame, "main", 1), 1), 50);
    release(&b, p);
}

static void test_signed(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    uint32_t start = place(p, "main", NULL, 5), less = place(p, "less", NULL, 6);
    add(p, 1, 10, false, STACK(start));
    add(p, -1, -40, false, STACK(less, start));
    struct ht_view_options options = defaults();
    struct built b;
    build(&b, p, &options);
    assert_true(b.flame.is_signed[1] && !b.flame.has_base);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.cum, 0, 1), -30);
    assert_int_equal(ht_flame_width(&b.flame, 0, 1), 50);
    release(&b, p);
}

// main calls f0 .. f9 with 10, 20 ... 100 bytes; each of them has a callee with half of that.
static struct ht_profile *make_ten(void)
{
    struct ht_profile *p = make();
    uint32_t start = place(p, "main", NULL, 5);
    for (int i = 0; i < 10; i++) {
        char name[16], below[16];
        snprintf(name, sizeof name, "f%d", i);
        snprintf(below, sizeof below, "g%d", i);
        uint32_t f = place(p, name, NULL, 20 + i), g = place(p, below, NULL, 40 + i);
        add(p, 1, (i + 1) * 5, false, STACK(f, start));
        add(p, 1, (i + 1) * 5, false, STACK(g, f, start));
    }
    return p;
}

static void test_cut(void **state)
{
    (void)state;
    struct ht_view_options options = defaults();
    struct built b;
    struct ht_profile *p = make_ten();
    options.sample_index = "inuse_space";
    // all, main, f9 .. f5 by their bytes; a tenth of the objects each have f0 .. f4, of which the first stays
    options.node_count = 8;
    build(&b, p, &options);
    assert_int_equal(b.flame.order_count, 8);
    assert_int_equal(ht_flame_cut_frames(&b.flame), 22 - 8);
    uint32_t start = find(&b.flame, "main", 1);
    find(&b.flame, "f9", 2);
    assert_int_equal(b.flame.nodes[start].cut_frames, 8); // f1 .. f4 with what they call
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.cut, start, 1), 20 + 30 + 40 + 50);
    assert_int_equal(b.flame.nodes[find(&b.flame, "f9", 2)].cut_frames, 1);
    assert_true(b.flame.cut_fraction > 0 && b.flame.cut_fraction <= 0.1);
    struct ht_buffer words = {0};
    ht_flame_cut_words(&b.flame, 1, &words);
    assert_string_equal(words.data,
                        "14 frames were left out: 345B, 62.73% in all; 14 with at most 10.00% each");
    ht_buffer_free(&words);
    release(&b, p);

    p = make_ten();
    options.node_count = 0;
    options.node_fraction = 0.12; // of 550 bytes: 66
    build(&b, p, &options);
    assert_int_equal(b.flame.order_count, 2 + 4);
    release(&b, p);

    p = make_ten();
    options.trim = false;
    build(&b, p, &options);
    assert_int_equal(b.flame.order_count, 22);
    assert_int_equal(ht_flame_cut_frames(&b.flame), 0);
    release(&b, p);
}

static void test_deep(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    uint32_t frames[HT_FLAME_DEPTH + 100];
    uint32_t location = place(p, "down", NULL, 1);
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        frames[i] = location;
    add(p, 1, 64, false, frames, sizeof frames / sizeof frames[0]);
    struct ht_view_options options = defaults();
    struct built b;
    build(&b, p, &options);
    assert_int_equal(b.flame.order_count, HT_FLAME_DEPTH + 1);
    assert_int_equal(b.flame.cut_frames[HT_FLAME_DEEP], 100);
    assert_int_equal(ht_flame_value(&b.flame, b.flame.now.cut, b.flame.order[HT_FLAME_DEPTH], 1), 64);
    release(&b, p);
}

static uint64_t mix(uint64_t x)
{
    for (int i = 0; i < 2; i++) {
        x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    }
    return x ^ x >> 32;
}

// Random stacks and limits: the invariants hold, and totals are those of the samples.
static void test_random(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct ht_profile *p = make();
        uint64_t random = mix(seed);
        int64_t totals[2][TYPES] = {{0}, {0}};
        for (int i = 0; i < 12; i++) {
            char name[16];
            snprintf(name, sizeof name, "f%d", i % 9);
            place(p, name, i % 3 == 0 ? "in" : NULL, i);
        }
        for (int i = 0; i < 200; i++) {
            uint32_t frames[8];
            size_t count = (random = mix(random + 1)) % 8;
            for (size_t f = 0; f < count; f++)
                frames[f] = (uint32_t)((random >> (8 + 5 * f)) % 12);
            bool is_base = seed % 2 == 0 && random % 3 == 0;
            int64_t objects = (int64_t)(random >> 50) % 100, bytes = (int64_t)(random >> 40) % 10000;
            if (seed % 5 == 0 && i % 7 == 0)
                objects = -objects;
            add(p, is_base ? -objects : objects, is_base ? -bytes : bytes, is_base, frames, count);
            totals[is_base][0] += count > 0 ? objects : 0;
            totals[is_base][1] += count > 0 ? bytes : 0;
        }
        struct ht_view_options options = defaults();
        options.node_count = (int64_t)(random % 40);
        options.node_fraction = seed % 3 == 0 ? 0.01 : 0;
        options.drop_negative = seed % 4 == 0;
        struct built b;
        build(&b, p, &options);
        for (size_t type = 0; type < TYPES; type++) {
            assert_int_equal(ht_flame_value(&b.flame, b.flame.now.cum, 0, type), totals[0][type]);
            if (b.flame.has_base)
                assert_int_equal(ht_flame_value(&b.flame, b.flame.base.cum, 0, type), totals[1][type]);
        }
        release(&b, p);
    }
}

static void test_mean_is_refused(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    struct ht_view_options options = defaults();
    options.mean = true;
    struct built b;
    assert_int_equal(ht_report_init(&b.report, p, &options), 0);
    assert_int_equal(ht_flame_build(&b.flame, &b.report), -1);
    assert_non_null(strstr(ht_error(), "--mean"));
    ht_report_free(&b.report);
    ht_profile_free(p);
}

static void test_escape(void **state)
{
    (void)state;
    static const struct {
        const char *text, *markup;
    } cases[] = {
        {"a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#39;"}, {"\x1b[0m\x7f", "\\u001b[0m\\u007f"},
        {"\u202eabc\u2066", "\\u202eabc\\u2066"},   {"\xff\xc0", "\ufffd\ufffd"},
        {"\u65e5\U0001f600", "\u65e5\U0001f600"},   {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ht_buffer out = {0};
        ht_escape_markup(cases[i].text, strlen(cases[i].text), &out);
        assert_string_equal(out.data != NULL ? out.data : "", cases[i].markup);
        ht_buffer_free(&out);
    }
    struct ht_buffer out = {0};
    const char json[] = "{\"a\":\"</script><!--&\"}";
    ht_escape_script(json, strlen(json), &out);
    assert_string_equal(out.data, "{\"a\":\"\\u003c/script\\u003e\\u003c!--\\u0026\"}");
    ht_buffer_free(&out);
}

// Hostile names leave no markup of their own in any form.
static void test_forms(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    uint32_t evil = place(p, "</script><b>", NULL, 3);
    add(p, 1, 1 << 20, false, STACK(evil));
    struct ht_view_options options = defaults();
    options.sample_index = "inuse_space";
    struct built b;
    build(&b, p, &options);
    struct ht_buffer svg = {0}, data = {0}, json = {0};
    ht_flame_svg(&b.flame, 1, false, &svg);
    assert_non_null(strstr(svg.data, ">&lt;/script&gt;&lt;b&gt;</text>"));
    assert_null(strstr(svg.data, "<b>"));
    assert_non_null(strstr(svg.data, "1MB, 100%"));
    ht_flame_page_data(&b.flame, true, &data);
    assert_null(strchr(data.data, '<'));
    assert_non_null(strstr(data.data, "\"self\":[\n[0,1],\n[0,1048576]]"));
    ht_flame_json(&b.flame, "flame", &json);
    assert_non_null(strstr(json.data, "\"values\": [1, 1048576]"));
    ht_buffer_free(&svg);
    ht_buffer_free(&data);
    ht_buffer_free(&json);
    release(&b, p);
}

// A profile without a sample still gives every form.
static void test_empty(void **state)
{
    (void)state;
    struct ht_profile *p = make();
    struct ht_view_options options = defaults();
    struct built b;
    build(&b, p, &options);
    struct ht_buffer out = {0};
    ht_flame_svg(&b.flame, 0, true, &out);
    ht_flame_page_data(&b.flame, false, &out);
    ht_flame_json(&b.flame, "flame", &out);
    assert_true(out.length > 100);
    ht_buffer_free(&out);
    release(&b, p);
}

// 600 stacks with common beginnings, inlined frames, equal weights and one that is too deep.
static struct ht_profile *make_bushy(void)
{
    enum { STACKS = 600, PLACES = 24, DEEP = HT_FLAME_DEPTH + 40 };
    struct ht_profile *p = make();
    uint32_t places[PLACES], stack[DEEP];
    uint64_t random = 1;
    for (int i = 0; i < PLACES; i++) {
        char name[16], inner[16];
        snprintf(name, sizeof name, "f%d", i % 17);
        snprintf(inner, sizeof inner, "in%d", i % 5);
        places[i] = place(p, name, i % 3 == 0 ? inner : NULL, i);
    }
    for (int i = 0; i < STACKS; i++) {
        size_t count = i == 77 ? DEEP : 1 + (size_t)(i % 9);
        for (size_t at = 0; at < count; at++) {
            random = mix(random + 1);
            stack[at] = places[random % (at + 4 > count ? 3 : PLACES)];
        }
        add(p, (int64_t)(random >> 32) % 3, (int64_t)(random >> 40) % 4 * 64, false, stack, count);
    }
    return p;
}

static struct ht_buffer bushy_json(int64_t node_count, size_t planned_frames)
{
    struct ht_profile *p = make_bushy();
    struct ht_view_options options = defaults();
    options.node_count = node_count;
    struct built b;
    if (ht_report_init(&b.report, p, &options) < 0 ||
        ht_flame_build_planned(&b.flame, &b.report, planned_frames) < 0 || ht_flame_check(&b.flame) < 0)
        fail_msg("%s", ht_error());
    struct ht_buffer out = {0};
    ht_flame_json(&b.flame, "flame", &out);
    ht_flame_cut_words(&b.flame, 1, &out);
    ht_flame_page_data(&b.flame, false, &out);
    release(&b, p);
    return out;
}

static void test_plan(void **state)
{
    (void)state;
    static const int64_t limits[] = {1, 2, 3, 7, 40, 41, 200, 999, 20000};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct ht_buffer whole = bushy_json(limits[i], SIZE_MAX), planned = bushy_json(limits[i], 0);
        assert_string_equal(planned.data, whole.data);
        ht_buffer_free(&whole);
        ht_buffer_free(&planned);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),   cmocka_unit_test(test_noinlines_and_lines),
        cmocka_unit_test(test_base),   cmocka_unit_test(test_signed),
        cmocka_unit_test(test_cut),    cmocka_unit_test(test_deep),
        cmocka_unit_test(test_random), cmocka_unit_test(test_mean_is_refused),
        cmocka_unit_test(test_escape), cmocka_unit_test(test_forms),
        cmocka_unit_test(test_plan),   cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
