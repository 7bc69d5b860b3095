// Two snapshots side by side: finds each sample's call site and adds up.
#include "view/text/compare.h"

#include "base/json.h"
#include "base/path.h"
#include "base/terminal.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

struct builder {
    struct ht_compare *compare;
    struct ht_profile *profile;
    const struct ht_compare_options *options;
    struct ht_index row_index;
    uint32_t *sample_row;       // by sample
    uint8_t *plumbing_function; // by function: 0 unknown, 1 no, 2 yes
    uint8_t *plumbing_mapping;
    size_t sample_index;
    uint32_t old_key;
};

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

// malloc, calloc, realloc, palloc or zalloc, alone or in a longer name: zmalloc_usable, g_malloc0,
// ngx_palloc, PyMem_RawRealloc. Other words: tree_alloc, prealloc, reallocate, mallocgc; and what stands in a
// template's arguments.
static bool is_allocator_name(const char *name)
{
    const char *end = name + strcspn(name, "<(");
    for (const char *at = name; (at = strstr(at, "alloc")) != NULL && at < end; at += 5) {
        bool re = at >= name + 2 && at[-1] == 'e' && strchr("rR", at[-2]) != NULL &&
                  (at == name + 2 || at[-3] != 'p');
        bool head = re || (at > name && strchr("mMcCpPzZ", at[-1]) != NULL);
        if (head && !islower((unsigned char)at[5]))
            return true;
    }
    return false;
}

static bool any_prefix(const char *text, const char *const *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (starts_with(text, prefixes[i]))
            return true;
    return false;
}

// Functions that only carry an allocation out for somebody else: nobody's leak is fixed there.
static bool is_plumbing_function(const struct ht_profile *profile, const struct ht_function *function)
{
    static const char *const names[] = {"std::",          "__gnu_cxx::", "alloc::", "core::",
                                        "<alloc::",       "<core::",     "<std::",  "operator new",
                                        "__rust_realloc", "__rust_alloc"};
    static const char *const whole[] = {"reallocarray",   "memalign", "aligned_alloc",
                                        "posix_memalign", "valloc",   "pvalloc"};
    const char *name = ht_profile_text(profile, function->name),
               *file = ht_profile_text(profile, function->file);
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
        if (strcmp(name, whole[i]) == 0)
            return true;
    return is_allocator_name(name) || any_prefix(name, names, sizeof names / sizeof names[0]) ||
           strstr(file, "/include/c++/") != NULL || starts_with(file, "/rustc/");
}

static bool is_plumbing_object(const char *file)
{
    static const char *const names[] = {"libc.so",      "libc-2.",     "libstdc++.so", "libgcc_s.so",
                                        "ld-linux",     "ld-2.",       "libpthread",   "libc++.so",
                                        "libc++abi.so", "ld-musl",     "libheaptap.",  "libjemalloc.",
                                        "libtcmalloc",  "libmimalloc."};
    const char *slash = strrchr(file, '/');
    return any_prefix(slash != NULL ? slash + 1 : file, names, sizeof names / sizeof names[0]);
}

static bool is_plumbing(struct builder *builder, const struct ht_location *location,
                        const struct ht_line *line)
{
    const struct ht_profile *profile = builder->profile;
    if (location->mapping != HT_NONE) {
        uint8_t *known = &builder->plumbing_mapping[location->mapping];
        if (*known == 0)
            *known = is_plumbing_object(ht_profile_text(profile, profile->mappings[location->mapping].file))
                         ? 2
                         : 1;
        if (*known == 2)
            return true;
    }
    if (line == NULL)
        return false;
    uint8_t *known = &builder->plumbing_function[line->function];
    if (*known == 0)
        *known = is_plumbing_function(profile, &profile->functions[line->function]) ? 2 : 1;
    return *known == 2;
}

struct site {
    const struct ht_location *location; // NULL: the sample has no frames
    const struct ht_line *line;         // NULL: the location has no names
};

