// Tests the reader, the writer, merging and filtering of profiles.
#include "base/error.h"
#include "profile/filter.h"
#include "profile/profile.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

// A small heap profile: main -> parse -> dup (inlined into parse) -> malloc, and main -> cache. `shift` moves
// the mapping as ASLR does.
static struct ht_profile *make(uint64_t shift)
{
    struct ht_profile *p = ht_profile_new();
    ht_profile_add_sample_type(p, "inuse_objects", "count");
    ht_profile_add_sample_type(p, "inuse_space", "bytes");
    p->period_type =
        (struct ht_value_type){ht_profile_intern_text(p, "space"), ht_profile_intern_text(p, "bytes")};
    p->period = 524288;
    p->time_ns = 1000000000 + (int64_t)shift;
    struct ht_profile_mapping mapping = {.start = 0x1000 + shift,
                                         .limit = 0x2000 + shift,
                                         .offset = 0x1000,
                                         .file = ht_profile_intern_text(p, "/srv/demo/demo"),
                                         .build_id = ht_profile_intern_text(p, "abcdef")};
    uint32_t m = ht_profile_add_mapping(p, &mapping);
    uint32_t f_main = ht_profile_add_function(p, "main", "main", "/srv/demo/demo.c", 14);
    uint32_t f_parse = ht_profile_add_function(p, "parse", "parse", "/srv/demo/demo.c", 8);
    uint32_t f_dup = ht_profile_add_function(p, "dup", "dup", "/srv/demo/demo.c", 3);
    uint32_t f_cache = ht_profile_add_function(p, "cache", "cache", "/srv/demo/demo.c", 11);
    uint32_t f_malloc = ht_profile_add_function(p, "malloc", "malloc", "", 0);
    struct ht_line in_parse[2] = {{.function = f_dup, .line = 4}, {.function = f_parse, .line = 9}};
    uint32_t l_main =
        ht_profile_add_location(p, m, 0x1100 + shift, &(struct ht_line){.function = f_main, .line = 16}, 1);
    uint32_t l_parse = ht_profile_add_location(p, m, 0x1200 + shift, in_parse, 2);
    uint32_t l_cache =
        ht_profile_add_location(p, m, 0x1300 + shift, &(struct ht_line){.function = f_cache, .line = 12}, 1);
    uint32_t l_malloc = ht_profile_add_location(p, HT_NONE, 0x99, &(struct ht_line){.function = f_malloc}, 1);
    struct ht_label bytes = {.key = ht_profile_intern_text(p, "bytes"), .number = 1024};
    struct ht_label thread = {.key = ht_profile_intern_text(p, "thread"),
                              .text = ht_profile_intern_text(p, "io")};
    struct ht_label both[2] = {bytes, thread};
    ht_profile_add_sample(p, (uint32_t[]){l_malloc, l_parse, l_main}, 3, (int64_t[]){5, 5120}, both, 2);
    ht_profile_add_sample(p, (uint32_t[]){l_cache, l_main}, 2, (int64_t[]){1, 64}, &bytes, 1);
    p->drop_frames = ht_profile_intern_text(p, "malloc|calloc");
    return p;
}

static struct ht_profile *decode_or_fail(const void *bytes, size_t length)
{
    struct ht_profile *p = NULL;
    if (ht_profile_decode(bytes, length, NULL, &p) != 0)
        fail_msg("%s", ht_error());
    assert_int_equal(ht_profile_check(p), 0);
    return p;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct ht_profile *p = make(0), *q;
    ht_profile_add_comment(p, "# heaptap: pid=42");
    ht_profile_intern_text(p, "unused"); // must not be written
    struct ht_buffer bytes = {0}, again = {0};
    ht_profile_encode(p, &bytes);
    q = decode_or_fail(bytes.data, bytes.length);
    assert_int_equal(q->sample_count, 2);
    assert_int_equal(q->samples[0].frame_count, 3);
    assert_int_equal(ht_profile_values(q, 0)[1], 5120);
    assert_int_equal(q->location_count, 4);
    assert_int_equal(q->locations[q->frames[0]].mapping, HT_NONE);
    assert_int_equal(q->period, 524288);
    assert_string_equal(ht_profile_comment_value(q, "pid"), "42");
    assert_null(ht_profile_comment_value(q, "pi"));
    assert_string_equal(ht_profile_text(q, q->labels[0].key), "thread"); // texts come before numbers
    for (size_t i = 0; i < q->string_count; i++)
        assert_string_not_equal(q->strings[i].text, "unused");
    ht_profile_encode(q, &again);
    assert_int_equal(again.length, bytes.length);
    assert_memory_equal(again.data, bytes.data, bytes.length);
    ht_buffer_free(&bytes);
    ht_buffer_free(&again);
    ht_profile_free(p);
    ht_profile_free(q);
}

