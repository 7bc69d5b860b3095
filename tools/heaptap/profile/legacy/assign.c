// Which mappings the addresses of an older profile are in, and their names if these stood in front of it.
#include "profile/legacy/reader.h"

#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>

#define USUAL_START 0x400000 // of programs that are not position-independent

// Whether b is the second half of a mapping that was split.
static bool continues(const struct ht_profile_mapping *a, const struct ht_profile_mapping *b)
{
    if ((a->file != 0 && b->file != 0 && a->file != b->file) ||
        (a->build_id != 0 && b->build_id != 0 && a->build_id != b->build_id) || a->limit != b->start)
        return false;
    return a->offset == 0 || b->offset == 0 || a->offset + (a->limit - a->start) == b->offset;
}

static bool is_library(const char *file)
{
    for (const char *at = file; (at = strstr(at, ".so")) != NULL; at += 3)
        if (at[3] == '\0' || ((at[3] == '.' || at[3] == '_') && isdigit((unsigned char)at[4])))
            return true;
    return false;
}

// Joins what was split, and puts the program first.
static void tidy_mappings(struct ht_profile *profile)
{
    struct ht_profile_mapping *mappings = profile->mappings;
    size_t count = 0;
    for (size_t i = 0; i < profile->mapping_count; i++) {
        struct ht_profile_mapping *last = count > 0 ? &mappings[count - 1] : NULL;
        if (last == NULL || !continues(last, &mappings[i])) {
            mappings[count++] = mappings[i];
            continue;
        }
        last->limit = mappings[i].limit;
        last->file = mappings[i].file != 0 ? mappings[i].file : last->file;
        last->build_id = mappings[i].build_id != 0 ? mappings[i].build_id : last->build_id;
    }
    profile->mapping_count = count;
    for (size_t i = 0; i < count; i++) {
        const char *file = ht_profile_text(profile, mappings[i].file);
        if (file[0] == '\0' || file[0] == '[' || strcmp(file, "(deleted)") == 0 || is_library(file))
            continue;
        struct ht_profile_mapping first = mappings[0];
        mappings[0] = mappings[i];
        mappings[i] = first;
        break;
    }
}

// The first mapping as it was before the program's text was moved to large pages.
static void mend_first(struct ht_profile *profile)
{
    struct ht_profile_mapping *first = profile->mappings;
    if (profile->mapping_count > 1 && first[0].limit == first[1].start &&
        ht_text_starts_with(ht_profile_text(profile, first[0].file), "/anon_hugepage"))
        memmove(first, first + 1, --profile->mapping_count * sizeof *first);
    if (profile->mapping_count > 0 && first->start - first->offset == USUAL_START) {
        first->start = USUAL_START;
        first->offset = 0;
    }
}

// Locations in the order of their first use; those of no sample go.
static void order_locations(struct ht_profile *profile)
{
    uint32_t *position = ht_realloc_array(NULL, profile->location_count + 1, sizeof *position);
    struct ht_location *ordered = ht_realloc_array(NULL, profile->location_count + 1, sizeof *ordered);
    size_t used = 0, end = 0;
    memset(position, 0xff, profile->location_count * sizeof *position); // HT_NONE
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        const uint32_t *frames = profile->frames + sample->frames;
        sample->frames = end;
        for (uint32_t f = 0; f < sample->frame_count; f++) {
            uint32_t at = frames[f];
            if (position[at] == HT_NONE) {
                ordered[used] = profile->locations[at];
                position[at] = (uint32_t)used++;
            }
            profile->frames[end++] = position[at];
        }
    }
    free(position);
    free(profile->locations);
    profile->locations = ordered;
    profile->location_capacity = profile->location_count + 1;
    profile->location_count = used;
    profile->frame_count = end;
}

struct range {
    uint64_t start, limit;
    uint32_t mapping;
};

static int compare_ranges(const void *left, const void *right)
{
    const struct range *a = left, *b = right;
    return a->start < b->start ? -1 : a->start > b->start;
}

// The mappings by address; NULL where some overlap: then the first one counts.
static struct range *sort_mappings(const struct ht_profile *profile, size_t count)
{
    struct range *ranges = ht_realloc_array(NULL, count + 1, sizeof *ranges);
    for (size_t i = 0; i < count; i++)
        ranges[i] = (struct range){profile->mappings[i].start, profile->mappings[i].limit, (uint32_t)i};
    qsort(ranges, count, sizeof *ranges, compare_ranges);
    for (size_t i = 0; i < count; i++)
        if (ranges[i].limit <= ranges[i].start || (i + 1 < count && ranges[i].limit > ranges[i + 1].start)) {
            free(ranges);
            return NULL;
        }
    return ranges;
}

