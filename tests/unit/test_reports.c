// Tests what the text reports are made of: columns, label frames, call trees, raw's lengths of time, the
// table's defaults. (tests/golden holds whole reports against pprof's.)
#include "base/error.h"
#include "cmd/reports.h"
#include "view/graph/graph.h"
#include "view/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect(struct ht_buffer *out, const char *text)
{
    assert_string_equal(out->data, text);
    out->length = 0;
    ht_buffer_text(out, "");
}

static void test_columns(void **state)
{
    (void)state;
    struct ht_buffer out = {0};
    assert_int_equal(ht_text_characters("\xc3\xbc\xff-", 4), 3);
    ht_text_right(&out, 4, "\xc3\xbc");
    expect(&out, "   \xc3\xbc");
    ht_text_right(&out, 2, "long");
    expect(&out, "long");
    static const char rows[] = "key:\t Total 6\n \t5 (83%):\t one\n \t10:\t\xc3\xbc\n\nnext\t\tx\n\t\n";
    ht_text_align(&out, rows, sizeof rows - 1);
    expect(&out, " key: Total 6\n      5 (83%): one\n           10:\xc3\xbc\n\n next x\n     \n");
    ht_text_align(&out, "", 0);
    expect(&out, "");
    ht_text_name(&out, "a_function_with_a_long_name", " (inline)", 0, 40);
    expect(&out, "a_function_with_a_long_name (inline)");
    ht_text_name(&out, "a_function_with_a_long_name", " (inline)", 60, 29);
    assert_int_equal(out.length, 22 + strlen(" (inline)"));
    ht_buffer_free(&out);
}

static uint32_t add_location(struct ht_profile *p, const char *name)
{
    struct ht_line line = {.function = ht_profile_add_function(p, name, name, "", 0), .line = 1};
    return ht_profile_add_location(p, HT_NONE, 16 + p->location_count, &line, 1);
}

static struct ht_label text_label(struct ht_profile *p, const char *key, const char *text)
{
    return (struct ht_label){.key = ht_profile_intern_text(p, key), .text = ht_profile_intern_text(p, text)};
}

static void expect_stack(const struct ht_profile *p, size_t sample, const char *names)
{
    struct ht_buffer out = {0};
    ht_buffer_text(&out, "");
    for (uint32_t i = 0; i < p->samples[sample].frame_count; i++) {
        const struct ht_location *location = &p->locations[p->frames[p->samples[sample].frames + i]];
        const struct ht_function *function = &p->functions[p->lines[location->lines].function];
        ht_buffer_printf(&out, "%s%s", i > 0 ? " " : "", ht_profile_text(p, function->name));
        if (function->file != 0)
            ht_buffer_printf(&out, "@%s", ht_profile_text(p, function->file));
    }
    assert_string_equal(out.data, names);
    ht_buffer_free(&out);
}

static void test_label_frames(void **state)
{
    (void)state;
    struct ht_profile *p = ht_profile_new();
    ht_profile_add_sample_type(p, "space", "bytes");
    uint32_t stack[] = {add_location(p, "leaf"), add_location(p, "main")};
    struct ht_label labels[] = {text_label(p, "thread", "io"),
                                text_label(p, "thread", "net"),
                                {.key = ht_profile_intern_text(p, "bytes"),
                                 .number = 2048,
                                 .unit = ht_profile_intern_text(p, "bytes")}};
    int64_t value = 1;
    ht_profile_add_sample(p, stack, 2, &value, labels, 3);
    ht_profile_add_sample(p, stack, 1, &value, NULL, 0);
    ht_filter_add_label_frames(p, ",thread,bytes", "bytes", "minimum");
    expect_stack(p, 0, "2kB@bytes leaf main 2kB@bytes io,net@thread");
    expect_stack(p, 1, "@bytes leaf @bytes @thread");
    assert_int_equal(p->location_count, 6); // equal labels are one location
    assert_int_equal(ht_profile_check(p), 0);
    size_t frames = p->frame_count;
    ht_filter_add_label_frames(p, "", NULL, "minimum");
    assert_int_equal(p->frame_count, frames);
    ht_profile_free(p);
}

// main calls a and b, both call malloc; b's call is light.
static struct ht_profile *make_calls(void)
{
    struct ht_profile *p = ht_profile_new();
    ht_profile_add_sample_type(p, "space", "bytes");
    uint32_t main_at = add_location(p, "main"), a = add_location(p, "a"), b = add_location(p, "b"),
             m = add_location(p, "malloc");
    uint32_t by_a[] = {m, a, main_at}, by_b[] = {m, b, main_at}, nested[] = {m, b, a, main_at};
    int64_t values[] = {900, 30, 70};
    ht_profile_add_sample(p, by_a, 3, &values[0], NULL, 0);
    ht_profile_add_sample(p, by_b, 3, &values[1], NULL, 0);
    ht_profile_add_sample(p, nested, 4, &values[2], NULL, 0);
    return p;
}