static struct site site_of(struct builder *builder, const struct ht_sample *sample)
{
    const struct ht_profile *profile = builder->profile;
    struct site leaf = {NULL, NULL};
    for (uint32_t frame = 0; frame < sample->frame_count; frame++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + frame]];
        uint32_t lines = location->line_count;
        for (uint32_t i = 0; i < (lines == 0 ? 1 : lines); i++) {
            struct site site = {location, lines == 0 ? NULL : &profile->lines[location->lines + i]};
            if (leaf.location == NULL)
                leaf = site;
            if (builder->options->leaf_sites || !is_plumbing(builder, site.location, site.line))
                return site;
        }
    }
    return leaf;
}

static struct ht_compare_row key_of(struct builder *builder, struct site site)
{
    const struct ht_profile *profile = builder->profile;
    struct ht_compare_row row = {0};
    int by = builder->options->granularity;
    if (site.location == NULL)
        return row;
    if (site.line != NULL) {
        const struct ht_function *function = &profile->functions[site.line->function];
        row.name = by != HT_BY_FILES || function->file == 0 ? function->name : 0;
        row.file = by != HT_BY_FUNCTIONS ? function->file : 0;
        row.line = by == HT_BY_LINES ? site.line->line : 0;
    }
    if (row.name == 0 && row.file == 0 && site.location->mapping != HT_NONE) {
        const struct ht_profile_mapping *mapping = &profile->mappings[site.location->mapping];
        row.object = mapping->file;
        if (by == HT_BY_LINES)
            row.object_offset = site.location->address - mapping->start + mapping->offset;
    }
    return row;
}

static uint32_t find_or_add_row(struct builder *builder, const struct ht_compare_row *key)
{
    struct ht_compare *compare = builder->compare;
    uint64_t hash = ht_hash_add(ht_hash_add((uint64_t)key->name << 32 | key->file, (uint64_t)key->line),
                                ht_hash_add(key->object, key->object_offset));
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&builder->row_index, hash, &cursor)) != HT_NONE;) {
        const struct ht_compare_row *row = &compare->rows[at];
        if (row->name == key->name && row->file == key->file && row->line == key->line &&
            row->object == key->object && row->object_offset == key->object_offset)
            return at;
    }
    HT_RESERVE(compare->rows, compare->row_capacity, compare->row_count + 1);
    compare->rows[compare->row_count] = *key;
    ht_index_add(&builder->row_index, hash, (uint32_t)compare->row_count);
    return (uint32_t)compare->row_count++;
}

static bool is_old(const struct builder *builder, const struct ht_sample *sample)
{
    for (uint32_t i = 0; i < sample->label_count; i++)
        if (builder->profile->labels[sample->labels + i].key == builder->old_key)
            return true;
    return false;
}

static void add_samples(struct builder *builder)
{
    struct ht_compare *compare = builder->compare;
    const struct ht_profile *profile = builder->profile;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        int64_t value = ht_profile_values(profile, i)[builder->sample_index];
        struct ht_compare_row key = key_of(builder, site_of(builder, sample));
        uint32_t position = builder->sample_row[i] = find_or_add_row(builder, &key);
        struct ht_compare_row *row = &compare->rows[position];
        int64_t *column = is_old(builder, sample) ? &row->old : &row->new;
        int64_t *total = is_old(builder, sample) ? &compare->old_total : &compare->new_total;
        *column = ht_wrap_add(*column, value);
        *total = ht_wrap_add(*total, value);
    }
    for (size_t i = 0; i < compare->row_count; i++)
        compare->rows[i].change =
            ht_wrap_add(compare->rows[i].new, (int64_t)(0 - (uint64_t)compare->rows[i].old));
}

// A distinct stack, and how it changed.
struct stack {
    uint32_t sample; // one that has it
    int64_t change;
};

