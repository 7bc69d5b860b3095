// Merges profiles by pprof's rules of identity, and the arithmetic around it: scale, normalize, subtract.
//
// The rules (what makes two mappings, locations, functions and samples the same, what the joined header
// holds, in which order things come out) follow google/pprof's profile/merge.go as Go 1.19 ships it, so that
// reports agree with `go tool pprof` in figures and order.
#include "profile/profile.h"

#include "base/error.h"
#include "base/measure.h"

#include <math.h>
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
        hash = ht_hash_add(hash,
                           (uint64_t)line.function << 32 ^ (uint64_t)line.line ^ (uint64_t)line.column << 20);
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
    struct ht_sample sample = {*frame_end, *label_end, old->frame_count, old->label_count};
    uint64_t hash = (uint64_t)sample.frame_count << 32 | sample.label_count;
    for (uint32_t i = 0; i < sample.frame_count; i++) {
        uint32_t location = map_location(merger, profile->frames[old->frames + i]);
        profile->frames[sample.frames + i] = location;
        hash = (hash ^ location) * 0xd6e8feb86659fd93u;
        hash ^= hash >> 31;
    }
    for (uint32_t i = 0; i < sample.label_count; i++) {
        struct ht_label label = profile->labels[old->labels + i];
        profile->labels[sample.labels + i] = label;
        hash = ht_hash_add(hash, ((uint64_t)label.key << 32 | label.text) ^ (uint64_t)label.number * 31 ^
                                     label.unit);
    }
    *frame_end += sample.frame_count;
    *label_end += sample.label_count;
    *ret_sample = sample;
    return ht_mix64(hash);
}

static void rebuild_samples(struct merger *merger)
{
    struct ht_profile *profile = merger->profile;
    size_t types = profile->sample_type_count, kept = 0, frame_end = 0, label_end = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const int64_t *values = ht_profile_values(profile, i);
        if (is_zero(values, types))
            continue;
        struct ht_sample sample;
        uint64_t hash = rebuild_sample(merger, i, &sample, &frame_end, &label_end);
        uint32_t equal = find_sample(merger, &sample, hash);
        if (equal != HT_NONE) {
            int64_t *sum = ht_profile_values(profile, equal);
            for (size_t t = 0; t < types; t++)
                sum[t] = ht_wrap_add(sum[t], values[t]);
            frame_end -= sample.frame_count;
            label_end -= sample.label_count;
            continue;
        }
        profile->samples[kept] = sample;
        if (kept != i)
            memcpy(ht_profile_values(profile, kept), values, types * sizeof *values);
        ht_index_add(&merger->sample_index, hash, (uint32_t)kept++);
    }
    profile->sample_count = kept;
    profile->frame_count = frame_end;
    profile->label_count = label_end;
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

static void compact(struct ht_profile *profile)
{
    for (bool again = true; again;) {
        compact_once(profile);
        again = false;
        for (size_t i = 0; i < profile->sample_count && !again; i++)
            again = is_zero(ht_profile_values(profile, i), profile->sample_type_count);
    }
}

static void append_samples(struct ht_profile *to, const struct ht_profile *from, const uint32_t *string)
{
    HT_RESERVE(to->samples, to->sample_capacity, to->sample_count + from->sample_count);
    HT_RESERVE(to->values, to->value_capacity,
               (to->sample_count + from->sample_count) * to->sample_type_count);
    HT_RESERVE(to->frames, to->frame_capacity, to->frame_count + from->frame_count);
    HT_RESERVE(to->labels, to->label_capacity, to->label_count + from->label_count);
    if (from->sample_count > 0)
        memcpy(ht_profile_values(to, to->sample_count), from->values,
               from->sample_count * from->sample_type_count * sizeof *to->values);
    for (size_t i = 0; i < from->sample_count; i++) {
        struct ht_sample sample = from->samples[i];
        sample.frames += to->frame_count;
        sample.labels += to->label_count;
        to->samples[to->sample_count + i] = sample;
    }
    for (size_t i = 0; i < from->frame_count; i++)
        to->frames[to->frame_count + i] = from->frames[i] + (uint32_t)to->location_count;
    for (size_t i = 0; i < from->label_count; i++) {
        struct ht_label label = from->labels[i];
        label.key = string[label.key];
        label.text = string[label.text];
        label.unit = string[label.unit];
        to->labels[to->label_count + i] = label;
    }
    to->sample_count += from->sample_count;
    to->frame_count += from->frame_count;
    to->label_count += from->label_count;
}

