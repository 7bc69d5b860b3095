// Texts from others, made fit to be shown: the one filter between what somebody else could write and a
// terminal, a line of a report, a message.
#ifndef HT_BASE_TEXT_H
#define HT_BASE_TEXT_H

#include "base/memory.h"

#include <stdarg.h>
#include <stdbool.h>

// Context: tool; pure.
// Shown by their names (\n, \t, \x1b, \u202e) are control characters (C0 with tabs and ends of lines, DEL,
// C1) and what parts lines or turns their direction (U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to
// U+2069). A byte that is no UTF-8 becomes U+FFFD. All else stays as it is, the backslash too. What was
// filtered stays so when it is filtered again.

// Appends `text`, filtered. `kept`: characters below a blank that stay ("" or "\t").
void ht_text_show(struct ht_buffer *out, const char *text, size_t length, const char *kept);

// The length without the beginning of a character whose rest was cut off.
size_t ht_text_whole(const char *text, size_t length);

// How much of the text needs no filter, from its beginning.
size_t ht_text_shown_length(const char *text, size_t length, const char *kept);

// Filters in place what has room for `bytes`; what no longer fits is cut off, never within a character.
void ht_text_printable(char *text, size_t bytes);

// Formats one line, filtered, and cut like that.
void ht_text_print(char *text, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));
void ht_text_vprint(char *text, size_t bytes, const char *format, va_list args);

// Length of the valid UTF-8 character at `text` (at most `left` bytes), 0 if there is none; and what it is.
size_t ht_utf8_length(const unsigned char *text, size_t left);
uint32_t ht_utf8_character(const unsigned char *text, size_t length);

// Whether a character is one of those that are shown by their names.
bool ht_text_is_control(uint32_t character);

bool ht_text_starts_with(const char *text, const char *start);
bool ht_text_ends_with(const char *text, const char *end);

// Cuts the first line off: *text becomes what follows it, NULL behind the last one. Returns the line without
// its end, or NULL when nothing is left.
char *ht_text_take_line(char **text);

#endif
