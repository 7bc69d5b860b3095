// Decodes profile.proto from any writer, one top-level field at a time, into the compact arrays of struct
// ht_profile.
//
// Wire format: protobuf's encoding of google/pprof's profile.proto, by the tables of profile/fields.h. Ids
// may be any numbers and may be used before they are defined, and the string table may come last: so
// references are first collected as dense numbers in order of first sight (struct ht_ids) and as raw string
// indices, and are replaced by positions at the end.
#include "profile/profile.h"

#include "base/error.h"
#include "profile/birth.h"
#include "profile/bounds.h"
#include "profile/bytes.h"
#include "profile/decode.h"
#include "profile/fields.h"
#include "profile/ids.h"
#include "profile/label_order.h"
#include "snapshot/births_form.h"

#include <stdlib.h>

enum { MESSAGE_LIMIT_BYTES = 1 << 26 }; // of one top-level field

// What a profile may need in memory for what gzip holds of it: some ten times that in real ones.
#define GZIP_MEMORY_BYTES (UINT64_C(1) << 29)
#define GZIP_MEMORY_RATIO UINT64_C(256)

struct decoder {
    struct ht_wire_reader reader; // first: what it hands over comes with it
    struct ht_profile *profile;
    struct ht_ids locations, functions, mappings;
    uint32_t *raw_strings; // string table's index -> interned string
    size_t raw_string_count, raw_string_capacity;
    size_t values_per_sample; // of the first sample; all must agree
    uint64_t memory_limit;
    uint64_t dropped_comments;
    struct ht_buffer births; // pieces of the field
};

// A sample whose numbers come one after another.
struct numbers {
    struct decoder *decoder;
    struct ht_sample_record *record;
};

// In the place of a string's number in the file, which is always below: HT_INHERITED_LABEL.
#define INHERITED_STRING HT_NONE

#define INLINE static inline __attribute__((always_inline)) // into ht_wire_each()

INLINE int add_frame(void *arg, uint64_t id)
{
    const struct numbers *numbers = arg;
    struct ht_profile *profile = numbers->decoder->profile;
    if (id == 0)
        return ht_wire_malformed("a sample refers to location 0");
    profile->frames[profile->frame_count++] = ht_ids_reference(&numbers->decoder->locations, id);
    return 0;
}

static int take_frames(struct decoder *decoder, const struct ht_wire_value *value,
                       struct ht_sample_record *record)
{
    struct ht_profile *profile = decoder->profile;
    struct numbers numbers = {decoder, record};
    size_t before = profile->frame_count;
    // A number has a byte at the least.
    HT_RESERVE(profile->frames, profile->frame_capacity, before + (size_t)(value->end - value->at));
    int result = ht_wire_each(value, add_frame, &numbers);
    record->sample.frame_count += (uint32_t)(profile->frame_count - before);
    return result;
}

INLINE int add_value(void *arg, uint64_t number)
{
    const struct numbers *numbers = arg;
    struct ht_profile *profile = numbers->decoder->profile;
    size_t at = profile->sample_count * numbers->decoder->values_per_sample + numbers->record->value_count++;
    HT_RESERVE(profile->values, profile->value_capacity, at + 1);
    profile->values[at] = (int64_t)number;
    return 0;
}

INLINE int add_comment(void *arg, uint64_t string)
{
    struct decoder *decoder = arg;
    struct ht_profile *profile = decoder->profile;
    if (string >= UINT32_MAX)
        return ht_wire_malformed("a string index is out of range");
    if (profile->comment_count == HT_COMMENTS_LIMIT) {
        decoder->dropped_comments++;
        return 0;
    }
    HT_RESERVE(profile->comments, profile->comment_capacity, profile->comment_count + 1);
    profile->comments[profile->comment_count++] = (uint32_t)string;
    return 0;
}

