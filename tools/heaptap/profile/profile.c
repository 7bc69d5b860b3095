// A pprof profile in memory: construction, lookup and the check of its invariants.
#include "profile/profile.h"

#include "base/error.h"
#include "base/options.h"
#include "base/text.h"
#include "profile/birth.h"

#include <stdlib.h>

struct ht_profile *ht_profile_new(void)
{
    struct ht_profile *profile = ht_alloc_zero(1, sizeof *profile);
    ht_profile_intern(profile, "", 0);
    // Never NULL, so that an empty part can be pointed at.
    HT_RESERVE(profile->frames, profile->frame_capacity, 1);
    HT_RESERVE(profile->labels, profile->label_capacity, 1);
    HT_RESERVE(profile->lines, profile->line_capacity, 1);
    HT_RESERVE(profile->values, profile->value_capacity, 1);
    HT_RESERVE(profile->births, profile->birth_capacity, 1);
    return profile;
}

void ht_profile_free(struct ht_profile *profile)
{
    if (profile == NULL)
        return;
    ht_arena_free(&profile->arena);
    ht_index_free(&profile->string_index);
    free(profile->strings);
    free(profile->sample_types);
    free(profile->samples);
    free(profile->values);
    free(profile->variances);
    free(profile->births);
    free(profile->frames);
    free(profile->labels);
    free(profile->mappings);
    free(profile->locations);
    free(profile->lines);
    free(profile->functions);
    free(profile->comments);
    free(profile);
}

static void *copy_array(const void *array, size_t count, size_t bytes_each)
{
    void *copy = ht_realloc_array(NULL, count, bytes_each);
    if (count > 0)
        memcpy(copy, array, count * bytes_each);
    return copy;
}

#define COPY_ARRAY(array, count, capacity)                                                                   \
    (copy->array = copy_array(profile->array, profile->count, sizeof *profile->array),                       \
     copy->capacity = profile->count)

struct ht_profile *ht_profile_copy(const struct ht_profile *profile)
{
    struct ht_profile *copy = ht_alloc(sizeof *copy);
    *copy = *profile;
    memset(&copy->arena, 0, sizeof copy->arena);
    memset(&copy->string_index, 0, sizeof copy->string_index);
    copy->strings = NULL;
    copy->string_count = copy->string_capacity = 0;
    for (size_t i = 0; i < profile->string_count; i++)
        ht_profile_intern(copy, profile->strings[i].text, profile->strings[i].length);
    COPY_ARRAY(sample_types, sample_type_count, sample_type_capacity);
    COPY_ARRAY(samples, sample_count, sample_capacity);
    COPY_ARRAY(frames, frame_count, frame_capacity);
    COPY_ARRAY(labels, label_count, label_capacity);
    COPY_ARRAY(mappings, mapping_count, mapping_capacity);
    COPY_ARRAY(locations, location_count, location_capacity);
    COPY_ARRAY(lines, line_count, line_capacity);
    COPY_ARRAY(functions, function_count, function_capacity);
    COPY_ARRAY(comments, comment_count, comment_capacity);
    copy->value_capacity = profile->sample_count * profile->sample_type_count;
    copy->values = copy_array(profile->values, copy->value_capacity, sizeof *copy->values);
    COPY_ARRAY(births, birth_count, birth_capacity);
    if (profile->variances != NULL) {
        copy->variance_capacity = copy->value_capacity + 1; // never NULL
        copy->variances = ht_realloc_array(NULL, copy->variance_capacity, sizeof *copy->variances);
        memcpy(copy->variances, profile->variances, copy->value_capacity * sizeof *copy->variances);
    }
    return copy;
}

static uint32_t find(const struct ht_profile *profile, const char *bytes, size_t length, uint64_t hash)
{
    size_t cursor = 0;
    uint32_t at;
    while ((at = ht_index_next(&profile->string_index, hash, &cursor)) != HT_NONE)
        if (profile->strings[at].length == length && memcmp(profile->strings[at].text, bytes, length) == 0)
            break;
    return at;
}

uint32_t ht_profile_find_text(const struct ht_profile *profile, const char *text)
{
    size_t length = strlen(text);
    return find(profile, text, length, ht_hash_bytes(text, length));
}

uint32_t ht_profile_intern(struct ht_profile *profile, const char *bytes, size_t length)
{
    uint64_t hash = ht_hash_bytes(bytes, length);
    uint32_t known = find(profile, bytes, length, hash);
    if (known != HT_NONE)
        return known;
    HT_RESERVE(profile->strings, profile->string_capacity, profile->string_count + 1);
    uint32_t added = (uint32_t)profile->string_count++;
    profile->strings[added] = (struct ht_profile_string){
        .text = ht_arena_copy(&profile->arena, bytes, length), .length = (uint32_t)length};
    ht_index_add(&profile->string_index, hash, added);
    return added;
}

