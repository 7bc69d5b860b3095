// The call sites of a profile's samples: which frames are plumbing, and which samples share a site.
#include "stats/site.h"

#include "base/path.h"

#include <ctype.h>
#include <stdlib.h>

struct finder {
    struct ht_sites *sites;
    const struct ht_profile *profile;
    int granularity;
    bool leaf;
    struct ht_index index;      // over sites->places
    uint8_t *plumbing_function; // by function: 0 unknown, 1 no, 2 yes
    uint8_t *plumbing_mapping;
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
    return any_prefix(ht_path_name(file), names, sizeof names / sizeof names[0]);
}

static bool is_plumbing(struct finder *finder, const struct ht_location *location, const struct ht_line *line)
{
    const struct ht_profile *profile = finder->profile;
    if (location->mapping != HT_NONE) {
        uint8_t *known = &finder->plumbing_mapping[location->mapping];
        if (*known == 0)
            *known = is_plumbing_object(ht_profile_text(profile, profile->mappings[location->mapping].file))
                         ? 2
                         : 1;
        if (*known == 2)
            return true;
    }
    if (line == NULL)
        return false;
    uint8_t *known = &finder->plumbing_function[line->function];
    if (*known == 0)
        *known = is_plumbing_function(profile, &profile->functions[line->function]) ? 2 : 1;
    return *known == 2;
}

static struct ht_place site_of(struct finder *finder, const struct ht_sample *sample)
{
    const struct ht_profile *profile = finder->profile;
    const struct ht_location *site = NULL; // NULL: the sample has no frames
    const struct ht_line *site_line = NULL;
    for (uint32_t i = 0, found = 0; i < sample->frame_count && !found; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        for (uint32_t frame = 0; frame < ht_location_frames(location) && !found; frame++) {
            const struct ht_line *line = ht_location_line(profile, location, frame);
            found = finder->leaf || !is_plumbing(finder, location, line);
            if (site == NULL || found)
                site = location, site_line = line;
        }
    }
    if (site == NULL)
        return (struct ht_place){0};
    struct ht_place place = ht_place_of(profile, site, site_line, finder->granularity);
    return place.name == 0 && place.file == 0 ? ht_place_of(profile, site, NULL, finder->granularity) : place;
}

static uint32_t find_or_add(struct finder *finder, const struct ht_place *place)
{
    struct ht_sites *sites = finder->sites;
    uint64_t hash = ht_place_hash(place);
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&finder->index, hash, &cursor)) != HT_NONE;)
        if (ht_place_equal(&sites->places[at], place))
            return at;
    HT_RESERVE(sites->places, sites->capacity, sites->count + 1);
    sites->places[sites->count] = *place;
    ht_index_add(&finder->index, hash, (uint32_t)sites->count);
    return (uint32_t)sites->count++;
}

void ht_sites_find(struct ht_sites *sites, const struct ht_profile *profile, int granularity, bool leaf)
{
    struct finder finder = {.sites = sites,
                            .profile = profile,
                            .granularity = granularity,
                            .leaf = leaf,
                            .plumbing_function = ht_alloc_zero(profile->function_count, 1),
                            .plumbing_mapping = ht_alloc_zero(profile->mapping_count, 1)};
    *sites = (struct ht_sites){0};
    sites->of_sample = ht_realloc_array(NULL, profile->sample_count, sizeof *sites->of_sample);
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_place place = site_of(&finder, &profile->samples[i]);
        sites->of_sample[i] = find_or_add(&finder, &place);
    }
    ht_index_free(&finder.index);
    free(finder.plumbing_function);
    free(finder.plumbing_mapping);
}

void ht_sites_free(struct ht_sites *sites)
{
    free(sites->places);
    free(sites->of_sample);
    *sites = (struct ht_sites){0};
}
