// Fills names into a profile: groups locations by module, asks each module once, and stores the answers.
#include "resolve/resolve.h"

#include "base/error.h"
#include "base/path.h"
#include "net/debuginfod.h"
#include "profile/bounds.h"
#include "resolve/cache.h"
#include "resolve/jit.h"
#include "resolve/locate.h"

#include <stdlib.h>
#include <unistd.h>

// New answers of a module, for the cache.
struct harvest {
    char *key;
    struct ht_reader_answers answers;
};

struct resolver {
    struct ht_profile *profile;
    const struct ht_resolve_options *options;
    struct ht_reader reader;
    struct ht_locator locator;
    bool may_read;      // files can be opened with no more than their owner's rights
    char *cache_folder; // NULL: no cache
    struct ht_index function_index;
    struct ht_buffer missing; // names of modules whose file is not there
    size_t missing_count;
    size_t cut_count; // places where too many functions are inlined
    struct harvest *harvests;
    size_t harvest_count, harvest_capacity;
};

// The locations of one module.
struct group {
    const uint32_t *locations; // sorted by mapping and address
    bool *is_known;            // answered, maybe with nothing
    size_t count, known_count;
};

static uint32_t add_function(struct resolver *resolver, struct ht_function function)
{
    struct ht_profile *profile = resolver->profile;
    uint64_t hash =
        ht_hash_add(ht_hash_add(function.system_name, function.file), (uint64_t)function.start_line);
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&resolver->function_index, hash, &cursor)) != HT_NONE;) {
        const struct ht_function *other = &profile->functions[at];
        if (other->system_name == function.system_name && other->file == function.file &&
            other->start_line == function.start_line)
            return at;
    }
    HT_RESERVE(profile->functions, profile->function_capacity, profile->function_count + 1);
    uint32_t added = (uint32_t)profile->function_count++;
    profile->functions[added] = function;
    ht_index_add(&resolver->function_index, hash, added);
    return added;
}

static void add_line(struct ht_profile *profile, uint32_t function, int64_t line)
{
    HT_RESERVE(profile->lines, profile->line_capacity, profile->line_count + 1);
    profile->lines[profile->line_count++] = (struct ht_line){.function = function, .line = line};
}

// A function of the cache in the profile; its readable name counts only where that is what was asked for.
static uint32_t take_function(struct resolver *resolver, const struct ht_cache *cache, uint32_t number)
{
    const struct ht_cache_function *from = &cache->functions[number];
    const char *symbol = ht_cache_text(cache, from->symbol), *name = ht_cache_text(cache, from->name);
    const char *file = ht_cache_text(cache, from->file);
    bool is_simple = resolver->options->demangle == HT_DEMANGLE_SIMPLE && !resolver->options->names_given;
    struct ht_function function = {.start_line = from->start_line};
    function.system_name = ht_profile_intern_text(resolver->profile, symbol != NULL ? symbol : "??");
    function.name =
        is_simple && name != NULL ? ht_profile_intern_text(resolver->profile, name) : function.system_name;
    function.file = file != NULL ? ht_profile_intern_text(resolver->profile, file) : 0;
    return add_function(resolver, function);
}

// Answers what the cache, or an answer of the reader, knows.
static void ask_cache(struct resolver *resolver, const struct ht_cache *cache, struct group *group)
{
    struct ht_profile *profile = resolver->profile;
    struct ht_layout layout = ht_cache_layout(cache);
    uint32_t function_count = ht_cache_function_count(cache);
    uint32_t *functions = ht_realloc_array(NULL, function_count, sizeof *functions);
    memset(functions, 0xff, function_count * sizeof *functions);
    for (size_t i = 0; i < group->count; i++) {
        struct ht_location *location = &profile->locations[group->locations[i]];
        const struct ht_profile_mapping *mapping = &profile->mappings[location->mapping];
        uint64_t address;
        uint32_t count;
        if (group->is_known[i] || !ht_layout_address(&layout, mapping->start, mapping->limit, mapping->offset,
                                                     location->address, &address))
            continue;
        const struct ht_cache_frame *frames = ht_cache_find(cache, address, &count);
        if (frames == NULL)
            continue;
        uint32_t kept = profile->line_count < HT_LINES_LIMIT ? HT_INLINE_LIMIT : 1;
        kept = count < kept ? count : kept;
        location->lines = profile->line_count;
        location->line_count = kept;
        resolver->cut_count += kept < count;
        for (uint32_t at = 0; at < kept; at++) {
            uint32_t f = at + 1 < kept ? at : count - 1; // the outermost stays
            uint32_t *function = &functions[frames[f].function];
            if (*function == HT_NONE)
                *function = take_function(resolver, cache, frames[f].function);
            add_line(profile, *function, frames[f].line);
        }
        group->is_known[i] = true;
        group->known_count++;
    }
    free(functions);
}

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

