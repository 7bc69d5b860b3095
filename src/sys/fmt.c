// Appends strings and numbers to a buffer.
#include "sys/fmt.h"

#include <string.h>

struct ht_text ht_text_init(char *buffer, size_t size_bytes)
{
    buffer[0] = '\0';
    return (struct ht_text){.bytes = buffer, .size_bytes = size_bytes};
}

size_t ht_text_length(const char *string, size_t max_bytes)
{
    size_t length = 0;
    while (length < max_bytes && string[length] != '\0') {
        length++;
    }
    return length;
}

void ht_text_add_max(struct ht_text *text, const char *string, size_t max_bytes)
{
    size_t length = ht_text_length(string, max_bytes);
    size_t room = text->size_bytes - 1 - text->length;
    if (length > room) {
        length = room;
        text->cut = true;
    }
    memcpy(text->bytes + text->length, string, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void ht_text_add(struct ht_text *text, const char *string)
{
    ht_text_add_max(text, string, SIZE_MAX);
}

void ht_text_add_char(struct ht_text *text, char c)
{
    ht_text_add_max(text, &c, 1);
}

static void ht_text_add_number(struct ht_text *text, uint64_t value, unsigned base, unsigned min_digits)
{
    char digits[64];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (sizeof digits - at < min_digits && at > 0) {
        digits[--at] = '0';
    }
    ht_text_add_max(text, digits + at, sizeof digits - at);
}

void ht_text_add_u64(struct ht_text *text, uint64_t value)
{
    ht_text_add_number(text, value, 10, 1);
}

void ht_text_add_i64(struct ht_text *text, int64_t value)
{
    if (value < 0) {
        ht_text_add_char(text, '-');
    }
    ht_text_add_number(text, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, 1);
}

void ht_text_add_padded(struct ht_text *text, uint64_t value, unsigned digits)
{
    ht_text_add_number(text, value, 10, digits);
}

void ht_text_add_hex(struct ht_text *text, uint64_t value)
{
    ht_text_add_number(text, value, 16, 1);
}

void ht_text_add_hex_bytes(struct ht_text *text, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ht_text_add_number(text, bytes[i], 16, 2);
    }
}

bool ht_text_parse_u64(const char *string, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; string[i] >= '0' && string[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(string[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (i == 0) {
        return false;
    }
    *ret_value = value;
    return true;
}

const char *ht_text_stat_field(const char *stat, unsigned field)
{
    const char *at = strrchr(stat, ')'); // ends field 2, the name, which may hold anything
    for (unsigned i = 2; i < field && at != NULL; i++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? at + 1 : NULL;
}
