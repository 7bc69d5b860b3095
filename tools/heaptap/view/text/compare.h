// A comparison of two snapshots, written as a table or as JSON.
#ifndef HT_VIEW_TEXT_COMPARE_H
#define HT_VIEW_TEXT_COMPARE_H

#include "stats/compare.h"

struct ht_compare_form {
    const char *unit;      // one for all values; NULL: what fits each
    const char *trim_path; // prefixes that file names are shown without (base/path.h), NULL: none
    size_t limit;          // rows at the most; 0: all
    size_t paths;          // so many of the rows that grew are followed by their stacks (as text)
    int columns;           // names are cut to fit; 0: never
    bool colour;           // what is noise is dimmed
};

// Context: tool.
void ht_compare_text(const struct ht_compare *compare, const struct ht_compare_form *form,
                     struct ht_buffer *out);
void ht_compare_json(const struct ht_compare *compare, const struct ht_compare_form *form,
                     struct ht_buffer *out);

#endif
