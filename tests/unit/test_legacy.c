// Tests the readers of older forms of a profile, by small ones of each form.
#include "base/error.h"
#include "profile/legacy/legacy.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

// The profile in short: "PERIOD_TYPE/UNIT PERIOD|TYPE/UNIT ...|VALUE ... @ ADDRESS[NAME] ...{bytes}|...|
// START-LIMIT@OFFSET FILE BUILDID|...".
static char *shorten(const struct ht_profile *p)
{
    struct ht_buffer out = {0};
    ht_buffer_printf(&out, "%s/%s %" PRId64 "|", ht_profile_text(p, p->period_type.type),
                     ht_profile_text(p, p->period_type.unit), p->period);
    for (size_t t = 0; t < p->sample_type_count; t++)
        ht_buffer_printf(&out, "%s%s/%s", t > 0 ? " " : "", ht_profile_text(p, p->sample_types[t].type),
                         ht_profile_text(p, p->sample_types[t].unit));
    for (size_t i = 0; i < p->sample_count; i++) {
        const struct ht_sample *sample = &p->samples[i];
        ht_buffer_text(&out, "|");
        for (size_t t = 0; t < p->sample_type_count; t++)
            ht_buffer_printf(&out, "%" PRId64 " ", ht_profile_values(p, i)[t]);
        ht_buffer_text(&out, "@");
        for (uint32_t f = 0; f < sample->frame_count; f++) {
            const struct ht_location *location = &p->locations[p->frames[sample->frames + f]];
            ht_buffer_printf(&out, " %" PRIx64, location->address);
            for (uint32_t l = 0; l < location->line_count; l++) {
                const struct ht_line *line = &p->lines[location->lines + l];
                const struct ht_function *function = &p->functions[line->function];
                ht_buffer_printf(&out, "[%s %s:%" PRId64 "]", ht_profile_text(p, function->name),
                                 ht_profile_text(p, function->file), line->line);
            }
        }
        if (sample->label_count > 0)
            ht_buffer_printf(&out, "{%" PRId64 "}", p->labels[sample->labels].number);
    }
    for (size_t i = 0; i < p->mapping_count; i++) {
        const struct ht_profile_mapping *m = &p->mappings[i];
        ht_buffer_printf(&out, "|%" PRIx64 "-%" PRIx64 "@%" PRIx64 " %s %s", m->start, m->limit, m->offset,
                         ht_profile_text(p, m->file), ht_profile_text(p, m->build_id));
    }
    return out.data;
}

#define ALL "|0-ffffffffffffffff@0  "

