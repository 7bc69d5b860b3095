// Decodes profile.proto from any writer, one top-level field at a time, into the compact arrays of struct
// ht_profile.
//
// Wire format: protobuf's encoding of google/pprof's profile.proto. Ids may be any numbers and may be used
// before they are defined, and the string table may come last: so references are first collected as dense
// numbers in order of first sight (struct id_map) and as raw string indices, and are replaced by positions at
// the end.
#include "profile/profile.h"

#include "base/error.h"
#include "base/measure.h"
#include "profile/bytes.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    MESSAGE_LIMIT_BYTES = 1 << 26, // of one top-level field
    DENSE_IDS = 1 << 22,           // larger ids are never looked up in an array, nor are ids
    DENSE_FIRST_IDS = 1 << 14,     // above this and above
    DENSE_SPREAD = 8,              // so much for each id seen: one large id costs no large array
};

// From the ids of one table to references 0, 1, 2 ... in order of first sight.
struct id_map {
    uint32_t *dense; // id -> reference + 1
    size_t dense_count;
    struct ht_index sparse;
    uint64_t *ids;      // by reference
    uint32_t *position; // by reference: in the table, HT_NONE until defined
    size_t count, ids_capacity, position_capacity;
};

struct decoder {
    struct ht_profile *profile;
    struct id_map locations, functions, mappings;
    uint32_t *raw_strings; // string table's index -> interned string
    size_t raw_string_count, raw_string_capacity;
    size_t values_per_sample; // of the first sample; all must agree
    bool seen_time;
    uint64_t memory_limit;
};

// One field of a message: integers have `number`, length-delimited fields [at, end).
struct field {
    uint32_t tag;
    uint32_t type;
    uint64_t number;
    const uint8_t *at, *end;
};

static void id_map_free(struct id_map *map)
{
    free(map->dense);
    ht_index_free(&map->sparse);
    free(map->ids);
    free(map->position);
}

static uint32_t id_map_add(struct id_map *map, uint64_t id)
{
    HT_RESERVE(map->ids, map->ids_capacity, map->count + 1);
    HT_RESERVE(map->position, map->position_capacity, map->count + 1);
    map->ids[map->count] = id;
    map->position[map->count] = HT_NONE;
    return (uint32_t)map->count++;
}

static void dense_reserve(struct id_map *map, uint64_t id)
{
    size_t count = map->dense_count == 0 ? 1024 : map->dense_count;
    while (count <= id)
        count *= 2;
    if (count > map->dense_count) {
        map->dense = ht_realloc_array(map->dense, count, sizeof *map->dense);
        memset(map->dense + map->dense_count, 0, (count - map->dense_count) * sizeof *map->dense);
        map->dense_count = count;
    }
}

static uint32_t id_map_reference_slow(struct id_map *map, uint64_t id)
{
    uint64_t hash = ht_mix64(id);
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&map->sparse, hash, &cursor)) != HT_NONE;)
        if (map->ids[at] == id)
            return at;
    uint32_t reference = id_map_add(map, id);
    if (id < DENSE_IDS && id < DENSE_FIRST_IDS + DENSE_SPREAD * (uint64_t)map->count) {
        dense_reserve(map, id);
        map->dense[id] = reference + 1;
    } else {
        ht_index_add(&map->sparse, hash, reference);
    }
    return reference;
}

static inline uint32_t id_map_reference(struct id_map *map, uint64_t id)
{
    if (id < map->dense_count && map->dense[id] != 0)
        return map->dense[id] - 1;
    return id_map_reference_slow(map, id);
}

static int id_map_define(struct id_map *map, uint64_t id, size_t position, const char *what)
{
    if (id == 0)
        return ht_fail("malformed profile: %s with the reserved id 0", what);
    uint32_t reference = id_map_reference(map, id);
    if (map->position[reference] != HT_NONE)
        return ht_fail("malformed profile: two %ss with the id %llu", what, (unsigned long long)id);
    map->position[reference] = (uint32_t)position;
    return 0;
}

