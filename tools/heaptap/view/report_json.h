// The JSON of the reports: one vocabulary, written by shared functions and described in one table.
#ifndef HT_VIEW_REPORT_JSON_H
#define HT_VIEW_REPORT_JSON_H

#include "base/json.h"
#include "view/report.h"

// Every field name that a report may write with --json, and what it holds. Stable: names are added, never
// changed or given another meaning. Ends with an entry without name. The tests hold the reports against it.
struct ht_json_word {
    const char *name;
    const char
        *type; // "text", "number", "whole number", "true or false", "list", or "hex": a number as text, 0x...
    const char *meaning;
};
extern const struct ht_json_word ht_json_words[];

// Context: tool. Begins the outermost object: report, program, build_id, sample_type, unit, time_ns,
// duration_ns, total.
void ht_report_json_begin(struct ht_json *json, const struct ht_report *report, const char *name);

// A sample's labels, as the member "labels".
void ht_report_json_labels(struct ht_json *json, const struct ht_report *report,
                           const struct ht_sample *sample);

// sample_type and unit of the first `count` of a profile's sample types, as the member "sample_types".
void ht_report_json_sample_types(struct ht_json *json, const struct ht_profile *profile, size_t count);

// value / total * 100 as the member `key`; 0 if the total is.
void ht_report_json_percent(struct ht_json *json, const char *key, int64_t value, int64_t total);

// A standard error; unknown it is left out.
void ht_report_json_error(struct ht_json *json, const char *key, double error);

// An unsigned number as text.
void ht_report_json_hex(struct ht_json *json, const char *key, uint64_t value);

#endif