static const struct {
    const char *text, *wanted;
} texts[] = {
    // gperftools' heap profiler: all blocks; the rest of a maps line, data, an unknown address.
    {"heap profile:      3:     4096 [     9:    12288] @ heapprofile\n"
     "     2:     2048 [     8:    10240] @ 0x401001 0x401101\n"
     "     0:        0 [     1:     2048] @ 0x7f0001\n"
     "\nMAPPED_LIBRARIES:\n"
     "00400000-00402000 r-xp 00000000 08:01 1234   /srv/prog\n"
     "00402000-00403000 rw-p 00002000 08:01 1234   /srv/prog\n",
     "space/bytes 1|alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes"
     "|8 10240 2 2048 @ 401000 401100{1024}|1 2048 0 0 @ 7f0000{2048}|400000-402000@0 /srv/prog " ALL},
    // tcmalloc: sampled; a whole rate, half of one, none.
    {"heap profile: 1: 524288 [1: 524288] @ heap_v2/524288\n 1: 524288 [1: 524288] @ 0x10 0x20\n",
     "space/bytes 524288|objects/count space/bytes|1 829411 @ f 1f{524288}" ALL},
    {"heap profile: 4: 64 [0: 0] @ heap/1048576\r\n4: 64 [0: 0] @ 0x10\r\n",
     "space/bytes 524288|objects/count space/bytes|131074 2097184 @ f{16}" ALL},
    {"heap profile: 4: 64 [0: 0] @ heapz_v2/\n4: 64 [0: 0] @ 0x10\n# runtime.MemStats\n",
     "space/bytes 0|objects/count space/bytes|4 64 @ f{16}" ALL},
    {"heap profile: 0: 0 [0: 0] @ heapprofile\n1: 8 [0: 0] @\n",
     "space/bytes 1|objects/count space/bytes|1 8 @{8}"},
    // Growth; variables in maps, a library first, one mapping in two halves.
    {"heap profile:     1:  1048576 [     2:  1048577] @ growthz\n     1:  1048576 [     1:  1048576] @ 0x5001\n"
     "--- Memory map: ---\n  build=/srv/b\n  dir = $build/lib\n  7000-8000: $dir/libc-2.so.6\n"
     "  5000-5800: $build/prog (@1000) abc\n  5800-6000: $build/prog\n",
     "space/bytes 1|objects/count space/bytes|1 1048576 @ 5000{1048576}"
     "|5000-6000@1000 /srv/b/prog abc|7000-8000@0 /srv/b/lib/libc-2.so.6 "},
    {"heap profile: 1: 5 [1: 5] @ fragmentationz\n1: 5 [1: 5] @ 0x2\n",
     "space/bytes 1|objects/count space/bytes|1 5 @ 1{5}" ALL},
    // The start of a mapping that was cut off; the usual start of programs.
    {"heap profile: 1: 5 [1: 5] @ heapprofile\n1: 5 [1: 5] @ 0x401001 0x900801\nMAPPED_LIBRARIES:\n"
     "I0101 12:00:00 a.cc:12] 402000-403000 r-xp 00002000 08:01 1 /srv/prog\n"
     "901000-902000 r-xp 00001000 08:01 1 /lib/x.so\n",
     "space/bytes 1|objects/count space/bytes|1 5 @ 401000 900800{5}|400000-403000@0 /srv/prog "
     "|900000-902000@0 /lib/x.so "},
    // Contention: cycles, a sampling period; Go's mutexes.
    {"--- contentionz 1 ---\ncycles/second = 2000000000\nsampling period = 10\nms since reset = 100\n"
     "discarded samples = 0\n  400 2 @ 0x11 0x21\n",
     "contentions/count 10|contentions/count delay/nanoseconds|20 2000 @ 10 20" ALL},
    {"--- mutex:\ncycles/second=1000000000\nsampling period=1\n300 3 @ 0x11\n#\t0x10\tmain.f+0x1\ta.go:3\n",
     "contentions/count 1|contentions/count delay/nanoseconds|3 300 @ 10" ALL},
    // Counts; names in comments are not used.
    {"\n# a comment\ngoroutine profile: total 3\n2 @ 0x11 0x21\n#\t0x10\tmain.f+0x1\t/a.go:3\n\n1 @ 0x31\n",
     "goroutine/count 1|goroutine/count|2 @ 10 20|1 @ 30" ALL},
    // Threads: with names, the same once more, a double leaf.
    {"--- threadz 1 ---\n\n--- Thread 7f (name: main/1) stack: ---\n  PC:  0x10: f(int)\n  0x21: main\n"
     "--- Thread 8f (name: w/2) stack: ---\n  PC: 0x30 0x30 0x41\n"
     "--- Thread 9f (name: w/3) stack: ---\n  [same as previous thread]\n"
     "--- Memory map: ---\n  10-100: /srv/prog\n",
     "thread/count 1|thread/count|1 @ 10 20|2 @ 30 40|10-100@0 /srv/prog "},
    // Java.
    {"--- heapz 1 ---\nformat = java\nresolution = bytes\n  1048576  2 @ 0x1 0x2 0x3\n  100 1 @ 0x4\n\n"
     "  0x00000001 a.B.c (B.java:12)\n  0x2 native (/lib/jvm/libjvm.so)\n  0x3 d (Native.java:-2)\n 0x9 x\n",
     "/ 0|inuse_objects/count inuse_space/bytes"
     "|3 1658822 @ 0[a.B.c B.java:12] 0[native libjvm.so:0] 0[d Native.java:0]{524288}|5243 524338 @ 0{100}" ALL},
    {"--- contentionz 1 ---\nformat = java\nresolution = microseconds\nsampling period = 100\n"
     "ms since reset = 6\n   7 2 @ 0x1 0x2\n  0x1 GC\n  0x2 generated stub/JIT\n",
     "contentions/count 100|contentions/count delay/microseconds|200 700 @ 0[GC :0] 0[STUB :0]"},
    // jemalloc: the whole heap's figures, a thread's, a stack in libjemalloc.
    {"heap_v2/1024\n  t*: 3: 3072 [0: 0]\n  t0: 3: 3072 [0: 0] main\n@ 0x7001 0x5001\n  t*: 2: 2048 [0: 0]\n"
     "  t0: 2: 2048 [0: 0]\n@ 0x5101\n  t*: 1: 1024 [0: 0]\n  t0: 1: 1024 [0: 0]\n\nMAPPED_LIBRARIES:\n"
     "5000-6000 r-xp 00000000 08:01 1 /srv/prog\n7000-8000 r-xp 00000000 08:01 1 /usr/lib/libjemalloc.so.2\n",
     "space/bytes 1024|inuse_objects/count inuse_space/bytes|3 3239 @ 5000{1024}|1 1619 @ 5100{1024}"
     "|5000-6000@0 /srv/prog |7000-8000@0 /usr/lib/libjemalloc.so.2 "},
    {"heap_v2/1\n  t*: 1: 8 [2: 16]\n@ 0x11\n  t*: 1: 8 [2: 16]\n",
     "space/bytes 1|alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes"
     "|2 16 1 8 @ 10{8}" ALL},
    {"heap_v2/524288\n  t*: 0: 0 [0: 0]\n", "space/bytes 524288|inuse_objects/count inuse_space/bytes"},
    // Names in front.
    {"--- symbol\nbinary=/srv/prog\n0x0000000000000011 leaf--caller\n0x20 main<0000000000000020>\n---\n--- heap\n"
     "heap profile: 1: 5 [1: 5] @ heapprofile\n1: 5 [1: 5] @ 0x11 0x21 0x31\n",
     "space/bytes 1|objects/count space/bytes|1 5 @ 10[leaf :0][caller :0] 20[main :0] 30{5}"
     "|0-ffffffffffffffff@0 /srv/prog "},
    {"--- symbol\n0x10 f\n---\n--- contention\n--- contention:\ncycles/second=1000000000\n8 1 @ 0x11\n",
     "contentions/count 1|contentions/count delay/nanoseconds|1 8 @ 10[f :0]" ALL},
    // Broken ones.
    {"heap profile: 1: 5 [1: 5] @ heapprofile\n1: 5 [1: 5 @ 0x11\n",
     "malformed heap profile: line 2: neither a sample nor the maps"},
    {"heap profile: 1: 5 [1: 5] @ heapprofile\n0: 5 [1: 5] @ 0x11\n",
     "malformed heap profile: line 2: bytes of no object"},
    {"heap profile: 1: 5 [1: 5] @ heapprofile\n1: 5 [1: 5] @ 0x11111111111111111\n",
     "malformed heap profile: line 2: an address of more than 64 bits"},
    {"heap profile: 1: 5 [1: 5] @ heapprofile\n99999999999999999999: 5 [1: 5] @ 0x1\n",
     "malformed heap profile: line 2: neither a sample nor the maps"},
    {"goroutine profile: total 3\n1 0x11\n",
     "malformed count profile: line 2: neither a sample nor the maps"},
    {"--- contentionz 1 ---\nwhatever = 1\n1 1 @ 0x1\n",
     "malformed contention profile: line 2: not an attribute of such a profile"},
    {"--- contentionz 1 ---\nformat = java\n1 1 @ 0x1\n",
     "malformed contention profile: line 3: no resolution before the samples"},
    {"--- threadz 1 ---\n--- Thread\n", "malformed thread profile: line 2: neither a thread nor the maps"},
    {"--- heapz 1 ---\nformat = java\nresolution = bytes\n5 0 @ 0x1\n",
     "malformed Java heap profile: line 4: bytes of no object"},
    {"heap_v2/1\n  t*: 1: 8 [2: 16]\n@ 0x11\n  t*: 1: 8\n",
     "malformed jemalloc heap profile: line 4: neither a stack, nor figures, nor the maps"},
    {"--- symbol\n0x10 f\n", "malformed profile with names: line 3: no profile behind the names"},
    {"--- symbol\n0x10 f\n---\n--- heap\n--- symbol\n",
     "malformed profile with names: line 4: no profile that is known behind the names"},
    {"heap profile: 1: 5 [1: 5] @ elsewhere\n", "not a pprof profile (neither gzip nor protobuf)"},
};