static void test_file(void **state)
{
    (void)state;
    char path[] = "/tmp/heaptap-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    struct ht_profile *p = make(0), *q;
    assert_int_equal(ht_profile_write(p, fd), 0);
    assert_int_equal(ht_profile_write(p, fd), 0); // a second member: two profiles in one stream
    lseek(fd, 0, SEEK_SET);
    assert_int_equal(ht_profile_read(fd, NULL, &q), -1);
    assert_non_null(strstr(ht_error(), "several profiles"));
    ht_profile_free(p);
    close(fd);
    int full = open("/dev/full", O_WRONLY);
    p = make(0);
    assert_int_equal(ht_profile_write(p, full), -1);
    assert_non_null(strstr(ht_error(), "cannot write"));
    ht_profile_free(p);
    close(full);
}

static void test_truncated(void **state)
{
    (void)state;
    struct ht_profile *p = make(0), *q = NULL;
    struct ht_buffer bytes = {0};
    ht_profile_encode(p, &bytes);
    for (size_t length = 0; length < bytes.length; length++) {
        if (ht_profile_decode((const uint8_t *)bytes.data, length, NULL, &q) == 0) {
            assert_int_equal(ht_profile_check(q), 0); // cut between two fields at the end
            ht_profile_free(q);
            q = NULL;
        }
        assert_null(q);
    }
    uLongf packed_length = 10000;
    uint8_t packed[10000];
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, 0), Z_OK);
    z.next_in = (Bytef *)bytes.data;
    z.avail_in = (uInt)bytes.length;
    z.next_out = packed;
    z.avail_out = sizeof packed;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    packed_length = z.total_out;
    deflateEnd(&z);
    for (size_t length = 3; length < packed_length; length++) {
        assert_int_equal(ht_profile_decode(packed, length, NULL, &q), -1);
        assert_non_null(strstr(ht_error(), "truncated"));
    }
    packed[packed_length] = 'x'; // rubbish behind the stream
    assert_int_equal(ht_profile_decode(packed, packed_length + 1, NULL, &q), -1);
    const struct ht_profile_limits limits = {.raw_bytes = 100, .memory_bytes = 1 << 20};
    assert_int_equal(ht_profile_decode(packed, packed_length, &limits, &q), -1);
    assert_non_null(strstr(ht_error(), "too large"));
    ht_buffer_free(&bytes);
    ht_profile_free(p);
}

// Profiles written by hand, byte by byte.
struct bytes_case {
    const char *bytes;
    size_t length;
    const char *error; // NULL: must be accepted
};
#define CASE(bytes, error)                                                                                   \
    {                                                                                                        \
        bytes, sizeof(bytes) - 1, error                                                                      \
    }
#define TYPE "\x0a\x04\x08\x01\x10\x02"
#define STRINGS                                                                                              \
    "\x32\x00\x32\x01"                                                                                       \
    "a\x32\x01"                                                                                              \
    "b"
#define LOCATION "\x22\x02\x08\x01"