// Sets the mapping's has_ flags if all of its locations have names now (and files, and lines).
static void set_flags(struct ht_profile *profile, uint32_t mapping, const uint32_t *locations, size_t count)
{
    bool functions = true, files = true, lines = true;
    for (size_t i = 0; i < count; i++) {
        const struct ht_location *location = &profile->locations[locations[i]];
        if (location->mapping != mapping)
            continue;
        functions = functions && location->line_count > 0;
        for (uint32_t l = 0; l < location->line_count; l++) {
            const struct ht_line *line = &profile->lines[location->lines + l];
            files = files && profile->functions[line->function].file != 0;
            lines = lines && line->line != 0;
        }
    }
    struct ht_profile_mapping *flags = &profile->mappings[mapping];
    flags->has_functions = flags->has_functions || functions;
    flags->has_filenames = flags->has_filenames || (functions && files);
    flags->has_line_numbers = flags->has_line_numbers || (functions && files && lines);
    flags->has_inline_frames = flags->has_inline_frames || (functions && files && lines);
}

// Whether all may profit from what was read of a file, or only its user (resolve/cache.h).
static char *cache_key_of(const struct resolver *resolver, bool is_trusted, const char *build_id)
{
    uid_t user = geteuid() == 0 ? resolver->profile->owner.uid : geteuid();
    return is_trusted ? ht_cache_key(build_id) : ht_cache_key_of(build_id, user);
}

// The rest of a group's addresses as the file has them, sorted. free() them.
static uint64_t *addresses_of(const struct resolver *resolver, const struct group *group, size_t *ret_count)
{
    const struct ht_profile *profile = resolver->profile;
    uint64_t *addresses = ht_realloc_array(NULL, group->count, sizeof *addresses);
    size_t count = 0;
    for (size_t i = 0; i < group->count; i++) {
        const struct ht_location *location = &profile->locations[group->locations[i]];
        const struct ht_profile_mapping *mapping = &profile->mappings[location->mapping];
        if (!group->is_known[i] &&
            ht_layout_address(&resolver->locator.module.layout, mapping->start, mapping->limit,
                              mapping->offset, location->address, &addresses[count]))
            count++;
    }
    if (count > 0)
        qsort(addresses, count, sizeof *addresses, compare_numbers);
    *ret_count = count;
    return addresses;
}

// Answers the rest of a group from the file that was found, in one pass.
static int ask_module(struct resolver *resolver, const char *name, struct group *group, bool *ret_has_dwarf)
{
    struct ht_locator *locator = &resolver->locator;
    const bool is_simple = resolver->options->demangle == HT_DEMANGLE_SIMPLE;
    struct ht_wishes wishes = ht_locator_wishes(locator);
    struct ht_reader_answers answers;
    size_t count;
    uint64_t *addresses = addresses_of(resolver, group, &count);
    int result = ht_reader_resolve(&resolver->reader, addresses, count, is_simple, &locator->module, &wishes,
                                   &answers);
    free(addresses);
    if (result != 0)
        return result;
    *ret_has_dwarf = answers.has_dwarf;
    ask_cache(resolver, &answers.cache, group);
    if (answers.lacks != NULL && !resolver->options->quiet)
        ht_warn("%s: names and lines are incomplete: its debug info in %s cannot be read", name,
                answers.lacks);
    bool is_kept = resolver->cache_folder != NULL && answers.has_dwarf && answers.is_complete && count > 0;
    char *key = is_kept ? cache_key_of(resolver, locator->places.is_trusted, locator->module.build_id) : NULL;
    if (key == NULL) {
        ht_reader_answers_free(&answers);
        return 0;
    }
    HT_RESERVE(resolver->harvests, resolver->harvest_capacity, resolver->harvest_count + 1);
    resolver->harvests[resolver->harvest_count++] = (struct harvest){key, answers};
    return 0;
}

