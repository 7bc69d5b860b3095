// Columns of text reports: widths in characters, alignment at tabs, names cut to fit a terminal.
#ifndef HT_VIEW_TEXT_H
#define HT_VIEW_TEXT_H

#include "base/memory.h"

// Context: tool; pure.

// Characters of a text; each byte that is not part of valid UTF-8 counts as one.
size_t ht_text_characters(const char *text, size_t length);

// Appends `text` with spaces in front of it, so that it is at least `width` characters wide.
void ht_text_right(struct ht_buffer *out, size_t width, const char *text);

// Appends lines (each ends with '\n') whose cells end with '\t': the cells of neighbouring lines that stand
// in the same column are aligned at their right ends, one space apart. What follows a line's last tab is not
// aligned. A line without a tab ends the columns above it. (The rules of Go's text/tabwriter, with which
// pprof lays out `tags`.)
void ht_text_align(struct ht_buffer *out, const char *lines, size_t length);

// Appends a name and a mark behind it. The name is cut in the middle if both do not fit into `columns` -
// `used` (but 20 columns always are for the name); columns 0: never.
void ht_text_name(struct ht_buffer *out, const char *name, const char *mark, int columns, int used);

#endif
