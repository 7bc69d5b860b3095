// The report `traces`: every sample as a stack, with its labels.
#include "view/graph/json.h"
#include "view/reports.h"
#include "view/text.h"

#include <stdlib.h>

static const char separator[] = "-----------+-------------------------------------------------------\n";

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

// Lines "       key:  value value" of the text labels or of the numeric ones, in the order of the lines.
static void add_labels(const struct ht_report *report, const struct ht_sample *sample, bool numeric,
                       struct ht_buffer *out)
{
    const struct ht_profile *profile = report->profile;
    const struct ht_label *labels = profile->labels + sample->labels;
    char **lines = ht_alloc_zero(sample->label_count + 1, sizeof *lines);
    size_t count = 0;
    for (uint32_t i = 0, next; i < sample->label_count; i = next) {
        uint32_t key = labels[i].key;
        struct ht_buffer line = {0};
        bool is_numeric = labels[i].text == 0;
        next = i;
        if (is_numeric == numeric) {
            ht_text_right(&line, 10, ht_profile_text(profile, key));
            ht_buffer_text(&line, ": ");
        }
        for (;
             next < sample->label_count && labels[next].key == key && (labels[next].text == 0) == is_numeric;
             next++) {
            char number[HT_MEASURE_TEXT_BYTES];
            if (is_numeric != numeric)
                continue;
            if (numeric)
                ht_measure_label(labels[next].number, ht_report_label_unit(report, key), "auto", number);
            ht_buffer_byte(&line, ' ');
            ht_buffer_text(&line, numeric ? number : ht_profile_text(profile, labels[next].text));
        }
        if (is_numeric != numeric)
            continue;
        ht_buffer_byte(&line, '\n');
        lines[count++] = line.data;
    }
    qsort(lines, count, sizeof *lines, compare_texts);
    for (size_t i = 0; i < count; i++) {
        ht_buffer_text(out, lines[i]);
        free(lines[i]);
    }
    free(lines);
}

static int64_t trace_value(const struct ht_report *report, size_t sample)
{
    return ht_report_mean(ht_report_value(report, sample), ht_report_divisor(report, sample));
}

static void add_stack(struct ht_graph *graph, size_t position, int columns, struct ht_buffer *out)
{
    enum { NAME_COLUMN = 13 };
    const struct ht_profile *profile = graph->report->profile;
    const struct ht_sample *sample = &profile->samples[position];
    char value[HT_MEASURE_TEXT_BYTES];
    ht_report_label(graph->report, trace_value(graph->report, position), value);
    for (uint32_t i = 0; i < sample->frame_count; i++) {
        uint32_t location = profile->frames[sample->frames + i];
        uint32_t end = graph->location_first[location + 1];
        for (uint32_t at = graph->location_first[location]; at < end; at++) {
            ht_text_right(out, 10, value);
            ht_buffer_text(out, "   ");
            ht_text_name(out, ht_graph_text(graph, graph->location_nodes[at]),
                         at + 1 < end ? " (inline)" : "", columns, NAME_COLUMN);
            ht_buffer_byte(out, '\n');
            value[0] = '\0';
        }
    }
}

static void traces_text(struct ht_graph *graph, int columns, struct ht_buffer *out)
{
    const struct ht_report *report = graph->report;
    const struct ht_profile *profile = report->profile;
    size_t before = out->length;
    ht_report_profile_lines(report, out);
    if (out->length == before)
        ht_buffer_byte(out, '\n');
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        if (sample->frame_count == 0)
            continue;
        ht_buffer_text(out, separator);
        add_labels(report, sample, false, out);
        add_labels(report, sample, true, out);
        add_stack(graph, i, columns, out);
        ht_buffer_drain(out);
    }
    ht_buffer_text(out, separator);
}

static void json_stack(struct ht_json *json, struct ht_graph *graph, const struct ht_sample *sample)
{
    ht_json_begin_array(json, "frames");
    for (uint32_t i = 0; i < sample->frame_count; i++) {
        uint32_t location = graph->report->profile->frames[sample->frames + i];
        uint32_t end = graph->location_first[location + 1];
        for (uint32_t at = graph->location_first[location]; at < end; at++) {
            ht_json_begin_object(json, NULL);
            ht_graph_json_node(json, graph, graph->location_nodes[at]);
            ht_json_string(json, "inlined", at + 1 < end ? "always" : "never");
            ht_json_end_object(json);
        }
    }
    ht_json_end_array(json);
}

static void traces_json(struct ht_graph *graph, const char *name, struct ht_buffer *out)
{
    const struct ht_report *report = graph->report;
    struct ht_json json = {.out = out};
    ht_report_json_begin(&json, report, name);
    ht_json_begin_array(&json, "rows");
    for (size_t i = 0; i < report->profile->sample_count; i++) {
        const struct ht_sample *sample = &report->profile->samples[i];
        if (sample->frame_count == 0)
            continue;
        ht_json_begin_object(&json, NULL);
        ht_json_int(&json, "value", trace_value(report, i));
        ht_report_json_labels(&json, report, sample);
        json_stack(&json, graph, sample);
        ht_json_end_object(&json);
        ht_buffer_drain(out);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}

int ht_write_traces(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_graph graph;
    ht_graph_build_names(&graph, report, false);
    if (form->json)
        traces_json(&graph, form->name, out);
    else
        traces_text(&graph, form->columns, out);
    ht_graph_free(&graph);
    return 0;
}