static void test_malformed(void **state)
{
    (void)state;
    static const struct bytes_case cases[] = {
        CASE("", "empty"),
        CASE("hello world, this is text", "not a pprof profile"),
        CASE("\x32\x00", NULL),
        CASE(TYPE "\x32\x01"
                  "a",
             "first string"),
        CASE(TYPE "\x32\x00\x32\x01"
                  "a",
             "string 2 of 2"),
        CASE(TYPE STRINGS, NULL),
        CASE(TYPE "\x12\x06\x0a\x01\x01\x12\x01\x05" LOCATION STRINGS, NULL),
        CASE(TYPE "\x12\x04\x08\x01\x10\x05" LOCATION STRINGS, NULL), // not packed
        CASE("\x12\x06\x0a\x01\x01\x12\x01\x05" LOCATION STRINGS, "without sample types"),
        CASE(TYPE "\x12\x06\x0a\x01\x02\x12\x01\x05" LOCATION STRINGS, "missing location 2"),
        CASE(TYPE "\x12\x06\x0a\x01\x00\x12\x01\x05" LOCATION STRINGS, "location 0"),
        CASE(TYPE "\x12\x07\x0a\x01\x01\x12\x02\x05\x06" LOCATION STRINGS, "2 values for 1"),
        CASE(TYPE "\x12\x03\x0a\x01\x01" LOCATION STRINGS, "without values"),
        CASE(TYPE LOCATION LOCATION STRINGS, "two locations with the id 1"),
        CASE(TYPE "\x22\x00" STRINGS, "reserved id 0"),
        CASE(TYPE "\x1a\x00" STRINGS, "mapping with the reserved id 0"),
        CASE(TYPE "\x2a\x02\x08\x01\x2a\x02\x08\x01" STRINGS, "two functions"),
        CASE(TYPE "\x22\x06\x08\x01\x22\x02\x08\x07" STRINGS, "missing function 7"),
        CASE(TYPE "\x22\x04\x08\x01\x22\x00" STRINGS, "function 0"),
        CASE(TYPE "\x22\x04\x08\x01\x10\x07" STRINGS, NULL), // a missing mapping is no mapping
        CASE(TYPE STRINGS "\x48\x01\x48\x01", "several profiles"),
        CASE(TYPE STRINGS "\x98\x06\x05\xa1\x06"
                          "12345678",
             NULL), // unknown fields
        CASE(TYPE STRINGS "\x0b", "wire type"),
        CASE(TYPE STRINGS "\x00\x01", "without a number"),
        CASE(TYPE STRINGS "\x08\x01", "wrong type"),
        CASE(TYPE STRINGS "\x4a\x00", "wrong type"),
        CASE(TYPE STRINGS "\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "varint"),
        CASE(TYPE STRINGS "\x32\x05"
                          "ab",
             "truncated"),
        CASE(TYPE STRINGS "\x32\xff\xff\xff\xff\x0f", "field of"),
        CASE(TYPE STRINGS "\x70\x09", "string 9 of 3"),
        CASE(TYPE STRINGS "\x70\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "out of range"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ht_profile *p = NULL;
        int result = ht_profile_decode((const uint8_t *)cases[i].bytes, cases[i].length, NULL, &p);
        if (cases[i].error == NULL && result != 0)
            fail_msg("case %zu: %s", i, ht_error());
        if (cases[i].error != NULL && (result == 0 || strstr(ht_error(), cases[i].error) == NULL))
            fail_msg("case %zu: wanted '%s', got '%s'", i, cases[i].error,
                     result == 0 ? "success" : ht_error());
        if (result == 0)
            assert_int_equal(ht_profile_check(p), 0);
        ht_profile_free(p);
    }
}

static void test_any_ids_in_any_order(void **state)
{
    (void)state;
    // Ids near 2^64, used before they are defined; the string table is in the middle.
    static const char bytes[] =
        TYPE "\x12\x0f\x0a\x0a\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x12\x01\x05" STRINGS
             "\x22\x13\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x80\x80\x80\x80\x10\x18\x01"
             "\x1a\x06\x08\x80\x80\x80\x80\x10";
    struct ht_profile *p = decode_or_fail(bytes, sizeof bytes - 1);
    assert_int_equal(p->sample_count, 1);
    assert_int_equal(p->frames[0], 0);
    assert_int_equal(p->locations[0].mapping, 0);
    ht_profile_free(p);
}

static void put_varint(struct ht_buffer *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        ht_buffer_byte(out, (char)(value | 0x80));
    ht_buffer_byte(out, (char)value);
}

static void put_message(struct ht_buffer *out, uint64_t tag, const struct ht_buffer *message)
{
    put_varint(out, tag << 3 | 2);
    put_varint(out, message->length);
    ht_buffer_add(out, message->data, message->length);
}

// Small, middling and very large ids, used first in one order and defined in another.
static void test_ids_of_all_sizes(void **state)
{
    (void)state;
    enum { IDS = 3000 };
    uint64_t ids[IDS];
    struct ht_buffer bytes = {0}, message = {0}, frames = {0};
    for (uint64_t i = 0; i < IDS; i++)
        ids[i] = i % 3 == 0 ? i + 1 : i % 3 == 1 ? 100000 + i * 37 : (i + 1) << 40;
    ht_buffer_add(&bytes, TYPE, sizeof TYPE - 1);
    for (size_t i = 0; i < IDS; i++)
        put_varint(&frames, ids[i * 1999 % IDS]);
    put_message(&message, 1, &frames);
    ht_buffer_add(&message, "\x12\x01\x05", 3);
    put_message(&bytes, 2, &message);
    for (size_t i = 0; i < IDS; i++) {
        message.length = 0;
        ht_buffer_byte(&message, 1 << 3);
        put_varint(&message, ids[i]);
        ht_buffer_byte(&message, 3 << 3);
        put_varint(&message, i + 1); // the address
        put_message(&bytes, 4, &message);
    }
    ht_buffer_add(&bytes, STRINGS, sizeof STRINGS - 1);
    struct ht_profile *p = decode_or_fail(bytes.data, bytes.length);
    assert_int_equal(p->location_count, IDS);
    assert_int_equal(p->samples[0].frame_count, IDS);
    for (size_t i = 0; i < IDS; i++)
        assert_int_equal(p->locations[p->frames[i]].address, i * 1999 % IDS + 1);
    ht_profile_free(p);
    ht_buffer_free(&bytes);
    ht_buffer_free(&message);
    ht_buffer_free(&frames);
}

static void test_not_utf8(void **state)
{
    (void)state;
    struct ht_profile *p = make(0);
    ht_profile_add_comment(p, "bad \xff\xfe name");
    struct ht_buffer bytes = {0};
    ht_profile_encode(p, &bytes);
    struct ht_profile *q = decode_or_fail(bytes.data, bytes.length);
    assert_string_equal(ht_profile_text(q, q->comments[0]), "bad \xef\xbf\xbd\xef\xbf\xbd name");
    ht_buffer_free(&bytes);
    ht_profile_free(p);
    ht_profile_free(q);
}

static void test_merge_moved_mappings(void **state)
{
    (void)state;
    struct ht_profile *both[2] = {make(0), make(0x70000)};
    ht_profile_add_comment(both[0], "one");
    ht_profile_add_comment(both[1], "one");
    ht_profile_add_comment(both[1], "two");
    assert_int_equal(ht_profile_merge(both, 2), 0);
    struct ht_profile *p = both[0];
    assert_null(both[1]);
    assert_int_equal(ht_profile_check(p), 0);
    assert_int_equal(p->mapping_count, 1);
    assert_int_equal(p->location_count, 4);
    assert_int_equal(p->function_count, 5);
    assert_int_equal(p->sample_count, 2);
    assert_int_equal(ht_profile_values(p, 0)[1], 10240);
    assert_int_equal(p->comment_count, 2);
    assert_int_equal(p->time_ns, 1000000000);
    assert_string_equal(ht_profile_text(p, p->functions[0].name),
                        "malloc"); // in order of first use, leaf first
    ht_profile_free(p);
}

static void test_merge_keeps_apart(void **state)
{
    (void)state;
    struct ht_profile *both[2] = {make(0), make(0)};
    both[1]->mappings[0].build_id = ht_profile_intern_text(both[1], "fedcba"); // another binary
    assert_int_equal(ht_profile_merge(both, 2), 0);
    assert_int_equal(both[0]->mapping_count, 2);
    assert_int_equal(both[0]->sample_count, 4);
    ht_profile_free(both[0]);
    both[0] = make(0);
    both[1] = make(0);
    both[1]->sample_types[0].type = ht_profile_intern_text(both[1], "alloc_objects");
    both[1]->sample_types[1].type = ht_profile_intern_text(both[1], "alloc_space");
    assert_int_equal(ht_profile_merge(both, 2), -1);
    assert_non_null(strstr(ht_error(), "do not fit together"));
    ht_profile_free(both[0]);
    ht_profile_free(both[1]);
    both[0] = make(0);
    both[1] = make(0);
    both[1]->sample_types[1].unit = ht_profile_intern_text(both[1], "kilobytes");
    assert_int_equal(ht_profile_merge(both, 2), 0);
    assert_int_equal(ht_profile_values(both[0], 0)[1], 5120 + 5120 * 1024);
    ht_profile_free(both[0]);
}

static void keep_text(enum ht_note kind, const char *text, void *arg)
{
    assert_int_equal(kind, HT_NOTE_WARNING);
    ht_buffer_printf(arg, "%s\n", text);
}

// A profile with these sample types, values 10, 20 ... and the last type but one as its default.
static struct ht_profile *make_columns(const char *const *types, size_t count)
{
    struct ht_profile *p = ht_profile_new();
    int64_t values[4];
    for (size_t t = 0; t < count; t++) {
        ht_profile_add_sample_type(p, types[t], "count");
        values[t] = 10 * (int64_t)(t + 1);
    }
    ht_profile_add_sample(p, NULL, 0, values, NULL, 0);
    ht_profile_add_sample(p, NULL, 0, values, NULL, 0);
    p->default_sample_type = p->sample_types[count - 2].type;
    return p;
}

static void test_merge_shared_types(void **state)
{
    (void)state;
    struct ht_buffer told = {0};
    struct ht_profile *both[2] = {
        make_columns((const char *const[]){"a", "b", "c", "d"}, 4),
        make_columns((const char *const[]){"d", "x", "b"}, 3),
    };
    ht_notes_take(keep_text, &told); // of other tests
    told.length = 0;
    assert_int_equal(ht_profile_merge(both, 2), 0);
    ht_notes_take(keep_text, &told);
    assert_string_equal(told.data, "left out, as not every profile has it: a, c, x\n");
    assert_int_equal(ht_profile_check(both[0]), 0);
    assert_int_equal(both[0]->sample_type_count, 2);
    assert_string_equal(ht_profile_text(both[0], both[0]->sample_types[0].type), "b");
    assert_string_equal(ht_profile_text(both[0], both[0]->sample_types[1].type), "d");
    assert_int_equal(both[0]->sample_count, 1);
    assert_int_equal(ht_profile_values(both[0], 0)[0], 2 * 20 + 2 * 30);
    assert_int_equal(ht_profile_values(both[0], 0)[1], 2 * 40 + 2 * 10);
    assert_int_equal(both[0]->default_sample_type, 0); // c and x are no more
    ht_profile_free(both[0]);
    // The same types in another order: nothing is left out, nothing told.
    both[0] = make_columns((const char *const[]){"a", "b"}, 2);
    both[1] = make_columns((const char *const[]){"b", "a"}, 2);
    assert_int_equal(ht_profile_merge(both, 2), 0);
    told.length = 0;
    ht_notes_take(keep_text, &told);
    assert_int_equal(told.length, 0);
    assert_int_equal(ht_profile_values(both[0], 0)[0], 2 * 10 + 2 * 20);
    assert_string_equal(ht_profile_text(both[0], both[0]->default_sample_type), "a");
    ht_profile_free(both[0]);
    ht_buffer_free(&told);
}

static void test_subtract(void **state)
{
    (void)state;
    struct ht_profile *p = make(0), *base = make(0x5000);
    assert_int_equal(ht_profile_subtract(&p, &base, false, false), 0);
    assert_null(base);
    assert_int_equal(p->sample_count, 0); // equal samples cancel
    ht_profile_free(p);
    p = make(0);
    base = make(0);
    ht_profile_values(base, 0)[1] = 1024;
    assert_int_equal(ht_profile_subtract(&p, &base, true, false), 0);
    assert_int_equal(p->sample_count, 4); // marked samples stay apart
    assert_int_equal(ht_profile_values(p, 2)[1], -1024);
    ht_profile_remove_label(p, "pprof::base");
    assert_int_equal(ht_profile_merge(&p, 1), 0);
    assert_int_equal(p->sample_count, 1);
    assert_int_equal(ht_profile_values(p, 0)[1], 4096);
    ht_profile_free(p);
    p = make(0);
    base = make(0);
    ht_profile_scale(base, 3);
    assert_int_equal(ht_profile_subtract(&p, &base, false, true), 0); // normalized to the base, then equal
    assert_int_equal(p->sample_count, 0);
    ht_profile_free(p);
}

static size_t depth_of(const struct ht_profile *p, size_t sample)
{
    return p->samples[sample].frame_count;
}

static void test_drop_frames(void **state)
{
    (void)state;
    struct ht_profile *p = make(0);
    assert_int_equal(ht_filter_drop_frames(p), 0);
    assert_int_equal(ht_profile_check(p), 0);
    assert_int_equal(depth_of(p, 0), 2);
    assert_int_equal(depth_of(p, 1), 2);
    ht_profile_free(p);
    p = make(0);
    p->drop_frames = ht_profile_intern_text(p, "dup"); // inlined: its callers stay
    assert_int_equal(ht_filter_drop_frames(p), 0);
    assert_int_equal(depth_of(p, 0), 2);
    const struct ht_location *leaf = &p->locations[p->frames[p->samples[0].frames]];
    assert_int_equal(leaf->line_count, 1);
    assert_string_equal(ht_profile_text(p, p->functions[p->lines[leaf->lines].function].name), "parse");
    assert_int_equal(depth_of(p, 1), 2);
    ht_profile_free(p);
    p = make(0);
    p->drop_frames = ht_profile_intern_text(p, "malloc|parse|main"); // nothing above a frame that stays
    assert_int_equal(ht_filter_drop_frames(p), 0);
    assert_int_equal(depth_of(p, 0), 3);
    assert_int_equal(depth_of(p, 1), 2);
    ht_profile_free(p);
    p = make(0);
    p->keep_frames = ht_profile_intern_text(p, "m.*");
    assert_int_equal(ht_filter_drop_frames(p), 0);
    assert_int_equal(depth_of(p, 0), 3);
    p->drop_frames = ht_profile_intern_text(p, "(");
    assert_int_equal(ht_filter_drop_frames(p), -1);
    ht_profile_free(p);
}

static size_t samples_after(const struct ht_filter *filter)
{
    struct ht_profile *p = make(0);
    assert_int_equal(ht_filter_apply(p, filter), 0);
    assert_int_equal(ht_profile_check(p), 0);
    size_t count = p->sample_count;
    ht_profile_free(p);
    return count;
}

static void test_filters(void **state)
{
    (void)state;
    assert_int_equal(samples_after(&(struct ht_filter){.focus = "dup"}), 1);
    assert_int_equal(samples_after(&(struct ht_filter){.focus = "demo\\.c"}), 2);
    assert_int_equal(samples_after(&(struct ht_filter){.ignore = "cache"}), 1);
    assert_int_equal(samples_after(&(struct ht_filter){.hide = "."}), 0);
    assert_int_equal(samples_after(&(struct ht_filter){.show = "^cache$"}), 1);
    assert_int_equal(samples_after(&(struct ht_filter){.show_from = "parse"}), 1);
    assert_int_equal(samples_after(&(struct ht_filter){.tag_focus = "bytes=1kb:"}), 2);
    assert_int_equal(samples_after(&(struct ht_filter){.tag_focus = "2kb:"}), 0);
    assert_int_equal(samples_after(&(struct ht_filter){.tag_focus = ":1kb"}), 2);
    assert_int_equal(samples_after(&(struct ht_filter){.tag_focus = "512b:2kb"}), 2);
    assert_int_equal(samples_after(&(struct ht_filter){.tag_focus = "thread=io"}), 1);
    assert_int_equal(samples_after(&(struct ht_filter){.tag_focus = "thread:io,thread"}), 1);
    assert_int_equal(samples_after(&(struct ht_filter){.tag_ignore = "thread=x,io"}), 1);
    struct ht_profile *p = make(0);
    assert_int_equal(ht_filter_apply(p, &(struct ht_filter){.focus = "("}), -1);
    assert_int_equal(p->sample_count, 2);
    ht_profile_free(p);
}

static void test_sample_index(void **state)
{
    (void)state;
    struct ht_profile *p = make(0);
    size_t index = 9;
    assert_int_equal(ht_profile_sample_index(p, NULL, &index), 0);
    assert_int_equal(index, 1);
    assert_int_equal(ht_profile_sample_index(p, "0", &index), 0);
    assert_int_equal(index, 0);
    assert_int_equal(ht_profile_sample_index(p, "2", &index), -1);
    assert_int_equal(ht_profile_sample_index(p, "inuse_spac", &index), -1);
    assert_non_null(strstr(ht_error(), "did you mean 'inuse_space'"));
    p->default_sample_type = ht_profile_intern_text(p, "inuse_objects");
    assert_int_equal(ht_profile_sample_index(p, "", &index), 0);
    assert_int_equal(index, 0);
    p->sample_types[1].type = ht_profile_intern_text(p, "space");
    assert_int_equal(ht_profile_sample_index(p, "inuse_space", &index), 0);
    assert_int_equal(index, 1);
    ht_profile_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_any_ids_in_any_order),
        cmocka_unit_test(test_ids_of_all_sizes),
        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_merge_moved_mappings),
        cmocka_unit_test(test_merge_keeps_apart),
        cmocka_unit_test(test_merge_shared_types),
        cmocka_unit_test(test_subtract),
        cmocka_unit_test(test_drop_frames),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_sample_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
