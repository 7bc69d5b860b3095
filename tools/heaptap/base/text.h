// Texts from others, made fit to be shown.
#ifndef HT_BASE_TEXT_H
#define HT_BASE_TEXT_H

#include <stdbool.h>

// Context: tool; pure.

// Names of files and programs may hold anything and reach a terminal: control characters become `instead`.
void ht_text_printable(char *text, char instead);

bool ht_text_starts_with(const char *text, const char *start);
bool ht_text_ends_with(const char *text, const char *end);

// Cuts the first line off: *text becomes what follows it, NULL behind the last one. Returns the line without
// its end, or NULL when nothing is left.
char *ht_text_take_line(char **text);

#endif
