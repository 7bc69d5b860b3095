// Growth over a series of snapshots, written as a table or as JSON.
#ifndef HT_VIEW_TEXT_GROWTH_H
#define HT_VIEW_TEXT_GROWTH_H

#include "stats/growth.h"

struct ht_growth_form {
    const char *process;   // "webd 19974"
    const char *trim_path; // prefixes that file names are shown without (base/path.h), NULL: none
    size_t limit;          // rows at the most; 0: all
    size_t paths;          // so many of the rows that grow are followed by their stacks
    int columns;           // names are cut to fit; 0: never
    bool colour;
    bool plain;         // shapes are drawn in ASCII
    double limit_bytes; // that the process may have; 0: unknown
    const char *limit_name;
};

// Context: tool.
void ht_growth_text(const struct ht_growth *growth, const struct ht_growth_form *form, struct ht_buffer *out);
struct ht_json;
// The rows as members of an array, and the process as an object of another one.
void ht_growth_json_rows(const struct ht_growth *growth, const struct ht_growth_form *form,
                         struct ht_json *json);
void ht_growth_json_process(const struct ht_growth *growth, const struct ht_growth_form *form,
                            struct ht_json *json);

#endif