uint32_t ht_profile_intern_text(struct ht_profile *profile, const char *text)
{
    return ht_profile_intern(profile, text, strlen(text));
}

void ht_profile_make_printable(struct ht_profile *profile)
{
    static const char kept[] = "\t";
    size_t count = profile->string_count;
    for (size_t i = 0; i < count; i++) {
        struct ht_profile_string before = profile->strings[i];
        if (ht_text_shown_length(before.text, before.length, kept) == before.length)
            continue;
        struct ht_buffer shown = {0};
        ht_text_show(&shown, before.text, before.length, kept);
        HT_RESERVE(profile->strings, profile->string_capacity, profile->string_count + 1);
        profile->strings[i] =
            (struct ht_profile_string){.text = ht_arena_copy(&profile->arena, shown.data, shown.length),
                                       .length = (uint32_t)shown.length,
                                       .original = (uint32_t)profile->string_count};
        profile->strings[profile->string_count++] = before;
        ht_buffer_free(&shown);
    }
}

void ht_profile_add_sample_type(struct ht_profile *profile, const char *type, const char *unit)
{
    struct ht_value_type value_type = {ht_profile_intern_text(profile, type),
                                       ht_profile_intern_text(profile, unit)};
    HT_RESERVE(profile->sample_types, profile->sample_type_capacity, profile->sample_type_count + 1);
    profile->sample_types[profile->sample_type_count++] = value_type;
}

static int compare_labels(const struct ht_profile *profile, const struct ht_label *a,
                          const struct ht_label *b)
{
    if ((a->text == 0) != (b->text == 0))
        return a->text == 0 ? 1 : -1;
    return a->key == b->key ? 0 : strcmp(ht_profile_text(profile, a->key), ht_profile_text(profile, b->key));
}

void ht_profile_sort_labels(const struct ht_profile *profile, struct ht_label *labels, size_t count)
{
    for (size_t i = 1; i < count; i++) { // insertion sort: stable, and samples have one or two labels
        struct ht_label label = labels[i];
        size_t at = i;
        for (; at > 0 && compare_labels(profile, &labels[at - 1], &label) > 0; at--)
            labels[at] = labels[at - 1];
        labels[at] = label;
    }
}

void ht_profile_add_sample(struct ht_profile *profile, const uint32_t *locations, size_t location_count,
                           const int64_t *values, const struct ht_label *labels, size_t label_count)
{
    HT_RESERVE(profile->samples, profile->sample_capacity, profile->sample_count + 1);
    HT_RESERVE(profile->values, profile->value_capacity,
               (profile->sample_count + 1) * profile->sample_type_count);
    HT_RESERVE(profile->frames, profile->frame_capacity, profile->frame_count + location_count);
    HT_RESERVE(profile->labels, profile->label_capacity, profile->label_count + label_count);
    struct ht_sample sample = {.frames = profile->frame_count,
                               .labels = profile->label_count,
                               .frame_count = (uint32_t)location_count,
                               .label_count = (uint32_t)label_count};
    for (size_t i = 0; i < location_count; i++)
        profile->frames[profile->frame_count++] = locations[i];
    for (size_t i = 0; i < label_count; i++)
        profile->labels[profile->label_count++] = labels[i];
    if (label_count > 0)
        ht_profile_sort_labels(profile, profile->labels + sample.labels, label_count);
    profile->samples[profile->sample_count++] = sample;
    int64_t *row = ht_profile_values(profile, profile->sample_count - 1);
    for (size_t i = 0; i < profile->sample_type_count; i++)
        row[i] = values[i];
    if (profile->variances == NULL)
        return;
    HT_RESERVE(profile->variances, profile->variance_capacity,
               profile->sample_count * profile->sample_type_count);
    for (size_t i = 0; i < profile->sample_type_count; i++)
        ht_profile_variances(profile, profile->sample_count - 1)[i] = (double)NAN;
}

uint32_t ht_profile_add_mapping(struct ht_profile *profile, const struct ht_profile_mapping *mapping)
{
    HT_RESERVE(profile->mappings, profile->mapping_capacity, profile->mapping_count + 1);
    profile->mappings[profile->mapping_count] = *mapping;
    return (uint32_t)profile->mapping_count++;
}

