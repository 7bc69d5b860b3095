// Joins what is equal in one profile, by pprof's rules of identity, and drops what nothing refers to.
//
// The rules (what makes two mappings, locations, functions and samples the same, in which order things come
// out) follow google/pprof's profile/merge.go as Go 1.19 ships it, so that reports agree with `go tool pprof`
// in figures and order.
#include "profile/compact.h"

#include "profile/birth.h"

#include <stdlib.h>

// Tables being rebuilt in order of first use. Old positions map to new ones, HT_NONE: not seen yet.
struct merger {
    struct ht_profile *profile;
    struct ht_profile tables; // new mappings, locations, lines, functions only
    uint32_t *new_mapping, *new_location, *new_function;
    uint64_t *address_shift; // by old mapping
    struct ht_index mapping_index, location_index, function_index, sample_index;
};

static uint64_t mapping_size(const struct ht_profile_mapping *mapping)
{
    return (mapping->limit - mapping->start + 0xfff) & ~(uint64_t)0xfff;
}

static uint32_t mapping_name(const struct ht_profile_mapping *mapping)
{
    return mapping->build_id != 0 ? mapping->build_id : mapping->file;
}

static uint32_t map_mapping(struct merger *merger, uint32_t old)
{
    if (merger->new_mapping[old] != HT_NONE)
        return merger->new_mapping[old];
    const struct ht_profile_mapping *mapping = &merger->profile->mappings[old];
    uint64_t hash = ht_hash_add(ht_hash_add(mapping_size(mapping), mapping->offset), mapping_name(mapping));
    size_t cursor = 0;
    uint32_t at;
    while ((at = ht_index_next(&merger->mapping_index, hash, &cursor)) != HT_NONE) {
        const struct ht_profile_mapping *other = &merger->tables.mappings[at];
        if (mapping_size(other) == mapping_size(mapping) && other->offset == mapping->offset &&
            mapping_name(other) == mapping_name(mapping))
            break;
    }
    if (at == HT_NONE) {
        at = ht_profile_add_mapping(&merger->tables, mapping);
        ht_index_add(&merger->mapping_index, hash, at);
    }
    merger->address_shift[old] = merger->tables.mappings[at].start - mapping->start;
    return merger->new_mapping[old] = at;
}

static uint32_t map_function(struct merger *merger, uint32_t old)
{
    if (merger->new_function[old] != HT_NONE)
        return merger->new_function[old];
    const struct ht_function *function = &merger->profile->functions[old];
    uint64_t hash = ht_hash_add(ht_hash_add((uint64_t)function->start_line, function->name),
                                (uint64_t)function->system_name << 32 | function->file);
    size_t cursor = 0;
    uint32_t at;
    while ((at = ht_index_next(&merger->function_index, hash, &cursor)) != HT_NONE) {
        const struct ht_function *other = &merger->tables.functions[at];
        if (other->start_line == function->start_line && other->name == function->name &&
            other->system_name == function->system_name && other->file == function->file)
            break;
    }
    if (at == HT_NONE) {
        struct ht_profile *tables = &merger->tables;
        HT_RESERVE(tables->functions, tables->function_capacity, tables->function_count + 1);
        at = (uint32_t)tables->function_count++;
        tables->functions[at] = *function;
        ht_index_add(&merger->function_index, hash, at);
    }
    return merger->new_function[old] = at;
}

static bool same_location(const struct ht_profile *tables, const struct ht_location *a,
                          const struct ht_location *b)
{
    if (a->address != b->address || a->mapping != b->mapping || a->is_folded != b->is_folded ||
        a->line_count != b->line_count)
        return false;
    for (uint32_t i = 0; i < a->line_count; i++) {
        const struct ht_line *line = &tables->lines[a->lines + i], *other = &tables->lines[b->lines + i];
        if (line->function != other->function || line->line != other->line || line->column != other->column)
            return false;
    }
    return true;
}