static int add_string(struct decoder *decoder, const struct ht_wire_value *value)
{
    size_t length = (size_t)(value->end - value->at);
    if (decoder->raw_string_count == 0 && length > 0)
        return ht_wire_malformed("the first string is not empty");
    HT_RESERVE(decoder->raw_strings, decoder->raw_string_capacity, decoder->raw_string_count + 1);
    decoder->raw_strings[decoder->raw_string_count++] =
        ht_profile_intern(decoder->profile, (const char *)value->at, length);
    return 0;
}

static int take_element(struct ht_wire_reader *reader, const struct ht_wire_field *field,
                        const struct ht_wire_value *value, void *record)
{
    struct decoder *decoder = (struct decoder *)reader;
    struct numbers numbers = {decoder, record};
    switch (field->offset) {
    case HT_ELEMENT_FRAME:
        return take_frames(decoder, value, record);
    case HT_ELEMENT_VALUE:
        return ht_wire_each(value, add_value, &numbers);
    case HT_ELEMENT_COMMENT:
        return ht_wire_each(value, add_comment, decoder);
    case HT_ELEMENT_BIRTHS:
        ht_buffer_add(&decoder->births, (const char *)value->at, (size_t)(value->end - value->at));
        return 0;
    default: // HT_ELEMENT_STRING
        return add_string(decoder, value);
    }
}

static int take_label(struct ht_profile *profile, struct ht_label *label, struct ht_sample_record *record)
{
    if (label->text == 0 && label->number == 0 && label->unit == 0)
        return 0; // pprof does not keep it either
    if (label->text != 0)
        label->number = 0, label->unit = 0;
    HT_RESERVE(profile->labels, profile->label_capacity, profile->label_count + 1);
    profile->labels[profile->label_count++] = *label;
    record->sample.label_count++;
    return 0;
}

static int take_sample(struct decoder *decoder, struct ht_sample_record *record)
{
    struct ht_profile *profile = decoder->profile;
    if (profile->sample_count == 0)
        decoder->values_per_sample = record->value_count;
    if (record->value_count == 0)
        return ht_wire_malformed("a sample without values");
    if (record->value_count != decoder->values_per_sample)
        return ht_fail("malformed profile: a sample has %zu values, another %zu", record->value_count,
                       decoder->values_per_sample);
    record->sample.frames = profile->frame_count - record->sample.frame_count;
    record->sample.labels = profile->label_count - record->sample.label_count;
    HT_RESERVE(profile->samples, profile->sample_capacity, profile->sample_count + 1);
    profile->samples[profile->sample_count++] = record->sample;
    return 0;
}

static int take_inherited(struct decoder *decoder, struct ht_sample_record *record)
{
    struct ht_profile *profile = decoder->profile;
    HT_RESERVE(profile->labels, profile->label_capacity, profile->label_count + 1);
    profile->labels[profile->label_count++] =
        (struct ht_label){.key = INHERITED_STRING, .text = INHERITED_STRING};
    record->sample.label_count++;
    return take_sample(decoder, record);
}

static int take_mapping(struct decoder *decoder, const struct ht_mapping_record *record)
{
    if (ht_ids_define(&decoder->mappings, record->id, decoder->profile->mapping_count, "mapping") < 0)
        return -1;
    ht_profile_add_mapping(decoder->profile, &record->mapping);
    return 0;
}

static int take_line(struct decoder *decoder, struct ht_line_record *record,
                     struct ht_location_record *around)
{
    struct ht_profile *profile = decoder->profile;
    if (record->function_id == 0)
        return ht_wire_malformed("a line refers to function 0");
    record->line.function = ht_ids_reference(&decoder->functions, record->function_id);
    HT_RESERVE(profile->lines, profile->line_capacity, profile->line_count + 1);
    profile->lines[profile->line_count++] = record->line;
    around->location.line_count++;
    return 0;
}

