// Parses lines of /proc/PID/maps within a moving window.
#include "sys/maps.h"

#include <string.h>

// Digits without a sign, as many as there are; moves behind them. False: none, or beyond 64 bits.
static bool ht_take_digits(const char **at, unsigned base, uint64_t *ret_value)
{
    const char *start = *at;
    uint64_t value = 0;
    for (;; ++*at) {
        char c = **at;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : base;
        if (digit >= base) {
            break;
        }
        if (value > (UINT64_MAX - digit) / base) {
            return false;
        }
        value = value * base + digit;
    }
    if (*at == start) {
        return false;
    }
    *ret_value = value;
    return true;
}

static bool ht_take_char(const char **at, char wanted)
{
    bool found = **at == wanted;
    *at += found;
    return found;
}

bool ht_maps_parse(const char *line, struct ht_maps_line *ret_line)
{
    struct ht_maps_line parsed;
    uint64_t device_major, device_minor;
    const char *at = line;
    if (!ht_take_digits(&at, 16, &parsed.start) || !ht_take_char(&at, '-') ||
        !ht_take_digits(&at, 16, &parsed.limit) || !ht_take_char(&at, ' ') || strnlen(at, 5) < 5) {
        return false;
    }
    parsed.readable = at[0] == 'r';
    parsed.executable = at[2] == 'x';
    at += 4;
    if (!ht_take_char(&at, ' ') || !ht_take_digits(&at, 16, &parsed.file_offset) || !ht_take_char(&at, ' ') ||
        !ht_take_digits(&at, 16, &device_major) || !ht_take_char(&at, ':') ||
        !ht_take_digits(&at, 16, &device_minor) || !ht_take_char(&at, ' ') ||
        !ht_take_digits(&at, 10, &parsed.inode) || device_major > UINT32_MAX || device_minor > UINT32_MAX ||
        (*at != ' ' && *at != '\0') || parsed.start >= parsed.limit) {
        return false;
    }
    parsed.device_major = (uint32_t)device_major;
    parsed.device_minor = (uint32_t)device_minor;
    while (*at == ' ') {
        at++;
    }
    parsed.path = at;
    *ret_line = parsed;
    return true;
}

struct ht_maps_window ht_maps_window(char *buffer, size_t size_bytes)
{
    return (struct ht_maps_window){buffer, size_bytes, 0, 0, false};
}

bool ht_maps_take(struct ht_maps_window *window, struct ht_maps_line *ret_line)
{
    while (window->begin < window->end) {
        char *line = window->buffer + window->begin;
        char *newline = memchr(line, '\n', window->end - window->begin);
        if (newline == NULL) {
            return false;
        }
        bool is_rest = window->skipping;
        *newline = '\0';
        window->begin = (size_t)(newline + 1 - window->buffer);
        window->skipping = false;
        if (!is_rest && ht_maps_parse(line, ret_line)) {
            return true;
        }
    }
    return false;
}

char *ht_maps_room(struct ht_maps_window *window, size_t *ret_room_bytes)
{
    size_t rest = window->end - window->begin;
    if (rest == window->size_bytes) {
        window->skipping = true;
    }
    if (window->skipping) {
        rest = 0;
    }
    memmove(window->buffer, window->buffer + window->begin, rest);
    window->begin = 0;
    window->end = rest;
    *ret_room_bytes = window->size_bytes - rest;
    return window->buffer + rest;
}
