// Tests the graph, the report `top` and the comparison of two snapshots on profiles made by hand.
// (tests/golden holds the reports against pprof's.)
#include "base/error.h"
#include "view/reports.h"
#include "view/text/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct frames {
    uint32_t main, parse, cache, strdup_libc, vector;
};

static uint32_t one_line(struct ht_profile *p, uint32_t mapping, const char *name, const char *file,
                         int64_t line)
{
    uint32_t function = ht_profile_add_function(p, name, name, file, line > 3 ? line - 3 : 0);
    return ht_profile_add_location(p, mapping, 0x1000 + 16 * p->location_count,
                                   &(struct ht_line){.function = function, .line = line}, 1);
}

static struct ht_profile *make(struct frames *f)
{
    struct ht_profile *p = ht_profile_new();
    ht_profile_add_sample_type(p, "inuse_space", "bytes");
    struct ht_profile_mapping program = {
        .start = 0x1000, .limit = 0x9000, .file = ht_profile_intern_text(p, "/srv/demo")};
    struct ht_profile_mapping libc = {.file = ht_profile_intern_text(p, "/lib/x86_64-linux-gnu/libc.so.6")};
    uint32_t m = ht_profile_add_mapping(p, &program), l = ht_profile_add_mapping(p, &libc);
    f->main = one_line(p, m, "main", "/srv/demo.c", 30);
    uint32_t dup = ht_profile_add_function(p, "dup", "dup", "/srv/demo.c", 3);
    uint32_t parse = ht_profile_add_function(p, "parse", "parse", "/srv/demo.c", 8);
    struct ht_line lines[2] = {{.function = dup, .line = 4}, {.function = parse, .line = 9}};
    f->parse = ht_profile_add_location(p, m, 0x2000, lines, 2);
    f->cache = one_line(p, m, "cache", "/srv/demo.c", 12);
    f->strdup_libc = one_line(p, l, "strdup", "./string/strdup.c", 42);
    f->vector = one_line(p, m, "std::vector::push_back", "/usr/include/c++/12/bits/stl_vector.h", 99);
    return p;
}

static void add(struct ht_profile *p, int64_t value, bool old, const uint32_t *frames, size_t count)
{
    struct ht_label label = {.key = ht_profile_intern_text(p, HT_COMPARE_OLD_LABEL),
                             .text = ht_profile_intern_text(p, "true")};
    ht_profile_add_sample(p, frames, count, &value, &label, old);
}

#define STACK(...) (uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)

static char *top(struct ht_profile *p, const struct ht_view_options *options, bool json)
{
    struct ht_report report;
    struct ht_report_form form = {.name = "top", .json = json};
    struct ht_buffer out = {0};
    if (ht_report_init(&report, p, options) != 0 || ht_write_top(&report, &form, &out) != 0)
        fail_msg("%s", ht_error());
    ht_report_free(&report);
    return out.data;
}

static void test_top(void **state)
{
    (void)state;
    struct frames f;
    struct ht_profile *p = make(&f);
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    add(p, 10 << 20, false, STACK(f.parse, f.main));
    add(p, 4 << 20, false, STACK(f.cache, f.main, f.main)); // recursion counts once
    char *text = top(p, &options, false);
    assert_string_equal(
        text, "File: demo\nType: inuse_space\nShowing nodes accounting for 14MB, 100% of 14MB total\n"
              "      flat  flat%   sum%        cum   cum%\n"
              "      10MB 71.43% 71.43%       10MB 71.43%  dup (inline)\n"
              "       4MB 28.57%   100%        4MB 28.57%  cache\n"
              "         0     0%   100%       14MB   100%  main\n"
              "         0     0%   100%       10MB 71.43%  parse\n");
    free(text);
    options.noinlines = true;
    options.granularity = HT_BY_LINES;
    options.node_count = 1;
    text = top(p, &options, false);
    assert_non_null(strstr(text, "parse /srv/demo.c:9\n"));
    assert_non_null(strstr(text, "Showing top 1 nodes out of 3\n"));
    free(text);
    ht_profile_free(p);
}