static bool same_frames(const struct ht_profile *profile, uint32_t sample_a, uint32_t sample_b)
{
    const struct ht_sample *a = &profile->samples[sample_a], *b = &profile->samples[sample_b];
    return a->frame_count == b->frame_count &&
           (a->frame_count == 0 || memcmp(profile->frames + a->frames, profile->frames + b->frames,
                                          a->frame_count * sizeof *profile->frames) == 0);
}

// For each row the stack that grew most. Samples of one stack differ in size class and in the snapshot they
// are from.
static void find_heaviest(struct builder *builder)
{
    const struct ht_profile *profile = builder->profile;
    struct ht_index index = {0};
    struct stack *stacks = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        uint64_t hash =
            ht_hash_bytes(profile->frames + sample->frames, sample->frame_count * sizeof *profile->frames);
        size_t cursor = 0;
        uint32_t at;
        while ((at = ht_index_next(&index, hash, &cursor)) != HT_NONE)
            if (same_frames(profile, stacks[at].sample, (uint32_t)i))
                break;
        if (at == HT_NONE) {
            HT_RESERVE(stacks, capacity, count + 1);
            at = (uint32_t)count++;
            stacks[at] = (struct stack){.sample = (uint32_t)i};
            ht_index_add(&index, hash, at);
        }
        int64_t value = ht_profile_values(profile, i)[builder->sample_index];
        stacks[at].change = ht_wrap_add(stacks[at].change, is_old(builder, sample) ? -value : value);
    }
    for (size_t i = 0; i < count; i++) {
        struct ht_compare_row *row = &builder->compare->rows[builder->sample_row[stacks[i].sample]];
        if (stacks[i].change > row->heaviest_change) {
            row->heaviest_change = stacks[i].change;
            row->heaviest = stacks[i].sample;
        }
    }
    free(stacks);
    ht_index_free(&index);
}

static int compare_rows(const void *left, const void *right, void *context)
{
    const struct ht_profile *profile = context;
    const struct ht_compare_row *a = left, *b = right;
    if (a->change != b->change)
        return a->change > b->change ? -1 : 1;
    int order = strcmp(ht_profile_text(profile, a->name), ht_profile_text(profile, b->name));
    if (order == 0)
        order = strcmp(ht_profile_text(profile, a->file), ht_profile_text(profile, b->file));
    if (order == 0)
        order = a->line < b->line ? -1 : a->line > b->line;
    if (order == 0)
        order = strcmp(ht_profile_text(profile, a->object), ht_profile_text(profile, b->object));
    return order != 0                            ? order
           : a->object_offset < b->object_offset ? -1
                                                 : a->object_offset > b->object_offset;
}

static void drop_unchanged(struct ht_compare *compare)
{
    size_t kept = 0;
    for (size_t i = 0; i < compare->row_count; i++)
        if (compare->rows[i].change != 0)
            compare->rows[kept++] = compare->rows[i];
        else if (compare->rows[i].new != 0)
            compare->unchanged++;
    compare->row_count = kept;
}

int ht_compare_init(struct ht_compare *compare, struct ht_profile *profile,
                    const struct ht_compare_options *options, int64_t old_ns, int64_t new_ns)
{
    struct builder builder = {.compare = compare, .profile = profile, .options = options};
    *compare = (struct ht_compare){.profile = profile,
                                   .trim_path = options->trim_path,
                                   .output_unit = options->unit != NULL ? options->unit : "auto"};
    if (ht_profile_sample_index(profile, options->sample_index, &builder.sample_index) < 0 ||
        ht_filter_apply(profile, &options->filter) < 0)
        return -1;
    if (old_ns != 0 && new_ns > old_ns)
        compare->minutes = (double)(new_ns - old_ns) / 60e9;
    compare->sample_type = ht_profile_text(profile, profile->sample_types[builder.sample_index].type);
    compare->unit = ht_profile_text(profile, profile->sample_types[builder.sample_index].unit);
    builder.old_key = ht_profile_intern_text(profile, HT_COMPARE_OLD_LABEL);
    builder.sample_row = ht_realloc_array(NULL, profile->sample_count, sizeof *builder.sample_row);
    builder.plumbing_function = ht_alloc_zero(profile->function_count, 1);
    builder.plumbing_mapping = ht_alloc_zero(profile->mapping_count, 1);
    add_samples(&builder);
    find_heaviest(&builder);
    drop_unchanged(compare);
    if (compare->row_count > 0)
        qsort_r(compare->rows, compare->row_count, sizeof *compare->rows, compare_rows, profile);
    ht_index_free(&builder.row_index);
    free(builder.sample_row);
    free(builder.plumbing_function);
    free(builder.plumbing_mapping);
    return 0;
}

