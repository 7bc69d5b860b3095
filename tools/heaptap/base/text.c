// Texts from others.
#include "base/text.h"

#include <stddef.h>
#include <string.h>

void ht_text_printable(char *text, char instead)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = instead;
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