static void test_top_json(void **state)
{
    (void)state;
    struct frames f;
    struct ht_profile *p = make(&f);
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    add(p, 3000, false, STACK(f.cache, f.main));
    options.granularity = HT_BY_LINES;
    char *text = top(p, &options, true);
    assert_non_null(strstr(text, "\"total\": 3000,"));
    assert_non_null(strstr(
        text, "{\"name\": \"cache /srv/demo.c:12\", \"function\": \"cache\", \"file\": \"/srv/demo.c\", "
              "\"line\": 12, \"flat\": 3000, \"flat_percent\": 100, \"sum_percent\": 100, "
              "\"cum\": 3000, \"cum_percent\": 100, \"inlined\": \"never\"}"));
    free(text);
    ht_profile_free(p);
}

static void test_empty(void **state)
{
    (void)state;
    struct ht_profile *p = ht_profile_new();
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    struct ht_report report;
    assert_int_equal(ht_report_init(&report, p, &options), -1); // no sample types
    ht_profile_add_sample_type(p, "inuse_space", "bytes");
    char *text = top(p, &options, false);
    assert_non_null(strstr(text, "Showing nodes accounting for 0, 0% of 0 total\n"));
    free(text);
    ht_profile_free(p);
}

static void test_extreme_values(void **state)
{
    (void)state;
    struct frames f;
    struct ht_profile *p = make(&f);
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    add(p, INT64_MAX, false, STACK(f.cache, f.main));
    add(p, INT64_MAX, false, STACK(f.parse, f.main));
    add(p, INT64_MIN, false, STACK(f.main));
    free(top(p, &options, false)); // whatever it says, without undefined arithmetic
    options.divide_by = 1e-300;
    free(top(p, &options, false));
    ht_profile_free(p);
}

static void compare(struct ht_compare *compare, struct ht_profile *p,
                    const struct ht_compare_options *options)
{
    if (ht_compare_init(compare, p, options, (struct ht_compare_times){60000000000, 180000000000, 0}) != 0)
        fail_msg("%s", ht_error());
}

static void test_compare_finds_the_leak(void **state)
{
    (void)state;
    struct frames f;
    struct ht_profile *p = make(&f);
    struct ht_compare c;
    struct ht_compare_options options = {.granularity = HT_BY_LINES};
    add(p, 1 << 20, true, STACK(f.strdup_libc, f.parse, f.main)); // the leak, through the C library
    add(p, 3 << 20, false, STACK(f.strdup_libc, f.parse, f.main));
    add(p, 5 << 20, true, STACK(f.cache, f.main)); // full, and stays
    add(p, 5 << 20, false, STACK(f.cache, f.main));
    add(p, 1 << 19, false, STACK(f.vector, f.main)); // new, through a container
    add(p, 100, true, STACK(f.main));                // shrinks
    compare(&c, p, &options);
    assert_int_equal(c.row_count, 2); // main:30 is one row: +512 KiB and -100 bytes
    assert_int_equal(c.unchanged, 1);
    assert_string_equal(ht_profile_text(p, c.rows[0].site.name), "dup");
    assert_int_equal(c.rows[0].site.line, 4);
    assert_int_equal(c.rows[0].value.change, 2 << 20);
    assert_int_equal(c.rows[1].value.change, (1 << 19) - 100);
    assert_int_equal(c.total.new - c.total.old, (2 << 20) + (1 << 19) - 100);
    struct ht_buffer out = {0};
    ht_compare_text(&c, &(struct ht_compare_form){.limit = 1, .paths = 1}, &out);
    assert_non_null(
        strstr(out.data, "        1MB         3MB        +2MB       +60MB  dup  /srv/demo.c:4\n"));
    assert_non_null(strstr(out.data, "(1 more call site changed by +511.90kB in sum)\n"));
    assert_non_null(strstr(out.data, "(1 call site unchanged)\n"));
    assert_non_null(strstr(out.data,
                           "came this way:\n    strdup  string/strdup.c:42\n    dup  /srv/demo.c:4 (inline)\n"
                           "    parse  /srv/demo.c:9\n    main  /srv/demo.c:30\n"));
    ht_buffer_free(&out);
    ht_compare_json(&c, &(struct ht_compare_form){0}, &out);
    assert_non_null(strstr(out.data, "\"change_per_minute\": 1048576"));
    ht_buffer_free(&out);
    ht_compare_free(&c);
    options.leaf_sites = true;
    compare(&c, p, &options);
    assert_string_equal(ht_profile_text(p, c.rows[0].site.name), "strdup");
    ht_compare_free(&c);
    options = (struct ht_compare_options){.granularity = HT_BY_FILES};
    compare(&c, p, &options);
    assert_int_equal(c.row_count, 1);
    ht_compare_free(&c);
    ht_profile_free(p);
}