static int malformed(const char *what)
{
    return ht_fail("malformed profile: %s", what);
}

static inline const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, uint64_t *ret)
{
    if (at < end && *at < 0x80) {
        *ret = *at;
        return at + 1;
    }
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && at < end; shift += 7, at++) {
        value |= (uint64_t)(*at & 0x7f) << shift;
        if (*at < 0x80) {
            *ret = value;
            return at + 1;
        }
    }
    return NULL;
}

// Reads the field at *at and moves behind it. Fails on what is no protobuf.
static int read_field(const uint8_t **at, const uint8_t *end, struct field *field)
{
    uint64_t key;
    const uint8_t *next = read_varint(*at, end, &key);
    if (next == NULL)
        return malformed("bad varint");
    if (key >> 3 == 0)
        return malformed("a field without a number");
    field->tag = key >> 3 > UINT32_MAX ? UINT32_MAX : (uint32_t)(key >> 3);
    field->type = (uint32_t)(key & 7);
    field->number = 0;
    field->at = field->end = next;
    switch (field->type) {
    case 0:
        next = read_varint(next, end, &field->number);
        if (next == NULL)
            return malformed("bad varint");
        break;
    case 1:
    case 5: {
        size_t length = field->type == 1 ? 8 : 4;
        if ((size_t)(end - next) < length)
            return malformed("a field is cut off");
        next += length;
        break;
    }
    case 2: {
        uint64_t length;
        next = read_varint(next, end, &length);
        if (next == NULL)
            return malformed("bad varint");
        if (length > (size_t)(end - next))
            return malformed("a field is longer than what is around it");
        field->at = next;
        field->end = next += length;
        break;
    }
    default:
        return malformed("unknown wire type");
    }
    *at = next;
    return 0;
}

static inline int want_type(const struct field *field, uint32_t type)
{
    return field->type == type ? 0 : malformed("a field has the wrong type");
}

static int number_of(const struct field *field, uint64_t *ret)
{
    if (want_type(field, 0) < 0)
        return -1;
    *ret = field->number;
    return 0;
}

static int signed_of(const struct field *field, int64_t *ret)
{
    if (want_type(field, 0) < 0)
        return -1;
    *ret = (int64_t)field->number;
    return 0;
}

static int bool_of(const struct field *field, bool *ret)
{
    if (want_type(field, 0) < 0)
        return -1;
    *ret = field->number != 0;
    return 0;
}

// A raw string index; its range is checked when the whole table is known.
static int string_of(const struct field *field, uint32_t *ret)
{
    if (want_type(field, 0) < 0)
        return -1;
    if (field->number >= UINT32_MAX)
        return malformed("a string index is out of range");
    *ret = (uint32_t)field->number;
    return 0;
}

static int add_value(struct decoder *decoder, size_t *count, uint64_t number)
{
    struct ht_profile *profile = decoder->profile;
    size_t at = profile->sample_count * decoder->values_per_sample + *count;
    HT_RESERVE(profile->values, profile->value_capacity, at + 1);
    profile->values[at] = (int64_t)number;
    ++*count;
    return 0;
}

static int decode_values(struct decoder *decoder, const struct field *field, size_t *count)
{
    if (field->type != 2)
        return want_type(field, 0) < 0 ? -1 : add_value(decoder, count, field->number);
    for (const uint8_t *at = field->at; at < field->end;) {
        uint64_t number;
        at = read_varint(at, field->end, &number);
        if (at == NULL)
            return malformed("bad varint");
        add_value(decoder, count, number);
    }
    return 0;
}

static inline int add_frame(struct decoder *decoder, uint64_t id)
{
    struct ht_profile *profile = decoder->profile;
    if (id == 0)
        return malformed("a sample refers to location 0");
    HT_RESERVE(profile->frames, profile->frame_capacity, profile->frame_count + 1);
    profile->frames[profile->frame_count++] = id_map_reference(&decoder->locations, id);
    return 0;
}