static char *read_bytes(const void *bytes, size_t length)
{
    struct ht_profile *p = NULL;
    if (ht_legacy_decode(bytes, length, NULL, &p) < 0) {
        assert_null(p);
        return ht_strdup(ht_error());
    }
    assert_int_equal(ht_profile_check(p), 0);
    char *text = shorten(p);
    ht_profile_free(p);
    return text;
}

static void test_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char *got = read_bytes(texts[i].text, strlen(texts[i].text));
        if (strcmp(got, texts[i].wanted) != 0)
            fail_msg("text %zu:\n%s\nbecomes %s\nand not %s", i, texts[i].text, got, texts[i].wanted);
        free(got);
    }
}

// Every beginning of every text is read or refused with one line.
static void test_beginnings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t length = 0; length < strlen(texts[i].text); length++) {
            char *beginning = ht_alloc(length + 1); // of exactly this size, for AddressSanitizer
            memcpy(beginning, texts[i].text, length);
            char *got = read_bytes(beginning, length);
            assert_non_null(got);
            assert_null(strchr(got, '\n'));
            free(got);
            free(beginning);
        }
}

static void test_gzip(void **state)
{
    (void)state;
    uint8_t packed[4096];
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)texts[0].text, .avail_in = (uInt)strlen(texts[0].text)};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    char *got = read_bytes(packed, stream.total_out);
    assert_string_equal(got, texts[0].wanted);
    free(got);
    deflateEnd(&stream);
}

