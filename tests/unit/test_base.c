// Tests the command's floor: options, numbers with units, paths, JSON, tables.
#include "base/error.h"
#include "base/json.h"
#include "base/measure.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/path.h"
#include "base/regex.h"
#include "base/terminal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_sizes(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},          {"1", 1},          {"512K", 524288},
                {"512k", 524288},  {"1.5M", 1572864}, {"2GiB", 2ull << 30},
                {"3 MB", 3 << 20}, {"1T", 1ull << 40}};
    static const char *const bad[] = {"",  "K",   "-1", "1X", "1e3", "0x10", "1MM", "99999999999T",
                                      ".", "nan", "inf"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t bytes = 42;
        assert_int_equal(ht_parse_size(good[i].text, &bytes), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes = 42;
        assert_int_equal(ht_parse_size(bad[i], &bytes), -1);
        assert_int_equal(bytes, 42);
    }
}

static void test_durations(void **state)
{
    (void)state;
    uint64_t ns = 0;
    assert_int_equal(ht_parse_duration("30s", &ns), 0);
    assert_int_equal(ns, 30000000000u);
    assert_int_equal(ht_parse_duration("200ms", &ns), 0);
    assert_int_equal(ns, 200000000u);
    assert_int_equal(ht_parse_duration("1.5m", &ns), 0);
    assert_int_equal(ns, 90000000000u);
    assert_int_equal(ht_parse_duration("0", &ns), 0);
    assert_int_equal(ns, 0);
    assert_int_equal(ht_parse_duration("30", &ns), -1); // thirty what?
}

struct settings {
    bool flag, json;
    int choice;
    const char *text;
    struct ht_strings list;
    const char *output;
    int64_t number;
    double fraction;
    uint64_t size_bytes, time_ns;
};

#define AT(member) offsetof(struct settings, member)
static const struct ht_option options[] = {
    {"Titles", 0, HT_OPT_HEADING, 0, 0, NULL, NULL},
    {"flag", 'f', HT_OPT_FLAG, AT(flag), 0, NULL, "h"},
    {"json", 0, HT_OPT_FLAG, AT(json), 0, NULL, "h"},
    {"alloc-space", 0, HT_OPT_SET, AT(choice), 3, NULL, "h"},
    {"inuse-space", 0, HT_OPT_SET, AT(choice), 1, NULL, "h"},
    {"sample-index", 0, HT_OPT_STRING, AT(text), 0, "NAME", "h"},
    {"base", 0, HT_OPT_LIST, AT(list), 0, "FILE", "h"},
    {"output", 'o', HT_OPT_STRING, AT(output), 0, "FILE", "h"},
    {"nodecount", 'n', HT_OPT_INT, AT(number), 0, "N", "h"},
    {"nodefraction", 0, HT_OPT_NUMBER, AT(fraction), 0, "X", "h"},
    {"rate", 0, HT_OPT_SIZE, AT(size_bytes), 0, "SIZE", "h"},
    {"interval", 0, HT_OPT_DURATION, AT(time_ns), 0, "TIME", "h"},
    {"timeout", 0, HT_OPT_DURATION, AT(time_ns), 1, "TIME", "h"},
    {.name = NULL},
};

// Parses a command line given as words; returns the parser's result.
static int parse(struct settings *settings, enum ht_parse_mode mode, struct ht_operands *operands,
                 char **words)
{
    int count = 0;
    bool help = false;
    while (words[count] != NULL)
        count++;
    *settings = (struct settings){0};
    int result = ht_options_parse(options, mode, count, words, settings, operands, &help);
    return help ? 1 : result;
}

#define WORDS(...) ((char *[]){(char[]){"cmd"}, __VA_ARGS__, NULL})