static int decode_frames(struct decoder *decoder, const struct field *field)
{
    if (field->type != 2)
        return want_type(field, 0) < 0 ? -1 : add_frame(decoder, field->number);
    for (const uint8_t *at = field->at; at < field->end;) {
        uint64_t id;
        at = read_varint(at, field->end, &id);
        if (at == NULL)
            return malformed("bad varint");
        if (add_frame(decoder, id) < 0)
            return -1;
    }
    return 0;
}

static int decode_label(struct decoder *decoder, const struct field *message)
{
    struct ht_profile *profile = decoder->profile;
    struct ht_label label = {0};
    struct field field;
    if (want_type(message, 2) < 0)
        return -1;
    for (const uint8_t *at = message->at; at < message->end;) {
        if (read_field(&at, message->end, &field) < 0)
            return -1;
        if ((field.tag == 1 && string_of(&field, &label.key) < 0) ||
            (field.tag == 2 && string_of(&field, &label.text) < 0) ||
            (field.tag == 3 && signed_of(&field, &label.number) < 0) ||
            (field.tag == 4 && string_of(&field, &label.unit) < 0))
            return -1;
    }
    if (label.text == 0 && label.number == 0 && label.unit == 0)
        return 0; // pprof does not keep it either
    if (label.text != 0)
        label.number = 0, label.unit = 0;
    HT_RESERVE(profile->labels, profile->label_capacity, profile->label_count + 1);
    profile->labels[profile->label_count++] = label;
    return 0;
}

static int decode_sample(struct decoder *decoder, const struct field *message)
{
    struct ht_profile *profile = decoder->profile;
    struct ht_sample sample = {.frames = profile->frame_count, .labels = profile->label_count};
    size_t value_count = 0;
    struct field field;
    for (const uint8_t *at = message->at; at < message->end;) {
        if (read_field(&at, message->end, &field) < 0)
            return -1;
        if ((field.tag == 1 && decode_frames(decoder, &field) < 0) ||
            (field.tag == 2 && decode_values(decoder, &field, &value_count) < 0) ||
            (field.tag == 3 && decode_label(decoder, &field) < 0))
            return -1;
    }
    if (profile->sample_count == 0)
        decoder->values_per_sample = value_count;
    if (value_count == 0)
        return malformed("a sample without values");
    if (value_count != decoder->values_per_sample)
        return ht_fail("malformed profile: a sample has %zu values, another %zu", value_count,
                       decoder->values_per_sample);
    sample.frame_count = (uint32_t)(profile->frame_count - sample.frames);
    sample.label_count = (uint32_t)(profile->label_count - sample.labels);
    HT_RESERVE(profile->samples, profile->sample_capacity, profile->sample_count + 1);
    profile->samples[profile->sample_count++] = sample;
    return 0;
}

static int decode_mapping(struct decoder *decoder, const struct field *message)
{
    struct ht_profile_mapping mapping = {0};
    uint64_t id = 0;
    struct field field;
    for (const uint8_t *at = message->at; at < message->end;) {
        if (read_field(&at, message->end, &field) < 0)
            return -1;
        int result = 0;
        switch (field.tag) {
        case 1:
            result = number_of(&field, &id);
            break;
        case 2:
            result = number_of(&field, &mapping.start);
            break;
        case 3:
            result = number_of(&field, &mapping.limit);
            break;
        case 4:
            result = number_of(&field, &mapping.offset);
            break;
        case 5:
            result = string_of(&field, &mapping.file);
            break;
        case 6:
            result = string_of(&field, &mapping.build_id);
            break;
        case 7:
            result = bool_of(&field, &mapping.has_functions);
            break;
        case 8:
            result = bool_of(&field, &mapping.has_filenames);
            break;
        case 9:
            result = bool_of(&field, &mapping.has_line_numbers);
            break;
        case 10:
            result = bool_of(&field, &mapping.has_inline_frames);
            break;
        default:
            break;
        }
        if (result < 0)
            return -1;
    }
    if (id_map_define(&decoder->mappings, id, decoder->profile->mapping_count, "mapping") < 0)
        return -1;
    ht_profile_add_mapping(decoder->profile, &mapping);
    return 0;
}

