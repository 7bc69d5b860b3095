// The encoder: regions built through the recorder's own functions, decoded by protobuf-c and judged by `go
// tool pprof`.
#include "snapshot/encode.h"

#include "profile.pb-c.h"
#include "record/filter.h"
#include "record/live.h"
#include "record/modules.h"
#include "record/stacks.h"
#include "record/view.h"
#include "sys/clock.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "regions.h"

#include "checks.h"

#define MIB UINT64_C(1048576)

typedef Perftools__Profiles__Profile pb_profile;
typedef Perftools__Profiles__Sample pb_sample;

struct bytes {
    uint8_t *data;
    size_t size, capacity;
    size_t largest;
    int fail_after; // writes until the sink refuses; 0: never
};

static int append(void *arg, const void *data, size_t size)
{
    struct bytes *bytes = arg;
    if (bytes->fail_after != 0 && --bytes->fail_after == 0) {
        return -ENOSPC;
    }
    if (bytes->size + size > bytes->capacity) {
        bytes->capacity = (bytes->size + size) * 2;
        bytes->data = realloc(bytes->data, bytes->capacity);
        assert_non_null(bytes->data);
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    bytes->largest = size > bytes->largest ? size : bytes->largest;
    return 0;
}

static struct ht_region make_region(uint64_t rate_bytes, uint64_t limit_bytes)
{
    static struct ht_identity identity = {.pid = 4242,
                                          .start_ticks = 99,
                                          .pid_namespace = 7,
                                          .program = "demo",
                                          .program_path = "/usr/bin/demo",
                                          .arguments = "demo -x",
                                          .parent_pid = 4200,
                                          .boot_id = "0c3f",
                                          .active = 1};
    identity.rate_bytes = rate_bytes;
    struct ht_region region;
    ht_filter_reset();
    assert_true(ht_region_create(&identity, NULL, limit_bytes, 1, &region));
    return region;
}

static uint64_t next_address = UINT64_C(0x600000000000);

// One allocation as the sampler records it; returns its address.
static uint64_t sample(struct ht_region *region, const uint64_t *frames, uint32_t count, uint64_t size_bytes,
                       float rate_bytes, float rank_bytes)
{
    uint32_t ref = ht_entry_intern(region, HT_KIND_HEAP, frames, count, 0, ht_size_class(size_bytes), 0);
    assert_int_not_equal(ref, 0);
    double weight = 1 / ht_probability(size_bytes, (double)rate_bytes);
    ht_entry_add(region, ref, size_bytes, weight, 0.5);
    next_address += 64 + size_bytes / 16 * 16;
    struct ht_live_copy live = {next_address, size_bytes, 1, rate_bytes, rank_bytes, ref};
    assert_true(ht_live_insert(region, &live));
    return next_address;
}

static const struct ht_encode_options plain = {
    .trigger = "signal", .seq = 3, .time_unix_ns = UINT64_C(1700000000000000000), .rss_bytes = 5000000};

static int encode(const struct ht_view *view, const struct ht_encode_options *options, uint64_t memory_bytes,
                  struct bytes *bytes)
{
    struct ht_sink sink = {append, bytes};
    struct ht_bump memory;
    ht_bump_init(&memory, memory_bytes);
    int result = ht_encode(view, options, &sink, &memory);
    assert_true(memory.mapped_bytes <= memory_bytes);
    ht_bump_release(&memory);
    return result;
}

static pb_profile *decode(const struct bytes *bytes)
{
    size_t capacity = 64 << 20;
    uint8_t *plain_bytes = malloc(capacity);
    z_stream stream = {.next_in = bytes->data, .avail_in = (uInt)bytes->size};
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_out = plain_bytes;
    stream.avail_out = (uInt)capacity;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    pb_profile *profile = perftools__profiles__profile__unpack(NULL, stream.total_out, plain_bytes);
    inflateEnd(&stream);
    free(plain_bytes);
    assert_non_null(profile);
    return profile;
}

static void check_strings(const pb_profile *profile)
{
    assert_true(profile->n_string_table > 0);
    assert_string_equal(profile->string_table[0], "");
    if (profile->n_string_table < 1000) {
        for (size_t i = 0; i < profile->n_string_table; i++) {
            for (size_t j = 0; j < i; j++) {
                assert_string_not_equal(profile->string_table[i], profile->string_table[j]);
            }
        }
    }
    for (size_t i = 0; i < profile->n_comment; i++) {
        assert_in_range(profile->comment[i], 1, profile->n_string_table - 1);
        assert_int_equal(strncmp(profile->string_table[profile->comment[i]], "# heaptap: ", 11), 0);
    }
}

// What every reader demands: ids 1..n in order, indices in range, as many values as types, nothing negative.
static void check_valid(const pb_profile *profile)
{
    check_strings(profile);
    assert_int_equal(profile->n_sample_type, 4);
    assert_int_equal(profile->duration_nanos, 0);
    for (size_t i = 0; i < profile->n_mapping; i++) {
        assert_int_equal(profile->mapping[i]->id, i + 1);
        // The program is there without an address where no stack leads through it.
        assert_true(profile->mapping[i]->memory_start < profile->mapping[i]->memory_limit ||
                    (i == 0 && profile->mapping[i]->memory_limit == 0));
        assert_in_range(profile->mapping[i]->filename, 0, profile->n_string_table - 1);
    }
    for (size_t i = 0; i < profile->n_function; i++) {
        assert_int_equal(profile->function[i]->id, i + 1);
        assert_in_range(profile->function[i]->name, 1, profile->n_string_table - 1);
    }
    for (size_t i = 0; i < profile->n_location; i++) {
        assert_int_equal(profile->location[i]->id, i + 1);
        assert_int_not_equal(profile->location[i]->address, 0);
        assert_true(profile->location[i]->mapping_id <= profile->n_mapping);
        for (size_t j = 0; j < profile->location[i]->n_line; j++) {
            assert_in_range(profile->location[i]->line[j]->function_id, 1, profile->n_function);
        }
    }
    for (size_t i = 0; i < profile->n_sample; i++) {
        const pb_sample *one = profile->sample[i];
        assert_int_equal(one->n_value, 4);
        assert_true(one->n_location_id > 0);
        int64_t any = 0;
        for (size_t j = 0; j < 4; j++) {
            assert_true(one->value[j] >= 0);
            any |= one->value[j];
        }
        assert_true(any != 0);
        for (size_t j = 0; j < one->n_location_id; j++) {
            assert_in_range(one->location_id[j], 1, profile->n_location);
        }
        for (size_t j = 0; j < one->n_label; j++) {
            assert_in_range(one->label[j]->key, 1, profile->n_string_table - 1);
            assert_true((one->label[j]->str != 0) != (one->label[j]->num != 0));
        }
    }
}

static pb_profile *encode_and_check(const struct ht_region *region)
{
    struct ht_view view = view_of(region);
    struct bytes bytes = {0};
    assert_int_equal(encode(&view, &plain, 64 * MIB, &bytes), 0);
    pb_profile *profile = decode(&bytes);
    check_valid(profile);
    free(bytes.data);
    return profile;
}

static void done_made_up(struct ht_region *region, pb_profile *profile)
{
    perftools__profiles__profile__free_unpacked(profile, NULL);
    ht_region_destroy(region);
}

static void done(struct ht_region *region, pb_profile *profile)
{
    checks_pass_own(region);
    done_made_up(region, profile);
}

static const char *text_of(const pb_profile *profile, int64_t index)
{
    return profile->string_table[index];
}

// The value of a comment, or NULL.
static const char *comment_of(const pb_profile *profile, const char *key)
{
    for (size_t i = 0; i < profile->n_comment; i++) {
        const char *line = text_of(profile, profile->comment[i]) + 11;
        size_t length = strlen(key);
        if (strncmp(line, key, length) == 0 && line[length] == '=') {
            return line + length + 1;
        }
    }
    return NULL;
}

static void assert_comment(const pb_profile *profile, const char *key, const char *value)
{
    const char *found = comment_of(profile, key);
    assert_non_null(found);
    assert_string_equal(found, value);
}

static void test_empty(void **state)
{
    (void)state;
    struct ht_region region = make_region(524288, 4 * MIB);
    pb_profile *profile = encode_and_check(&region);
    assert_int_equal(profile->n_sample, 0);
    assert_int_equal(profile->period, 524288);
    assert_int_equal(profile->time_nanos, 1700000000000000000);
    static const char *const types[] = {"alloc_objects", "alloc_space", "inuse_objects", "inuse_space"};
    static const char *const units[] = {"count", "bytes", "count", "bytes"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(text_of(profile, profile->sample_type[i]->type), types[i]);
        assert_string_equal(text_of(profile, profile->sample_type[i]->unit), units[i]);
    }
    assert_string_equal(text_of(profile, profile->default_sample_type), "inuse_space");
    assert_string_equal(text_of(profile, profile->period_type->type), "space");
    assert_string_equal(text_of(profile, profile->period_type->unit), "bytes");
    assert_comment(profile, "program", "demo");
    assert_comment(profile, "program_path", "/usr/bin/demo");
    assert_comment(profile, "argv", "demo -x");
    assert_comment(profile, "parent_pid", "4200");
    assert_comment(profile, "uid", "0");
    assert_null(comment_of(profile, "inherited_pid"));
    assert_int_equal(profile->n_mapping, 1);
    assert_string_equal(text_of(profile, profile->mapping[0]->filename), "/usr/bin/demo");
    assert_comment(profile, "pid", "4242");
    assert_comment(profile, "start", "99");
    assert_comment(profile, "boot_id", "0c3f");
    assert_comment(profile, "pid_namespace", "7");
    assert_comment(profile, "seq", "3");
    assert_comment(profile, "rate", "524288");
    assert_comment(profile, "trigger", "signal");
    assert_comment(profile, "rss_bytes", "5000000");
    assert_comment(profile, "version", HEAPTAP_VERSION);
    assert_null(comment_of(profile, "active"));
    assert_null(comment_of(profile, "unknown_before"));
    assert_null(comment_of(profile, "thinned_since"));
    done(&region, profile);
}

static const pb_sample *sample_of(const pb_profile *profile, uint64_t leaf, int64_t class_bytes)
{
    for (size_t i = 0; i < profile->n_sample; i++) {
        const pb_sample *one = profile->sample[i];
        const Perftools__Profiles__Location *location = profile->location[one->location_id[0] - 1];
        int64_t bound = one->n_label > 0 && one->label[0]->num != 0 ? one->label[0]->num : 0;
        if (location->address == leaf && bound == class_bytes) {
            return one;
        }
    }
    fail_msg("no sample at 0x%lx of class %ld", (unsigned long)leaf, (long)class_bytes);
    return NULL;
}

static void assert_values(const pb_sample *one, int64_t a, int64_t b, int64_t c, int64_t d)
{
    assert_int_equal(one->value[0], a);
    assert_int_equal(one->value[1], b);
    assert_int_equal(one->value[2], c);
    assert_int_equal(one->value[3], d);
}

static void add_modules(struct ht_region *region)
{
    static const uint8_t id[20] = {0xAB, 0xCD, 0x01};
    struct ht_module_desc modules[] = {
        {0x7f0000001000, 0x7f0000005000, 0x1000, 0, "/lib/libx.so (deleted)", id, 20, false},
        {0x555500001000, 0x555500009000, 0x2000, 0, "/usr/bin/demo", id, 8, true},
        {0x7f0000001000, 0x7f0000003000, 0, 0, "/lib/other\xff.so", NULL, 0, false}, // where libx was
    };
    for (size_t i = 0; i < 3; i++) {
        int64_t delta = 0;
        assert_true(ht_modules_add(region, &modules[i], &delta));
    }
}

// lld begins the first executable segment in the middle of a page: addresses are those of the file.
static void test_own_addresses(void **state)
{
    (void)state;
    struct ht_region region = make_region(1, 4 * MIB);
    struct ht_module_desc desc = {.start = 0x555500006000,
                                  .limit = 0x555500008000,
                                  .file_offset = 0x5000,
                                  .link_start = 0x6000,
                                  .path = "/usr/bin/demo",
                                  .is_program = true};
    const uint64_t frames[] = {0x555500006123};
    for (int i = 0; i < 2; i++) {
        int64_t delta;
        assert_true(ht_modules_add(&region, &desc, &delta));
        if (i == 0)
            sample(&region, frames, 1, 100, 1, 1e30f);
        region.header->module_bytes =
            i == 0 ? region.header->module_bytes : 0; // from before there was a link_start
        pb_profile *profile = encode_and_check(&region);
        assert_int_equal(profile->n_mapping, 1);
        assert_int_equal(profile->location[0]->mapping_id, 1);
        assert_int_equal(profile->location[0]->address, i == 0 ? 0x6123 : 0x555500006123);
        assert_int_equal(profile->mapping[0]->memory_start, i == 0 ? 0 : 0x555500006000);
        assert_int_equal(profile->mapping[0]->memory_limit, i == 0 ? UINT64_MAX : 0x555500008000);
        assert_int_equal(profile->mapping[0]->file_offset, i == 0 ? 0 : 0x5000);
        perftools__profiles__profile__free_unpacked(profile, NULL);
    }
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

static void test_exact(void **state)
{
    (void)state;
    struct ht_region region = make_region(1, 4 * MIB);
    add_modules(&region);
    const uint64_t a[] = {0x555500001010, 0x555500001020, 0x555500001030};
    const uint64_t b[] = {0x7f0000001010, 0x555500001020, 0x1234};
    uint64_t freed = sample(&region, a, 3, 100, 1, 1e30f);
    sample(&region, a, 3, 100, 1, 1e30f);
    sample(&region, a, 3, 5000, 1, 1e30f);
    sample(&region, b, 3, 0, 1, 1e30f);
    struct ht_live_copy gone;
    assert_true(ht_live_remove(&region, freed, &gone));
    pb_profile *profile = encode_and_check(&region);
    assert_int_equal(profile->n_sample, 3);
    assert_int_equal(profile->period, 1);
    int64_t class_100 = (int64_t)ht_size_class_bound(ht_size_class(100));
    int64_t class_5000 = (int64_t)ht_size_class_bound(ht_size_class(5000));
    assert_values(sample_of(profile, a[0], class_100), 2, 200, 1, 100);
    assert_values(sample_of(profile, a[0], class_5000), 1, 5000, 1, 5000);
    assert_values(sample_of(profile, b[0], 0), 1, 0, 1, 0);
    assert_int_equal(sample_of(profile, b[0], 0)->n_label, 0);
    assert_string_equal(text_of(profile, sample_of(profile, a[0], class_100)->label[0]->key), "bytes");
    assert_int_equal(sample_of(profile, a[0], class_100)->label[0]->num_unit, 0);

    // Program first; the others as first seen; the one that came later to the same place at a free range.
    assert_int_equal(profile->n_mapping, 3);
    assert_string_equal(text_of(profile, profile->mapping[0]->filename), "/usr/bin/demo");
    assert_string_equal(text_of(profile, profile->mapping[0]->build_id), "abcd010000000000");
    assert_int_equal(profile->mapping[0]->memory_start, 0x555500001000);
    assert_int_equal(profile->mapping[0]->memory_limit, 0x555500009000);
    assert_int_equal(profile->mapping[0]->file_offset, 0x2000);
    assert_string_equal(text_of(profile, profile->mapping[1]->filename), "/lib/libx.so");
    assert_string_equal(text_of(profile, profile->mapping[2]->filename), "/lib/other\xEF\xBF\xBD.so");
    assert_int_equal(profile->mapping[2]->build_id, 0);
    assert_true(profile->mapping[2]->memory_start >= profile->mapping[1]->memory_limit);
    assert_int_equal(profile->mapping[2]->memory_limit - profile->mapping[2]->memory_start, 0x2000);
    for (size_t i = 0; i < profile->n_location; i++) {
        uint64_t address = profile->location[i]->address;
        uint64_t expected = address == 0x1234 ? 0 : address == b[0] ? 2 : 1;
        assert_int_equal(profile->location[i]->mapping_id, expected);
        assert_int_equal(profile->location[i]->n_line, 0);
    }
    assert_int_equal(profile->n_location, 5);
    assert_comment(profile, "rate", "1");
    done(&region, profile);
}

static void test_weights(void **state)
{
    (void)state;
    struct ht_region region = make_region(524288, 4 * MIB);
    const uint64_t stack[] = {0x1000, 0x2000};
    double objects = 0;
    for (unsigned i = 0; i < 1000; i++) {
        sample(&region, stack, 2, 1024, 524288, 1e30f);
        objects += 1 / (1 - exp(-1024.0 / 524288));
    }
    sample(&region, stack, 2, 100 * MIB, 524288, 1e30f);
    pb_profile *profile = encode_and_check(&region);
    assert_int_equal(profile->n_sample, 2);
    const pb_sample *one = sample_of(profile, 0x1000, (int64_t)ht_size_class_bound(ht_size_class(1024)));
    assert_int_equal(one->value[2], (int64_t)(objects + 0.5));
    assert_int_equal(one->value[3], (int64_t)(objects * 1024 + 0.5));
    // What was added in fixed point is the same within the last digits.
    assert_in_range(one->value[0], one->value[2] - 1, one->value[2] + 1);
    assert_in_range(one->value[1], one->value[3] - 5, one->value[3] + 5);
    one = sample_of(profile, 0x1000, (int64_t)ht_size_class_bound(ht_size_class(100 * MIB)));
    assert_values(one, 1, 100 * (int64_t)MIB, 1, 100 * (int64_t)MIB);
    done(&region, profile);
}

static void test_thinned(void **state)
{
    (void)state;
    struct ht_region region = make_region(1, 4 * MIB);
    const uint64_t stack[] = {0x1000};
    for (unsigned i = 0; i < 100; i++) {
        sample(&region, stack, 1, 1000, 1, i < 30 ? 100.0f : 5000.0f);
    }
    region.header->floor_bytes = 2048;
    region.header->thinned_since_ns = 123;
    pb_profile *profile = encode_and_check(&region);
    assert_int_equal(profile->n_sample, 1);
    double weight = 1 / (1 - exp(-1000.0 / 2048));
    assert_values(profile->sample[0], 100, 100000, (int64_t)(70 * weight + 0.5),
                  (int64_t)(70 * 1000 * weight + 0.5));
    assert_int_equal(profile->period, 2048);
    assert_comment(profile, "thinned_since", "123");
    assert_comment(profile, "floor_bytes", "2048");
    assert_comment(profile, "rate", "1");
    done(&region, profile);
}

static const char *root_name(const pb_profile *profile, const pb_sample *one)
{
    const Perftools__Profiles__Location *root =
        profile->location[one->location_id[one->n_location_id - 1] - 1];
    assert_int_equal(root->mapping_id, 0);
    assert_int_equal(root->n_line, 1);
    return text_of(profile, profile->function[root->line[0]->function_id - 1]->name);
}

static void test_made_up_frames(void **state)
{
    (void)state;
    struct ht_region region = make_region(1, 4 * MIB);
    uint64_t frames[HT_MAX_FRAMES];
    for (uint32_t i = 0; i < HT_MAX_FRAMES; i++) {
        frames[i] = 0x1000 + i;
    }
    uint32_t cut = ht_entry_intern(&region, HT_KIND_HEAP, frames, HT_MAX_FRAMES, HT_STACK_TRUNCATED, 8, 0);
    uint32_t none = ht_entry_intern(&region, HT_KIND_HEAP, frames, 0, HT_STACK_FAILED, 8, 0);
    uint32_t overflow = ht_entry_intern(&region, HT_KIND_HEAP, frames, 1, 0, 9, 0);
    ((struct ht_entry *)ht_region_at(&region, overflow))->stack_ref = 0;
    ht_entry_add(&region, cut, 10, 1, 0);
    ht_entry_add(&region, none, 20, 1, 0);
    ht_entry_add(&region, overflow, 30, 1, 0);
    pb_profile *profile = encode_and_check(&region);
    assert_int_equal(profile->n_sample, 3);
    assert_int_equal(profile->sample[0]->n_location_id, HT_MAX_FRAMES + 1);
    assert_string_equal(root_name(profile, profile->sample[0]), "[truncated]");
    assert_int_equal(profile->sample[1]->n_location_id, 1);
    assert_string_equal(root_name(profile, profile->sample[1]), "[unknown]");
    assert_string_equal(root_name(profile, profile->sample[2]), "[overflow]");
    assert_int_equal(profile->n_function, 3);
    done_made_up(&region, profile);
}

static void test_labels_and_zero(void **state)
{
    (void)state;
    struct ht_region region = make_region(1, 4 * MIB);
    const uint64_t stack[] = {0x1000};
    uint32_t worker = ht_string_intern(&region, "worker-1", 8);
    uint32_t odd = ht_string_intern(&region, "\xc3(", 2);
    uint32_t refs[] = {
        ht_entry_intern(&region, HT_KIND_HEAP, stack, 1, 0, 8, worker),
        ht_entry_intern(&region, HT_KIND_HEAP, stack, 1, 0, 9, worker),
        ht_entry_intern(&region, HT_KIND_HEAP, stack, 1, 0, 9, odd),
        ht_entry_intern(&region, HT_KIND_HEAP, stack, 1, 0, 10, 0), // never used: no sample
    };
    for (size_t i = 0; i < 3; i++) {
        ht_entry_add(&region, refs[i], 50, 1, 0);
    }
    pb_profile *profile = encode_and_check(&region);
    assert_int_equal(profile->n_sample, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(profile->sample[i]->n_label, 2);
        assert_string_equal(text_of(profile, profile->sample[i]->label[1]->key), "thread");
        assert_string_equal(text_of(profile, profile->sample[i]->label[1]->str),
                            i < 2 ? "worker-1" : "\xEF\xBF\xBD(");
    }
    done_made_up(&region, profile);
}

// The allocator's words, a kind that this build does not know among them.
static void test_allocator(void **state)
{
    (void)state;
    struct ht_region region = make_region(4096, 4 * MIB);
    struct ht_region_header *header = region.header;
    pb_profile *profile = encode_and_check(&region);
    assert_null(comment_of(profile, "allocator"));
    assert_null(comment_of(profile, "allocator_age_ms"));
    perftools__profiles__profile__free_unpacked(profile, NULL);
    memcpy(header->allocator_name, "libjemalloc.so.2", 17);
    header->allocator = HT_ALLOCATOR_JEMALLOC;
    header->allocator_flags = HT_ALLOCATOR_UNSEEN | HT_ALLOCATOR_UNASKED;
    header->allocator_unix_ns = plain.time_unix_ns - 1500000000;
    for (unsigned i = 0; i < HT_ALLOCATOR_FIGURES; i++) {
        header->allocator_figures[i] = 100 + i;
    }
    profile = encode_and_check(&region);
    assert_comment(profile, "allocator", "libjemalloc.so.2");
    assert_comment(profile, "unseen", "operator new of the allocator, unless it comes through malloc");
    assert_comment(profile, "allocator_unasked", "several threads, and signal handlers");
    assert_comment(profile, "jemalloc_allocated_bytes", "100");
    assert_comment(profile, "jemalloc_retained_bytes", "103");
    assert_comment(profile, "allocator_age_ms", "1500");
    perftools__profiles__profile__free_unpacked(profile, NULL);
    header->allocator = HT_ALLOCATORS + 7;
    memset(header->allocator_name, 'x', sizeof header->allocator_name);
    profile = encode_and_check(&region);
    assert_int_equal(strlen(comment_of(profile, "allocator")), sizeof header->allocator_name);
    assert_null(comment_of(profile, "allocator_age_ms"));
    done(&region, profile);
}

static void test_gaps_and_counters(void **state)
{
    (void)state;
    struct ht_region region = make_region(4096, 4 * MIB);
    struct ht_region_header *header = region.header;
    header->active = 0;
    header->first_active_ns = header->created_monotonic_ns + 5;
    header->created_unix_ns = 1000;
    header->inactive_ns = 77;
    ht_health_add(header, HT_HEALTH_UNMATCHED, 12);
    ht_health_add(header, HT_HEALTH_DROP_SCRATCH, 1);
    static const char *const more[] = {"key=value"};
    struct ht_encode_options options = plain;
    options.comments = more;
    options.comment_count = 1;
    struct ht_view view = view_of(&region);
    struct bytes bytes = {0};
    assert_int_equal(encode(&view, &options, 4 * MIB, &bytes), 0);
    pb_profile *profile = decode(&bytes);
    check_valid(profile);
    free(bytes.data);
    assert_comment(profile, "active", "0");
    assert_comment(profile, "unknown_before", "1005");
    assert_comment(profile, "inactive_ns", "77");
    assert_comment(profile, "unmatched", "12");
    assert_comment(profile, "drop_scratch", "1");
    assert_comment(profile, "key", "value");
    assert_null(comment_of(profile, "drop_live_full"));
    done(&region, profile);
}

// Stacks as programs have them: 25 frames out of a few thousand places.
static void fill_stacks(struct ht_region *region, unsigned count)
{
    uint64_t random = 88172645463325252u;
    for (unsigned i = 0; i < count; i++) {
        uint64_t frames[25];
        for (unsigned j = 0; j < 25; j++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            frames[j] = 0x555500001000 + random % (j < 5 ? 20000 : 2000) * 8;
        }
        frames[0] = 0x555500000000 + i;
        sample(region, frames, 25, 16 + i % 500, 524288, 1e30f);
    }
}

static void test_large(void **state)
{
    (void)state;
    struct ht_region region = make_region(524288, 64 * MIB);
    add_modules(&region);
    fill_stacks(&region, 20000);
    struct ht_view view = view_of(&region);
    struct bytes bytes = {0};
    struct ht_sink sink = {append, &bytes};
    struct ht_bump memory;
    ht_bump_init(&memory, ht_encode_memory_bytes(view.size_bytes));
    uint64_t begun = ht_clock_raw_monotonic_ns();
    assert_int_equal(ht_encode(&view, &plain, &sink, &memory), 0);
    uint64_t took = ht_clock_raw_monotonic_ns() - begun;
    print_message("20000 stacks: %.1f ms, %zu bytes, region %.1f MB, memory %.1f of %.1f MB\n",
                  (double)took / 1e6, bytes.size, (double)view.size_bytes / 1e6,
                  (double)memory.mapped_bytes / 1e6, (double)memory.limit_bytes / 1e6);
    ht_bump_release(&memory);
    assert_true(bytes.largest <= 65536);
    pb_profile *profile = decode(&bytes);
    check_valid(profile);
    assert_int_equal(profile->n_sample, 20000);
    assert_null(comment_of(profile, "locations_full"));

    // The same region twice gives the same bytes.
    struct bytes again = {0};
    assert_int_equal(encode(&view, &plain, 64 * MIB, &again), 0);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    free(bytes.data);
    free(again.data);
    done(&region, profile);
}

// Field 1000, as src/snapshot/births_form.h says.
static void assert_births(const pb_profile *profile, const uint8_t *expected, size_t count)
{
    assert_int_equal(profile->n_births, 1);
    assert_int_equal(profile->births[0].len, count);
    assert_memory_equal(profile->births[0].data, expected, count);
}

static void test_births(void **state)
{
    (void)state;
    const uint64_t frames[] = {0x555500001010, 0x555500002010};
    struct ht_region region = make_region(1, 4 * MIB);
    sample(&region, frames, 1, 100, 1, 2);
    sample(&region, frames, 1, 97, 1, 2);
    sample(&region, frames + 1, 1, 0, 1, 2);
#define QUANTUM 0x80, 0xad, 0xe2, 0x04
    static const uint8_t exact[] = {
        1, 1 | 4 | 8, 4, 0, 1, 2, 3, QUANTUM, 0, 0, 1, 0x80, 0x80, 0x80, 0xfc, 0x03, // 1.0f
        1, 2,         0, 0, 4, 7, // error 0, two, born at 0, of the class 104
        1, 1,         0, 0};
    pb_profile *profile = encode_and_check(&region);
    assert_births(profile, exact, sizeof exact);
    done(&region, profile);
    // A quarter of 4 MB is not enough for the list: errors instead. The sample weighs 1 / (1 - 1/e).
    region = make_region(4096, 4 * MIB);
    sample(&region, frames, 1, 4096, 4096, 4096 * 1.5f);
    region.header->stripes[0].live = 1 << 20;
    struct ht_view view = view_of(&region);
    struct bytes bytes = {0};
    assert_int_equal(encode(&view, &plain, 4 * MIB, &bytes), 0);
    profile = decode(&bytes);
    free(bytes.data);
    double weight = 1 / (1 - exp(-1));
    uint64_t error = (uint64_t)(4096 * sqrt(weight * (weight - 1)) + 0.5) + 1;
    uint8_t low = (uint8_t)(error | 0x80), high = (uint8_t)(error >> 7);
    const uint8_t errors[] = {1, 4 | 8, 4, 0, 1, 2, 3, QUANTUM, 0, 0, 0, low, high, low, high};
    assert_births(profile, errors, sizeof errors);
    perftools__profiles__profile__free_unpacked(profile, NULL);
    // With room for it: its rank is two cells above that of its rate.
    region.header->stripes[0].live = 1;
    static const uint8_t rank[] = {1, 1 | 4 | 8, 4, 0,    1,    2,    3,    QUANTUM,
                                   0, 0,         1, 0x80, 0x80, 0x80, 0xac, 0x04};
    uint8_t whole[sizeof rank + 6];
    memcpy(whole, rank, sizeof rank);
    memcpy(whole + sizeof rank, (const uint8_t[]){low, high, 1, 0, 0, 2}, 6);
    profile = encode_and_check(&region);
    assert_births(profile, whole, sizeof whole);
    perftools__profiles__profile__free_unpacked(profile, NULL);
    // A region of before keeps no variance: unknown, not 0.
    region.header->keeps = 0;
    profile = encode_and_check(&region);
    assert_int_equal(profile->births[0].data[sizeof rank], 0);
    done_made_up(&region, profile);
}

static void test_little_memory(void **state)
{
    (void)state;
    struct ht_region region = make_region(524288, 64 * MIB);
    fill_stacks(&region, 20000);
    struct ht_view view = view_of(&region);
    bool refused = false, cut = false, whole = false;
    for (uint64_t limit = 16384; limit < 8 * MIB; limit += limit / 3) {
        struct bytes bytes = {0};
        int result = encode(&view, &plain, limit, &bytes);
        if (result == 0) {
            pb_profile *profile = decode(&bytes);
            check_valid(profile);
            assert_int_equal(profile->n_sample, 20000);
            *(comment_of(profile, "locations_full") != NULL ? &cut : &whole) = true;
            perftools__profiles__profile__free_unpacked(profile, NULL);
        } else {
            assert_int_equal(result, -ENOMEM);
            refused = true;
        }
        free(bytes.data);
    }
    assert_true(refused && cut && whole);
    checks_pass_own(&region);
    ht_region_destroy(&region);

    // A small region does with what the smallest limit leaves.
    region = make_region(524288, MIB);
    fill_stacks(&region, 1500);
    view = view_of(&region);
    struct bytes bytes = {0};
    assert_int_equal(encode(&view, &plain, 512 * 1024, &bytes), 0);
    pb_profile *profile = decode(&bytes);
    check_valid(profile);
    free(bytes.data);
    done(&region, profile);
}

static void test_failures(void **state)
{
    (void)state;
    struct ht_region region = make_region(524288, 64 * MIB);
    fill_stacks(&region, 20000);
    struct ht_view view = view_of(&region);
    for (int i = 1; i < 5; i++) {
        struct bytes bytes = {.fail_after = i};
        assert_int_equal(encode(&view, &plain, 64 * MIB, &bytes), -ENOSPC);
        free(bytes.data);
    }
    struct ht_encode_options late = plain;
    late.deadline_ns = 1;
    struct bytes bytes = {0};
    assert_int_equal(encode(&view, &late, 64 * MIB, &bytes), -ETIMEDOUT);
    late.deadline_ns = ht_clock_raw_monotonic_ns() + UINT64_C(60000000000);
    assert_int_equal(encode(&view, &late, 64 * MIB, &bytes), 0);
    free(bytes.data);
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

// pprof prints a line for each comment, sample and mapping of the file, or complains.
static void test_pprof_reads_it(void **state)
{
    (void)state;
    if (system("go version >/dev/null 2>&1") != 0) {
        print_message("go is not installed\n");
        skip();
    }
    struct ht_region region = make_region(1, 4 * MIB);
    add_modules(&region);
    const uint64_t stack[] = {0x555500001010, 0x7f0000001020, 0x7f0000005000};
    sample(&region, stack, 3, 4096, 1, 1e30f);
    uint32_t overflow = ht_entry_intern(&region, HT_KIND_HEAP, stack, 1, 0, 9, 0);
    ((struct ht_entry *)ht_region_at(&region, overflow))->stack_ref = 0;
    ht_entry_add(&region, overflow, 30, 1, 0);
    struct ht_view view = view_of(&region);
    struct bytes bytes = {0};
    assert_int_equal(encode(&view, &plain, 4 * MIB, &bytes), 0);
    char path[] = "/tmp/heaptap-test-XXXXXX", command[128], output[16384];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.size), (ssize_t)bytes.size);
    close(fd);
    snprintf(command, sizeof command, "go tool pprof -symbolize=none -raw %s 2>&1", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    unlink(path);
    if (status != 0) {
        print_message("%s", output);
    }
    assert_int_equal(status, 0);
    static const char *const expected[] = {
        "PeriodType: space bytes",
        "Period: 1",
        "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt]",
        "1       4096          1       4096: 1 2 3 \n",
        "bytes:[4096]",
        "1: 0x555500001010 M=1 \n",
        "2: 0x7f0000001020 M=2 \n",
        "3: 0x7f0000005000 \n",
        "4: 0x8000000000000001 [overflow] :0", // newer ones have a column behind the line
        "1: 0x555500001000/0x555500009000/0x2000 /usr/bin/demo abcd010000000000 \n",
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        if (strstr(output, expected[i]) == NULL) {
            print_message("%s\nlacks: %s\n", output, expected[i]);
            fail();
        }
    }
    free(bytes.data);
    ht_region_destroy(&region);
}

// Damaged regions: any bytes give a profile that decodes, or an error; never a fault.
static void test_damaged(void **state)
{
    (void)state;
    struct ht_region region = make_region(1, MIB);
    add_modules(&region);
    uint32_t worker = ht_string_intern(&region, "worker-1", 8);
    for (uint64_t i = 0; i < 40; i++) {
        const uint64_t stack[] = {0x555500001010 + i % 20, 0x7f0000001020, 0x7f0000005000 + i};
        sample(&region, stack, 3, i * 100, 1, 1e30f);
        ht_entry_intern(&region, HT_KIND_HEAP, stack, 2, 0, 9, worker);
    }
    size_t size = region.header->used_bytes;
    uint8_t *image = malloc(size);
    uint64_t random = 1;
    unsigned rounds = 20000, accepted = 0, valid = 0;
    for (unsigned round = 0; round < rounds; round++) {
        memcpy(image, region.base, size);
        size_t cut = size;
        for (unsigned flips = 1 + round % 16; flips > 0; flips--) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            // Most into the header's used part and the records, some anywhere.
            size_t range = flips % 3 == 0 ? 3200 : size;
            image[(random >> 33) % range] = flips % 5 == 0 ? 0xff : (uint8_t)(random >> 20);
        }
        if (round % 10 == 0) {
            cut = HT_REGION_HEADER_BYTES + (random >> 33) % (size - HT_REGION_HEADER_BYTES);
        }
        struct ht_view view;
        if (ht_view_init(&view, image, cut) != HT_VIEW_OK) {
            continue;
        }
        accepted++;
        struct bytes bytes = {0};
        int result = encode(&view, &plain, 8 * MIB, &bytes);
        assert_true(result == 0 || result == -ENOMEM);
        if (result == 0 && round % 50 == 0) {
            pb_profile *profile = decode(&bytes);
            check_valid(profile);
            perftools__profiles__profile__free_unpacked(profile, NULL);
            valid++;
        }
        free(bytes.data);
    }
    assert_true(accepted > rounds / 4 && valid > 0);
    free(image);
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

static bool count_modules(void *arg, const struct ht_module *module)
{
    (void)module;
    ++*(uint32_t *)arg;
    return true;
}

// A chain that leads back into itself ends after a few rounds, not after as many as the region could hold.
static void test_circle(void **state)
{
    (void)state;
    struct ht_region region = make_region(1, MIB);
    add_modules(&region);
    struct ht_view view;
    uint32_t modules = 0, visits = 0;
    assert_int_equal(ht_view_init(&view, region.base, region.header->used_bytes), HT_VIEW_OK);
    ht_view_each_module(&view, count_modules, &modules);
    assert_true(modules > 1);
    uint32_t newest = region.header->modules_ref, oldest = newest;
    for (uint32_t next = newest; next != 0;
         next = ((struct ht_module *)ht_region_at(&region, next))->next_ref) {
        oldest = next;
    }
    struct ht_module *last = ht_region_at(&region, oldest);
    const uint32_t back_to[] = {newest, oldest,
                                ((struct ht_module *)ht_region_at(&region, newest))->next_ref};
    for (unsigned i = 0; i < 3; i++, visits = 0) {
        last->next_ref = back_to[i];
        ht_view_each_module(&view, count_modules, &visits);
        assert_in_range(visits, modules, 4 * modules);
    }
    ht_region_destroy(&region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),           cmocka_unit_test(test_own_addresses),
        cmocka_unit_test(test_exact),           cmocka_unit_test(test_weights),
        cmocka_unit_test(test_thinned),         cmocka_unit_test(test_made_up_frames),
        cmocka_unit_test(test_labels_and_zero), cmocka_unit_test(test_gaps_and_counters),
        cmocka_unit_test(test_large),           cmocka_unit_test(test_births),
        cmocka_unit_test(test_little_memory),   cmocka_unit_test(test_failures),
        cmocka_unit_test(test_pprof_reads_it),  cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_circle),          cmocka_unit_test(test_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