void ht_compare_free(struct ht_compare *compare)
{
    free(compare->rows);
    compare->rows = NULL;
}

// "function file:line", "[object+0xoffset]" or "<unknown>".
static void add_site(const struct ht_compare *compare, const struct ht_compare_row *row,
                     struct ht_buffer *out)
{
    const struct ht_profile *profile = compare->profile;
    if (row->name != 0)
        ht_buffer_text(out, ht_profile_text(profile, row->name));
    if (row->file != 0) {
        ht_buffer_text(out, row->name != 0 ? "  " : "");
        ht_path_clean(ht_path_trim(ht_profile_text(profile, row->file), compare->trim_path, NULL), out);
        if (row->line != 0)
            ht_buffer_printf(out, ":%lld", (long long)row->line);
    }
    if (row->name != 0 || row->file != 0)
        return;
    if (row->object == 0) {
        ht_buffer_text(out, "<unknown>");
        return;
    }
    ht_buffer_byte(out, '[');
    ht_path_base(ht_profile_text(profile, row->object), out);
    if (row->object_offset != 0)
        ht_buffer_printf(out, "+0x%llx", (unsigned long long)row->object_offset);
    ht_buffer_byte(out, ']');
}

static void label(const struct ht_compare *compare, int64_t value, bool with_sign,
                  char text[HT_MEASURE_TEXT_BYTES])
{
    size_t sign = with_sign && value > 0;
    text[0] = '+';
    char plain[HT_MEASURE_TEXT_BYTES];
    ht_measure_label(value, compare->unit, compare->output_unit, plain);
    snprintf(text + sign, HT_MEASURE_TEXT_BYTES - sign, "%.500s", plain);
}

// Small counts keep a decimal: 0.4 objects a minute is not nothing.
static void label_per_minute(const struct ht_compare *compare, int64_t change,
                             char text[HT_MEASURE_TEXT_BYTES])
{
    if (compare->minutes <= 0) {
        strcpy(text, "-");
        return;
    }
    double rate = (double)change / compare->minutes;
    if (strcmp(compare->unit, "count") == 0 && fabs(rate) < 100)
        snprintf(text, HT_MEASURE_TEXT_BYTES, rate == 0 ? "0" : "%+.1f", rate);
    else
        label(compare, ht_int64_of_double(round(rate)), true, text);
}

static void add_table_row(const struct ht_compare *compare, int64_t old, int64_t new, const char *name,
                          int columns, struct ht_buffer *out)
{
    enum { NAME_COLUMN = 49 };
    char old_text[HT_MEASURE_TEXT_BYTES], new_text[HT_MEASURE_TEXT_BYTES];
    char change_text[HT_MEASURE_TEXT_BYTES], rate_text[HT_MEASURE_TEXT_BYTES];
    int64_t change = ht_wrap_add(new, (int64_t)(0 - (uint64_t)old));
    label(compare, old, false, old_text);
    label(compare, new, false, new_text);
    label(compare, change, true, change_text);
    label_per_minute(compare, change, rate_text);
    ht_buffer_printf(out, "%11s %11s %11s %11s  ", old_text, new_text, change_text, rate_text);
    int room = columns == 0 ? 0 : columns - NAME_COLUMN < 24 ? 24 : columns - NAME_COLUMN;
    char *fitted = ht_alloc(strlen(name) + 1);
    ht_terminal_fit(name, room, fitted, strlen(name) + 1);
    ht_buffer_printf(out, "%s\n", fitted);
    free(fitted);
}