static int decode_line(struct decoder *decoder, const struct field *message)
{
    struct ht_profile *profile = decoder->profile;
    struct ht_line line = {0};
    uint64_t function_id = 0;
    struct field field;
    if (want_type(message, 2) < 0)
        return -1;
    for (const uint8_t *at = message->at; at < message->end;) {
        if (read_field(&at, message->end, &field) < 0)
            return -1;
        if ((field.tag == 1 && number_of(&field, &function_id) < 0) ||
            (field.tag == 2 && signed_of(&field, &line.line) < 0) ||
            (field.tag == 3 && signed_of(&field, &line.column) < 0))
            return -1;
    }
    if (function_id == 0)
        return malformed("a line refers to function 0");
    line.function = id_map_reference(&decoder->functions, function_id);
    HT_RESERVE(profile->lines, profile->line_capacity, profile->line_count + 1);
    profile->lines[profile->line_count++] = line;
    return 0;
}

static int decode_location(struct decoder *decoder, const struct field *message)
{
    struct ht_profile *profile = decoder->profile;
    struct ht_location location = {.lines = profile->line_count, .mapping = HT_NONE};
    uint64_t id = 0, mapping_id = 0;
    struct field field;
    for (const uint8_t *at = message->at; at < message->end;) {
        if (read_field(&at, message->end, &field) < 0)
            return -1;
        if ((field.tag == 1 && number_of(&field, &id) < 0) ||
            (field.tag == 2 && number_of(&field, &mapping_id) < 0) ||
            (field.tag == 3 && number_of(&field, &location.address) < 0) ||
            (field.tag == 4 && decode_line(decoder, &field) < 0) ||
            (field.tag == 5 && bool_of(&field, &location.is_folded) < 0))
            return -1;
    }
    if (mapping_id != 0)
        location.mapping = id_map_reference(&decoder->mappings, mapping_id);
    location.line_count = (uint32_t)(profile->line_count - location.lines);
    if (id_map_define(&decoder->locations, id, profile->location_count, "location") < 0)
        return -1;
    HT_RESERVE(profile->locations, profile->location_capacity, profile->location_count + 1);
    profile->locations[profile->location_count++] = location;
    return 0;
}

static int decode_function(struct decoder *decoder, const struct field *message)
{
    struct ht_profile *profile = decoder->profile;
    struct ht_function function = {0};
    uint64_t id = 0;
    struct field field;
    for (const uint8_t *at = message->at; at < message->end;) {
        if (read_field(&at, message->end, &field) < 0)
            return -1;
        if ((field.tag == 1 && number_of(&field, &id) < 0) ||
            (field.tag == 2 && string_of(&field, &function.name) < 0) ||
            (field.tag == 3 && string_of(&field, &function.system_name) < 0) ||
            (field.tag == 4 && string_of(&field, &function.file) < 0) ||
            (field.tag == 5 && signed_of(&field, &function.start_line) < 0))
            return -1;
    }
    if (id_map_define(&decoder->functions, id, profile->function_count, "function") < 0)
        return -1;
    HT_RESERVE(profile->functions, profile->function_capacity, profile->function_count + 1);
    profile->functions[profile->function_count++] = function;
    return 0;
}

static int decode_value_type(const struct field *message, struct ht_value_type *ret_type)
{
    struct field field;
    *ret_type = (struct ht_value_type){0};
    for (const uint8_t *at = message->at; at < message->end;) {
        if (read_field(&at, message->end, &field) < 0)
            return -1;
        if ((field.tag == 1 && string_of(&field, &ret_type->type) < 0) ||
            (field.tag == 2 && string_of(&field, &ret_type->unit) < 0))
            return -1;
    }
    return 0;
}

