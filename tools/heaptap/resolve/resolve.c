// Fills names into a profile: groups locations by module, asks each module once, and stores the answers.
#include "resolve/resolve.h"

#include "base/error.h"
#include "base/path.h"
#include "resolve/elf.h"

#include <link.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

struct resolver {
    struct ht_profile *profile;
    const struct ht_resolve_options *options;
    struct ht_index function_index;
    struct ht_buffer missing; // names of modules whose file is not there
    size_t missing_count;
};

// Mappings that are no files, and devices.
static bool is_file_name(const char *name)
{
    static const char *const others[] = {"[", "linux-vdso", "//anon", "/memfd:", "/dev/", "anon_inode:"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strncmp(name, others[i], strlen(others[i])) == 0)
            return false;
    return name[0] != '\0';
}

// The kernel's vdso as this very process has it, as a file; -1 if there is none.
static int open_vdso(void)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);
    if (header == NULL)
        return -1;
    size_t size = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
    int fd = memfd_create("vdso", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, header, size) != (ssize_t)size) {
        close(fd);
        fd = -1;
    }
    return fd;
}

// A file that claims to be the one with this build id ("" in the profile: nothing to compare).
static int open_checked(struct ht_elf *module, const char *path, int fd, const char *build_id,
                        const char *debug_path)
{
    if (ht_elf_open(module, path, fd, debug_path) < 0)
        return -1;
    if (build_id[0] == '\0' || strcmp(build_id, module->build_id) == 0)
        return 0;
    ht_fail("is not the file that was profiled (build id %.16s..., the profile has %.16s...)",
            module->build_id[0] != '\0' ? module->build_id : "none", build_id);
    ht_elf_close(module);
    return 1;
}

// Debug information kept by build id, for a program that is no longer there.
static int open_by_build_id(struct ht_elf *module, const char *build_id, const char *debug_path)
{
    const char *folders = debug_path != NULL ? debug_path : "/usr/lib/debug";
    int result = -1;
    while (result != 0 && *folders != '\0' && strlen(build_id) > 2) {
        size_t length = strcspn(folders, ":");
        char *path = ht_format("%.*s/.build-id/%.2s/%s.debug", (int)length, folders, build_id, build_id + 2);
        if (access(path, R_OK) == 0)
            result = open_checked(module, path, -1, build_id, debug_path);
        free(path);
        folders += length;
        folders += *folders == ':';
    }
    return result;
}

// Opens the file of a mapping and makes sure that it is the one that ran.
static int open_module(struct resolver *resolver, const struct ht_profile_mapping *mapping,
                       struct ht_elf *module)
{
    const struct ht_resolve_options *options = resolver->options;
    const char *name = ht_profile_text(resolver->profile, mapping->file);
    const char *build_id = ht_profile_text(resolver->profile, mapping->build_id);
    if (strcmp(name, "[vdso]") == 0) {
        int fd = build_id[0] != '\0' ? open_vdso() : -1; // without a build id it could be any kernel's
        return fd >= 0 && open_checked(module, name, fd, build_id, NULL) == 0 ? 0 : -1;
    }
    if (!is_file_name(name))
        return -1;
    char *path = ht_format("%s%s", options->root != NULL ? options->root : "", name);
    int result = open_checked(module, path, -1, build_id, options->debug_path);
    bool is_changed = result > 0;
    char *reason = ht_strdup(ht_error());
    if (result != 0)
        result = open_by_build_id(module, build_id, options->debug_path);
    if (result != 0 && is_changed && !options->quiet)
        ht_warn("%s %s; its names are left out", path, reason);
    if (result != 0 && !is_changed) {
        ht_buffer_text(&resolver->missing, resolver->missing_count++ > 0 ? ", " : "");
        ht_path_base(name, &resolver->missing);
    }
    free(reason);
    free(path);
    return result == 0 ? 0 : -1;
}

