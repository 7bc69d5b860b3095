// The heap and contention profiles of Java agents: samples, then the names of their locations.
//
//     BYTES OBJECTS @ 0xID ...             0xID CLASS.METHOD (FILE:LINE)
#include "profile/legacy/reader.h"

#include "base/error.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>

enum { HEAP_RATE_BYTES = 512 << 10 };

static int add_sample(struct ht_legacy *legacy, enum ht_legacy_java kind, int64_t space, int64_t count)
{
    int64_t values[2] = {count, space}, period = legacy->profile->period;
    if (kind == HT_JAVA_HEAP) {
        if (count == 0)
            return ht_legacy_malformed(legacy, "bytes of no object");
        int64_t block_bytes = count == -1 ? ht_wrap_abs(space) : space / count;
        ht_legacy_unsample(&values[0], &values[1], HEAP_RATE_BYTES);
        ht_legacy_add_sample(legacy, values, block_bytes);
        return 0;
    }
    for (int i = 0; i < 2 && period != 0; i++)
        values[i] = (int64_t)((uint64_t)values[i] * (uint64_t)period);
    ht_legacy_add_sample(legacy, values, 0);
    return 0;
}

int ht_legacy_java_samples(struct ht_legacy *legacy, enum ht_legacy_java kind)
{
    int more = 1;
    do {
        int64_t figures[2]; // bytes or delay, count
        const char *at = legacy->line;
        if (*at == '\0')
            continue;
        if (!ht_legacy_scan(&at, "#~#~@", figures))
            return 1;
        if (ht_legacy_push_text(legacy, at, true, HT_CALLS_NONE) < 0 ||
            add_sample(legacy, kind, figures[0], figures[1]) < 0)
            return -1;
    } while ((more = ht_legacy_next(legacy)) > 0);
    return more;
}

// The last " (" before `end`, with something between it and `end`; NULL: there is none.
static const char *find_open(const char *text, const char *end)
{
    for (const char *at = end - 2; at > text; at--)
        if (*at == '(' && isspace((unsigned char)at[-1]))
            return at;
    return NULL;
}

struct java_name {
    const char *function, *file;
    size_t function_length, file_length;
    int64_t line;
};

// "FUNCTION (FILE:LINE)": the number behind the last colon.
static bool split_line(const char *text, const char *close, struct java_name *name)
{
    const char *digits = close;
    while (digits > text && isdigit((unsigned char)digits[-1]))
        digits--;
    const char *colon = digits > text && digits[-1] == '-' ? digits - 2 : digits - 1;
    const char *open = digits < close && colon > text && *colon == ':' ? find_open(text, colon) : NULL;
    if (open == NULL)
        return false;
    int64_t line;
    name->file = open + 1;
    name->file_length = (size_t)(colon - name->file);
    name->function_length = (size_t)(open - 1 - text);
    if (digits[-1] == ':' && ht_legacy_scan(&digits, "#", &line))
        name->line = line;
    return true;
}

static struct java_name split_name(const char *text)
{
    struct java_name name = {.function = text, .function_length = strlen(text), .file = ""};
    const char *close = text + name.function_length - 1;
    if (name.function_length > 0 && *close == ')') {
        if (split_line(text, close, &name))
            return name;
        const char *open = find_open(text, close + 1);
        if (open != NULL) { // the path of a library: its name is enough
            name.file = open + 1;
            for (const char *at = name.file; at < close; at++)
                if (*at == '/')
                    name.file = at + 1;
            name.file_length = (size_t)(close - name.file);
            name.function_length = (size_t)(open - 1 - text);
            return name;
        }
    }
    if (strstr(text, "generated stub/JIT") != NULL) {
        name.function = "STUB";
        name.function_length = 4;
    }
    return name; // states of the virtual machine, such as GC
}

// The line "0xID NAME" of a location that a sample has.
static void name_location(struct ht_legacy *legacy)
{
    char *end;
    if (!ht_text_starts_with(legacy->line, "0x") || !isxdigit((unsigned char)legacy->line[2]))
        return;
    uint64_t address = strtoull(legacy->line, &end, 16);
    if (!isspace((unsigned char)*end))
        return;
    size_t known = legacy->profile->location_count;
    uint32_t at = ht_legacy_location(legacy, address);
    struct ht_location *location = &legacy->profile->locations[at];
    if (at >= known || location->line_count > 0)
        return;
    struct java_name name = split_name(end + strspn(end, " \t"));
    char *file = ht_format("%.*s", (int)name.file_length, name.file);
    uint32_t function = ht_legacy_function(legacy, name.function, name.function_length, file);
    ht_legacy_name(legacy, location, function, name.line > 0 ? name.line : 0);
    free(file);
}

int ht_legacy_java_locations(struct ht_legacy *legacy)
{
    struct ht_profile *profile = legacy->profile;
    int more = 1;
    do
        name_location(legacy);
    while ((more = ht_legacy_next(legacy)) > 0);
    if (more < 0)
        return -1;
    // The numbers are not addresses. Those without a name are of a mapping that knows nothing.
    for (size_t i = 0; i < profile->location_count; i++)
        if (profile->locations[i].line_count > 0)
            profile->locations[i].address = 0;
    ht_legacy_assign(legacy);
    for (size_t i = 0; i < profile->location_count; i++)
        profile->locations[i].address = 0;
    return 0;
}

int ht_legacy_java_heap(struct ht_legacy *legacy)
{
    const char *key, *value;
    struct ht_profile *profile = legacy->profile;
    int more = ht_legacy_next(legacy);
    legacy->what = "Java heap profile";
    while (more > 0 && (more = ht_legacy_next(legacy)) > 0) {
        if (*legacy->line == '\0')
            continue;
        if (!ht_legacy_attribute(legacy, &key, &value))
            break;
        if (strcmp(key, "resolution") == 0 && profile->sample_type_count == 0) {
            ht_profile_add_sample_type(profile, "inuse_objects", "count");
            ht_profile_add_sample_type(profile, "inuse_space", value);
        } else if (strcmp(key, "format") != 0 || strcmp(value, "java") != 0) {
            return ht_legacy_malformed(legacy, "not an attribute of such a profile");
        }
    }
    if (more < 0)
        return -1;
    if (profile->sample_type_count == 0)
        return ht_legacy_malformed(legacy, "no resolution before the samples");
    ht_legacy_drop_allocators(profile, false);
    return ht_legacy_java_samples(legacy, HT_JAVA_HEAP) < 0 ? -1 : ht_legacy_java_locations(legacy);
}