static int decode_sample_type(struct decoder *decoder, const struct field *message)
{
    struct ht_profile *profile = decoder->profile;
    struct ht_value_type type;
    if (decode_value_type(message, &type) < 0)
        return -1;
    HT_RESERVE(profile->sample_types, profile->sample_type_capacity, profile->sample_type_count + 1);
    profile->sample_types[profile->sample_type_count++] = type;
    return 0;
}

static int decode_string(struct decoder *decoder, const struct field *field)
{
    size_t length = (size_t)(field->end - field->at);
    if (decoder->raw_string_count == 0 && length > 0)
        return malformed("the first string is not empty");
    HT_RESERVE(decoder->raw_strings, decoder->raw_string_capacity, decoder->raw_string_count + 1);
    decoder->raw_strings[decoder->raw_string_count++] =
        ht_profile_intern(decoder->profile, (const char *)field->at, length);
    return 0;
}

static int add_comment(struct ht_profile *profile, uint64_t string)
{
    if (string >= UINT32_MAX)
        return malformed("a string index is out of range");
    HT_RESERVE(profile->comments, profile->comment_capacity, profile->comment_count + 1);
    profile->comments[profile->comment_count++] = (uint32_t)string;
    return 0;
}

static int decode_comments(struct decoder *decoder, const struct field *field)
{
    if (field->type != 2)
        return want_type(field, 0) < 0 ? -1 : add_comment(decoder->profile, field->number);
    for (const uint8_t *at = field->at; at < field->end;) {
        uint64_t string;
        at = read_varint(at, field->end, &string);
        if (at == NULL)
            return malformed("bad varint");
        if (add_comment(decoder->profile, string) < 0)
            return -1;
    }
    return 0;
}

static const char several_profiles[] = "several profiles one after another in one file";

static int decode_time(struct decoder *decoder, const struct field *field)
{
    if (decoder->profile->time_ns != 0)
        return malformed(several_profiles);
    return signed_of(field, &decoder->profile->time_ns);
}

static int decode_top_field(struct decoder *decoder, const struct field *field)
{
    struct ht_profile *profile = decoder->profile;
    bool is_message = (field->tag >= 1 && field->tag <= 6) || field->tag == 11;
    if (is_message && want_type(field, 2) < 0)
        return -1;
    switch (field->tag) {
    case 1:
        return decode_sample_type(decoder, field);
    case 2:
        return decode_sample(decoder, field);
    case 3:
        return decode_mapping(decoder, field);
    case 4:
        return decode_location(decoder, field);
    case 5:
        return decode_function(decoder, field);
    case 6:
        return decode_string(decoder, field);
    case 7:
        return string_of(field, &profile->drop_frames);
    case 8:
        return string_of(field, &profile->keep_frames);
    case 9:
        return decode_time(decoder, field);
    case 10:
        return signed_of(field, &profile->duration_ns);
    case 11:
        return decode_value_type(field, &profile->period_type);
    case 12:
        return signed_of(field, &profile->period);
    case 13:
        return decode_comments(decoder, field);
    case 14:
        return string_of(field, &profile->default_sample_type);
    case 15:
        return string_of(field, &profile->doc_url);
    default:
        return 0;
    }
}

static uint64_t memory_of(const struct decoder *decoder)
{
    const struct ht_profile *profile = decoder->profile;
    const struct id_map *maps[] = {&decoder->locations, &decoder->functions, &decoder->mappings};
    uint64_t bytes = profile->arena.total_bytes + profile->string_capacity * sizeof *profile->strings +
                     profile->string_index.slot_count * sizeof *profile->string_index.slots +
                     decoder->raw_string_capacity * sizeof *decoder->raw_strings +
                     profile->sample_type_capacity * sizeof *profile->sample_types +
                     profile->sample_capacity * sizeof *profile->samples +
                     profile->value_capacity * sizeof *profile->values +
                     profile->frame_capacity * sizeof *profile->frames +
                     profile->label_capacity * sizeof *profile->labels +
                     profile->mapping_capacity * sizeof *profile->mappings +
                     profile->location_capacity * sizeof *profile->locations +
                     profile->line_capacity * sizeof *profile->lines +
                     profile->function_capacity * sizeof *profile->functions +
                     profile->comment_capacity * sizeof *profile->comments;
    for (size_t i = 0; i < 3; i++)
        bytes += maps[i]->dense_count * sizeof *maps[i]->dense +
                 maps[i]->sparse.slot_count * sizeof *maps[i]->sparse.slots +
                 maps[i]->ids_capacity * sizeof *maps[i]->ids +
                 maps[i]->position_capacity * sizeof *maps[i]->position;
    return bytes;
}