static void test_options_as_people_type_them(void **state)
{
    (void)state;
    struct settings s;
    struct ht_operands o;
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o,
                           WORDS("a.pb", "--sample-index=x", "-nodecount=-1", "--flag", "b.pb",
                                 "-alloc_space", "--", "-c")),
                     0);
    assert_string_equal(s.text, "x");
    assert_int_equal(s.number, -1);
    assert_true(s.flag);
    assert_int_equal(s.choice, 3);
    assert_int_equal(o.count, 3);
    assert_string_equal(o.items[0], "a.pb");
    assert_string_equal(o.items[1], "b.pb");
    assert_string_equal(o.items[2], "-c");
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o,
                           WORDS("--sample_index", "y", "-n20", "--no-flag", "--json=true", "--rate", "64K",
                                 "--interval=30s", "--nodefraction", "0.5", "-")),
                     0);
    assert_string_equal(s.text, "y");
    assert_int_equal(s.number, 20);
    assert_false(s.flag);
    assert_true(s.json);
    assert_int_equal(s.size_bytes, 65536);
    assert_int_equal(s.time_ns, 30000000000);
    assert_true(s.fraction > 0.49 && s.fraction < 0.51);
    assert_int_equal(o.count, 1);
    assert_string_equal(o.items[0], "-");
    assert_int_equal(
        parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("-n", "7", "--inuse-space=false", "--base", "p", "-base=q")),
        0);
    assert_int_equal(s.number, 7);
    assert_int_equal(s.choice, 0);
    assert_int_equal(s.list.count, 2);
    assert_string_equal(s.list.items[1], "q");
    free(s.list.items);
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("-oout.pb.gz", "a", "-o", "x", "b", "-oy")), 0);
    assert_string_equal(s.output, "y");
    assert_int_equal(o.count, 2);
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("-output=z")), 0);
    assert_string_equal(s.output, "z");
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("-timeout=3")), 0); // pprof's are seconds
    assert_int_equal(s.time_ns, 3000000000);
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("--timeout", "20ms")), 0);
    assert_int_equal(s.time_ns, 20000000);
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("-ouput=z")), -1); // no file named "uput=z"
    assert_non_null(strstr(ht_error(), "did you mean '--output'?"));
}

static void test_options_before_a_program(void **state)
{
    (void)state;
    struct settings s;
    struct ht_operands o;
    assert_int_equal(parse(&s, HT_PARSE_BEFORE_OPERAND, &o, WORDS("--flag", "prog", "--json", "--what")), 0);
    assert_true(s.flag);
    assert_false(s.json);
    assert_int_equal(o.count, 3);
    assert_string_equal(o.items[1], "--json");
    assert_int_equal(parse(&s, HT_PARSE_BEFORE_OPERAND, &o, WORDS("-f", "--", "--flag", "x")), 0);
    assert_int_equal(o.count, 2);
    assert_string_equal(o.items[0], "--flag");
}

static void test_options_wrong(void **state)
{
    (void)state;
    struct settings s;
    struct ht_operands o;
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("--aloc-space")), -1);
    assert_non_null(strstr(ht_error(), "did you mean '--alloc-space'"));
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("--zzzzzz")), -1);
    assert_null(strstr(ht_error(), "did you mean"));
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("--sample-index")), -1);
    assert_non_null(strstr(ht_error(), "needs a value"));
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("--Titles")), -1); // a heading is no option
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("--Title")), -1);
    assert_null(strstr(ht_error(), "did you mean"));
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("--interval=3")), -1);
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("--rate=x")), -1);
    assert_non_null(strstr(ht_error(), "--rate"));
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("--flag=perhaps")), -1);
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("--help")), 1);
    assert_int_equal(parse(&s, HT_PARSE_ANYWHERE, &o, WORDS("-h")), 1);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"run", "ps", "snap", "top", "diff", "start", "stop", "rate"};
    assert_string_equal(ht_nearest("dif", names, 8), "diff");
    assert_string_equal(ht_nearest("tpo", names, 8), "top");
    assert_string_equal(ht_nearest("snapshot", names, 8), "snap");
    assert_null(ht_nearest("xyzzy", names, 8));
    assert_null(ht_nearest("foo", names, 8));
    assert_int_equal(ht_edit_distance("abc", "abc"), 0);
    assert_int_equal(ht_edit_distance("abcd", "abdc"), 1);
    assert_int_equal(ht_edit_distance("", "abc"), 3);
}

static void check_label(int64_t value, const char *from, const char *to, const char *expected)
{
    char text[HT_MEASURE_TEXT_BYTES];
    ht_measure_label(value, from, to, text);
    assert_string_equal(text, expected);
}