// Among the first `count` mappings.
static uint32_t find_mapping(const struct ht_profile *profile, const struct range *ranges, size_t count,
                             uint64_t address)
{
    const struct ht_profile_mapping *mappings = profile->mappings;
    if (ranges == NULL) {
        for (size_t i = 0; i < count; i++)
            if (mappings[i].start <= address && address < mappings[i].limit)
                return (uint32_t)i;
        return HT_NONE;
    }
    size_t low = 0, high = count; // the first that begins behind the address
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address < ranges[low - 1].limit ? ranges[low - 1].mapping : HT_NONE;
}

// Some writers left out the first part of a mapping that was split: it reaches back to the file's beginning.
static uint32_t extend_mapping(struct ht_profile *profile, uint64_t address)
{
    for (size_t i = 0; i < profile->mapping_count; i++) {
        struct ht_profile_mapping *mapping = &profile->mappings[i];
        if (mapping->offset == 0 || mapping->start - mapping->offset > address || address >= mapping->start)
            continue;
        mapping->start -= mapping->offset;
        mapping->offset = 0;
        return (uint32_t)i;
    }
    return HT_NONE;
}

static void assign_mappings(struct ht_profile *profile)
{
    size_t count = profile->mapping_count;
    struct range *ranges = sort_mappings(profile, count);
    uint32_t unknown = HT_NONE; // one mapping for all addresses that are in none
    for (size_t i = 0; i < profile->location_count; i++) {
        struct ht_location *location = &profile->locations[i];
        if (location->address == 0)
            continue;
        location->mapping = find_mapping(profile, ranges, count, location->address);
        if (location->mapping == HT_NONE && unknown == HT_NONE) {
            location->mapping = extend_mapping(profile, location->address);
            if (location->mapping != HT_NONE) {
                free(ranges); // not right any more
                ranges = NULL;
            } else {
                unknown = ht_profile_add_mapping(profile, &(struct ht_profile_mapping){.limit = UINT64_MAX});
            }
        }
        if (location->mapping == HT_NONE)
            location->mapping = unknown;
    }
    free(ranges);
}

static int compare_symbols(const void *left, const void *right)
{
    const struct ht_legacy_symbol *a = left, *b = right;
    return a->address < b->address ? -1 : a->address > b->address;
}

static void name_location(struct ht_legacy *legacy, struct ht_location *location, uint32_t names)
{
    const char *at = ht_profile_text(legacy->profile, names);
    while (*at != '\0') {
        const char *end = strstr(at, "--");
        size_t length = end != NULL ? (size_t)(end - at) : strlen(at);
        if (length > 0)
            ht_legacy_name(legacy, location, ht_legacy_function(legacy, at, length, ""), 0);
        at += length + (end != NULL ? 2 : 0);
    }
    if (location->mapping != HT_NONE && location->line_count > 0)
        legacy->profile->mappings[location->mapping].has_functions = true;
}

// Names that stood in front of the profile: of an address in a call, or of the one behind it.
static void use_symbols(struct ht_legacy *legacy)
{
    struct ht_profile *profile = legacy->profile;
    if (legacy->symbol_count == 0)
        return;
    qsort(legacy->symbols, legacy->symbol_count, sizeof *legacy->symbols, compare_symbols);
    for (size_t i = 0; i < profile->location_count; i++) {
        struct ht_legacy_symbol wanted = {.address = profile->locations[i].address};
        const struct ht_legacy_symbol *found =
            bsearch(&wanted, legacy->symbols, legacy->symbol_count, sizeof wanted, compare_symbols);
        wanted.address++;
        if (found == NULL)
            found = bsearch(&wanted, legacy->symbols, legacy->symbol_count, sizeof wanted, compare_symbols);
        if (found != NULL && profile->locations[i].line_count == 0)
            name_location(legacy, &profile->locations[i], found->names);
    }
    if (profile->mapping_count > 0 && profile->mappings[0].file == 0)
        profile->mappings[0].file = legacy->program;
}

void ht_legacy_assign(struct ht_legacy *legacy)
{
    tidy_mappings(legacy->profile);
    order_locations(legacy->profile);
    mend_first(legacy->profile);
    assign_mappings(legacy->profile);
    use_symbols(legacy);
}
