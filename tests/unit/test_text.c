// The filter for texts of others: what it names, what it keeps, that its output needs it no more, and where
// it cuts; the profile's strings after it.
#include "base/json.h"
#include "base/text.h"
#include "profile/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static char *shown(const char *text, size_t length, const char *kept)
{
    struct ht_buffer out = {0};
    ht_buffer_text(&out, "");
    ht_text_show(&out, text, length, kept);
    return out.data;
}

static void assert_shown(const char *text, const char *kept, const char *wanted)
{
    char *out = shown(text, strlen(text), kept);
    assert_string_equal(out, wanted);
    assert_int_equal(ht_text_shown_length(text, strlen(text), kept) == strlen(text),
                     strcmp(text, wanted) == 0);
    free(out);
}

static void test_names(void **state)
{
    (void)state;
    assert_shown("", "", "");
    assert_shown("plain text, with ~ and \\x1b", "", "plain text, with ~ and \\x1b");
    assert_shown("\x1b]0;title\x07", "", "\\x1b]0;title\\x07");
    assert_shown("a\tb\r\n\x7f", "", "a\\tb\\r\\n\\x7f");
    assert_shown("a\tb\r\n", "\t", "a\tb\\r\\n");
    assert_shown("\xc2\x9b"
                 "31m",
                 "", "\\u009b31m");
    assert_shown("\u061c\u200e\u200f\u2028\u202e\u2066\u2069", "",
                 "\\u061c\\u200e\\u200f\\u2028\\u202e\\u2066\\u2069");
    assert_shown("\xc3\xa4\u65e5\u672c \U0001f600 \u200d \u2065\u206a", "",
                 "\xc3\xa4\u65e5\u672c \U0001f600 \u200d \u2065\u206a");
    assert_shown("\x9b\xff\xc3", "", "\ufffd\ufffd\ufffd");
    assert_shown("\xc0\xaf \xed\xa0\x80 \xf5", "", "\ufffd\ufffd \ufffd\ufffd\ufffd \ufffd");
    char *out = shown("a\0b", 3, "\t"); // no character is kept because a list ends with it
    assert_string_equal(out, "a\\x00b");
    free(out);
}

// Every character of Unicode, at every place of a word: those that are kept and those that are named part the
// same way in the filter, in its fast path, and in JSON.
static void test_all_characters(void **state)
{
    (void)state;
    for (uint32_t c = 1; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
        char text[32];
        size_t at = c % 16, length = at;
        memset(text, 'x', sizeof text);
        if (c < 0x80) {
            text[length++] = (char)c;
        } else if (c < 0x800) {
            text[length++] = (char)(0xc0 | c >> 6);
            text[length++] = (char)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
            text[length++] = (char)(0xe0 | c >> 12);
            text[length++] = (char)(0x80 | (c >> 6 & 0x3f));
            text[length++] = (char)(0x80 | (c & 0x3f));
        } else {
            text[length++] = (char)(0xf0 | c >> 18);
            text[length++] = (char)(0x80 | (c >> 12 & 0x3f));
            text[length++] = (char)(0x80 | (c >> 6 & 0x3f));
            text[length++] = (char)(0x80 | (c & 0x3f));
        }
        bool is_surrogate = c >= 0xd800 && c < 0xe000, is_named = is_surrogate || ht_text_is_control(c);
        assert_int_equal(ht_text_shown_length(text, sizeof text, ""), is_named ? at : sizeof text);
        char *out = shown(text, sizeof text, "");
        assert_int_equal(ht_text_shown_length(out, strlen(out), ""), strlen(out));
        struct ht_buffer json_text = {0};
        struct ht_json json = {.out = &json_text};
        text[sizeof text - 1] = '\0';
        ht_json_string(&json, NULL, text);
        assert_int_equal(ht_text_shown_length(json_text.data, json_text.length, ""), json_text.length);
        ht_buffer_free(&json_text);
        free(out);
    }
}

static void test_in_place(void **state)
{
    (void)state;
    // Cut at every size: whole characters and whole names, and never beyond the room.
    static const char text[] = "\x1b\xc3\xa4\n\xe2\x80\xae\xff"
                               "end\xf0\x9f\x98\x80";
    char *whole = shown(text, strlen(text), "");
    for (size_t bytes = 1; bytes < 40; bytes++) {
        char room[64];
        memset(room, '#', sizeof room);
        ht_text_print(room, bytes, "%s", text);
        size_t length = strlen(room);
        assert_true(length < bytes);
        assert_int_equal(room[bytes], '#');
        assert_int_equal(ht_text_shown_length(room, length, ""), length);
    }
    char room[64];
    ht_text_print(room, sizeof room, "%s", text);
    assert_string_equal(room, whole);
    ht_text_printable(room, sizeof room);
    assert_string_equal(room, whole);
    ht_text_print(room, 6, "ab\xe2\x82\xac\xe2\x82\xac"); // its second character does not fit
    assert_string_equal(room, "ab\xe2\x82\xac");
    free(whole);
}

static void test_profile(void **state)
{
    (void)state;
    struct ht_profile *profile = ht_profile_new();
    uint32_t plain = ht_profile_intern_text(profile, "plain\twith a tab"),
             odd = ht_profile_intern_text(profile, "a\x1b[1mb"),
             bad = ht_profile_intern(profile, "x\0\xff", 3);
    ht_profile_make_printable(profile);
    assert_string_equal(ht_profile_text(profile, plain), "plain\twith a tab");
    assert_string_equal(ht_profile_text(profile, odd), "a\\x1b[1mb");
    assert_string_equal(ht_profile_text(profile, bad), "x\\x00\ufffd");
    assert_string_equal(ht_profile_original(profile, plain), "plain\twith a tab");
    assert_string_equal(ht_profile_original(profile, odd), "a\x1b[1mb");
    assert_int_equal(ht_profile_intern_text(profile, "plain\twith a tab"), plain);
    ht_profile_free(profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_all_characters),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