// Puts everything of `from` behind what `to` holds, without looking for equals.
static void append(struct ht_profile *to, const struct ht_profile *from)
{
    uint32_t *string = ht_realloc_array(NULL, from->string_count, sizeof *string);
    for (size_t i = 0; i < from->string_count; i++)
        string[i] = ht_profile_intern(to, from->strings[i].text, from->strings[i].length);
    append_samples(to, from, string);
    uint32_t mappings = (uint32_t)to->mapping_count, functions = (uint32_t)to->function_count;
    for (size_t i = 0; i < from->mapping_count; i++) {
        struct ht_profile_mapping mapping = from->mappings[i];
        mapping.file = string[mapping.file];
        mapping.build_id = string[mapping.build_id];
        ht_profile_add_mapping(to, &mapping);
    }
    HT_RESERVE(to->functions, to->function_capacity, to->function_count + from->function_count);
    for (size_t i = 0; i < from->function_count; i++) {
        struct ht_function function = from->functions[i];
        to->functions[to->function_count++] = (struct ht_function){
            string[function.name], string[function.system_name], string[function.file], function.start_line};
    }
    HT_RESERVE(to->locations, to->location_capacity, to->location_count + from->location_count);
    for (size_t i = 0; i < from->location_count; i++) {
        struct ht_location location = from->locations[i];
        location.lines += to->line_count;
        if (location.mapping != HT_NONE)
            location.mapping += mappings;
        to->locations[to->location_count++] = location;
    }
    HT_RESERVE(to->lines, to->line_capacity, to->line_count + from->line_count);
    for (size_t i = 0; i < from->line_count; i++) {
        struct ht_line line = from->lines[i];
        line.function += functions;
        to->lines[to->line_count++] = line;
    }
    free(string);
}

static bool same_text(const struct ht_profile *a, uint32_t string_a, const struct ht_profile *b,
                      uint32_t string_b)
{
    return strcmp(ht_profile_text(a, string_a), ht_profile_text(b, string_b)) == 0;
}

// Types are compared without a final s: a minor mismatch that older writers had.
static bool compatible_types(const char *type_a, const char *unit_a, const char *type_b, const char *unit_b)
{
    size_t length_a = strlen(type_a), length_b = strlen(type_b);
    if (length_a > 0 && type_a[length_a - 1] == 's')
        length_a--;
    if (length_b > 0 && type_b[length_b - 1] == 's')
        length_b--;
    return length_a == length_b && memcmp(type_a, type_b, length_a) == 0 &&
           ht_measure_compatible(unit_a, unit_b);
}

static int fail_types(const struct ht_profile *a, const struct ht_value_type *type_a,
                      const struct ht_profile *b, const struct ht_value_type *type_b, const char *what)
{
    return ht_fail("the profiles do not fit together: %s %s/%s and %s/%s", what,
                   ht_profile_text(a, type_a->type), ht_profile_text(a, type_a->unit),
                   ht_profile_text(b, type_b->type), ht_profile_text(b, type_b->unit));
}

// The finest unit of one type column over all profiles.
static int finest_unit(struct ht_profile **profiles, size_t count,
                       const struct ht_value_type *(*column)(const struct ht_profile *, size_t),
                       size_t position, const char *what, const char **ret_unit)
{
    const struct ht_value_type *best = column(profiles[0], position);
    const struct ht_profile *owner = profiles[0];
    for (size_t i = 1; i < count; i++) {
        const struct ht_value_type *type = column(profiles[i], position);
        const char *unit = ht_profile_text(profiles[i], type->unit),
                   *best_unit = ht_profile_text(owner, best->unit);
        if (!compatible_types(ht_profile_text(owner, best->type), best_unit,
                              ht_profile_text(profiles[i], type->type), unit))
            return fail_types(owner, best, profiles[i], type, what);
        const char *ignored;
        if (ht_measure_scale(1, unit, best_unit, &ignored) < 1) {
            best = type;
            owner = profiles[i];
        }
    }
    *ret_unit = ht_profile_text(owner, best->unit);
    return 0;
}

static const struct ht_value_type *sample_type_of(const struct ht_profile *profile, size_t position)
{
    return &profile->sample_types[position];
}

static const struct ht_value_type *period_type_of(const struct ht_profile *profile, size_t position)
{
    (void)position;
    return &profile->period_type;
}