static void expect_graph(unsigned flags, double node_fraction, int64_t node_count, const char *wanted)
{
    struct ht_profile *p = make_calls();
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    options.call_tree = true;
    options.sort_by_cum = 1;
    options.node_fraction = node_fraction;
    options.node_count = node_count;
    struct ht_report report;
    struct ht_graph graph;
    struct ht_buffer out = {0};
    assert_int_equal(ht_report_init(&report, p, &options), 0);
    ht_graph_build_as(&graph, &report, flags);
    ht_graph_sort_edges(&graph);
    ht_buffer_text(&out, "");
    for (size_t i = 0; i < graph.shown_count; i++) {
        const struct ht_node *node = &graph.nodes[graph.shown[i]];
        ht_buffer_printf(&out, "%s %lld/%lld", ht_graph_text(&graph, graph.shown[i]), (long long)node->flat,
                         (long long)node->cum);
        for (uint32_t e = 0; e < node->out_count; e++) {
            const struct ht_edge *edge = &graph.edges[graph.out_edges[node->out_first + e]];
            ht_buffer_printf(&out, " %s%s=%lld", edge->is_residual ? "..." : "",
                             ht_graph_text(&graph, edge->to), (long long)edge->weight);
        }
        ht_buffer_byte(&out, '\n');
    }
    assert_string_equal(out.data, wanted);
    ht_buffer_free(&out);
    ht_graph_free(&graph);
    ht_report_free(&report);
    ht_profile_free(p);
}

static void test_call_tree(void **state)
{
    (void)state;
    expect_graph(0, 0, 0,
                 "main 0/1000 a=970 b=30\nmalloc 1000/1000\na 0/970 malloc=900 b=70\nb 0/100 malloc=100\n");
    expect_graph(
        HT_GRAPH_TREE, 0, 0,
        "main 0/1000 a=970 b=30\na 0/970 malloc=900 b=70\nmalloc 900/900\nb 0/70 malloc=70\nmalloc 70/70\n"
        "b 0/30 malloc=30\nmalloc 30/30\n");
    expect_graph(
        HT_GRAPH_TREE, 0.05, 0,
        "main 0/1000 a=970\na 0/970 malloc=900 b=70\nmalloc 900/900\nb 0/70 malloc=70\nmalloc 70/70\n");
    // Without a, its callees are main's; the lightest nodes are cut by number.
    expect_graph(HT_GRAPH_TREE, 0, 3, "main 0/1000 a=970\na 0/970 malloc=900\nmalloc 900/900\n");
}

static void expect_duration(int64_t duration_ns, const char *text)
{
    struct ht_profile *p = ht_profile_new();
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    struct ht_report report;
    struct ht_report_form form = {.name = "raw"};
    struct ht_buffer out = {0};
    ht_profile_add_sample_type(p, "cpu", "ns");
    p->duration_ns = duration_ns;
    assert_int_equal(ht_report_init(&report, p, &options), 0);
    assert_int_equal(ht_write_raw(&report, &form, &out), 0);
    char *wanted =
        ht_format("PeriodType:  \nPeriod: 0\nDuration: %s\nSamples:\ncpu/ns\nLocations\nMappings\n", text);
    assert_string_equal(out.data, wanted);
    free(wanted);
    ht_buffer_free(&out);
    ht_report_free(&report);
    ht_profile_free(p);
}

static void test_durations(void **state)
{
    (void)state;
    expect_duration(999, "999n");
    expect_duration(1500, "1.5\xc2\xb5");
    expect_duration(50004000, "50.0");
    expect_duration(2000000000, "2s");
    expect_duration(-1500000000, "-1.5");
    expect_duration(60000000000, "1m0s");
    expect_duration(3600000000000, "1h0m");
    expect_duration(INT64_MIN, "-256");
}

static void test_table(void **state)
{
    (void)state;
    assert_null(ht_report_find("nonsense"));
    for (const struct ht_report_kind *kind = ht_reports; kind->name != NULL; kind++) {
        assert_ptr_equal(ht_report_find(kind->name), kind);
        assert_non_null(kind->write);
    }
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    options.node_count = -1;
    ht_report_settle(ht_report_find("tree"), &options);
    assert_int_equal(options.node_count, 80);
    options.node_count = -1;
    ht_report_settle(ht_report_find("top"), &options);
    assert_int_equal(options.node_count, 0);
    assert_true(options.trim);
    options.granularity = HT_BY_LINES;
    options.noinlines = true;
    ht_report_settle(ht_report_find("peek"), &options);
    assert_false(options.trim);
    assert_true(options.noinlines && options.granularity == HT_BY_LINES);
    ht_report_settle(ht_report_find("raw"), &options);
    assert_false(options.noinlines);
    assert_int_equal(options.granularity, HT_BY_ADDRESSES);
}

static void test_peek_without_a_match(void **state)
{
    (void)state;
    struct ht_profile *p = make_calls();
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    struct ht_report report;
    struct ht_report_form form = {.name = "peek", .expression = "nothing"};
    struct ht_buffer out = {0};
    assert_int_equal(ht_report_init(&report, p, &options), 0);
    assert_int_equal(ht_write_tree(&report, &form, &out), -1);
    assert_string_equal(ht_error(), "no matches found for regexp: nothing");
    form.expression = "(";
    assert_int_equal(ht_write_tree(&report, &form, &out), -1);
    ht_buffer_free(&out);
    ht_report_free(&report);
    ht_profile_free(p);
}

static void test_compressed_profile(void **state)
{
    (void)state;
    struct ht_profile *p = make_calls(), *again;
    struct ht_buffer out = {0};
    assert_int_equal(ht_profile_compress(p, &out), 0);
    assert_memory_equal(out.data, "\x1f\x8b", 2);
    assert_int_equal(ht_profile_decode((const uint8_t *)out.data, out.length, NULL, &again), 0);
    assert_int_equal(again->sample_count, 3);
    ht_buffer_free(&out);
    ht_profile_free(again);
    ht_profile_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_label_frames),
        cmocka_unit_test(test_call_tree),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_peek_without_a_match),
        cmocka_unit_test(test_compressed_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