static void test_measure(void **state)
{
    (void)state;
    check_label(0, "bytes", "auto", "0");
    check_label(2621440, "bytes", "auto", "2.50MB");
    check_label(5 << 20, "bytes", "minimum", "5MB");
    check_label(-(5 << 20), "bytes", "auto", "-5MB");
    check_label(476416, "bytes", "kb", "465.25kB");
    check_label(1, "bytes", "MB", "0");
    check_label(1500, "count", "auto", "1500");
    check_label(1500, "count", "objects", "1500objects");
    check_label(60000000000, "nanoseconds", "auto", "60s");
    check_label(7200000000000, "nanoseconds", "auto", "2hrs");
    check_label(5, "Seconds", "ms", "5000ms");
    check_label(1024, "bytes", "seconds", "1024B");
    check_label(INT64_MIN, "bytes", "auto", "-9223372036854775808B");
    char text[HT_MEASURE_TEXT_BYTES];
    ht_measure_percent(5, 6, text);
    assert_string_equal(text, "83.33%");
    ht_measure_percent(9996, 10000, text);
    assert_string_equal(text, "  100%");
    ht_measure_percent(-1, 200, text);
    assert_string_equal(text, "  0.5%");
    ht_measure_percent(1, 0, text);
    assert_string_equal(text, "    0%");
    assert_true(ht_measure_compatible("bytes", "kb"));
    assert_false(ht_measure_compatible("bytes", "ns"));
    ht_measure_bytes(1536, 1, text);
    assert_string_equal(text, "+1.50kB");
    ht_measure_age(200000000000, text);
    assert_string_equal(text, "3m20s");
    ht_measure_age(-90000000000000, text);
    assert_string_equal(text, "-1d01h");
}

static void check_clean(const char *path, const char *clean, const char *base)
{
    struct ht_buffer out = {0};
    ht_path_clean(path, &out);
    assert_string_equal(out.data, clean);
    out.length = 0;
    ht_path_base(path, &out);
    assert_string_equal(out.data, base);
    ht_buffer_free(&out);
}

static void test_paths(void **state)
{
    (void)state;
    check_clean("", ".", ".");
    check_clean("/", "/", "/");
    check_clean("a//b/./c/", "a/b/c", "c");
    check_clean("/a/../b", "/b", "b");
    check_clean("../a/../../b", "../../b", "b");
    check_clean("/../..", "/", "..");
    check_clean("a/..", ".", "..");
    check_clean("./x/..///y", "y", "y");
    assert_string_equal(ht_path_trim("/proc/self/cwd/src/a.c", NULL, NULL), "src/a.c");
    assert_string_equal(ht_path_trim("/proc/self/cwd/./src/a.c", NULL, NULL), "src/a.c");
    assert_string_equal(ht_path_trim("/x/y/a.c", "/q:/x", NULL), "y/a.c");
    assert_string_equal(ht_path_trim("/xx/y/a.c", "/x", NULL), "/xx/y/a.c");
    assert_string_equal(ht_path_trim("/build/proj/src/a.c", NULL, "/home/me/proj"), "src/a.c");
}

static void test_json(void **state)
{
    (void)state;
    struct ht_buffer out = {0};
    struct ht_json json = {.out = &out};
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "s", "a\"b\\c\n\x01\xff\xe2\x82\xac\xed\xa0\x80");
    ht_json_string(&json, "none", NULL);
    ht_json_begin_array(&json, "a");
    ht_json_int(&json, NULL, -5);
    ht_json_number(&json, NULL, 0.5);
    ht_json_bool(&json, NULL, true);
    ht_json_end_array(&json);
    ht_json_begin_array(&json, "e");
    ht_json_end_array(&json);
    ht_json_end_object(&json);
    assert_string_equal(out.data,
                        "{\n  \"s\": \"a\\\"b\\\\c\\u000a\\u0001\\ufffd\xe2\x82\xac\\ufffd\\ufffd\\ufffd\",\n"
                        "  \"none\": null,\n  \"a\": [\n    -5,\n    0.5,\n    true\n  ],\n  \"e\": []\n}\n");
    ht_buffer_free(&out);
}

