// Reads LeakSanitizer's suppressions, and takes what they name out of a profile.
#include "profile/suppress.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 16 << 20, MAX_PATTERN_BYTES = 4096 };

static bool is_prefix_word(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!islower((unsigned char)line[i]) && line[i] != '_')
            return false;
    return length > 0;
}

// One line, without blanks around it.
static int parse_line(struct ht_suppressions *list, const char *line, size_t length, size_t number)
{
    static const char leak[] = "leak:";
    const size_t prefix = sizeof leak - 1;
    if (length == 0 || line[0] == '#')
        return 0;
    const char *colon = memchr(line, ':', length);
    if (memchr(line, '\0', length) != NULL)
        return ht_fail("line %zu is no text", number);
    if (colon == NULL || !is_prefix_word(line, (size_t)(colon - line)))
        return ht_fail("line %zu, '%.*s', is no suppression; write leak:PATTERN", number,
                       (int)(length < 60 ? length : 60), line);
    if (length < prefix || memcmp(line, leak, prefix) != 0) {
        ht_warn("suppressions, line %zu: '%.*s' is not about leaks and is left out", number,
                (int)(length < 60 ? length : 60), line);
        return 0;
    }
    if (length == prefix || length - prefix > MAX_PATTERN_BYTES)
        return ht_fail("line %zu: the pattern of 'leak:' is %s", number,
                       length == prefix ? "missing" : "too long");
    HT_RESERVE(list->items, list->capacity, list->count + 1);
    list->items[list->count++] =
        (struct ht_suppression){ht_format("%.*s", (int)(length - prefix), line + prefix), number};
    return 0;
}

int ht_suppressions_parse(struct ht_suppressions *list, const char *text, size_t length)
{
    const char *end = text + length;
    for (size_t number = 1; text < end; number++) {
        const char *feed = memchr(text, '\n', (size_t)(end - text));
        const char *line = text, *line_end = feed != NULL ? feed : end;
        text = feed != NULL ? feed + 1 : end;
        while (line < line_end && isspace((unsigned char)*line))
            line++;
        while (line_end > line && isspace((unsigned char)line_end[-1]))
            line_end--;
        if (parse_line(list, line, (size_t)(line_end - line), number) < 0)
            return -1;
    }
    return 0;
}

int ht_suppressions_read(struct ht_suppressions *list, const char *path)
{
    struct ht_buffer text = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return ht_fail_errno("%s", path);
    ssize_t got;
    do {
        HT_RESERVE(text.data, text.capacity, text.length + 65536);
        got = read(fd, text.data + text.length, text.capacity - text.length);
        text.length += got > 0 ? (size_t)got : 0;
    } while ((got > 0 && text.length <= MAX_FILE_BYTES) || (got < 0 && errno == EINTR));
    int result = got < 0 ? ht_fail_errno("%s", path) : 0;
    close(fd);
    if (result == 0 && text.length > MAX_FILE_BYTES)
        result = ht_fail("%s: is larger than 16 MB: these are no suppressions", path);
    if (result == 0 && ht_suppressions_parse(list, text.data, text.length) < 0)
        result = ht_fail("%s: %s", path, ht_error());
    ht_buffer_free(&text);
    return result;
}

void ht_suppressions_free(struct ht_suppressions *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].pattern);
    free(list->items);
    *list = (struct ht_suppressions){0};
}

// Whether what is left of the pattern, which begins with no '*', fits at the beginning of `text`: with each
// '*' the next place after it where the part between two stars fits is the best one, so nothing is tried
// twice.
static bool fits(const char *pattern, const char *text, bool anywhere)
{
    const char *again = NULL, *again_text = NULL; // where to go on when a part does not fit
    if (anywhere)
        again = pattern, again_text = text;
    for (;;) {
        while (*pattern == '*') {
            again = ++pattern;
            again_text = text;
        }
        if (*pattern == '\0' || (*pattern == '$' && pattern[1] == '\0' && *text == '\0'))
            return true;
        bool is_end = *pattern == '$' && pattern[1] == '\0';
        if (*text != '\0' && !is_end && *pattern == *text) {
            pattern++;
            text++;
        } else {
            if (again == NULL || *again_text == '\0')
                return false;
            pattern = again;
            text = ++again_text;
        }
    }
}

bool ht_suppression_matches(const char *pattern, const char *text)
{
    if (text[0] == '\0')
        return false;
    return pattern[0] == '^' ? fits(pattern + 1, text, false) : fits(pattern, text, true);
}

struct matcher {
    const struct ht_suppressions *list;
    const struct ht_profile *profile;
    uint8_t *known; // by string: 0 not asked yet, 1 no, 2 yes
};

static bool match_string(struct matcher *matcher, uint32_t string)
{
    uint8_t *known = &matcher->known[string];
    for (size_t i = 0; *known == 0 && i < matcher->list->count; i++)
        if (ht_suppression_matches(matcher->list->items[i].pattern,
                                   ht_profile_text(matcher->profile, string)))
            *known = 2;
    if (*known == 0)
        *known = 1;
    return *known == 2;
}

static bool match_location(struct matcher *matcher, const struct ht_location *location)
{
    const struct ht_profile *profile = matcher->profile;
    for (uint32_t i = 0; i < location->line_count; i++) {
        const struct ht_function *function =
            &profile->functions[profile->lines[location->lines + i].function];
        if (match_string(matcher, function->name) || match_string(matcher, function->system_name) ||
            match_string(matcher, function->file))
            return true;
    }
    return location->mapping != HT_NONE && match_string(matcher, profile->mappings[location->mapping].file);
}

void ht_suppressions_apply(const struct ht_suppressions *list, struct ht_profile *profile)
{
    if (list->count == 0)
        return;
    struct matcher matcher = {list, profile, ht_alloc_zero(profile->string_count, 1)};
    bool *matched = ht_alloc_zero(profile->location_count + 1, sizeof *matched);
    bool *keep = ht_alloc_zero(profile->sample_count + 1, sizeof *keep);
    for (size_t i = 0; i < profile->location_count; i++)
        matched[i] = match_location(&matcher, &profile->locations[i]);
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        keep[i] = true;
        for (uint32_t j = 0; j < sample->frame_count && keep[i]; j++)
            keep[i] = !matched[profile->frames[sample->frames + j]];
    }
    ht_profile_keep_samples(profile, keep);
    free(keep);
    free(matched);
    free(matcher.known);
}
