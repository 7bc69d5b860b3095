// What the reports' JSON has in common, and the table of its words.
#include "view/report_json.h"

#include "base/path.h"

#include <inttypes.h>
#include <math.h>

const struct ht_json_word ht_json_words[] = {
    {"report", "text", "name of the report"},
    {"program", "text", "base name of the profiled program"},
    {"build_id", "text", "the program's (a mapping's) GNU build id, hexadecimal"},
    {"sample_type", "text", "what the values are: inuse_space, cpu ...; mean_... with --mean"},
    {"unit", "text", "unit of all values (of a label's number): bytes, count, nanoseconds ..."},
    {"time_ns", "whole number", "when the profile was taken, since 1970, 0: unknown"},
    {"duration_ns", "whole number", "length of time that the profile covers, 0: a moment"},
    {"total", "whole number", "what percentages are of"},
    {"nodes", "whole number", "nodes that are not negligible, shown or not"},
    {"dropped_nodes", "whole number", "nodes left out because they are negligible"},
    {"rows", "list", "the report itself: its rows, stacks, keys or lines"},
    {"name", "text", "as the text report prints it"},
    {"function", "text", "name of the function"},
    {"system_name", "text", "name in the symbol table, where it differs from the function's"},
    {"file", "text", "source file (of a mapping: its file)"},
    {"line", "whole number", "line in the source file"},
    {"column", "whole number", "column in that line"},
    {"start_line", "whole number", "line at which the function begins"},
    {"object", "text", "executable or library of an address without a name"},
    {"address", "hex", "address in the process"},
    {"flat", "whole number", "value of the node itself"},
    {"flat_error", "number", "standard error of flat by the law of sampling, where it is known"},
    {"total_error", "number", "standard error of total"},
    {"flat_percent", "number", "flat as a part of total"},
    {"sum_percent", "number", "flat of this row and all before it as a part of total"},
    {"cum", "whole number", "value of the node and everything that it calls"},
    {"cum_percent", "number", "cum as a part of total"},
    {"inlined", "text", "was it inlined into its caller: never, always or partly"},
    {"callers", "list", "nodes that call this one, the heaviest first"},
    {"callees", "list", "nodes that this one calls, the heaviest first"},
    {"value", "whole number", "value of a stack, of a call, of a label"},
    {"percent", "number", "value as a part of the node's cum, of the key's value"},
    {"labels", "list", "labels of a stack"},
    {"key", "text", "a label's key"},
    {"text", "text", "a label's value as text"},
    {"number", "whole number", "a label's value as a number"},
    {"frames", "list", "functions of a stack (of a location), the innermost first"},
    {"tags", "list", "values of a key, the heaviest first"},
    {"comments", "list", "comments of the profile"},
    {"period", "whole number", "mean distance between two samples"},
    {"period_type", "text", "what the period counts"},
    {"period_unit", "text", "unit of the period"},
    {"default_sample_type", "text", "the sample type that is shown when none is asked for"},
    {"sample_types", "list", "sample_type and unit of each value of a stack"},
    {"values", "list", "values of a stack, one for each sample type"},
    {"location_ids", "list", "locations of a stack, the leaf first"},
    {"locations", "list", "places in the program"},
    {"id", "whole number", "number of a location or mapping, from 1"},
    {"mapping_id", "whole number", "mapping of a location"},
    {"folded", "true or false", "several functions share the address"},
    {"mappings", "list", "parts of files that were mapped as code; the program is first"},
    {"start", "hex", "first address of a mapping"},
    {"limit", "hex", "first address after it"},
    {"offset", "hex", "offset in its file"},
    {"has_functions", "true or false", "every location has a function"},
    {"has_filenames", "true or false", "every location has a source file"},
    {"has_line_numbers", "true or false", "every location has a line"},
    {"has_inline_frames", "true or false", "inlined functions are there"},
    {"lines", "list", "source lines of a function"},
    {"source", "text", "text of a source line"},
    {"error", "text", "why there is no source"},
    {"edges", "list", "calls between the nodes of a graph, the heaviest first"},
    {"from", "whole number", "id of the node that calls"},
    {"to", "whole number", "id of the node that is called"},
    {"indirect", "true or false", "a call over nodes that were left out"},
    {"parent", "whole number", "id of the frame below: the caller"},
    {"depth", "whole number", "frames between this one and the root, whose depth is 0"},
    {"last_line", "whole number", "last of the lines that stacks go through, where they are several"},
    {"self_values", "list", "values of the frame itself, one for each sample type"},
    {"has_base", "true or false", "a base was given: values of both sides are there"},
    {"base_values", "list", "values in the base"},
    {"base_self_values", "list", "values of the frame itself in the base"},
    {"cut_frames", "whole number", "frames that were left out (of one frame: directly above it)"},
    {"cut_percent", "number",
     "no frame that was left out as small has more than this part of any sample type"},
    {"cut_values", "list", "values of the frames left out"},
    {"base_cut_values", "list", "their values in the base"},
    {.name = NULL},
};