// Opens the file of a group and answers from it.
static enum ht_resolve_state ask_file(struct resolver *resolver, const struct ht_wanted *wanted,
                                      struct group *group)
{
    bool quiet = resolver->options->quiet, has_dwarf = false;
    if (!resolver->may_read)
        return HT_RESOLVE_UNREADABLE;
    enum ht_located located = ht_locate(&resolver->locator, wanted);
    if (located == HT_LOCATED && ask_module(resolver, wanted->name, group, &has_dwarf) < 0)
        located = HT_LOCATED_UNREADABLE;
    switch (located) {
    case HT_LOCATED:
        return has_dwarf ? HT_RESOLVE_DEBUG : HT_RESOLVE_SYMBOLS;
    case HT_LOCATED_CHANGED:
        if (!quiet)
            ht_warn("%s; its names are left out", ht_error());
        return HT_RESOLVE_CHANGED;
    case HT_LOCATED_UNREADABLE:
        if (!quiet)
            ht_warn("%s: its names are left out: %s", wanted->name, ht_error());
        return HT_RESOLVE_UNREADABLE;
    case HT_LOCATED_MISSING:
        ht_buffer_text(&resolver->missing, resolver->missing_count++ > 0 ? ", " : "");
        ht_path_base(wanted->name, &resolver->missing);
        return HT_RESOLVE_MISSING;
    default:
        return HT_RESOLVE_NO_FILE;
    }
}

static void summarize(struct resolver *resolver, const struct group *group, enum ht_resolve_state state)
{
    struct ht_resolve_summary *summary = resolver->options->summary;
    const struct ht_profile *profile = resolver->profile;
    const struct ht_profile_mapping *mapping =
        &profile->mappings[profile->locations[group->locations[0]].mapping];
    struct ht_resolve_module module = {
        .file = mapping->file, .build_id = mapping->build_id, .state = state, .locations = group->count};
    if (summary == NULL)
        return;
    for (size_t i = 0; i < group->count; i++)
        module.named += profile->locations[group->locations[i]].line_count > 0;
    HT_RESERVE(summary->modules, summary->module_capacity, summary->module_count + 1);
    summary->modules[summary->module_count++] = module;
}

// All locations of one module: from the cache, then from its file.
static void resolve_group(struct resolver *resolver, const uint32_t *locations, size_t count)
{
    struct ht_profile *profile = resolver->profile;
    uint32_t mapping = profile->locations[locations[0]].mapping;
    const struct ht_profile_mapping *first = &profile->mappings[mapping];
    char build_id[HT_BUILD_ID_TEXT_BYTES];
    ht_elf_build_id_given(ht_profile_text(profile, first->build_id), build_id);
    struct ht_wanted wanted = {
        .name = ht_profile_text(profile, first->file),
        .build_id = build_id,
        .start = first->start,
        .limit = first->limit,
        .is_program = mapping == 0,
    };
    struct group group = {
        .locations = locations, .count = count, .is_known = ht_alloc_zero(count, sizeof *group.is_known)};
    for (int shared = 0; shared <= 1 && group.known_count < count; shared++) { // the user's own word first
        struct ht_cache cache;
        char *key = cache_key_of(resolver, shared, wanted.build_id);
        if (ht_cache_open(&cache, resolver->cache_folder, key, wanted.build_id) == 0)
            ask_cache(resolver, &cache, &group);
        ht_cache_close(&cache);
        free(key);
    }
    enum ht_resolve_state state = HT_RESOLVE_CACHED;
    if (group.known_count < count)
        state = ask_file(resolver, &wanted, &group);
    mapping = HT_NONE;
    for (size_t i = 0; i < count; i++)
        if (profile->locations[locations[i]].mapping != mapping) {
            mapping = profile->locations[locations[i]].mapping;
            set_flags(profile, mapping, locations, count);
        }
    summarize(resolver, &group, state);
    free(group.is_known);
}