static uint32_t intern_function(struct resolver *resolver, const struct ht_frame *frame)
{
    struct ht_profile *profile = resolver->profile;
    struct ht_function function = {.start_line = frame->start_line};
    function.system_name =
        ht_profile_intern(profile, frame->symbol, strcspn(frame->symbol, "@")); // foo@@GLIBC_2.2
    function.name = function.system_name; // demangled later, with all others
    function.file = frame->file != NULL ? ht_profile_intern_text(profile, frame->file) : 0;
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

static void store_answer(struct resolver *resolver, const struct ht_elf *module, const struct ht_query *query)
{
    struct ht_profile *profile = resolver->profile;
    struct ht_location *location = &profile->locations[query->tag];
    uint64_t first = profile->line_count;
    for (uint32_t i = 0; i < query->frame_count; i++) {
        struct ht_frame frame = module->frames[query->first_frame + i];
        if (frame.symbol == NULL)
            frame.symbol = "??";
        uint32_t function = intern_function(resolver, &frame);
        HT_RESERVE(profile->lines, profile->line_capacity, profile->line_count + 1);
        profile->lines[profile->line_count++] = (struct ht_line){.function = function, .line = frame.line};
    }
    location->lines = first;
    location->line_count = query->frame_count;
}

static int compare_queries(const void *left, const void *right)
{
    const struct ht_query *a = left, *b = right;
    return a->address < b->address ? -1 : a->address > b->address;
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

// All locations of one file (they are sorted by file), in one pass.
static void resolve_group(struct resolver *resolver, const uint32_t *locations, size_t count)
{
    struct ht_profile *profile = resolver->profile;
    struct ht_elf module;
    const struct ht_profile_mapping *first = &profile->mappings[profile->locations[locations[0]].mapping];
    if (open_module(resolver, first, &module) < 0)
        return;
    struct ht_query *queries = ht_alloc_zero(count, sizeof *queries);
    size_t query_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ht_location *location = &profile->locations[locations[i]];
        const struct ht_profile_mapping *mapping = &profile->mappings[location->mapping];
        uint64_t address;
        if (ht_elf_address(&module, mapping->start, mapping->limit, mapping->offset, location->address,
                           &address))
            queries[query_count++] = (struct ht_query){.address = address, .tag = locations[i]};
    }
    qsort(queries, query_count, sizeof *queries, compare_queries);
    ht_elf_resolve(&module, queries, query_count);
    for (size_t i = 0; i < query_count; i++)
        if (queries[i].frame_count > 0)
            store_answer(resolver, &module, &queries[i]);
    uint32_t mapping = HT_NONE;
    for (size_t i = 0; i < count; i++)
        if (profile->locations[locations[i]].mapping != mapping) {
            mapping = profile->locations[locations[i]].mapping;
            set_flags(profile, mapping, locations, count);
        }
    free(queries);
    ht_elf_close(&module);
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

// Names that look like readable C++ and were never mangled lose what the mode leaves out, as in pprof:
// balanced groups of the given brackets. Unbalanced names stay whole.
static void remove_groups(char *name, char open, char close)
{
    char *copy = ht_strdup(name), *to = name;
    int depth = 0;
    for (const char *at = copy; *at != '\0'; at++) {
        if (*at == open)
            depth++;
        if (depth == 0)
            *to++ = *at;
        if (*at == close && --depth < 0)
            break;
    }
    *to = '\0';
    if (depth != 0)
        strcpy(name, copy);
    free(copy);
}

static bool looks_like_cplusplus(const char *name)
{
    if (strstr(name, ".<") != NULL || strstr(name, "]).") != NULL) // Java, Go
        return false;
    return strpbrk(name, "<>[]") != NULL || strstr(name, "::") != NULL;
}

static void demangle_function(struct ht_profile *profile, struct ht_function *function, enum ht_demangle mode)
{
    const char *symbol = ht_profile_text(profile, function->system_name);
    char *name = ht_demangle(symbol, mode);
    if (name == NULL) {
        if (mode == HT_DEMANGLE_NONE || mode == HT_DEMANGLE_FULL || !looks_like_cplusplus(symbol)) {
            function->name = function->system_name;
            return;
        }
        name = ht_strdup(symbol);
        remove_groups(name, '(', ')');
        if (mode == HT_DEMANGLE_SIMPLE)
            remove_groups(name, '<', '>');
    }
    function->name = ht_profile_intern_text(profile, name);
    free(name);
}

static void demangle_all(struct ht_profile *profile, const struct ht_resolve_options *options)
{
    for (size_t i = 0; i < profile->function_count; i++) {
        struct ht_function *function = &profile->functions[i];
        bool is_raw = function->name == 0 || function->name == function->system_name;
        if (is_raw || (options->names_given && function->system_name != 0))
            demangle_function(profile, function, options->demangle);
    }
}

// libdwfl asks debuginfod servers whenever this variable is set; names never come over the network unasked.
static char *hide_debuginfod(void)
{
    const char *urls = getenv("DEBUGINFOD_URLS");
    char *saved = urls != NULL ? ht_strdup(urls) : NULL;
    unsetenv("DEBUGINFOD_URLS");
    return saved;
}

void ht_resolve_profile(struct ht_profile *profile, const struct ht_resolve_options *options)
{
    static const struct ht_resolve_options defaults;
    struct resolver resolver = {.profile = profile, .options = options != NULL ? options : &defaults};
    char *debuginfod = hide_debuginfod();
    resolve_modules(&resolver);
    demangle_all(profile, resolver.options);
    if (debuginfod != NULL)
        setenv("DEBUGINFOD_URLS", debuginfod, 1);
    free(debuginfod);
    if (resolver.missing_count > 0 && !resolver.options->quiet)
        ht_warn("no names for %s: the file%s cannot be read here", resolver.missing.data,
                resolver.missing_count > 1 ? "s" : "");
    ht_buffer_free(&resolver.missing);
    ht_index_free(&resolver.function_index);
}
