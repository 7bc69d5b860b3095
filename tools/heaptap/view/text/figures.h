// Figures of tables that are estimates: short, padded by what a terminal shows of them.
#ifndef HT_VIEW_TEXT_FIGURES_H
#define HT_VIEW_TEXT_FIGURES_H

#include "base/measure.h"

#include <stdbool.h>
#include <stddef.h>

enum { HT_SHAPE_COLUMNS = 10, HT_FIGURE_BYTES = 32, HT_SHAPE_BYTES = HT_SHAPE_COLUMNS * 4 + 8 };

// Context: tool; pure.

// Three digits and the unit that leaves at least 1, for bytes; other units have none. `with_sign`: a plus as
// well.
void ht_figure(double value, const char *unit, bool with_sign, char text[HT_FIGURE_BYTES]);

// A length of time, at least a second.
void ht_figure_time(double s, char text[HT_MEASURE_TEXT_BYTES]);

// A series in eight heights between its least and its most, in HT_SHAPE_COLUMNS columns. `plain`: in ASCII.
void ht_figure_shape(const double *values, size_t count, bool plain, char text[HT_SHAPE_BYTES]);

// Appends a text of UTF-8, to the right of so many columns.
struct ht_buffer;
void ht_figure_pad(struct ht_buffer *out, const char *text, int columns);

// Whether the terminal, or what reads a pipe, takes UTF-8; source: locale(7), the first that is set.
bool ht_figure_is_utf8(void);

#endif