// Names of allocators are nobody's call site; other words with "alloc" in them are.
static void test_compare_skips_wrappers(void **state)
{
    (void)state;
    static const char *const wrappers[] = {"zmalloc_usable",   "zrealloc",  "ngx_pcalloc",
                                           "CRYPTO_zalloc",    "g_malloc0", "PyMem_RawMalloc",
                                           "PyMem_RawRealloc", "calloc"};
    static const char *const others[] = {"session_alloc",  "prealloc_pages", "reallocate",
                                         "mallocgc",       "dealloc",        "streamAlloc",
                                         "add<my_malloc>", "alloc",          "f(malloc *)"};
    for (size_t i = 0; i < 17; i++) {
        bool is_wrapper = i < 8;
        struct frames f;
        struct ht_profile *p = make(&f);
        struct ht_compare c;
        struct ht_compare_options options = {.granularity = HT_BY_LINES};
        uint32_t leaf = one_line(p, 0, is_wrapper ? wrappers[i] : others[i - 8], "/srv/memory.c", 7);
        add(p, 4096, false, STACK(leaf, f.main));
        compare(&c, p, &options);
        assert_string_equal(ht_profile_text(p, c.rows[0].site.name), is_wrapper ? "main" : others[i - 8]);
        struct ht_buffer out = {0};
        ht_compare_text(&c, &(struct ht_compare_form){.paths = 1, .trim_path = "/elsewhere:/srv"}, &out);
        assert_non_null(strstr(out.data, is_wrapper ? "main  demo.c:30\n" : "  memory.c:7\n"));
        assert_null(strstr(out.data, "/srv/"));
        ht_buffer_free(&out);
        ht_compare_free(&c);
        ht_profile_free(p);
    }
}

// A foreign profile's names may hold anything, and a short line of them too.
static void test_compare_newline_in_name(void **state)
{
    (void)state;
    struct ht_profile *p = ht_profile_new();
    struct ht_buffer out = {0};
    struct ht_compare c;
    struct ht_compare_options options = {.granularity = HT_BY_LINES};
    ht_profile_add_sample_type(p, "inuse_space", "bytes");
    uint32_t function = ht_profile_add_function(p, "a\n\nb", "a", "c.c", 0);
    uint32_t location =
        ht_profile_add_location(p, HT_NONE, 1, &(struct ht_line){.function = function, .line = 4}, 1);
    ht_profile_add_sample(p, &location, 1, (int64_t[]){4096}, NULL, 0);
    compare(&c, p, &options);
    ht_compare_json(&c, &(struct ht_compare_form){0}, &out);
    const char *path = strstr(out.data, "\"path\": [");
    assert_non_null(path);
    assert_non_null(strstr(path, "\"a\\u000a\\u000ab  c.c:4\""));
    ht_buffer_free(&out);
    ht_compare_free(&c);
    ht_profile_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top),
        cmocka_unit_test(test_top_json),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_extreme_values),
        cmocka_unit_test(test_compare_finds_the_leak),
        cmocka_unit_test(test_compare_skips_wrappers),
        cmocka_unit_test(test_compare_newline_in_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