static int compare_locations(const void *left, const void *right, void *context)
{
    const struct ht_profile *profile = context;
    const struct ht_location *a = &profile->locations[*(const uint32_t *)left];
    const struct ht_location *b = &profile->locations[*(const uint32_t *)right];
    const struct ht_profile_mapping *of_a = &profile->mappings[a->mapping],
                                    *of_b = &profile->mappings[b->mapping];
    if (of_a->file != of_b->file)
        return of_a->file < of_b->file ? -1 : 1;
    if (of_a->build_id != of_b->build_id)
        return of_a->build_id < of_b->build_id ? -1 : 1;
    if (a->mapping != b->mapping)
        return a->mapping < b->mapping ? -1 : 1;
    return a->address < b->address ? -1 : a->address > b->address;
}

static void resolve_modules(struct resolver *resolver)
{
    struct ht_profile *profile = resolver->profile;
    uint32_t *locations = ht_realloc_array(NULL, profile->location_count, sizeof *locations);
    size_t count = 0;
    for (size_t i = 0; i < profile->location_count; i++)
        if (profile->locations[i].line_count == 0 && profile->locations[i].mapping != HT_NONE)
            locations[count++] = (uint32_t)i;
    qsort_r(locations, count, sizeof *locations, compare_locations, profile);
    for (size_t i = 0; i < count;) {
        const struct ht_profile_mapping *mapping =
            &profile->mappings[profile->locations[locations[i]].mapping];
        size_t end = i + 1;
        while (end < count) {
            const struct ht_profile_mapping *other =
                &profile->mappings[profile->locations[locations[end]].mapping];
            if (other->file != mapping->file || other->build_id != mapping->build_id)
                break;
            end++;
        }
        resolve_group(resolver, locations + i, end - i);
        i = end;
    }
    free(locations);
}

static bool looks_like_cplusplus(const char *name)
{
    if (strstr(name, ".<") != NULL || strstr(name, "]).") != NULL) // Java, Go
        return false;
    return strpbrk(name, "<>[]") != NULL || strstr(name, "::") != NULL;
}

// `name`: what libiberty made of the symbol (free()d here), NULL: nothing.
static void name_function(struct ht_profile *profile, struct ht_function *function, enum ht_demangle mode,
                          char *name)
{
    const char *symbol = ht_profile_text(profile, function->system_name);
    if (name == NULL) {
        if (mode == HT_DEMANGLE_NONE || mode == HT_DEMANGLE_FULL || !looks_like_cplusplus(symbol)) {
            function->name = function->system_name;
            return;
        }
        name = ht_strdup(symbol); // never mangled; loses what the mode leaves out, as in pprof
        ht_demangle_remove_groups(name, '(', ')');
        if (mode == HT_DEMANGLE_SIMPLE)
            ht_demangle_remove_groups(name, '<', '>');
    }
    function->name = ht_profile_intern_text(profile, name);
    free(name);
}

// Names that are to be made readable; the mangled ones of them by the reader, for they are foreign.
static void demangle_all(struct resolver *resolver)
{
    struct ht_profile *profile = resolver->profile;
    const struct ht_resolve_options *options = resolver->options;
    uint32_t *functions = ht_realloc_array(NULL, profile->function_count, sizeof *functions);
    const char **symbols = ht_realloc_array(NULL, profile->function_count, sizeof *symbols);
    size_t count = 0;
    for (size_t i = 0; i < profile->function_count; i++) {
        struct ht_function *function = &profile->functions[i];
        const char *symbol = ht_profile_text(profile, function->system_name);
        bool is_raw = function->name == 0 || function->name == function->system_name;
        if (!is_raw && (!options->names_given || function->system_name == 0))
            continue;
        if (options->demangle != HT_DEMANGLE_NONE && ht_demangle_is_foreign(symbol)) {
            functions[count] = (uint32_t)i;
            symbols[count++] = symbol;
        } else {
            name_function(profile, function, options->demangle, ht_demangle(symbol, options->demangle));
        }
    }
    char **names = ht_alloc_zero(count, sizeof *names);
    if (count > 0 && resolver->may_read)
        ht_reader_demangle(&resolver->reader, symbols, count, options->demangle, names);
    for (size_t i = 0; i < count; i++)
        name_function(profile, &profile->functions[functions[i]], options->demangle, names[i]);
    free(names);
    free(symbols);
    free(functions);
}

