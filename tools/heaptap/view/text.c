// Widths, alignment and cut names of text reports.
#include "view/text.h"

#include "base/terminal.h"
#include "base/text.h"

#include <stdlib.h>

size_t ht_text_characters(const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t count = 0;
    for (size_t left = length; left > 0; count++) {
        size_t bytes = ht_utf8_length(at, left);
        bytes = bytes == 0 ? 1 : bytes;
        at += bytes;
        left -= bytes;
    }
    return count;
}

static void add_spaces(struct ht_buffer *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ht_buffer_byte(out, ' ');
}

void ht_text_right(struct ht_buffer *out, size_t width, const char *text)
{
    size_t characters = ht_text_characters(text, strlen(text));
    add_spaces(out, width > characters ? width - characters : 0);
    ht_buffer_text(out, text);
}

struct cell {
    const char *text;
    size_t length, characters;
};

struct line {
    size_t first, count; // cells; the last one is what follows the last tab
};

struct table {
    struct cell *cells;
    size_t cell_count, cell_capacity;
    struct line *lines;
    size_t line_count, line_capacity;
    size_t *widths; // of the columns that are settled
    size_t width_count, width_capacity;
};

static void write_lines(const struct table *table, size_t first, size_t end, struct ht_buffer *out)
{
    for (size_t l = first; l < end; l++) {
        const struct line *line = &table->lines[l];
        for (size_t c = 0; c < line->count; c++) {
            const struct cell *cell = &table->cells[line->first + c];
            if (c < table->width_count)
                add_spaces(out, table->widths[c] - cell->characters);
            ht_buffer_add(out, cell->text, cell->length);
        }
        ht_buffer_byte(out, '\n');
    }
}

// Writes the lines [first, end), whose columns left of table->width_count are settled. Recursion is as deep
// as the longest line has tabs.
static void write_columns(struct table *table, size_t first, size_t end, struct ht_buffer *out)
{
    enum { GAP = 1 };
    size_t column = table->width_count;
    for (size_t at = first; at < end;) {
        if (column + 1 >= table->lines[at].count) {
            at++;
            continue;
        }
        write_lines(table, first, at, out);
        size_t width = 0;
        for (first = at; at < end && column + 1 < table->lines[at].count; at++) {
            size_t wanted = table->cells[table->lines[at].first + column].characters + GAP;
            width = wanted > width ? wanted : width;
        }
        HT_RESERVE(table->widths, table->width_capacity, column + 1);
        table->widths[table->width_count++] = width;
        write_columns(table, first, at, out);
        table->width_count--;
        first = at;
    }
    write_lines(table, first, end, out);
}

void ht_text_align(struct ht_buffer *out, const char *lines, size_t length)
{
    enum { CELLS = 256 }; // of one line; a name full of tabs is not worth more
    struct table table = {0};
    if (length == 0)
        return;
    const char *end = lines + length;
    for (const char *at = lines; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        newline = newline == NULL ? end : newline;
        struct line line = {.first = table.cell_count};
        for (const char *tab = at; tab != newline; at = tab + 1) {
            size_t left = (size_t)(newline - at);
            tab = line.count + 1 < CELLS ? memchr(at, '\t', left) : NULL;
            tab = tab == NULL ? newline : tab;
            size_t cell = (size_t)(tab - at);
            HT_RESERVE(table.cells, table.cell_capacity, table.cell_count + 1);
            table.cells[table.cell_count++] = (struct cell){at, cell, ht_text_characters(at, cell)};
            line.count++;
        }
        HT_RESERVE(table.lines, table.line_capacity, table.line_count + 1);
        table.lines[table.line_count++] = line;
        at = newline + 1;
    }
    write_columns(&table, 0, table.line_count, out);
    free(table.cells);
    free(table.lines);
    free(table.widths);
}

void ht_text_name(struct ht_buffer *out, const char *name, const char *mark, int columns, int used)
{
    enum { LEAST = 20 };
    int room = columns - used - (int)strlen(mark);
    if (room < LEAST)
        room = LEAST;
    if (columns > 0 && strlen(name) > (size_t)room) {
        char *fitted = ht_alloc((size_t)room + 1);
        ht_terminal_fit(name, room, fitted, (size_t)room + 1);
        ht_buffer_text(out, fitted);
        free(fitted);
    } else {
        ht_buffer_text(out, name);
    }
    ht_buffer_text(out, mark);
}
