// Fuzzes the reader of foreign profiles and what reports do with them: any bytes give a profile that is whole
// or an error, within bounded memory; merging, filtering, encoding and the reports keep it whole.
//
// An input is a profile as a file would hold it, plain or gzip. Mutations work on the message inside
// (proto_mutate.h).
#include "base/error.h"
#include "cmd/reports.h"
#include "profile/filter.h"
#include "profile/profile.h"
#include "stats/health.h"
#include "view/text/compare.h"

#include "proto_mutate.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t max_size, unsigned seed);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// What is written can be read again, and has as many samples.
static void round_trip(const struct ht_profile *profile)
{
    struct ht_buffer bytes = {0};
    struct ht_profile *again = NULL;
    ht_profile_encode(profile, &bytes);
    if (profile->sample_count > 0) {
        must(ht_profile_decode((const uint8_t *)bytes.data, bytes.length, NULL, &again) == 0);
        must(ht_profile_check(again) == 0 && again->sample_count == profile->sample_count);
    }
    ht_profile_free(again);
    ht_buffer_free(&bytes);
}

// Expressions that match some of what the corpus holds; two of them are none.
static const struct ht_filter filters[] = {
    {.focus = "a|main|:", .hide = "b"},
    {.ignore = "pa.*|[^a-z]x", .show = "m|o|a", .prune_from = "b$"},
    {.show_from = "in|a", .tag_focus = "bytes=1kb:", .tag_hide = "t.*"},
    {.tag_ignore = "^i|x", .tag_show = "bytes|thread|key", .hide = "("},
    {.tag_focus = "1:4096,io", .tag_ignore = "request=:2mb", .prune_from = "malloc|alloc"},
    {.tag_focus = "=a", .tag_ignore = "5", .show_from = "*"},
};

// One kind of report; the input's size decides which.
static void write_report(struct ht_profile *profile, size_t size, const struct ht_filter *filter)
{
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    struct ht_report report;
    struct ht_buffer out = {0};
    size_t kinds = 0;
    while (ht_reports[kinds].name != NULL) {
        kinds++;
    }
    const struct ht_report_kind *kind = &ht_reports[size / 20 % kinds];
    const struct ht_report_form form = {
        .json = size % 3 == 0, .colour = size % 7 == 0, .columns = 80, .expression = "a|main"};
    options.granularity = (int)(size % 5);
    options.node_count = 5;
    options.mean = options.granularity == HT_BY_FILES;
    if (size % 11 == 0) {
        options.tag_root = "a,key";
        options.tag_leaf = "bytes,a";
    }
    if (filter != NULL) {
        options.filter = *filter;
    }
    if (strcmp(kind->name, "svg") == 0) {
        kind--; // dot, which svg gives to a process of Graphviz
    }
    ht_report_settle(kind, &options);
    if (ht_report_init(&report, profile, &options) == 0) {
        kind->write(&report, &form, &out);
    }
    ht_report_free(&report);
    ht_buffer_free(&out);
}

static void report(struct ht_profile *profile, size_t size, const struct ht_filter *filter)
{
    struct ht_buffer out = {0};
    write_report(profile, size, filter);
    struct ht_compare compare;
    struct ht_compare_options compare_options = {.granularity = (int)(size % 5)};
    if (ht_compare_init(&compare, profile, &compare_options, (struct ht_compare_times){1, 60000000001, 0}) ==
        0) {
        struct ht_compare_form form = {.limit = 3, .paths = 1};
        ht_compare_text(&compare, &form, &out);
        ht_compare_json(&compare, &form, &out);
        ht_compare_free(&compare);
    }
    ht_buffer_free(&out);
}

static void count_warning(void *arg, const char *text)
{
    *(size_t *)arg += strlen(text);
}

// The profile, filtered, and then merged with itself as it was.
static void filter_and_merge(const struct ht_profile *profile, size_t size)
{
    const struct ht_filter *filter = &filters[size / 4 % (sizeof filters / sizeof filters[0])];
    struct ht_profile *both[] = {ht_profile_copy(profile), ht_profile_copy(profile)};
    if (ht_filter_apply(both[1], filter) == 0) {
        must(ht_profile_check(both[1]) == 0);
    }
    ht_profile_normalize(both[1], both[0]);
    ht_profile_set_label(both[1], "key", "a");
    if (ht_profile_merge(both, 2) == 0) {
        must(both[1] == NULL && ht_profile_check(both[0]) == 0);
        ht_profile_remove_label(both[0], "key");
    }
    for (size_t i = 0; i < both[0]->label_count && i < 3; i++) {
        ht_filter_label_unit(both[0], both[0]->labels[i].key);
    }
    report(both[0], size, filter);
    must(ht_profile_check(both[0]) == 0);
    ht_profile_free(both[0]);
    ht_profile_free(both[1]);
}

