// Lines, numbers and stacks of the older forms of a profile.
#include "profile/legacy/reader.h"

#include "base/error.h"
#include "base/text.h"
#include "profile/decode.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

enum { LINE_LIMIT_BYTES = 1 << 20, CHECK_LINES = 256, LONG_LINE_BYTES = 4096 };

int ht_legacy_malformed(const struct ht_legacy *legacy, const char *reason)
{
    return ht_fail("malformed %s: line %zu: %s", legacy->what, legacy->line_number, reason);
}

int ht_legacy_check_memory(const struct ht_legacy *legacy)
{
    uint64_t more =
        (legacy->by_address.slot_count + legacy->by_name.slot_count) * sizeof(struct ht_index_slot) +
        legacy->stack_capacity * sizeof *legacy->stack + legacy->symbol_capacity * sizeof *legacy->symbols;
    return ht_decode_check_memory(legacy->profile, more, legacy->memory_limit);
}

// The length of the line that begins at the window's start; *ret_whole is that with its end.
static int find_end(struct ht_legacy *legacy, size_t *ret_length, size_t *ret_whole)
{
    struct ht_bytes *bytes = legacy->bytes;
    for (size_t seen = 0;;) {
        size_t unread = ht_bytes_unread(bytes);
        const uint8_t *start = bytes->window + bytes->start;
        const uint8_t *end = unread > seen ? memchr(start + seen, '\n', unread - seen) : NULL;
        *ret_length = end != NULL ? (size_t)(end - start) : unread;
        *ret_whole = *ret_length + (end != NULL);
        if (*ret_length > LINE_LIMIT_BYTES)
            return ht_legacy_malformed(legacy, "too long");
        if (end != NULL)
            return 0;
        seen = unread;
        if (ht_bytes_want(bytes, unread + 1) < 0)
            return -1;
        if (ht_bytes_unread(bytes) == unread)
            return 0;
    }
}

int ht_legacy_next(struct ht_legacy *legacy)
{
    size_t length, whole;
    legacy->line_number++;
    legacy->line = "";
    if (find_end(legacy, &length, &whole) < 0)
        return -1;
    if (whole == 0)
        return 0;
    legacy->text.length = 0;
    ht_buffer_add(&legacy->text, legacy->bytes->window + legacy->bytes->start, length);
    ht_buffer_byte(&legacy->text, '\0');
    legacy->bytes->start += whole;
    char *end = legacy->text.data + strlen(legacy->text.data);
    while (end > legacy->text.data && isspace((unsigned char)end[-1]))
        *--end = '\0';
    legacy->line = legacy->text.data;
    while (isspace((unsigned char)*legacy->line))
        legacy->line++;
    if ((legacy->line_number % CHECK_LINES == 0 || length > LONG_LINE_BYTES) &&
        ht_legacy_check_memory(legacy) < 0)
        return -1;
    return 1;
}

bool ht_legacy_is_comment(const struct ht_legacy *legacy)
{
    return *legacy->line == '\0' || *legacy->line == '#';
}

bool ht_legacy_is_maps_head(const struct ht_legacy *legacy)
{
    return strstr(legacy->line, "--- Memory map: ---") != NULL ||
           strstr(legacy->line, "MAPPED_LIBRARIES:") != NULL;
}

static bool scan_number(const char **at, int64_t *ret_number)
{
    const char *digit = *at + (**at == '-');
    if (!isdigit((unsigned char)*digit))
        return false;
    errno = 0;
    char *end;
    long long number = strtoll(*at, &end, 10);
    *at = end;
    *ret_number = number;
    return errno == 0;
}

bool ht_legacy_scan(const char **at, const char *pattern, int64_t *ret_numbers)
{
    const char *text = *at;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '#') {
            if (!scan_number(&text, ret_numbers++))
                return false;
        } else if (*pattern == ' ' || *pattern == '~') {
            size_t blanks = strspn(text, " \t");
            if (blanks == 0 && *pattern == '~')
                return false;
            text += blanks;
        } else if (*text++ != *pattern) {
            return false;
        }
    }
    *at = text;
    return true;
}

bool ht_legacy_attribute(struct ht_legacy *legacy, const char **ret_key, const char **ret_value)
{
    char *key = legacy->text.data + (legacy->line - legacy->text.data);
    char *equals = strchr(key, '=');
    if (equals == NULL)
        return false;
    *ret_key = key;
    *ret_value = equals + 1 + strspn(equals + 1, " \t");
    *equals = '\0';
    while (equals > key && isspace((unsigned char)equals[-1]))
        *--equals = '\0';
    return true;
}