// Whether `more` bytes still fit.
static int check_memory(const struct decoder *decoder, uint64_t more)
{
    if (memory_of(decoder) + more <= decoder->memory_limit)
        return 0;
    char limit[HT_MEASURE_TEXT_BYTES];
    ht_measure_bytes((int64_t)decoder->memory_limit, 0, limit);
    return ht_fail("too large: needs more than %s of memory", limit);
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
    const uint8_t *at = read_varint(start, end, &key);
    if (at == NULL || (key & 7) != 2)
        return 0;
    at = read_varint(at, end, &length);
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

static int decode_stream(struct decoder *decoder, struct ht_bytes *bytes)
{
    for (size_t fields = 0;; fields++) {
        size_t length;
        if (next_top_field(bytes, &length) < 0)
            return -1;
        if (length == 0)
            return fields > 0 ? check_memory(decoder, 0) : ht_fail("empty file");
        const uint8_t *at = bytes->window + bytes->start;
        struct field field;
        if (read_field(&at, bytes->window + bytes->end, &field) < 0)
            return -1;
        // A byte becomes a value of 8, four bytes a label of 24.
        uint64_t field_bytes = (uint64_t)(field.end - field.at);
        if ((field_bytes > 1 << 16 || fields % 1024 == 0) && check_memory(decoder, field_bytes * 8) < 0)
            return -1;
        if (decode_top_field(decoder, &field) < 0)
            return -1;
        bytes->start = (size_t)(at - bytes->window);
    }
}

static int resolve_string(const struct decoder *decoder, uint32_t *string)
{
    if (*string >= decoder->raw_string_count)
        return ht_fail("malformed profile: string %u of %zu", *string, decoder->raw_string_count);
    *string = decoder->raw_strings[*string];
    return 0;
}

static int resolve_table_strings(struct decoder *decoder)
{
    struct ht_profile *profile = decoder->profile;
    for (size_t i = 0; i < profile->mapping_count; i++)
        if (resolve_string(decoder, &profile->mappings[i].file) < 0 ||
            resolve_string(decoder, &profile->mappings[i].build_id) < 0)
            return -1;
    for (size_t i = 0; i < profile->function_count; i++)
        if (resolve_string(decoder, &profile->functions[i].name) < 0 ||
            resolve_string(decoder, &profile->functions[i].system_name) < 0 ||
            resolve_string(decoder, &profile->functions[i].file) < 0)
            return -1;
    for (size_t i = 0; i < profile->label_count; i++)
        if (resolve_string(decoder, &profile->labels[i].key) < 0 ||
            resolve_string(decoder, &profile->labels[i].text) < 0 ||
            resolve_string(decoder, &profile->labels[i].unit) < 0)
            return -1;
    return 0;
}

static int resolve_strings(struct decoder *decoder)
{
    struct ht_profile *profile = decoder->profile;
    if (decoder->raw_string_count == 0)
        return ht_fail("not a pprof profile (no string table)");
    for (size_t i = 0; i < profile->sample_type_count; i++)
        if (resolve_string(decoder, &profile->sample_types[i].type) < 0 ||
            resolve_string(decoder, &profile->sample_types[i].unit) < 0)
            return -1;
    for (size_t i = 0; i < profile->comment_count; i++)
        if (resolve_string(decoder, &profile->comments[i]) < 0)
            return -1;
    uint32_t *header[] = {&profile->drop_frames,      &profile->keep_frames,
                          &profile->doc_url,          &profile->default_sample_type,
                          &profile->period_type.type, &profile->period_type.unit};
    for (size_t i = 0; i < sizeof header / sizeof header[0]; i++)
        if (resolve_string(decoder, header[i]) < 0)
            return -1;
    if (resolve_table_strings(decoder) < 0)
        return -1;
    for (size_t i = 0; i < profile->sample_count; i++)
        if (profile->samples[i].label_count > 1)
            ht_profile_sort_labels(profile, profile->labels + profile->samples[i].labels,
                                   profile->samples[i].label_count);
    return 0;
}

// Fails when a reference of this map was never defined.
static int check_defined(const struct id_map *map, const char *user, const char *what)
{
    for (size_t i = 0; i < map->count; i++)
        if (map->position[i] == HT_NONE)
            return ht_fail("malformed profile: a %s refers to the missing %s %llu", user, what,
                           (unsigned long long)map->ids[i]);
    return 0;
}

static int resolve_references(struct decoder *decoder)
{
    struct ht_profile *profile = decoder->profile;
    if (profile->sample_count > 0 && profile->sample_type_count == 0)
        return malformed("samples without sample types");
    if (profile->sample_count > 0 && decoder->values_per_sample != profile->sample_type_count)
        return ht_fail("malformed profile: samples have %zu values for %zu sample types",
                       decoder->values_per_sample, profile->sample_type_count);
    if (check_defined(&decoder->locations, "sample", "location") < 0 ||
        check_defined(&decoder->functions, "line", "function") < 0)
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

static int decode(struct ht_bytes *bytes, uint64_t memory_limit, struct ht_profile **ret_profile)
{
    struct decoder decoder = {.profile = ht_profile_new(), .memory_limit = memory_limit};
    int result = decode_stream(&decoder, bytes);
    if (result < 0 && decoder.raw_string_count == 0 && decoder.profile->sample_type_count == 0 &&
        !bytes->is_gzip && strncmp(ht_error(), "malformed", 9) == 0)
        ht_fail("not a pprof profile (neither gzip nor protobuf)");
    if (result < 0 && decoder.profile->time_ns != 0 && strstr(ht_error(), ": two ") != NULL)
        malformed(several_profiles); // ids that begin anew behind a whole profile
    if (result == 0)
        result = resolve_strings(&decoder);
    if (result == 0)
        result = resolve_references(&decoder);
    id_map_free(&decoder.locations);
    id_map_free(&decoder.functions);
    id_map_free(&decoder.mappings);
    free(decoder.raw_strings);
    if (result < 0) {
        ht_profile_free(decoder.profile);
        return -1;
    }
    *ret_profile = decoder.profile;
    return 0;
}

// At most 4 GiB, and half of what the machine has or this process may have.
static uint64_t default_memory_limit(void)
{
    uint64_t limit = 1ull << 32;
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page_bytes > 0 && (uint64_t)pages * (uint64_t)page_bytes / 2 < limit)
        limit = (uint64_t)pages * (uint64_t)page_bytes / 2;
    struct rlimit address_space;
    if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur / 2 < limit)
        limit = address_space.rlim_cur / 2;
    return limit;
}

static int open_and_decode(int fd, const uint8_t *memory, size_t length,
                           const struct ht_profile_limits *limits, struct ht_profile **ret_profile)
{
    const struct ht_profile_limits defaults = {.raw_bytes = 1ull << 32,
                                               .memory_bytes = default_memory_limit()};
    if (limits == NULL)
        limits = &defaults;
    struct ht_bytes bytes;
    if (ht_bytes_open(&bytes, fd, memory, length, limits->raw_bytes) < 0)
        return -1;
    int result = decode(&bytes, limits->memory_bytes, ret_profile);
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