// Multiplies each column by its own factor; keeps the samples in which a multiplied column is not zero
// afterwards (all of them if every factor is 1).
static void scale_columns(struct ht_profile *profile, const double *factors)
{
    size_t types = profile->sample_type_count, kept = 0;
    bool all_ones = true;
    for (size_t t = 0; t < types; t++)
        all_ones = all_ones && factors[t] == 1;
    if (all_ones)
        return;
    for (size_t i = 0; i < profile->sample_count; i++) {
        int64_t *values = ht_profile_values(profile, i);
        bool keep = false;
        for (size_t t = 0; t < types; t++) {
            if (factors[t] == 1)
                continue;
            values[t] = ht_int64_of_double(round((double)values[t] * factors[t]));
            keep = keep || values[t] != 0;
        }
        if (!keep)
            continue;
        profile->samples[kept] = profile->samples[i];
        memmove(ht_profile_values(profile, kept++), values, types * sizeof *values);
    }
    profile->sample_count = kept;
}

// Brings all profiles to the finest unit of each column.
static int unify_units(struct ht_profile **profiles, size_t count)
{
    size_t types = profiles[0]->sample_type_count;
    const char *period_unit;
    if (finest_unit(profiles, count, period_type_of, 0, "period types", &period_unit) < 0)
        return -1;
    for (size_t i = 1; i < count; i++)
        if (profiles[i]->sample_type_count != types)
            return ht_fail("the profiles do not fit together: %zu and %zu sample types", types,
                           profiles[i]->sample_type_count);
    const char **units = ht_alloc_zero(types, sizeof *units);
    double *factors = ht_alloc_zero(types, sizeof *factors);
    int result = 0;
    for (size_t t = 0; t < types && result == 0; t++)
        result = finest_unit(profiles, count, sample_type_of, t, "sample types", &units[t]);
    for (size_t i = 0; i < count && result == 0; i++) {
        struct ht_profile *profile = profiles[i];
        const char *ignored, *unit = ht_profile_text(profile, profile->period_type.unit);
        profile->period = ht_int64_of_double(ht_measure_scale(profile->period, unit, period_unit, &ignored));
        profile->period_type.unit = ht_profile_intern_text(profile, period_unit);
        for (size_t t = 0; t < types; t++) {
            unit = ht_profile_text(profile, profile->sample_types[t].unit);
            factors[t] = ht_measure_scale(1, unit, units[t], &ignored);
            profile->sample_types[t].unit = ht_profile_intern_text(profile, units[t]);
        }
        scale_columns(profile, factors);
    }
    free(units);
    free(factors);
    return result;
}

static int check_compatible(const struct ht_profile *a, const struct ht_profile *b)
{
    if (!same_text(a, a->period_type.type, b, b->period_type.type) ||
        !same_text(a, a->period_type.unit, b, b->period_type.unit))
        return fail_types(a, &a->period_type, b, &b->period_type, "period types");
    if (a->sample_type_count != b->sample_type_count)
        return ht_fail("the profiles do not fit together: %zu and %zu sample types", a->sample_type_count,
                       b->sample_type_count);
    for (size_t i = 0; i < a->sample_type_count; i++)
        if (!same_text(a, a->sample_types[i].type, b, b->sample_types[i].type) ||
            !same_text(a, a->sample_types[i].unit, b, b->sample_types[i].unit))
            return fail_types(a, &a->sample_types[i], b, &b->sample_types[i], "sample types");
    return 0;
}

// Adds the comments of `from` (which may be `to` itself, emptied first) that are not there yet, in order.
static void add_new_comments(struct ht_profile *to, const struct ht_profile *from, const uint32_t *comments,
                             size_t count)
{
    uint32_t *strings = ht_realloc_array(NULL, count, sizeof *strings);
    for (size_t i = 0; i < count; i++)
        strings[i] = ht_profile_intern_text(to, ht_profile_text(from, comments[i]));
    bool *seen = ht_alloc_zero(to->string_count, sizeof *seen);
    for (size_t i = 0; i < to->comment_count; i++)
        seen[to->comments[i]] = true;
    for (size_t i = 0; i < count; i++) {
        if (seen[strings[i]])
            continue;
        seen[strings[i]] = true;
        HT_RESERVE(to->comments, to->comment_capacity, to->comment_count + 1);
        to->comments[to->comment_count++] = strings[i];
    }
    free(strings);
    free(seen);
}