static void add_rest(const struct ht_compare *compare, size_t shown, struct ht_buffer *out)
{
    int64_t change = 0;
    char text[HT_MEASURE_TEXT_BYTES];
    for (size_t i = shown; i < compare->row_count; i++)
        change = ht_wrap_add(change, compare->rows[i].change);
    label(compare, change, true, text);
    if (shown < compare->row_count)
        ht_buffer_printf(out, "%47s  (%zu more call site%s changed by %s in sum)\n", "",
                         compare->row_count - shown, compare->row_count - shown == 1 ? "" : "s", text);
    if (compare->unchanged > 0)
        ht_buffer_printf(out, "%47s  (%zu call site%s unchanged)\n", "", compare->unchanged,
                         compare->unchanged == 1 ? "" : "s");
}

// A location has at least one frame: itself, or each of its inlined functions.
static uint32_t frames_of(const struct ht_location *location)
{
    return location->line_count == 0 ? 1 : location->line_count;
}

// One frame of a location as "function file:line".
static void add_frame(const struct ht_compare *compare, const struct ht_location *location, uint32_t i,
                      struct ht_buffer *out)
{
    const struct ht_profile *profile = compare->profile;
    struct ht_compare_row row = {0};
    if (location->line_count > 0) {
        const struct ht_line *line = &profile->lines[location->lines + i];
        row.name = profile->functions[line->function].name;
        row.file = profile->functions[line->function].file;
        row.line = line->line;
    } else if (location->mapping != HT_NONE) {
        const struct ht_profile_mapping *mapping = &profile->mappings[location->mapping];
        row.object = mapping->file;
        row.object_offset = location->address - mapping->start + mapping->offset;
    }
    add_site(compare, &row, out);
    ht_buffer_text(out, i + 1 < location->line_count ? " (inline)" : "");
}

static void add_location(const struct ht_compare *compare, const struct ht_location *location,
                         struct ht_buffer *out)
{
    for (uint32_t i = 0; i < frames_of(location); i++) {
        ht_buffer_text(out, "    ");
        add_frame(compare, location, i, out);
        ht_buffer_byte(out, '\n');
    }
}

static void add_path(const struct ht_compare *compare, const struct ht_compare_row *row,
                     struct ht_buffer *out)
{
    enum { LIMIT = 40 };
    const struct ht_profile *profile = compare->profile;
    const struct ht_sample *sample = &profile->samples[row->heaviest];
    char text[HT_MEASURE_TEXT_BYTES];
    struct ht_buffer site = {0};
    label(compare, row->heaviest_change, true, text);
    add_site(compare, row, &site);
    ht_buffer_printf(out, "\n%s of %s came this way:\n", text, site.data);
    for (uint32_t i = 0; i < sample->frame_count && i < LIMIT; i++)
        add_location(compare, &profile->locations[profile->frames[sample->frames + i]], out);
    if (sample->frame_count > LIMIT)
        ht_buffer_printf(out, "    (%u more)\n", sample->frame_count - LIMIT);
    ht_buffer_free(&site);
}

