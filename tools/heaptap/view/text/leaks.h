// What one snapshot tells of leaks, written as a table or as JSON.
#ifndef HT_VIEW_TEXT_LEAKS_H
#define HT_VIEW_TEXT_LEAKS_H

#include "stats/leaks.h"

struct ht_leaks_form {
    const char *trim_path; // prefixes that file names are shown without (base/path.h), NULL: none
    size_t limit;          // rows at the most; 0: all
    size_t paths;          // so many rows are followed by the evidence and their stack
    int columns;           // names are cut to fit; 0: never
    bool colour;
    bool plain; // shapes are drawn in ASCII
};

// Context: tool.
void ht_leaks_text(const struct ht_leaks *leaks, const struct ht_profile *profile,
                   const struct ht_leaks_form *form, struct ht_buffer *out);
void ht_leaks_json(const struct ht_leaks *leaks, const struct ht_profile *profile,
                   const struct ht_leaks_form *form, struct ht_buffer *out);

#endif