static int take_location(struct decoder *decoder, struct ht_location_record *record)
{
    struct ht_profile *profile = decoder->profile;
    struct ht_location *location = &record->location;
    location->lines = profile->line_count - location->line_count;
    location->mapping =
        record->mapping_id != 0 ? ht_ids_reference(&decoder->mappings, record->mapping_id) : HT_NONE;
    if (ht_ids_define(&decoder->locations, record->id, profile->location_count, "location") < 0)
        return -1;
    HT_RESERVE(profile->locations, profile->location_capacity, profile->location_count + 1);
    profile->locations[profile->location_count++] = *location;
    return 0;
}

static int take_function(struct decoder *decoder, const struct ht_function_record *record)
{
    struct ht_profile *profile = decoder->profile;
    if (ht_ids_define(&decoder->functions, record->id, profile->function_count, "function") < 0)
        return -1;
    HT_RESERVE(profile->functions, profile->function_capacity, profile->function_count + 1);
    profile->functions[profile->function_count++] = record->function;
    return 0;
}

static int take_sample_type(struct ht_profile *profile, const struct ht_value_type *type)
{
    HT_RESERVE(profile->sample_types, profile->sample_type_capacity, profile->sample_type_count + 1);
    profile->sample_types[profile->sample_type_count++] = *type;
    return 0;
}

static int take_message(struct ht_wire_reader *reader, const struct ht_wire_field *field, void *element,
                        void *record)
{
    struct decoder *decoder = (struct decoder *)reader;
    switch (field->offset) {
    case HT_ELEMENT_SAMPLE:
        return take_sample(decoder, element);
    case HT_ELEMENT_INHERITED:
        return take_inherited(decoder, element);
    case HT_ELEMENT_LABEL:
        return take_label(decoder->profile, element, record);
    case HT_ELEMENT_LINE:
        return take_line(decoder, element, record);
    case HT_ELEMENT_LOCATION:
        return take_location(decoder, element);
    case HT_ELEMENT_FUNCTION:
        return take_function(decoder, element);
    case HT_ELEMENT_MAPPING:
        return take_mapping(decoder, element);
    default: // HT_ELEMENT_SAMPLE_TYPE
        return take_sample_type(decoder->profile, element);
    }
}

// Whether `more` bytes still fit.
static int check_memory(const struct decoder *decoder, const struct ht_bytes *bytes, uint64_t more)
{
    uint64_t limit = decoder->memory_limit;
    if (bytes->is_gzip && GZIP_MEMORY_BYTES + GZIP_MEMORY_RATIO * bytes->source_bytes < limit)
        limit = GZIP_MEMORY_BYTES + GZIP_MEMORY_RATIO * bytes->source_bytes;
    more += ht_ids_memory(&decoder->locations) + ht_ids_memory(&decoder->functions) +
            ht_ids_memory(&decoder->mappings) + decoder->raw_string_capacity * sizeof *decoder->raw_strings +
            decoder->births.capacity;
    return ht_decode_check_memory(decoder->profile, more, limit);
}

// Brings the next top-level field into the window, whole. *ret_length is 0 at the end of the stream.
static int next_top_field(struct ht_bytes *bytes, size_t *ret_length)
{
    enum { HEAD_BYTES = 20 }; // two varints
    if (ht_bytes_want(bytes, HEAD_BYTES) < 0)
        return -1;
    const uint8_t *start = bytes->window + bytes->start, *end = bytes->window + bytes->end;
    *ret_length = (size_t)(end - start);
    if (start == end)
        return 0;
    uint64_t key, length;
    const uint8_t *at = ht_wire_varint(start, end, &key);
    if (at == NULL || (key & 7) != HT_WIRE_LENGTH)
        return 0;
    at = ht_wire_varint(at, end, &length);
    if (at == NULL)
        return 0;
    if (length > MESSAGE_LIMIT_BYTES)
        return ht_fail("malformed profile: a field of %llu bytes", (unsigned long long)length);
    size_t whole = (size_t)(at - start) + (size_t)length;
    if (ht_bytes_want(bytes, whole) < 0)
        return -1;
    if (ht_bytes_unread(bytes) < whole)
        return ht_fail("truncated: the profile ends inside a field");
    *ret_length = ht_bytes_unread(bytes);
    return 0;
}