static uint32_t map_location_slow(struct merger *merger, uint32_t old)
{
    const struct ht_profile *profile = merger->profile;
    struct ht_profile *tables = &merger->tables;
    struct ht_location location = profile->locations[old];
    if (location.mapping != HT_NONE) {
        uint32_t mapping = map_mapping(merger, location.mapping);
        location.address += merger->address_shift[location.mapping];
        location.mapping = mapping;
    }
    // Appended first, taken back if it is there already.
    const struct ht_line *lines = profile->lines + location.lines;
    location.lines = tables->line_count;
    HT_RESERVE(tables->lines, tables->line_capacity, tables->line_count + location.line_count);
    uint64_t hash = ht_hash_add(location.address, (uint64_t)location.mapping << 1 | location.is_folded);
    for (uint32_t i = 0; i < location.line_count; i++) {
        struct ht_line line = lines[i];
        line.function = map_function(merger, line.function);
        tables->lines[tables->line_count++] = line;
        hash = ht_hash_add(ht_hash_add(hash, line.function), (uint64_t)line.line);
        if (line.column != 0)
            hash = ht_hash_add(hash, (uint64_t)line.column);
    }
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&merger->location_index, hash, &cursor)) != HT_NONE;)
        if (same_location(tables, &tables->locations[at], &location)) {
            tables->line_count = location.lines;
            return merger->new_location[old] = at;
        }
    HT_RESERVE(tables->locations, tables->location_capacity, tables->location_count + 1);
    uint32_t added = (uint32_t)tables->location_count++;
    tables->locations[added] = location;
    ht_index_add(&merger->location_index, hash, added);
    return merger->new_location[old] = added;
}

static inline uint32_t map_location(struct merger *merger, uint32_t old)
{
    uint32_t known = merger->new_location[old];
    return known != HT_NONE ? known : map_location_slow(merger, old);
}

static bool is_zero(const int64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] != 0)
            return false;
    return true;
}

static bool same_labels(const struct ht_label *a, const struct ht_label *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (a[i].key != b[i].key || a[i].text != b[i].text || a[i].unit != b[i].unit ||
            a[i].number != b[i].number)
            return false;
    return true;
}

// Position of an equal sample among the first `count` (already rebuilt) ones.
static uint32_t find_sample(const struct merger *merger, const struct ht_sample *sample, uint64_t hash)
{
    const struct ht_profile *profile = merger->profile;
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&merger->sample_index, hash, &cursor)) != HT_NONE;) {
        const struct ht_sample *other = &profile->samples[at];
        if (other->frame_count == sample->frame_count && other->label_count == sample->label_count &&
            (sample->frame_count == 0 ||
             memcmp(profile->frames + other->frames, profile->frames + sample->frames,
                    sample->frame_count * sizeof *profile->frames) == 0) &&
            same_labels(profile->labels + other->labels, profile->labels + sample->labels,
                        sample->label_count))
            return at;
    }
    return HT_NONE;
}

// Moves one sample down to the end of those rebuilt, with its locations renumbered; returns its hash. Works
// in place because samples lie in the order of their frames and labels (an invariant of struct ht_profile).
static uint64_t rebuild_sample(struct merger *merger, size_t from, struct ht_sample *ret_sample,
                               size_t *frame_end, size_t *label_end)
{
    struct ht_profile *profile = merger->profile;
    const struct ht_sample *old = &profile->samples[from];
    struct ht_sample sample = *old;
    sample.frames = *frame_end;
    sample.labels = *label_end;
    uint64_t hash = (uint64_t)sample.frame_count << 32 | sample.label_count;
    for (uint32_t i = 0; i < sample.frame_count; i++) {
        uint32_t location = map_location(merger, profile->frames[old->frames + i]);
        profile->frames[sample.frames + i] = location;
        hash = ht_hash_add(hash, location);
    }
    for (uint32_t i = 0; i < sample.label_count; i++) {
        struct ht_label label = profile->labels[old->labels + i];
        profile->labels[sample.labels + i] = label;
        hash = ht_hash_add(hash, (uint64_t)label.key << 32 | label.text);
        if (label.text == 0)
            hash = ht_hash_add(ht_hash_add(hash, (uint64_t)label.number), label.unit);
    }
    *frame_end += sample.frame_count;
    *label_end += sample.label_count;
    *ret_sample = sample;
    return ht_hash_add(hash, 0);
}

// Adds the values of one sample to those of another.
static void add_sample(struct ht_profile *profile, size_t to, size_t from)
{
    int64_t *sum = ht_profile_values(profile, to);
    for (size_t t = 0; t < profile->sample_type_count; t++)
        sum[t] = ht_wrap_add(sum[t], ht_profile_values(profile, from)[t]);
    for (size_t t = 0; t < profile->sample_type_count && profile->variances != NULL; t++)
        ht_profile_variances(profile, to)[t] += ht_profile_variances(profile, from)[t];
}

static void move_sample(struct ht_profile *profile, size_t to, size_t from)
{
    size_t types = profile->sample_type_count;
    memcpy(ht_profile_values(profile, to), ht_profile_values(profile, from), types * sizeof *profile->values);
    if (profile->variances != NULL)
        memcpy(ht_profile_variances(profile, to), ht_profile_variances(profile, from),
               types * sizeof *profile->variances);
}

