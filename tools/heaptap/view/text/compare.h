// Two snapshots side by side: old, new and change for each allocating call site, the largest growth first.
#ifndef HT_VIEW_TEXT_COMPARE_H
#define HT_VIEW_TEXT_COMPARE_H

#include "base/measure.h"
#include "view/report.h"

// Samples of the older snapshot carry this label with the value "true".
#define HT_COMPARE_OLD_LABEL "heaptap::old"

// A call site: the frame nearest to the allocation that is not plumbing (allocators, the C and C++ runtime,
// standard containers), or the leaf if all are.
struct ht_compare_row {
    uint32_t name, file, object; // strings; object: the mapping's file where there is no name
    int64_t line;
    uint64_t object_offset; // in the object's file, where there is no name
    int64_t old, new;
    int64_t change;    // new - old
    uint32_t heaviest; // the sample whose stack grew most
    int64_t heaviest_change;
};

struct ht_compare {
    const struct ht_profile *profile;
    struct ht_compare_row *rows; // by change, largest first; ties by name
    size_t row_count, row_capacity;
    size_t unchanged; // call sites whose value is the same; they are not among the rows
    int64_t old_total, new_total;
    double minutes; // between the snapshots; 0: unknown
    const char *sample_type, *unit;
    const char *output_unit; // "auto" or one unit for all
    const char *trim_path;   // as in the options
};

struct ht_compare_options {
    const char *sample_index;
    int granularity;       // HT_BY_LINES, HT_BY_FUNCTIONS, HT_BY_FILEFUNCTIONS or HT_BY_FILES
    bool leaf_sites;       // the frame nearest to the allocation, whatever it is
    const char *unit;      // NULL: auto
    const char *trim_path; // prefixes that file names are shown without (base/path.h), NULL: none; lives on
    struct ht_filter filter;
};

// Context: tool. Applies the filters (the profile changes) and computes the rows. Fails on an unknown sample
// type or a bad expression. old_ns and new_ns are the snapshots' times (0 unknown).
int ht_compare_init(struct ht_compare *compare, struct ht_profile *profile,
                    const struct ht_compare_options *options, int64_t old_ns, int64_t new_ns);
void ht_compare_free(struct ht_compare *compare);

// The table with at most `limit` rows (0: all), cut to `columns` (0: never), then the stacks of the first
// `paths` rows that grew.
void ht_compare_text(const struct ht_compare *compare, size_t limit, size_t paths, int columns,
                     struct ht_buffer *out);
void ht_compare_json(const struct ht_compare *compare, size_t limit, struct ht_buffer *out);

#endif
