// A tiny formatter: appends to a caller's buffer, always NUL-terminated, cut where it ends.
#ifndef HT_SYS_FMT_H
#define HT_SYS_FMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Context: any; no locale, no allocation.
struct ht_text {
    char *bytes;
    size_t size_bytes; // of the buffer, NUL included; at least 1
    size_t length;
    bool cut; // something did not fit
};

struct ht_text ht_text_init(char *buffer, size_t size_bytes);
void ht_text_add(struct ht_text *text, const char *string);
// At most `max_bytes` of `string`, which need not be terminated.
void ht_text_add_max(struct ht_text *text, const char *string, size_t max_bytes);
void ht_text_add_char(struct ht_text *text, char c);
void ht_text_add_u64(struct ht_text *text, uint64_t value);
void ht_text_add_i64(struct ht_text *text, int64_t value);
// Decimal with leading zeros up to `digits`.
void ht_text_add_padded(struct ht_text *text, uint64_t value, unsigned digits);
// Lower-case hexadecimal, without 0x.
void ht_text_add_hex(struct ht_text *text, uint64_t value);
void ht_text_add_hex_bytes(struct ht_text *text, const uint8_t *bytes, size_t count);

// Length of a string of at most `max_bytes`.
size_t ht_text_length(const char *string, size_t max_bytes);

// Digits at the start of `string`; ret_value untouched when there is none or the value does not fit.
bool ht_text_parse_u64(const char *string, uint64_t *ret_value);

// Where a field of /proc/PID/stat begins, numbered from 3 (the state) as in proc(5); NULL when `stat` ends
// before.
const char *ht_text_stat_field(const char *stat, unsigned field);

#endif
