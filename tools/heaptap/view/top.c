// The report `top`, as text and as JSON.
#include "view/top.h"

#include "base/json.h"
#include "base/path.h"
#include "base/terminal.h"

#include <stdlib.h>

static const char *inline_mark(enum ht_inlined inlined)
{
    return inlined == HT_INLINED_ALWAYS   ? " (inline)"
           : inlined == HT_INLINED_PARTLY ? " (partial-inline)"
                                          : "";
}

void ht_top_text(struct ht_graph *graph, int columns, struct ht_buffer *out)
{
    enum { NAME_COLUMN = 44 };
    const struct ht_report *report = graph->report;
    int64_t sum = 0;
    ht_graph_header(graph, 0, out);
    ht_buffer_printf(out, "%10s %5s%% %5s%% %10s %5s%%\n", "flat", "flat", "sum", "cum", "cum");
    for (size_t i = 0; i < graph->shown_count; i++) {
        uint32_t position = graph->shown[i];
        const struct ht_node *node = &graph->nodes[position];
        char flat[HT_MEASURE_TEXT_BYTES], cum[HT_MEASURE_TEXT_BYTES];
        char flat_percent[HT_MEASURE_TEXT_BYTES], sum_percent[HT_MEASURE_TEXT_BYTES],
            cum_percent[HT_MEASURE_TEXT_BYTES];
        sum = ht_wrap_add(sum, ht_node_flat(node));
        ht_report_label(report, ht_node_flat(node), flat);
        ht_report_label(report, ht_node_cum(node), cum);
        ht_measure_percent(ht_node_flat(node), report->total, flat_percent);
        ht_measure_percent(sum, report->total, sum_percent);
        ht_measure_percent(ht_node_cum(node), report->total, cum_percent);
        ht_buffer_printf(out, "%10s %s %s %10s %s  ", flat, flat_percent, sum_percent, cum, cum_percent);
        const char *name = ht_graph_text(graph, position),
                   *mark = inline_mark(ht_graph_inlined(graph, position));
        int room = columns == 0 ? 0 : columns - NAME_COLUMN - (int)strlen(mark);
        if (columns != 0 && room < 20)
            room = 20;
        if (room != 0 && strlen(name) > (size_t)room) {
            char *fitted = ht_alloc((size_t)room + 1);
            ht_terminal_fit(name, room, fitted, (size_t)room + 1);
            ht_buffer_text(out, fitted);
            free(fitted);
        } else {
            ht_buffer_text(out, name);
        }
        ht_buffer_printf(out, "%s\n", mark);
    }
}

static void add_percent(struct ht_json *json, const char *key, int64_t value, int64_t total)
{
    ht_json_number(json, key, total == 0 ? 0 : (double)value / (double)total * 100);
}

static void add_row(struct ht_json *json, struct ht_graph *graph, uint32_t position, int64_t sum)
{
    static const char *const inlined[] = {"never", "always", "partly"};
    const struct ht_report *report = graph->report;
    const struct ht_node *node = &graph->nodes[position];
    ht_json_begin_object(json, NULL);
    ht_json_string(json, "name", ht_graph_text(graph, position));
    if (node->info.name != 0)
        ht_json_string(json, "function", ht_profile_text(report->profile, node->info.name));
    if (node->info.file != 0)
        ht_json_string(json, "file", ht_profile_text(report->profile, node->info.file));
    if (node->info.line != 0)
        ht_json_int(json, "line", node->info.line);
    if (node->info.object != 0)
        ht_json_string(json, "object", ht_profile_text(report->profile, node->info.object));
    if (node->info.address != 0) {
        char address[32];
        snprintf(address, sizeof address, "0x%llx", (unsigned long long)node->info.address);
        ht_json_string(json, "address", address);
    }
    ht_json_int(json, "flat", ht_node_flat(node));
    add_percent(json, "flat_percent", ht_node_flat(node), report->total);
    add_percent(json, "sum_percent", sum, report->total);
    ht_json_int(json, "cum", ht_node_cum(node));
    add_percent(json, "cum_percent", ht_node_cum(node), report->total);
    ht_json_string(json, "inlined", inlined[ht_graph_inlined(graph, position)]);
    ht_json_end_object(json);
}

void ht_top_json(struct ht_graph *graph, struct ht_buffer *out)
{
    const struct ht_report *report = graph->report;
    const struct ht_profile *profile = report->profile;
    struct ht_json json = {.out = out};
    struct ht_buffer file = {0};
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "report", "top");
    if (profile->mapping_count > 0 && profile->mappings[0].file != 0) {
        ht_path_base(ht_profile_text(profile, profile->mappings[0].file), &file);
        ht_json_string(&json, "program", file.data);
    }
    if (profile->mapping_count > 0 && profile->mappings[0].build_id != 0)
        ht_json_string(&json, "build_id", ht_profile_text(profile, profile->mappings[0].build_id));
    ht_json_string(&json, "sample_type", report->sample_type);
    ht_json_string(&json, "unit", report->sample_unit);
    ht_json_int(&json, "time_ns", profile->time_ns);
    ht_json_int(&json, "duration_ns", profile->duration_ns);
    ht_json_int(&json, "total", report->total);
    ht_json_int(&json, "dropped_nodes", (int64_t)graph->dropped_nodes);
    ht_json_int(&json, "nodes", (int64_t)graph->original_count);
    ht_json_begin_array(&json, "rows");
    int64_t sum = 0;
    for (size_t i = 0; i < graph->shown_count; i++) {
        sum = ht_wrap_add(sum, ht_node_flat(&graph->nodes[graph->shown[i]]));
        add_row(&json, graph, graph->shown[i], sum);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
    ht_buffer_free(&file);
}
