// Reads a server's answer to /debug/pprof/symbol.
#include "input/server_names.h"

#include <errno.h>
#include <stdlib.h>

struct name {
    uint64_t address;
    char *text; // in the answer
};

static int compare_names(const void *left, const void *right)
{
    const struct name *a = left, *b = right;
    return a->address < b->address ? -1 : a->address > b->address;
}

// Lines "0xADDRESS NAME"; the others (num_symbols) are none of ours. free() the array.
static struct name *parse_names(char *text, size_t *ret_count)
{
    struct name *names = NULL;
    size_t count = 0, capacity = 0;
    for (char *line = text, *next; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        char *end;
        errno = 0;
        uint64_t address = strncmp(line, "0x", 2) == 0 ? strtoull(line, &end, 16) : 0;
        if (address == 0 || errno != 0 || (*end != ' ' && *end != '\t'))
            continue;
        end += strspn(end, " \t");
        end[strcspn(end, "\r")] = '\0';
        if (*end == '\0')
            continue;
        HT_RESERVE(names, capacity, count + 1);
        names[count++] = (struct name){address, end};
    }
    if (names != NULL)
        qsort(names, count, sizeof *names, compare_names);
    *ret_count = count;
    return names;
}

// The function of this name, one for each name.
static uint32_t function_of(struct ht_profile *profile, struct ht_index *index, const char *text)
{
    uint64_t hash = ht_hash_bytes(text, strlen(text));
    uint32_t found;
    for (size_t cursor = 0; (found = ht_index_next(index, hash, &cursor)) != HT_NONE;)
        if (strcmp(ht_profile_text(profile, profile->functions[found].name), text) == 0)
            return found;
    found = ht_profile_add_function(profile, text, text, "", 0);
    ht_index_add(index, hash, found);
    return found;
}

static void use_names(struct ht_profile *profile, const struct name *names, size_t count)
{
    struct ht_index index = {0};
    for (size_t i = 0; i < profile->location_count; i++) {
        struct ht_location *location = &profile->locations[i];
        struct name wanted = {.address = location->address};
        if (location->line_count > 0 || count == 0)
            continue;
        const struct name *name = bsearch(&wanted, names, count, sizeof *names, compare_names);
        if (name == NULL)
            continue;
        uint32_t function = function_of(profile, &index, name->text);
        HT_RESERVE(profile->lines, profile->line_capacity, profile->line_count + 1);
        location->lines = profile->line_count;
        location->line_count = 1;
        profile->lines[profile->line_count++] = (struct ht_line){.function = function};
    }
    ht_index_free(&index);
}

void ht_server_names_use(struct ht_profile *profile, char *text)
{
    size_t count;
    struct name *names = parse_names(text, &count);
    use_names(profile, names, count);
    free(names);
}