void ht_compare_text(const struct ht_compare *compare, size_t limit, size_t paths, int columns,
                     struct ht_buffer *out)
{
    const struct ht_profile *profile = compare->profile;
    size_t shown = limit == 0 || limit > compare->row_count ? compare->row_count : limit;
    if (profile->mapping_count > 0 && profile->mappings[0].file != 0) {
        ht_buffer_text(out, "File: ");
        ht_path_base(ht_profile_text(profile, profile->mappings[0].file), out);
        ht_buffer_byte(out, '\n');
    }
    ht_buffer_printf(out, "Type: %s\n", compare->sample_type);
    if (compare->minutes > 0) {
        char age[HT_MEASURE_TEXT_BYTES];
        ht_measure_age(ht_int64_of_double(compare->minutes * 60e9), age);
        ht_buffer_printf(out, "Between the snapshots: %s\n", age);
    }
    ht_buffer_printf(out, "%11s %11s %11s %11s\n", "old", "new", "change", "change/min");
    for (size_t i = 0; i < shown; i++) {
        struct ht_buffer name = {0};
        add_site(compare, &compare->rows[i], &name);
        add_table_row(compare, compare->rows[i].old, compare->rows[i].new, name.data, columns, out);
        ht_buffer_free(&name);
    }
    add_rest(compare, shown, out);
    add_table_row(compare, compare->old_total, compare->new_total, "total", columns, out);
    for (size_t i = 0; i < paths && i < shown && compare->rows[i].heaviest_change > 0; i++)
        add_path(compare, &compare->rows[i], out);
}

static void add_change(const struct ht_compare *compare, struct ht_json *json, int64_t old, int64_t new)
{
    int64_t change = ht_wrap_add(new, (int64_t)(0 - (uint64_t)old));
    ht_json_int(json, "old", old);
    ht_json_int(json, "new", new);
    ht_json_int(json, "change", change);
    ht_json_number(json, "change_per_minute", compare->minutes > 0 ? (double)change / compare->minutes : NAN);
}

static void add_json_path(const struct ht_compare *compare, struct ht_json *json,
                          const struct ht_compare_row *row)
{
    const struct ht_profile *profile = compare->profile;
    const struct ht_sample *sample = &profile->samples[row->heaviest];
    ht_json_begin_array(json, "path");
    for (uint32_t i = 0; i < sample->frame_count && row->heaviest_change > 0; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        for (uint32_t j = 0; j < frames_of(location); j++) {
            struct ht_buffer frame = {0};
            add_frame(compare, location, j, &frame);
            ht_json_string(json, NULL, frame.data);
            ht_buffer_free(&frame);
        }
    }
    ht_json_end_array(json);
}

void ht_compare_json(const struct ht_compare *compare, size_t limit, struct ht_buffer *out)
{
    const struct ht_profile *profile = compare->profile;
    struct ht_json json = {.out = out};
    size_t shown = limit == 0 || limit > compare->row_count ? compare->row_count : limit;
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "report", "diff");
    ht_json_string(&json, "sample_type", compare->sample_type);
    ht_json_string(&json, "unit", compare->unit);
    ht_json_number(&json, "minutes", compare->minutes > 0 ? compare->minutes : NAN);
    ht_json_int(&json, "changed", (int64_t)compare->row_count);
    ht_json_int(&json, "unchanged", (int64_t)compare->unchanged);
    ht_json_begin_object(&json, "total");
    add_change(compare, &json, compare->old_total, compare->new_total);
    ht_json_end_object(&json);
    ht_json_begin_array(&json, "rows");
    for (size_t i = 0; i < shown; i++) {
        const struct ht_compare_row *row = &compare->rows[i];
        struct ht_buffer name = {0};
        add_site(compare, row, &name);
        ht_json_begin_object(&json, NULL);
        ht_json_string(&json, "name", name.data);
        ht_json_string(&json, "function", row->name != 0 ? ht_profile_text(profile, row->name) : NULL);
        ht_json_string(&json, "file", row->file != 0 ? ht_profile_text(profile, row->file) : NULL);
        ht_json_int(&json, "line", row->line);
        add_change(compare, &json, row->old, row->new);
        add_json_path(compare, &json, row);
        ht_json_end_object(&json);
        ht_buffer_free(&name);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}
