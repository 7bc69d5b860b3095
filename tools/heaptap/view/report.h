// A report's frame: what is shown of a profile, its total, its unit and its header lines.
#ifndef HT_VIEW_REPORT_H
#define HT_VIEW_REPORT_H

#include "base/measure.h"
#include "profile/filter.h"
#include "profile/place.h"
#include "profile/profile.h"

// pprof's options of the same names (contracts of meaning: pprof's documentation).
struct ht_view_options {
    const char *sample_index; // name or number, NULL: the profile's default
    int granularity;          // enum ht_granularity
    bool noinlines;
    int sort_by_cum;    // 1: by cum, 0: by flat
    int64_t node_count; // 0: all
    double node_fraction, edge_fraction;
    bool trim; // false: show everything
    bool drop_negative;
    bool mean;
    double divide_by;
    const char *unit; // "minimum" or a unit
    bool relative_percentages;
    bool compact_labels;
    bool errors;    // top: standard errors of what is held or allocated, where they are known
    bool call_tree; // one node for each path of calls (dot, callgrind)
    const char *source_path, *trim_path;
    const char *tag_root, *tag_leaf; // keys of labels that become frames, separated by commas
    const char *by;                  // a label's key: each of its values is a row, in place of the stacks
    struct ht_filter filter;
};

#define HT_VIEW_OPTIONS_DEFAULT                                                                              \
    {                                                                                                        \
        .node_fraction = 0.005, .edge_fraction = 0.001, .trim = true, .divide_by = 1, .unit = "minimum",     \
        .errors = true                                                                                       \
    }

struct ht_report {
    struct ht_profile *profile; // the caller's; filtered
    struct ht_view_options options;
    size_t sample_index;
    char *sample_type;        // as in the header; "mean_..." with mean
    const char *sample_unit;  // of the values, from the profile
    int64_t total;            // what percentages are of
    bool knows_errors;        // of the sample type, where they are wanted
    bool has_errors;          // and at least one is not 0
    double total_error;       // NaN: unknown
    const char *output_unit;  // starts as options.unit; a graph settles "minimum"
    const char **label_units; // by string: the unit of a numeric label's key, NULL: it has none
    size_t label_unit_count;
};

// Context: tool. Takes the total and applies the filters, in pprof's order; changes the profile. Fails on
// unknown sample types and bad expressions.
int ht_report_init(struct ht_report *report, struct ht_profile *profile,
                   const struct ht_view_options *options);
void ht_report_free(struct ht_report *report);

// Warns where nothing is in use any more: an empty report would leave its reader with nothing to go on.
void ht_report_tell_all_freed(const struct ht_report *report);

// A sample's value and, with mean, the number it is divided by (else 0).
static inline int64_t ht_report_value(const struct ht_report *report, size_t sample)
{
    return ht_profile_values(report->profile, sample)[report->sample_index];
}

static inline int64_t ht_report_divisor(const struct ht_report *report, size_t sample)
{
    return report->options.mean ? ht_profile_values(report->profile, sample)[0] : 0;
}

// value / divisor, or value if there is no divisor.
static inline int64_t ht_report_mean(int64_t value, int64_t divisor)
{
    return divisor == 0 ? value : divisor == -1 ? (int64_t)(0 - (uint64_t)value) : value / divisor;
}

// Unit of a numeric label with this key: the first that is written in the profile, else what the key implies.
const char *ht_report_label_unit(const struct ht_report *report, uint32_t key);

// A value in the report's unit, after divide_by.
void ht_report_label(const struct ht_report *report, int64_t value, char text[HT_MEASURE_TEXT_BYTES]);

// The standard error of a value, in the value's unit but without its name: "1.1"; "": it is exact, or
// unknown.
void ht_report_error(const struct ht_report *report, int64_t value, double error,
                     char text[HT_MEASURE_TEXT_BYTES]);

// A sample's variance; NaN: unknown, or not shown.
double ht_report_variance(const struct ht_report *report, size_t sample);

// Header lines: File, Build ID, comments without '#', Type, Time, Duration.
void ht_report_profile_lines(const struct ht_report *report, struct ht_buffer *out);

// "Active filters:" and one line for each, if there are any.
void ht_report_filter_lines(const struct ht_report *report, struct ht_buffer *out);

#endif
