// What the output is: a terminal (how wide, with colour) or a file.
#ifndef HT_BASE_TERMINAL_H
#define HT_BASE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

struct ht_terminal {
    bool is_terminal;
    bool colour; // a terminal, TERM is not dumb, NO_COLOR is unset or empty
    int columns; // 0: unlimited (not a terminal)
};

// Context: tool. Looks at a file descriptor, TERM, NO_COLOR and COLUMNS.
struct ht_terminal ht_terminal_of(int fd);

// Copies `name` into text, cut in the middle ("abc...xyz") to at most `columns` bytes; 0 = whole. Never cuts
// inside a UTF-8 character.
void ht_terminal_fit(const char *name, int columns, char *text, size_t text_bytes);

#endif