bool ht_legacy_integer(const char *text, int64_t *ret_number)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0')
        return false;
    *ret_number = number;
    return true;
}

uint32_t ht_legacy_location(struct ht_legacy *legacy, uint64_t address)
{
    struct ht_profile *profile = legacy->profile;
    uint64_t hash = ht_hash_add(0, address);
    uint32_t found;
    for (size_t cursor = 0; (found = ht_index_next(&legacy->by_address, hash, &cursor)) != HT_NONE;)
        if (profile->locations[found].address == address)
            return found;
    found = ht_profile_add_location(profile, HT_NONE, address, NULL, 0);
    ht_index_add(&legacy->by_address, hash, found);
    return found;
}

void ht_legacy_push(struct ht_legacy *legacy, uint64_t address, enum ht_legacy_calls calls)
{
    if (calls == HT_CALLS_ALL || (calls == HT_CALLS_BUT_LEAF && legacy->stack_count > 0))
        address--;
    HT_RESERVE(legacy->stack, legacy->stack_capacity, legacy->stack_count + 1);
    legacy->stack[legacy->stack_count++] = ht_legacy_location(legacy, address);
}

int ht_legacy_push_text(struct ht_legacy *legacy, const char *text, bool only, enum ht_legacy_calls calls)
{
    while (*text != '\0') {
        if (text[0] != '0' || text[1] != 'x' || !isxdigit((unsigned char)text[2])) {
            if (only && strchr(" \tx0123456789abcdef", *text) == NULL)
                return 0;
            text++;
            continue;
        }
        uint64_t address = 0;
        for (text += 2; isxdigit((unsigned char)*text); text++) {
            if (address >> 60 != 0)
                return ht_legacy_malformed(legacy, "an address of more than 64 bits");
            int digit = isdigit((unsigned char)*text) ? *text - '0' : (*text | ' ') - 'a' + 10;
            address = address << 4 | (uint64_t)digit;
        }
        ht_legacy_push(legacy, address, calls);
    }
    return 0;
}

void ht_legacy_add_sample(struct ht_legacy *legacy, const int64_t *values, int64_t block_bytes)
{
    struct ht_label label = {.number = block_bytes};
    if (block_bytes != 0)
        label.key = ht_profile_intern_text(legacy->profile, "bytes");
    ht_profile_add_sample(legacy->profile, legacy->stack, legacy->stack_count, values, &label,
                          block_bytes != 0);
    legacy->stack_count = 0;
}

void ht_legacy_remove_second(struct ht_profile *profile, struct ht_sample *sample)
{
    uint32_t *frames = profile->frames + sample->frames;
    sample->frame_count--;
    memmove(frames + 1, frames + 2, (sample->frame_count - 1) * sizeof *frames);
}

void ht_legacy_join_leafs(struct ht_profile *profile)
{
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        const uint32_t *frames = profile->frames + sample->frames;
        if (sample->frame_count > 1 &&
            profile->locations[frames[0]].address == profile->locations[frames[1]].address + 1)
            ht_legacy_remove_second(profile, sample);
    }
}

uint32_t ht_legacy_function(struct ht_legacy *legacy, const char *name, size_t length, const char *file)
{
    struct ht_profile *profile = legacy->profile;
    uint32_t string = ht_profile_intern(profile, name, length), found;
    uint64_t hash = ht_hash_add(0, string);
    for (size_t cursor = 0; (found = ht_index_next(&legacy->by_name, hash, &cursor)) != HT_NONE;)
        if (profile->functions[found].name == string)
            return found;
    const char *text = ht_profile_text(profile, string);
    found = ht_profile_add_function(profile, text, text, file, 0);
    ht_index_add(&legacy->by_name, hash, found);
    return found;
}

void ht_legacy_name(struct ht_legacy *legacy, struct ht_location *location, uint32_t function, int64_t line)
{
    struct ht_profile *profile = legacy->profile;
    HT_RESERVE(profile->lines, profile->line_capacity, profile->line_count + 1);
    if (location->line_count == 0)
        location->lines = profile->line_count;
    location->line_count++;
    profile->lines[profile->line_count++] = (struct ht_line){.function = function, .line = line};
}

void ht_legacy_period(struct ht_legacy *legacy, const char *type, const char *unit, int64_t period)
{
    legacy->profile->period_type = (struct ht_value_type){ht_profile_intern_text(legacy->profile, type),
                                                          ht_profile_intern_text(legacy->profile, unit)};
    legacy->profile->period = period;
}