void ht_report_json_begin(struct ht_json *json, const struct ht_report *report, const char *name)
{
    const struct ht_profile *profile = report->profile;
    struct ht_buffer file = {0};
    ht_json_begin_object(json, NULL);
    ht_json_string(json, "report", name);
    if (profile->mapping_count > 0 && profile->mappings[0].file != 0) {
        ht_path_base(ht_profile_text(profile, profile->mappings[0].file), &file);
        ht_json_string(json, "program", file.data);
    }
    if (profile->mapping_count > 0 && profile->mappings[0].build_id != 0)
        ht_json_string(json, "build_id", ht_profile_text(profile, profile->mappings[0].build_id));
    ht_json_string(json, "sample_type", report->sample_type);
    ht_json_string(json, "unit", report->sample_unit);
    ht_json_int(json, "time_ns", profile->time_ns);
    ht_json_int(json, "duration_ns", profile->duration_ns);
    ht_json_int(json, "total", report->total);
    ht_buffer_free(&file);
}

void ht_report_json_error(struct ht_json *json, const char *key, double error)
{
    if (isfinite(error))
        ht_json_number(json, key, error);
}

void ht_report_json_hex(struct ht_json *json, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "0x%" PRIx64, value);
    ht_json_string(json, key, text);
}

void ht_report_json_labels(struct ht_json *json, const struct ht_report *report,
                           const struct ht_sample *sample)
{
    const struct ht_profile *profile = report->profile;
    ht_json_begin_array(json, "labels");
    for (uint32_t i = 0; i < sample->label_count; i++) {
        const struct ht_label *label = &profile->labels[sample->labels + i];
        ht_json_begin_object(json, NULL);
        ht_json_string(json, "key", ht_profile_text(profile, label->key));
        if (label->text != 0) {
            ht_json_string(json, "text", ht_profile_text(profile, label->text));
        } else {
            ht_json_int(json, "number", label->number);
            ht_json_string(json, "unit",
                           label->unit != 0 ? ht_profile_text(profile, label->unit)
                                            : ht_report_label_unit(report, label->key));
        }
        ht_json_end_object(json);
    }
    ht_json_end_array(json);
}

void ht_report_json_sample_types(struct ht_json *json, const struct ht_profile *profile, size_t count)
{
    ht_json_begin_array(json, "sample_types");
    for (size_t i = 0; i < count; i++) {
        ht_json_begin_object(json, NULL);
        ht_json_string(json, "sample_type", ht_profile_text(profile, profile->sample_types[i].type));
        ht_json_string(json, "unit", ht_profile_text(profile, profile->sample_types[i].unit));
        ht_json_end_object(json);
    }
    ht_json_end_array(json);
}

void ht_report_json_percent(struct ht_json *json, const char *key, int64_t value, int64_t total)
{
    ht_json_number(json, key, total == 0 ? 0 : (double)value / (double)total * 100);
}