static void save_harvests(struct resolver *resolver)
{
    for (size_t i = 0; i < resolver->harvest_count; i++) {
        struct harvest *harvest = &resolver->harvests[i];
        ht_cache_save(&harvest->answers.cache, resolver->cache_folder, harvest->key);
        ht_reader_answers_free(&harvest->answers);
        free(harvest->key);
    }
    free(resolver->harvests);
}

static int compare_jit(const void *left, const void *right)
{
    const struct ht_jit_query *a = left, *b = right;
    return a->address < b->address ? -1 : a->address > b->address;
}

// Code that is in no file and has no name yet. Its names are taken as they are: they are no C++.
static void resolve_jit(struct resolver *resolver)
{
    struct ht_profile *profile = resolver->profile;
    struct ht_jit_query *queries = NULL;
    size_t count = 0, capacity = 0, named = 0;
    for (size_t i = 0; i < profile->location_count; i++) {
        const struct ht_location *location = &profile->locations[i];
        const char *file = location->mapping != HT_NONE
                               ? ht_profile_text(profile, profile->mappings[location->mapping].file)
                               : "";
        if (location->line_count > 0 ||
            (file[0] == '/' && file[1] != '/' && strncmp(file, "/memfd:", 7) != 0))
            continue;
        HT_RESERVE(queries, capacity, count + 1);
        queries[count++] = (struct ht_jit_query){.address = location->address, .tag = (uint32_t)i};
    }
    if (count > 0) {
        qsort(queries, count, sizeof *queries, compare_jit);
        named = ht_jit_resolve(&resolver->locator.origin, profile->owner, resolver->options->root, queries,
                               count);
    }
    for (size_t i = 0; i < count && named > 0; i++) {
        if (queries[i].name == NULL)
            continue;
        struct ht_function function = {.system_name = ht_profile_intern_text(profile, queries[i].name)};
        function.name = function.system_name;
        struct ht_location *location = &profile->locations[queries[i].tag];
        location->lines = profile->line_count;
        location->line_count = 1;
        add_line(profile, add_function(resolver, function), 0);
        free(queries[i].name);
    }
    if (resolver->options->summary != NULL) {
        resolver->options->summary->jit_locations = count;
        resolver->options->summary->jit_named = named;
    }
    free(queries);
}

// Whether files can be looked at with no more than the owner's rights.
static bool can_take_rights(const struct resolver *resolver)
{
    struct ht_rights saved;
    if (ht_rights_take(resolver->profile->owner, &saved) < 0) {
        if (!resolver->options->quiet)
            ht_warn("no names: %s; try as that user", ht_error());
        return false;
    }
    ht_rights_return(&saved);
    return true;
}

void ht_resolve_profile(struct ht_profile *profile, const struct ht_resolve_options *options)
{
    static const struct ht_resolve_options defaults;
    struct resolver resolver = {.profile = profile, .options = options != NULL ? options : &defaults};
    options = resolver.options;
    resolver.reader.owner = profile->owner;
    resolver.locator = (struct ht_locator){.reader = &resolver.reader, .options = options};
    resolver.locator.origin = ht_origin_of(profile, options);
    resolver.locator.places = (struct ht_places){.owner = profile->owner,
                                                 .root = options->root,
                                                 .extra = options->debug_path,
                                                 .debuginfod = options->debuginfod};
    resolver.may_read = can_take_rights(&resolver);
    resolver.cache_folder = options->no_cache ? NULL : ht_cache_folder();
    ht_debuginfod_begin(options->debuginfod, options->debuginfod_timeout_ns);
    if (!options->names_only)
        resolve_modules(&resolver);
    ht_debuginfod_end();
    demangle_all(&resolver);
    ht_reader_end(&resolver.reader);
    ht_locator_clear(&resolver.locator);
    save_harvests(&resolver);
    if (!options->names_only)
        resolve_jit(&resolver);
    if (resolver.missing_count > 0 && !options->quiet)
        ht_warn("no names for %s: the file%s cannot be read here", resolver.missing.data,
                resolver.missing_count > 1 ? "s" : "");
    if (resolver.cut_count > 0)
        ht_warn("at %zu places more functions are inlined than are kept: %d each, %d in all",
                resolver.cut_count, HT_INLINE_LIMIT, HT_LINES_LIMIT);
    ht_buffer_free(&resolver.missing);
    ht_index_free(&resolver.function_index);
    free(resolver.cache_folder);
}
