// What the output is: asks the terminal and the environment.
#include "base/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct ht_terminal ht_terminal_of(int fd)
{
    struct ht_terminal terminal = {.is_terminal = isatty(fd) == 1};
    if (!terminal.is_terminal)
        return terminal;
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR"), *columns = getenv("COLUMNS");
    terminal.colour = term != NULL && strcmp(term, "dumb") != 0 && (no_color == NULL || no_color[0] == '\0');
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        terminal.columns = size.ws_col;
    else {
        long wanted = columns != NULL ? strtol(columns, NULL, 10) : 0;
        terminal.columns = wanted > 0 && wanted < 100000 ? (int)wanted : 80;
    }
    return terminal;
}

static bool inside_character(const char *at)
{
    return ((unsigned char)*at & 0xc0) == 0x80;
}

void ht_terminal_fit(const char *name, int columns, char *text, size_t text_bytes)
{
    size_t length = strlen(name);
    size_t limit = columns > 0 && (size_t)columns < text_bytes ? (size_t)columns : text_bytes - 1;
    if (length <= limit) {
        memcpy(text, name, length + 1);
        return;
    }
    if (limit < 8) {
        snprintf(text, text_bytes, "%.*s", (int)limit, name);
        return;
    }
    size_t head = (limit - 3) / 2, tail = limit - 3 - head;
    while (head > 0 && inside_character(name + head))
        head--;
    while (tail > 0 && inside_character(name + length - tail))
        tail--;
    snprintf(text, text_bytes, "%.*s...%s", (int)head, name, name + length - tail);
}