uint32_t ht_profile_add_location(struct ht_profile *profile, uint32_t mapping, uint64_t address,
                                 const struct ht_line *lines, size_t line_count)
{
    HT_RESERVE(profile->locations, profile->location_capacity, profile->location_count + 1);
    HT_RESERVE(profile->lines, profile->line_capacity, profile->line_count + line_count);
    profile->locations[profile->location_count] = (struct ht_location){.address = address,
                                                                       .lines = profile->line_count,
                                                                       .line_count = (uint32_t)line_count,
                                                                       .mapping = mapping};
    for (size_t i = 0; i < line_count; i++)
        profile->lines[profile->line_count++] = lines[i];
    return (uint32_t)profile->location_count++;
}

uint32_t ht_profile_add_function(struct ht_profile *profile, const char *name, const char *system_name,
                                 const char *file, int64_t start_line)
{
    struct ht_function function = {ht_profile_intern_text(profile, name),
                                   ht_profile_intern_text(profile, system_name),
                                   ht_profile_intern_text(profile, file), start_line};
    HT_RESERVE(profile->functions, profile->function_capacity, profile->function_count + 1);
    profile->functions[profile->function_count] = function;
    return (uint32_t)profile->function_count++;
}

void ht_profile_add_comment(struct ht_profile *profile, const char *text)
{
    uint32_t string = ht_profile_intern_text(profile, text);
    HT_RESERVE(profile->comments, profile->comment_capacity, profile->comment_count + 1);
    profile->comments[profile->comment_count++] = string;
}

bool ht_profile_has_label(const struct ht_profile *profile, const struct ht_sample *sample, uint32_t key)
{
    for (uint32_t i = 0; i < sample->label_count; i++)
        if (profile->labels[sample->labels + i].key == key)
            return true;
    return false;
}

void ht_profile_keep_samples(struct ht_profile *profile, const bool *keep)
{
    size_t kept = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        if (!keep[i])
            continue;
        if (kept != i) {
            profile->samples[kept] = profile->samples[i];
            memcpy(ht_profile_values(profile, kept), ht_profile_values(profile, i),
                   profile->sample_type_count * sizeof *profile->values);
            if (profile->variances != NULL)
                memcpy(ht_profile_variances(profile, kept), ht_profile_variances(profile, i),
                       profile->sample_type_count * sizeof *profile->variances);
        }
        kept++;
    }
    profile->sample_count = kept;
}

static int check_samples(const struct ht_profile *profile)
{
    if (profile->sample_count > 0 && profile->sample_type_count == 0)
        return ht_fail("samples without sample types");
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        if (sample->frames > profile->frame_count ||
            sample->frame_count > profile->frame_count - sample->frames ||
            sample->labels > profile->label_count ||
            sample->label_count > profile->label_count - sample->labels)
            return ht_fail("sample %zu reaches beyond the frames or labels", i);
        if (sample->births > profile->birth_count ||
            sample->birth_count > profile->birth_count - sample->births ||
            (sample->birth_count > 0 && profile->tick_ns == 0))
            return ht_fail("sample %zu has births that are not there", i);
    }
    for (size_t i = 0; i < profile->frame_count; i++)
        if (profile->frames[i] >= profile->location_count)
            return ht_fail("frame %zu refers to no location", i);
    for (size_t i = 0; i < profile->label_count; i++)
        if (profile->labels[i].key >= profile->string_count ||
            profile->labels[i].text >= profile->string_count ||
            profile->labels[i].unit >= profile->string_count)
            return ht_fail("label %zu refers to no string", i);
    return 0;
}

static int check_tables(const struct ht_profile *profile)
{
    for (size_t i = 0; i < profile->location_count; i++) {
        const struct ht_location *location = &profile->locations[i];
        if (location->mapping != HT_NONE && location->mapping >= profile->mapping_count)
            return ht_fail("location %zu refers to no mapping", i);
        if (location->lines > profile->line_count ||
            location->line_count > profile->line_count - location->lines)
            return ht_fail("location %zu reaches beyond the lines", i);
    }
    for (size_t i = 0; i < profile->line_count; i++)
        if (profile->lines[i].function >= profile->function_count)
            return ht_fail("line %zu refers to no function", i);
    for (size_t i = 0; i < profile->function_count; i++) {
        const struct ht_function *function = &profile->functions[i];
        if (function->name >= profile->string_count || function->system_name >= profile->string_count ||
            function->file >= profile->string_count)
            return ht_fail("function %zu refers to no string", i);
    }
    for (size_t i = 0; i < profile->mapping_count; i++)
        if (profile->mappings[i].file >= profile->string_count ||
            profile->mappings[i].build_id >= profile->string_count)
            return ht_fail("mapping %zu refers to no string", i);
    return 0;
}

