// Names of any origin made safe for the places they are put into: markup and script elements.
#ifndef HT_VIEW_ESCAPE_H
#define HT_VIEW_ESCAPE_H

#include "base/memory.h"

// Context: tool; pure. Both append to *out.

// Text of XML or HTML, or an attribute's value in double quotes. What XML forbids and what would change the
// direction of what follows is written out as \u001b; bytes that are not UTF-8 become U+FFFD.
void ht_escape_markup(const char *text, size_t length, struct ht_buffer *out);

// JSON inside a script element: nothing in it can end the element or begin a comment.
void ht_escape_script(const char *json, size_t length, struct ht_buffer *out);

#endif