// The births of samples that became one stand together. `before` and `became`: the samples as they were, and
// which each is a part of now (HT_NONE: of none).
static void join_births(struct ht_profile *profile, const struct ht_sample *before, const uint32_t *became,
                        size_t count)
{
    struct ht_birth *joined = NULL;
    size_t capacity = 0, end = 0;
    for (size_t i = 0; i < profile->sample_count; i++)
        profile->samples[i].birth_count = 0;
    for (size_t i = 0; i < count; i++)
        if (became[i] != HT_NONE)
            profile->samples[became[i]].birth_count += before[i].birth_count;
    for (size_t i = 0; i < profile->sample_count; i++) {
        profile->samples[i].births = end;
        end += profile->samples[i].birth_count;
        profile->samples[i].birth_count = 0;
    }
    HT_RESERVE(joined, capacity, end + 1); // never NULL
    for (size_t i = 0; i < count; i++) {
        if (became[i] == HT_NONE)
            continue;
        struct ht_sample *sample = &profile->samples[became[i]];
        for (uint32_t j = 0; j < before[i].birth_count; j++)
            joined[sample->births + sample->birth_count++] = profile->births[before[i].births + j];
    }
    free(profile->births);
    profile->births = joined;
    profile->birth_count = end;
    profile->birth_capacity = capacity;
}

static void rebuild_samples(struct merger *merger)
{
    struct ht_profile *profile = merger->profile;
    size_t types = profile->sample_type_count, kept = 0, frame_end = 0, label_end = 0;
    size_t count = profile->tick_ns != 0 ? profile->sample_count : 0;
    struct ht_sample *before = ht_realloc_array(NULL, count + 1, sizeof *before);
    uint32_t *became = ht_realloc_array(NULL, count + 1, sizeof *became);
    for (size_t i = 0; i < count; i++) {
        before[i] = profile->samples[i];
        became[i] = HT_NONE;
    }
    for (size_t i = 0; i < profile->sample_count; i++) {
        const int64_t *values = ht_profile_values(profile, i);
        if (is_zero(values, types))
            continue;
        struct ht_sample sample;
        uint64_t hash = rebuild_sample(merger, i, &sample, &frame_end, &label_end);
        uint32_t equal = find_sample(merger, &sample, hash);
        if (count > 0)
            became[i] = equal != HT_NONE ? equal : (uint32_t)kept;
        if (equal != HT_NONE) {
            add_sample(profile, equal, i);
            frame_end -= sample.frame_count;
            label_end -= sample.label_count;
            continue;
        }
        profile->samples[kept] = sample;
        if (kept != i)
            move_sample(profile, kept, i);
        ht_index_add(&merger->sample_index, hash, (uint32_t)kept++);
    }
    profile->sample_count = kept;
    profile->frame_count = frame_end;
    profile->label_count = label_end;
    if (count > 0)
        join_births(profile, before, became, count);
    free(before);
    free(became);
}

static uint32_t *none_array(size_t count)
{
    uint32_t *array = ht_realloc_array(NULL, count, sizeof *array);
    memset(array, 0xff, count * sizeof *array);
    return array;
}

#define TAKE_TABLE(profile, from, array, count, capacity)                                                    \
    (free((profile)->array), (profile)->array = (from)->array, (profile)->count = (from)->count,             \
     (profile)->capacity = (from)->capacity)

static void compact_once(struct ht_profile *profile)
{
    struct merger merger = {.profile = profile};
    merger.new_mapping = none_array(profile->mapping_count);
    merger.new_location = none_array(profile->location_count);
    merger.new_function = none_array(profile->function_count);
    merger.address_shift = ht_alloc_zero(profile->mapping_count, sizeof *merger.address_shift);
    if (profile->mapping_count > 0)
        map_mapping(&merger, 0); // the main program stays first even if nothing refers to it
    rebuild_samples(&merger);
    TAKE_TABLE(profile, &merger.tables, mappings, mapping_count, mapping_capacity);
    TAKE_TABLE(profile, &merger.tables, locations, location_count, location_capacity);
    TAKE_TABLE(profile, &merger.tables, lines, line_count, line_capacity);
    TAKE_TABLE(profile, &merger.tables, functions, function_count, function_capacity);
    HT_RESERVE(profile->lines, profile->line_capacity, 1); // never NULL
    free(merger.new_mapping);
    free(merger.new_location);
    free(merger.new_function);
    free(merger.address_shift);
    ht_index_free(&merger.mapping_index);
    ht_index_free(&merger.location_index);
    ht_index_free(&merger.function_index);
    ht_index_free(&merger.sample_index);
}

void ht_profile_compact(struct ht_profile *profile)
{
    for (bool again = true; again;) {
        compact_once(profile);
        again = false;
        for (size_t i = 0; i < profile->sample_count && !again; i++)
            again = is_zero(ht_profile_values(profile, i), profile->sample_type_count);
    }
}
