// Texts from others: the filter.
#include "base/text.h"

#include <stdio.h>

enum { NAME_BYTES = 8 }; // of the longest name of a character, with a NUL

size_t ht_utf8_length(const unsigned char *text, size_t left)
{
    if (left == 0)
        return 0;
    unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    // overlong forms, surrogates and what lies beyond U+10FFFF
    if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) ||
        (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

uint32_t ht_utf8_character(const unsigned char *text, size_t length)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t character = text[0] & first_bits[length];
    for (size_t i = 1; i < length; i++)
        character = character << 6 | (text[i] & 0x3f);
    return character;
}

bool ht_text_is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

// What stands at `text`: how many bytes, and its name if it must not be shown as it is, else "".
static size_t look_at(const char *text, size_t left, const char *kept, char name[NAME_BYTES])
{
    const unsigned char *at = (const unsigned char *)text;
    name[0] = '\0';
    if (*at >= ' ' && *at < 0x7f)
        return 1;
    size_t length = ht_utf8_length(at, left);
    if (length == 0) {
        strcpy(name, "\ufffd");
        return 1;
    }
    uint32_t character = ht_utf8_character(at, length);
    if (!ht_text_is_control(character) || (*at != '\0' && strchr(kept, *at) != NULL))
        return length;
    if (character == '\n' || character == '\t' || character == '\r')
        snprintf(name, NAME_BYTES, "\\%c", character == '\n' ? 'n' : character == '\t' ? 't' : 'r');
    else if (length == 1)
        snprintf(name, NAME_BYTES, "\\x%02x", (unsigned)(*at));
    else
        snprintf(name, NAME_BYTES, "\\u%04x", (unsigned)(character & 0xffff));
    return length;
}

// Whether all of 8 bytes are from the blank to '~': nearly every text has nothing else.
static bool are_plain(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    const uint64_t ones = UINT64_MAX / 255, high = ones * 0x80;
    uint64_t below_blank = (word - ones * ' ') & ~word, is_delete = (word ^ ones * 0x7f) - ones;
    return ((word | below_blank | is_delete) & high) == 0;
}

size_t ht_text_shown_length(const char *text, size_t length, const char *kept)
{
    char name[NAME_BYTES];
    size_t at = 0;
    while (at < length) {
        if (length - at >= 8 && are_plain(text + at)) {
            at += 8;
            continue;
        }
        size_t used = look_at(text + at, length - at, kept, name);
        if (name[0] != '\0')
            return at;
        at += used;
    }
    return length;
}

void ht_text_show(struct ht_buffer *out, const char *text, size_t length, const char *kept)
{
    char name[NAME_BYTES];
    for (size_t at = 0; at < length;) {
        size_t plain = ht_text_shown_length(text + at, length - at, kept);
        ht_buffer_add(out, text + at, plain);
        at += plain;
        if (at == length)
            break;
        at += look_at(text + at, length - at, kept, name);
        ht_buffer_text(out, name);
    }
}

size_t ht_text_whole(const char *text, size_t length)
{
    size_t at = length;
    while (at > 0 && length - at < 3 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
        at--;
    bool is_begun = at > 0 && (unsigned char)text[at - 1] >= 0xc2 &&
                    ht_utf8_length((const unsigned char *)text + at - 1, length - at + 1) == 0;
    return is_begun ? at - 1 : length;
}

void ht_text_printable(char *text, size_t bytes)
{
    char name[NAME_BYTES];
    size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        size_t used = look_at(text + at, length - at, "", name), needed = strlen(name);
        if (needed == 0) {
            at += used;
            continue;
        }
        if (at + needed >= bytes) {
            text[at] = '\0';
            return;
        }
        size_t rest = length - at - used, room = bytes - 1 - at - needed;
        bool is_cut = rest > room;
        rest = is_cut ? room : rest;
        memmove(text + at + needed, text + at + used, rest);
        memcpy(text + at, name, needed);
        at += needed;
        length = at + rest;
        if (is_cut)
            length = ht_text_whole(text, length);
        text[length] = '\0';
    }
}

void ht_text_vprint(char *text, size_t bytes, const char *format, va_list args)
{
    int length = vsnprintf(text, bytes, format, args);
    if (length >= 0 && (size_t)length >= bytes)
        text[ht_text_whole(text, bytes - 1)] = '\0';
    ht_text_printable(text, bytes);
}

void ht_text_print(char *text, size_t bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ht_text_vprint(text, bytes, format, args);
    va_end(args);
}

bool ht_text_starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

bool ht_text_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

char *ht_text_take_line(char **text)
{
    char *line = *text;
    if (line == NULL || *line == '\0')
        return NULL;
    *text = strchr(line, '\n');
    if (*text != NULL)
        *(*text)++ = '\0';
    return line;
}