static const char several_profiles[] = "several profiles one after another in one file";

static int decode_stream(struct decoder *decoder, struct ht_bytes *bytes)
{
    for (size_t fields = 0;; fields++) {
        size_t length;
        if (next_top_field(bytes, &length) < 0)
            return -1;
        if (length == 0)
            return fields > 0 ? check_memory(decoder, bytes, 0) : ht_fail("empty file");
        const uint8_t *at = bytes->window + bytes->start;
        struct ht_wire_value value;
        if (ht_wire_next(&at, bytes->window + bytes->end, &value) < 0)
            return -1;
        // A byte becomes a value of 8, four bytes a label of 24.
        uint64_t field_bytes = (uint64_t)(value.end - value.at);
        if ((field_bytes > 1 << 16 || fields % 1024 == 0) &&
            check_memory(decoder, bytes, field_bytes * 8) < 0)
            return -1;
        if (value.number == HT_FIELD_TIME && decoder->profile->time_ns != 0)
            return ht_wire_malformed(several_profiles);
        // A number of another type under ours is somebody else's field.
        bool is_ours = value.number != HT_BIRTHS_FIELD || value.type == HT_WIRE_LENGTH;
        if (is_ours && ht_wire_take(&decoder->reader, &ht_fields_profile, &value, decoder->profile) < 0)
            return -1;
        bytes->start = (size_t)(at - bytes->window);
    }
}

static int resolve_string(const struct decoder *decoder, uint32_t *string)
{
    if (*string == INHERITED_STRING) {
        *string = ht_profile_intern_text(decoder->profile, HT_INHERITED_LABEL);
        return 0;
    }
    if (*string >= decoder->raw_string_count)
        return ht_fail("malformed profile: string %u of %zu", *string, decoder->raw_string_count);
    *string = decoder->raw_strings[*string];
    return 0;
}

// The strings of one record, as far as it has members of its own.
static int resolve_record(const struct decoder *decoder, const struct ht_wire_message *message, void *record)
{
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct ht_wire_field *field = &message->fields[i];
        char *member = (char *)record + field->offset;
        if (field->kind == HT_WIRE_STRING && resolve_string(decoder, (uint32_t *)member) < 0)
            return -1;
        if (field->kind == HT_WIRE_INSIDE && resolve_record(decoder, field->message, member) < 0)
            return -1;
    }
    return 0;
}

static int resolve_strings(struct decoder *decoder)
{
    struct ht_profile *profile = decoder->profile;
    if (decoder->raw_string_count == 0)
        return ht_fail("not a pprof profile (no string table)");
    for (size_t i = 0; i < profile->sample_type_count; i++)
        if (resolve_record(decoder, &ht_fields_value_type, &profile->sample_types[i]) < 0)
            return -1;
    for (size_t i = 0; i < profile->comment_count; i++)
        if (resolve_string(decoder, &profile->comments[i]) < 0)
            return -1;
    if (resolve_record(decoder, &ht_fields_profile, profile) < 0)
        return -1;
    for (size_t i = 0; i < profile->mapping_count; i++)
        if (resolve_record(decoder, &ht_fields_mapping, &profile->mappings[i]) < 0)
            return -1;
    for (size_t i = 0; i < profile->function_count; i++)
        if (resolve_record(decoder, &ht_fields_function, &profile->functions[i]) < 0)
            return -1;
    for (size_t i = 0; i < profile->label_count; i++)
        if (resolve_record(decoder, &ht_fields_label, &profile->labels[i]) < 0)
            return -1;
    struct ht_label_order order;
    ht_label_order_init(&order, profile, 0);
    for (size_t i = 0; i < profile->sample_count; i++)
        ht_label_order_sort(&order, profile->labels + profile->samples[i].labels,
                            profile->samples[i].label_count);
    ht_label_order_free(&order);
    return 0;
}

