// The maps at the end of an older profile.
//
// As /proc/PID/maps has them, or in short: "START-END: FILE (@OFFSET) BUILDID", where $KEY stands for the
// value of a line KEY=VALUE above it.
#include "profile/legacy/reader.h"

#include "base/error.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>

enum { MAPPINGS_LIMIT = 1 << 16, VARIABLES_LIMIT = 64, EXPANDED_LIMIT_BYTES = 1 << 16, WORDS = 8 };

struct variable {
    char *name, *value; // the name with its '$'
};

struct maps {
    struct ht_legacy *legacy;
    struct variable variables[VARIABLES_LIMIT];
    size_t variable_count;
    struct ht_buffer text; // the line with its variables replaced
};

struct word {
    const char *at;
    size_t length;
};

static bool all_of(struct word word, const char *set)
{
    return word.length > 0 && strspn(word.at, set) >= word.length;
}

#define HEX "0123456789abcdefABCDEF"

static bool take_hex(const char **at, uint64_t *ret_number)
{
    const char *text = *at;
    if (text[0] == '0' && text[1] == 'x')
        text += 2;
    size_t digits = strspn(text, HEX);
    if (digits == 0 || digits > 16)
        return false;
    *ret_number = strtoull(text, NULL, 16);
    *at = text + digits;
    return true;
}

static bool is_device(struct word word)
{
    const char *colon = memchr(word.at, ':', word.length);
    if (colon == NULL)
        return false;
    struct word before = {word.at, (size_t)(colon - word.at)},
                after = {colon + 1, word.length - before.length - 1};
    return all_of(before, HEX) && all_of(after, HEX);
}

static uint64_t hex_of(struct word word)
{
    uint64_t number = 0;
    take_hex(&word.at, &number);
    return number;
}

static size_t split(const char *text, struct word *words)
{
    size_t count = 0;
    for (; count < WORDS; count++) {
        text += strspn(text, " \t");
        if (*text == '\0')
            break;
        words[count] = (struct word){text, strcspn(text, " \t")};
        text += words[count].length;
    }
    return count;
}

// What stands behind a range; the words are those behind its rights.
static void take_words(struct ht_profile *profile, const struct word *words, size_t count,
                       struct ht_profile_mapping *mapping)
{
    static const struct word none = {"", 0};
    size_t offset = count >= 3 && all_of(words[0], HEX) && is_device(words[1]) ? 1 : 0;
    struct word file = none, build_id = none;
    if (count >= offset + 2 && is_device(words[offset]) && all_of(words[offset + 1], "0123456789")) {
        mapping->offset = offset > 0 ? hex_of(words[0]) : 0;
        file = count > offset + 2 ? words[offset + 2] : none;
    } else {
        size_t at = 0;
        if (at < count && words[at].at[0] != '(')
            file = words[at++];
        if (at < count && strncmp(words[at].at, "(@", 2) == 0) {
            struct word number = {words[at].at + 2, words[at].length - 2};
            mapping->offset = hex_of(number);
            at++;
        }
        if (at < count && all_of(words[at], HEX))
            build_id = words[at];
    }
    mapping->file = ht_profile_intern(profile, file.at, file.length);
    mapping->build_id = ht_profile_intern(profile, build_id.at, build_id.length);
}

// False: the line is none of a mapping.
static bool take_mapping(struct ht_profile *profile, const char *line)
{
    struct ht_profile_mapping mapping = {0};
    struct word words[WORDS];
    const char *at = line + strspn(line, " \t");
    if (!take_hex(&at, &mapping.start) || (*at != '-' && !isspace((unsigned char)*at)))
        return false;
    at += 1 + strspn(at + 1, " \t");
    if (!take_hex(&at, &mapping.limit))
        return false;
    at += *at == ':';
    if (*at != '\0' && !isspace((unsigned char)*at))
        return false;
    size_t count = split(at, words), rights = count > 0 && all_of(words[0], "-rwxps");
    if (rights > 0 && memchr(words[0].at, 'x', words[0].length) == NULL)
        return true; // holds no code
    take_words(profile, words + rights, count - rights, &mapping);
    ht_profile_add_mapping(profile, &mapping);
    return true;
}

// Some logs put "FILE:LINE] " in front of every line.
static const char *behind_log(const char *line)
{
    size_t length = strcspn(line, "[]"), digits = 0;
    while (digits < length && isdigit((unsigned char)line[length - 1 - digits]))
        digits++;
    bool log = line[length] == ']' && digits > 0 && length > digits + 1 && line[length - 1 - digits] == ':';
    return log && isspace((unsigned char)line[length + 1]) ? line + length + 2 : line;
}

static const char *replace_variables(struct maps *maps, const char *line)
{
    if (maps->variable_count == 0 || strchr(line, '$') == NULL)
        return line;
    maps->text.length = 0;
    while (*line != '\0' && maps->text.length < EXPANDED_LIMIT_BYTES) {
        const struct variable *found = NULL;
        for (size_t i = 0; i < maps->variable_count && found == NULL && *line == '$'; i++)
            if (ht_text_starts_with(line, maps->variables[i].name))
                found = &maps->variables[i];
        if (found != NULL) {
            ht_buffer_text(&maps->text, found->value);
            line += strlen(found->name);
        } else {
            ht_buffer_byte(&maps->text, *line++);
        }
    }
    return maps->text.data;
}

static void take_variable(struct maps *maps, const char *line)
{
    const char *equals = strchr(line, '=');
    line += strspn(line, " \t");
    if (equals == NULL || maps->variable_count == VARIABLES_LIMIT || equals <= line)
        return;
    size_t length = (size_t)(equals - line);
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    maps->variables[maps->variable_count++] = (struct variable){
        ht_format("$%.*s", (int)length, line), ht_format("%s", equals + 1 + strspn(equals + 1, " \t"))};
}

static int read_maps(struct ht_legacy *legacy)
{
    struct maps maps = {.legacy = legacy};
    int more;
    while ((more = ht_legacy_next(legacy)) > 0) {
        const char *line = replace_variables(&maps, behind_log(legacy->line));
        if (!take_mapping(legacy->profile, line))
            take_variable(&maps, line);
        if (legacy->profile->mapping_count > MAPPINGS_LIMIT)
            more = ht_legacy_malformed(legacy, "more mappings than a process has");
        if (more < 0)
            break;
    }
    for (size_t i = 0; i < maps.variable_count; i++) {
        free(maps.variables[i].name);
        free(maps.variables[i].value);
    }
    ht_buffer_free(&maps.text);
    return more;
}

int ht_legacy_finish(struct ht_legacy *legacy, bool in_maps)
{
    int more = 1;
    while (!in_maps && (more = ht_legacy_next(legacy)) > 0)
        in_maps = ht_legacy_is_maps_head(legacy);
    if (more < 0 || (in_maps && read_maps(legacy) < 0) || ht_legacy_check_memory(legacy) < 0)
        return -1;
    ht_legacy_assign(legacy);
    return 0;
}