int ht_profile_check(const struct ht_profile *profile)
{
    if (profile->string_count == 0 || profile->strings[0].length != 0)
        return ht_fail("string 0 is not empty");
    const uint32_t strings[] = {profile->drop_frames, profile->keep_frames,      profile->default_sample_type,
                                profile->doc_url,     profile->period_type.type, profile->period_type.unit};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        if (strings[i] >= profile->string_count)
            return ht_fail("the header refers to no string");
    for (size_t i = 0; i < profile->sample_type_count; i++)
        if (profile->sample_types[i].type >= profile->string_count ||
            profile->sample_types[i].unit >= profile->string_count)
            return ht_fail("sample type %zu refers to no string", i);
    for (size_t i = 0; i < profile->comment_count; i++)
        if (profile->comments[i] >= profile->string_count)
            return ht_fail("comment %zu refers to no string", i);
    return check_samples(profile) < 0 ? -1 : check_tables(profile);
}

static int fail_with_names(const struct ht_profile *profile, const char *name)
{
    enum { MOST_NAMES = 64, MOST_BYTES = 60 };
    struct ht_buffer list = {0};
    const char *names[MOST_NAMES];
    size_t count = 0;
    for (; count < profile->sample_type_count && count < MOST_NAMES; count++) {
        names[count] = ht_profile_text(profile, profile->sample_types[count].type);
        size_t length = strnlen(names[count], MOST_BYTES + 1);
        bool is_long = length > MOST_BYTES;
        length = is_long ? ht_text_whole(names[count], MOST_BYTES) : length;
        ht_buffer_printf(&list, "%s%.*s%s", count > 0 ? ", " : "", (int)length, names[count],
                         is_long ? "..." : "");
    }
    if (count < profile->sample_type_count)
        ht_buffer_text(&list, " ...");
    const char *nearest = ht_nearest(name, names, count);
    if (nearest != NULL)
        ht_fail("no sample type '%s'; did you mean '%s'? The profile has: %s", name, nearest, list.data);
    else
        ht_fail("no sample type '%s'; the profile has: %s", name, list.data != NULL ? list.data : "none");
    ht_buffer_free(&list);
    return -1;
}

int ht_profile_sample_index(const struct ht_profile *profile, const char *name, size_t *ret_index)
{
    if (profile->sample_type_count == 0)
        return ht_fail("the profile has no sample types");
    if (name == NULL || name[0] == '\0') {
        *ret_index = profile->sample_type_count - 1;
        for (size_t i = 0; i < profile->sample_type_count && profile->default_sample_type != 0; i++)
            if (profile->sample_types[i].type == profile->default_sample_type) {
                *ret_index = i;
                break;
            }
        return 0;
    }
    int64_t number;
    if (ht_parse_int(name, &number) == 0) {
        if (number < 0 || (uint64_t)number >= profile->sample_type_count)
            return ht_fail("sample index %s is not in 0..%zu", name, profile->sample_type_count - 1);
        *ret_index = (size_t)number;
        return 0;
    }
    const char *bare = strncmp(name, "inuse_", 6) == 0 ? name + 6 : name;
    for (size_t i = 0; i < profile->sample_type_count; i++) {
        const char *type = ht_profile_text(profile, profile->sample_types[i].type);
        if (strcmp(type, name) == 0 || strcmp(type, bare) == 0) {
            *ret_index = i;
            return 0;
        }
    }
    return fail_with_names(profile, name);
}

int64_t ht_profile_total(const struct ht_profile *profile, const char *type)
{
    size_t index;
    int64_t total = 0;
    uint32_t inherited = ht_profile_find_text(profile, HT_INHERITED_LABEL);
    if (ht_profile_sample_index(profile, type, &index) < 0)
        return 0;
    for (size_t i = 0; i < profile->sample_count; i++)
        if (inherited == HT_NONE || !ht_profile_has_label(profile, &profile->samples[i], inherited))
            total = ht_wrap_add(total, ht_profile_values(profile, i)[index]);
    return total;
}

const char *ht_profile_comment_value(const struct ht_profile *profile, const char *key)
{
    static const char prefix[] = "# heaptap: ";
    size_t key_length = strlen(key);
    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *text = ht_profile_text(profile, profile->comments[i]);
        if (strncmp(text, prefix, sizeof prefix - 1) != 0)
            continue;
        text += sizeof prefix - 1;
        if (strncmp(text, key, key_length) == 0 && text[key_length] == '=')
            return text + key_length + 1;
    }
    return NULL;
}

void ht_profile_ensure_mapping(struct ht_profile *profile)
{
    if (profile->mapping_count > 0)
        return;
    ht_profile_add_mapping(profile, &(struct ht_profile_mapping){0});
    for (size_t i = 0; i < profile->location_count; i++)
        profile->locations[i].mapping = 0;
}