static int resolve_references(struct decoder *decoder)
{
    struct ht_profile *profile = decoder->profile;
    if (profile->sample_count > 0 && profile->sample_type_count == 0)
        return ht_wire_malformed("samples without sample types");
    if (profile->sample_count > 0 && profile->sample_type_count > HT_SAMPLE_TYPES_LIMIT)
        return ht_fail("too many sample types: more than %d", HT_SAMPLE_TYPES_LIMIT);
    if (profile->sample_count > 0 && decoder->values_per_sample != profile->sample_type_count)
        return ht_fail("malformed profile: samples have %zu values for %zu sample types",
                       decoder->values_per_sample, profile->sample_type_count);
    if (ht_ids_check(&decoder->locations, "sample", "location") < 0 ||
        ht_ids_check(&decoder->functions, "line", "function") < 0)
        return -1;
    for (size_t i = 0; i < profile->frame_count; i++)
        profile->frames[i] = decoder->locations.position[profile->frames[i]];
    for (size_t i = 0; i < profile->line_count; i++)
        profile->lines[i].function = decoder->functions.position[profile->lines[i].function];
    for (size_t i = 0; i < profile->location_count; i++) // a missing mapping is no mapping, as in pprof
        if (profile->locations[i].mapping != HT_NONE)
            profile->locations[i].mapping = decoder->mappings.position[profile->locations[i].mapping];
    return 0;
}

int ht_decode_bytes(struct ht_bytes *bytes, uint64_t memory_limit, struct ht_profile **ret_profile)
{
    struct ht_profile *profile = ht_profile_new();
    struct decoder decoder = {
        .reader = {.arena = &profile->arena, .message = take_message, .element = take_element},
        .profile = profile,
        .memory_limit = memory_limit};
    int result = decode_stream(&decoder, bytes);
    if (result < 0 && decoder.raw_string_count == 0 && profile->sample_type_count == 0 && !bytes->is_gzip &&
        strncmp(ht_error(), "malformed", 9) == 0)
        ht_fail("not a pprof profile (neither gzip nor protobuf)");
    if (result < 0 && profile->time_ns != 0 && strstr(ht_error(), ": two ") != NULL)
        ht_wire_malformed(several_profiles); // ids that begin anew behind a whole profile
    if (result == 0)
        result = resolve_strings(&decoder);
    if (result == 0)
        result = resolve_references(&decoder);
    if (result == 0 && decoder.births.length > 0)
        result = ht_births_decode(profile, (const uint8_t *)decoder.births.data, decoder.births.length,
                                  memory_limit);
    if (result == 0)
        ht_births_guess(profile);
    ht_buffer_free(&decoder.births);
    ht_ids_free(&decoder.locations);
    ht_ids_free(&decoder.functions);
    ht_ids_free(&decoder.mappings);
    free(decoder.raw_strings);
    if (result < 0) {
        ht_profile_free(profile);
        return -1;
    }
    if (decoder.dropped_comments > 0)
        ht_warn("of the profile's comments only the first %d are read", HT_COMMENTS_LIMIT);
    *ret_profile = profile;
    return 0;
}

static int open_and_decode(int fd, const uint8_t *memory, size_t length,
                           const struct ht_profile_limits *limits, struct ht_profile **ret_profile)
{
    struct ht_profile_limits defaults = ht_profile_default_limits();
    if (limits == NULL)
        limits = &defaults;
    struct ht_bytes bytes;
    if (ht_bytes_open(&bytes, fd, memory, length, limits->raw_bytes) < 0)
        return -1;
    int result = ht_decode_bytes(&bytes, limits->memory_bytes, ret_profile);
    ht_bytes_close(&bytes);
    return result;
}

int ht_profile_decode(const uint8_t *bytes, size_t length, const struct ht_profile_limits *limits,
                      struct ht_profile **ret_profile)
{
    return open_and_decode(-1, bytes, length, limits, ret_profile);
}

int ht_profile_read(int fd, const struct ht_profile_limits *limits, struct ht_profile **ret_profile)
{
    return open_and_decode(fd, NULL, 0, limits, ret_profile);
}
