// A place in a program as tables name it.
#ifndef HT_VIEW_TEXT_PLACE_H
#define HT_VIEW_TEXT_PLACE_H

#include "profile/place.h"

// "function  file:line", "[object+0xoffset]" or "<unknown>"; prefixes of `trim_path` are taken off files
// (NULL: none). Context: tool.
void ht_place_text(const struct ht_profile *profile, const struct ht_place *place, const char *trim_path,
                   struct ht_buffer *out);

#endif