static void unique_comments(struct ht_profile *profile)
{
    uint32_t *comments = profile->comments;
    size_t count = profile->comment_count;
    profile->comments = NULL;
    profile->comment_count = profile->comment_capacity = 0;
    add_new_comments(profile, profile, comments, count);
    free(comments);
}

static void join_header(struct ht_profile *to, const struct ht_profile *from)
{
    if (to->time_ns == 0 || from->time_ns < to->time_ns)
        to->time_ns = from->time_ns;
    to->duration_ns = ht_wrap_add(to->duration_ns, from->duration_ns);
    if (to->period == 0 || to->period < from->period)
        to->period = from->period;
    add_new_comments(to, from, from->comments, from->comment_count);
    if (to->default_sample_type == 0)
        to->default_sample_type =
            ht_profile_intern_text(to, ht_profile_text(from, from->default_sample_type));
    if (to->doc_url == 0)
        to->doc_url = ht_profile_intern_text(to, ht_profile_text(from, from->doc_url));
}

int ht_profile_merge(struct ht_profile **profiles, size_t count)
{
    struct ht_profile *first = profiles[0];
    if (count > 1 && unify_units(profiles, count) < 0)
        return -1;
    for (size_t i = 1; i < count; i++)
        if (check_compatible(first, profiles[i]) < 0)
            return -1;
    unique_comments(first);
    for (size_t i = 1; i < count; i++) {
        join_header(first, profiles[i]);
        append(first, profiles[i]);
        ht_profile_free(profiles[i]);
        profiles[i] = NULL;
    }
    compact(first);
    return 0;
}

void ht_profile_scale(struct ht_profile *profile, double factor)
{
    double *factors = ht_alloc_zero(profile->sample_type_count, sizeof *factors);
    for (size_t t = 0; t < profile->sample_type_count; t++)
        factors[t] = factor;
    scale_columns(profile, factors);
    free(factors);
}

static int64_t column_sum(const struct ht_profile *profile, size_t type)
{
    int64_t sum = 0;
    for (size_t i = 0; i < profile->sample_count; i++)
        sum = ht_wrap_add(sum, ht_profile_values(profile, i)[type]);
    return sum;
}

int ht_profile_normalize(struct ht_profile *profile, const struct ht_profile *base)
{
    if (check_compatible(profile, base) < 0)
        return -1;
    double *factors = ht_alloc_zero(profile->sample_type_count, sizeof *factors);
    for (size_t t = 0; t < profile->sample_type_count; t++) {
        int64_t sum = column_sum(profile, t);
        factors[t] = sum == 0 ? 0 : (double)column_sum(base, t) / (double)sum;
    }
    scale_columns(profile, factors);
    free(factors);
    return 0;
}

void ht_profile_remove_label(struct ht_profile *profile, const char *key)
{
    uint32_t string = ht_profile_intern_text(profile, key);
    size_t end = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        uint64_t first = end;
        for (uint32_t l = 0; l < sample->label_count; l++) {
            struct ht_label label = profile->labels[sample->labels + l];
            if (label.key != string || label.text == 0)
                profile->labels[end++] = label;
        }
        sample->labels = first;
        sample->label_count = (uint32_t)(end - first);
    }
    profile->label_count = end;
}

void ht_profile_set_label(struct ht_profile *profile, const char *key, const char *value)
{
    ht_profile_remove_label(profile, key);
    struct ht_label label = {.key = ht_profile_intern_text(profile, key),
                             .text = ht_profile_intern_text(profile, value)};
    struct ht_label *labels =
        ht_realloc_array(NULL, profile->label_count + profile->sample_count, sizeof *labels);
    size_t end = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        uint64_t first = end;
        for (uint32_t l = 0; l < sample->label_count; l++)
            labels[end++] = profile->labels[sample->labels + l];
        labels[end++] = label;
        ht_profile_sort_labels(profile, labels + first, end - first);
        sample->labels = first;
        sample->label_count++;
    }
    free(profile->labels);
    profile->labels = labels;
    profile->label_count = end;
    profile->label_capacity = end;
}

int ht_profile_subtract(struct ht_profile **profile, struct ht_profile **base, bool mark, bool normalize)
{
    if (mark)
        ht_profile_set_label(*base, "pprof::base", "true");
    if (normalize && ht_profile_normalize(*profile, *base) < 0)
        return -1;
    ht_profile_scale(*base, -1);
    struct ht_profile *both[] = {*profile, *base};
    if (ht_profile_merge(both, 2) < 0)
        return -1;
    *base = NULL;
    return 0;
}