static void test_fit(void **state)
{
    (void)state;
    char text[64];
    ht_terminal_fit("short", 10, text, sizeof text);
    assert_string_equal(text, "short");
    ht_terminal_fit("a_rather_long_name_of_a_function", 16, text, sizeof text);
    assert_string_equal(text, "a_rath...unction");
    ht_terminal_fit("whole name, whatever its length may be", 0, text, sizeof text);
    assert_string_equal(text, "whole name, whatever its length may be");
    ht_terminal_fit("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 12, text,
                    sizeof text);
    assert_string_equal(text, "\xc3\xa4\xc3\xa4...\xc3\xa4\xc3\xa4");
}

// Words that the old sum, which everybody knows, cannot tell apart: two bits of one undo what a bit of
// another did.
static void test_hash(void **state)
{
    (void)state;
    enum { PAIRS = 6, TEXTS = 1 << PAIRS };
    uint64_t texts[TEXTS][2 * PAIRS] = {{0}}, hashes[TEXTS];
    for (unsigned i = 0; i < TEXTS; i++) {
        for (unsigned pair = 0; pair < PAIRS; pair++) {
            if (i >> pair & 1) {
                texts[i][2 * pair] = UINT64_C(1) << 63;
                texts[i][2 * pair + 1] = UINT64_C(1) << 63 | UINT64_C(1) << 34;
            }
        }
        assert_true(ht_checksum(texts[i], sizeof texts[i]) == ht_checksum(texts[0], sizeof texts[0]));
        hashes[i] = ht_hash_bytes(texts[i], sizeof texts[i]);
        for (unsigned other = 0; other < i; other++) {
            assert_true(hashes[other] != hashes[i]);
        }
    }
    assert_true(ht_hash_bytes("", 0) != ht_hash_bytes("\0", 1));
    assert_true(ht_hash_bytes("a", 1) == ht_hash_bytes("a", 1));
    assert_true(ht_hash_keys[0] != ht_hash_keys[1]);
}

static void test_index(void **state)
{
    (void)state;
    struct ht_index index = {0};
    for (uint32_t i = 0; i < 5000; i++)
        ht_index_add(&index, ht_hash_add(0, i % 1000), i);
    size_t cursor = 0, found = 0;
    for (uint32_t at; (at = ht_index_next(&index, ht_hash_add(0, 7), &cursor)) != HT_NONE;)
        found += at % 1000 == 7;
    assert_int_equal(found, 5);
    cursor = 0;
    assert_int_equal(ht_index_next(&index, ht_hash_add(0, 77777), &cursor), HT_NONE);
    ht_index_free(&index);
    struct ht_arena arena = {0};
    char *first = ht_arena_copy(&arena, "first", 5);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(strlen(ht_arena_copy(&arena, "abcdefgh", (size_t)(i % 9))), i % 9);
    assert_string_equal(first, "first");
    ht_arena_free(&arena);
}

static void test_regex(void **state)
{
    (void)state;
    struct ht_regex *regex;
    assert_int_equal(ht_regex_compile("^f(o+)$", &regex), 0);
    assert_true(ht_regex_match(regex, "foo", 3));
    assert_false(ht_regex_match(regex, "foo\n", 4)); // RE2's $ is the very end
    size_t start, end;
    assert_true(ht_regex_find(regex, "fooo", 4, 0, 1, &start, &end));
    assert_int_equal(end - start, 3);
    ht_regex_free(regex);
    assert_int_equal(ht_regex_compile("(?i)\xc3\xa4", &regex), 0);
    assert_true(ht_regex_match(regex, "\xff\xc3\x84", 3)); // bytes that are not UTF-8 do no harm
    ht_regex_free(regex);
    assert_int_equal(ht_regex_compile("(a+)+$", &regex), 0);
    assert_false(
        ht_regex_match(regex, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 63));
    ht_regex_free(regex);
    assert_int_equal(ht_regex_compile("a(", &regex), -1);
    assert_non_null(strstr(ht_error(), "at byte"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_options_as_people_type_them),
        cmocka_unit_test(test_options_before_a_program),
        cmocka_unit_test(test_options_wrong),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_measure),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_regex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