// Frees the profile.
static void work_with(struct ht_profile *profile, size_t size)
{
    size_t warnings_bytes = 0;
    round_trip(profile);
    ht_health_each(profile, count_warning, &warnings_bytes);
    struct ht_profile *base = ht_profile_copy(profile);
    ht_profile_ensure_mapping(profile);
    must(ht_profile_merge(&profile, 1) == 0 && ht_profile_check(profile) == 0);
    struct ht_profile *difference = ht_profile_copy(profile);
    if (ht_profile_subtract(&difference, &base, size % 2 == 0, size % 3 == 0) == 0) {
        must(base == NULL && ht_profile_check(difference) == 0);
    }
    ht_filter_drop_frames(profile);
    must(ht_profile_check(profile) == 0);
    if (size % 4 == 1) {
        filter_and_merge(profile, size);
    } else {
        report(size % 4 == 2 ? difference : profile, size, NULL);
    }
    must(ht_profile_check(profile) == 0);
    ht_profile_free(base);
    ht_profile_free(difference);
    ht_profile_free(profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ht_profile_limits limits = {.raw_bytes = 16u << 20, .memory_bytes = 64u << 20};
    static FILE *nowhere; // for warnings about filters that match nothing
    if (nowhere == NULL) {
        stderr = nowhere = fopen("/dev/null", "w");
    }
    struct ht_profile *profile = NULL;
    if (ht_profile_decode(data, size, &limits, &profile) != 0) {
        must(profile == NULL); // out-parameters are untouched on failure
        return 0;
    }
    must(ht_profile_check(profile) == 0);
    work_with(profile, size);
    return 0;
}

static bool is_gzip(const uint8_t *data, size_t size)
{
    return size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

// The first member's contents as far as they fit; 0: nothing could be inflated.
static size_t unpack(const uint8_t *data, size_t size, uint8_t *to, size_t room)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) {
        return 0;
    }
    stream.next_out = to;
    stream.avail_out = (uInt)room;
    inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return room - stream.avail_out;
}

// One gzip member; 0: no room.
static size_t pack(const uint8_t *data, size_t size, uint8_t *to, size_t room)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size};
    if (deflateInit2(&stream, 1, Z_DEFLATED, 9 + 16, 1, Z_DEFAULT_STRATEGY) != Z_OK) {
        return 0;
    }
    stream.next_out = to;
    stream.avail_out = (uInt)room;
    int result = deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return result == Z_STREAM_END ? room - stream.avail_out : 0;
}

// The message of an input, or nothing when it is no gzip that can be read.
static size_t message_of(const uint8_t *data, size_t size, uint8_t *to)
{
    if (is_gzip(data, size)) {
        return unpack(data, size, to, PROTO_MAX_BYTES);
    }
    size = size < PROTO_MAX_BYTES ? size : PROTO_MAX_BYTES;
    memcpy(to, data, size);
    return size;
}

// Writes the message as one or two gzip members.
static size_t write_packed(const uint8_t *message, size_t size, uint8_t *out, size_t max_size,
                           uint64_t *random)
{
    size_t first = draw(random) % 4 == 0 ? draw(random) % (size + 1) : size;
    size_t length = pack(message, first, out, max_size);
    if (length > 0 && first < size) {
        length += pack(message + first, size - first, out + length, max_size - length);
    }
    return length;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static uint8_t message[PROTO_MAX_BYTES];
    uint64_t random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    bool packed = is_gzip(data, size);
    size_t length = draw(&random) % 8 == 0 ? 0 : message_of(data, size, message);
    if (length == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    for (uint64_t changes = 1 + draw(&random) % 3; changes > 0; changes--) {
        length = proto_mutate(message, length, sizeof message, PROFILE, &random, 0);
    }
    // Plain ones are faster to run: few become gzip, and those become plain again soon.
    if (draw(&random) % 64 == 0 || (packed && draw(&random) % 4 != 0)) {
        size_t whole = write_packed(message, length, data, max_size, &random);
        if (whole > 0) {
            return whole;
        }
    }
    length = length < max_size ? length : max_size;
    memcpy(data, message, length);
    return length;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t max_size, unsigned seed)
{
    static uint8_t of_a[PROTO_MAX_BYTES], of_b[PROTO_MAX_BYTES];
    uint64_t random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    size_t a_length = message_of(a, a_size, of_a), b_length = message_of(b, b_size, of_b);
    return proto_cross(of_a, a_length, of_b, b_length, out, max_size, &random);
}