// A CPU profile's words, of 4 or 8 bytes in either order, and a text behind them.
static char *read_words(const uint64_t *words, size_t count, size_t bytes, bool big, const char *text)
{
    struct ht_buffer file = {0};
    for (size_t w = 0; w < count; w++)
        for (size_t b = 0; b < bytes; b++)
            ht_buffer_byte(&file, (char)(words[w] >> 8 * (big ? bytes - 1 - b : b)));
    ht_buffer_text(&file, text);
    char *got = read_bytes(file.data, file.length);
    ht_buffer_free(&file);
    return got;
}

#define CPU "cpu/nanoseconds 10000000|samples/count cpu/nanoseconds"

static void test_cpu(void **state)
{
    (void)state;
    static const uint64_t head_only[] = {0, 3, 0, 10000, 0, 0, 1, 0};
    // One stack alone loses what is above its leaf, twice; a double leaf is joined.
    static const uint64_t native[] = {0,     3, 0, 10000, 0,     2,     3, 0x100, 0x201,
                                      0x301, 1, 3, 0x110, 0x110, 0x301, 0, 1,     0};
    static const uint64_t handler[] = {0,    3, 0, 10000, 0,    1,    4, 0x10, 0x91, 0x21,
                                       0x31, 3, 3, 0x11,  0x91, 0x41, 0, 1,    0};
    static const uint64_t java[] = {0, 3, 1, 10000, 0, 5, 2, 1, 2, 0, 1, 0};
    static const uint64_t cut[] = {0, 3, 0, 10000, 0, 5, 2, 1};
    static const uint64_t deep[] = {0, 3, 0, 10000, 0, 5, 0x7fffffff, 1};
    static const uint64_t unended[] = {0, 3, 0, 10000, 0, 5, 1, 0x10, 6, 1, 0x20};
    for (int form = 0; form < 4; form++) {
        size_t bytes = form < 2 ? 4 : 8;
        bool big = form % 2 == 1;
#define CHECK(words, text, wanted)                                                                           \
    do {                                                                                                     \
        char *got = read_words(words, sizeof words / sizeof words[0], bytes, big, text);                     \
        assert_string_equal(got, wanted);                                                                    \
        free(got);                                                                                           \
    } while (0)
        CHECK(head_only, "", CPU);
        CHECK(native, "100-400 r-xp 00000000 08:01 1 /srv/prog\n",
              CPU "|2 20000000 @ 100 200 300|1 10000000 @ 110 300|100-400@0 /srv/prog ");
        CHECK(handler, "", CPU "|1 10000000 @ 10 20 30|3 30000000 @ 11 40" ALL);
        CHECK(java, "0x1 a.B.c (B.java:7)\n0x2 VM\n", CPU "|5 50000000 @ 0[a.B.c B.java:7] 0[VM :0]");
        CHECK(cut, "", "truncated: the CPU profile ends inside a sample");
        CHECK(deep, "", "malformed CPU profile: a stack of 2147483647 frames");
        CHECK(unended, "", CPU "|5 50000000 @ 10|6 60000000 @ 20" ALL);
    }
}

// A form's own bounds: a line without an end, more than the memory that is allowed.
static void test_bounds(void **state)
{
    (void)state;
    struct ht_buffer file = {0};
    ht_buffer_text(&file, "heap profile: 1: 5 [1: 5] @ heapprofile\n");
    size_t head = file.length;
    for (size_t i = 0; i < 2 << 20; i++)
        ht_buffer_byte(&file, '#');
    char *got = read_bytes(file.data, file.length);
    assert_string_equal(got, "malformed heap profile: line 2: too long");
    free(got);
    file.length = head;
    for (size_t i = 0; i < 100000; i++)
        ht_buffer_printf(&file, "1: 5 [1: 5] @ 0x%zx\n", i);
    struct ht_profile *p = NULL;
    const struct ht_profile_limits limits = {.raw_bytes = 1 << 30, .memory_bytes = 1 << 20};
    assert_int_equal(ht_legacy_decode((const uint8_t *)file.data, file.length, &limits, &p), -1);
    assert_non_null(strstr(ht_error(), "too large"));
    ht_buffer_free(&file);
}

// What profile.proto is, is read as that.
static void test_proto(void **state)
{
    (void)state;
    struct ht_profile *p = ht_profile_new();
    struct ht_buffer bytes = {0};
    ht_profile_add_sample_type(p, "goroutine profile: total 1", "count");
    ht_profile_add_sample(p, NULL, 0, &(int64_t){7}, NULL, 0);
    ht_profile_encode(p, &bytes);
    ht_profile_free(p);
    char *got = read_bytes(bytes.data, bytes.length);
    assert_string_equal(got, "/ 0|goroutine profile: total 1/count|7 @");
    free(got);
    ht_buffer_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts), cmocka_unit_test(test_beginnings), cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_cpu),   cmocka_unit_test(test_bounds),     cmocka_unit_test(test_proto),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
