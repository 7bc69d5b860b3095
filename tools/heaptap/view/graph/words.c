// A graph in words: the names of its nodes, their values as columns, and the header of a text report.
#include "view/graph/builder.h"

#include "base/path.h"
#include "profile/birth.h"
#include "view/text.h"

const char *ht_graph_text(struct ht_graph *graph, uint32_t position)
{
    struct ht_node *node = &graph->nodes[position];
    if (node->text != NULL)
        return node->text;
    const struct ht_profile *profile = graph->report->profile;
    const struct ht_node_info *info = &node->info;
    struct ht_buffer text = {0};
    if (info->address != 0)
        ht_buffer_printf(&text, "%016llx ", (unsigned long long)info->address);
    if (info->name != 0)
        ht_buffer_printf(&text, "%s ", ht_profile_text(profile, info->name));
    if (info->line != 0) {
        ht_buffer_printf(&text, "%s:%lld ", ht_profile_text(profile, info->file), (long long)info->line);
    } else if (info->file != 0) {
        ht_buffer_printf(&text, "%s ", ht_profile_text(profile, info->file));
    } else if (info->name == 0 && info->object != 0) {
        ht_buffer_byte(&text, '[');
        ht_path_base(ht_profile_text(profile, info->object), &text);
        ht_buffer_text(&text, "] ");
    } else if (info->name == 0) {
        ht_buffer_text(&text, "<unknown> ");
    }
    text.data[text.length - 1] = '\0';
    return node->text = text.data;
}

enum ht_inlined ht_graph_inlined(const struct ht_graph *graph, uint32_t position)
{
    const struct ht_node *node = &graph->nodes[position];
    uint32_t inlined = 0;
    for (uint32_t i = 0; i < node->in_count; i++)
        inlined += graph->edges[graph->in_edges[node->in_first + i]].is_inline;
    return inlined == 0                ? HT_INLINED_NEVER
           : inlined == node->in_count ? HT_INLINED_ALWAYS
                                       : HT_INLINED_PARTLY;
}

double ht_node_error(const struct ht_node *node)
{
    return ht_error_of(node->flat_variance);
}

// " ±1.1"; "": it is exact, or unknown.
static void add_error(const struct ht_report *report, int64_t value, double error, struct ht_buffer *out)
{
    char text[HT_MEASURE_TEXT_BYTES] = "";
    if (report->has_errors)
        ht_report_error(report, value, error, text);
    if (text[0] != '\0')
        ht_buffer_printf(out, " ±%s", text);
}

size_t ht_graph_error_width(const struct ht_graph *graph)
{
    size_t widest = 0;
    struct ht_buffer text = {0};
    for (size_t i = 0; i < graph->shown_count && graph->report->has_errors; i++) {
        const struct ht_node *node = &graph->nodes[graph->shown[i]];
        text.length = 0;
        add_error(graph->report, ht_node_flat(node), ht_node_error(node), &text);
        size_t width = text.length > 0 ? ht_text_characters(text.data, text.length) : 0;
        widest = width > widest ? width : widest;
    }
    ht_buffer_free(&text);
    return widest;
}

static void add_error_column(const struct ht_graph *graph, const struct ht_node *node, size_t width,
                             struct ht_buffer *out)
{
    struct ht_buffer text = {0};
    ht_buffer_text(&text, "");
    add_error(graph->report, ht_node_flat(node), ht_node_error(node), &text);
    ht_buffer_printf(out, "%s%*s", text.data, (int)(width - ht_text_characters(text.data, text.length)), "");
    ht_buffer_free(&text);
}

void ht_graph_values(const struct ht_graph *graph, uint32_t position, int64_t sum, size_t error_width,
                     struct ht_buffer *out)
{
    const struct ht_report *report = graph->report;
    int64_t flat = ht_node_flat(&graph->nodes[position]), cum = ht_node_cum(&graph->nodes[position]);
    char value[HT_MEASURE_TEXT_BYTES], percent[HT_MEASURE_TEXT_BYTES];
    ht_report_label(report, flat, value);
    ht_text_right(out, 10, value);
    if (error_width > 0)
        add_error_column(graph, &graph->nodes[position], error_width, out);
    ht_measure_percent(flat, report->total, percent);
    ht_buffer_printf(out, " %s", percent);
    ht_measure_percent(sum, report->total, percent);
    ht_buffer_printf(out, " %s ", percent);
    ht_report_label(report, cum, value);
    ht_text_right(out, 10, value);
    ht_measure_percent(cum, report->total, percent);
    ht_buffer_printf(out, " %s", percent);
}

static void add_dropped(const struct ht_graph *graph, size_t dropped, const char *what, const char *measure,
                        double fraction, struct ht_buffer *out)
{
    char label[HT_MEASURE_TEXT_BYTES];
    if (dropped == 0)
        return;
    ht_report_label(graph->report, ht_graph_cutoff(graph->report->total, fraction), label);
    ht_buffer_printf(out, "Dropped %zu %s%s (%s <= %s)\n", dropped, what, dropped > 1 ? "s" : "", measure,
                     label);
}

void ht_graph_header(const struct ht_graph *graph, size_t dropped_edges, bool shows_errors,
                     struct ht_buffer *out)
{
    const struct ht_report *report = graph->report;
    char sum[HT_MEASURE_TEXT_BYTES], percent[HT_MEASURE_TEXT_BYTES], total[HT_MEASURE_TEXT_BYTES];
    if (!report->options.compact_labels)
        ht_report_profile_lines(report, out);
    ht_report_filter_lines(report, out);
    int64_t flat_sum = 0;
    double variance = 0;
    for (size_t i = 0; i < graph->shown_count; i++) {
        flat_sum = ht_wrap_add(flat_sum, ht_node_flat(&graph->nodes[graph->shown[i]]));
        variance += graph->nodes[graph->shown[i]].flat_variance;
    }
    ht_report_label(report, flat_sum, sum);
    ht_report_label(report, report->total, total);
    ht_measure_percent(flat_sum, report->total, percent);
    ht_buffer_printf(out, "Showing nodes accounting for %s", sum);
    if (shows_errors)
        add_error(report, flat_sum, ht_error_of(variance), out);
    ht_buffer_printf(out, ", %s of %s", percent + strspn(percent, " "), total);
    if (shows_errors)
        add_error(report, report->total, report->total_error, out);
    ht_buffer_text(out, " total\n");
    if (report->total == 0)
        return;
    add_dropped(graph, graph->dropped_nodes, "node", "cum", report->options.node_fraction, out);
    add_dropped(graph, dropped_edges, "edge", "freq", report->options.edge_fraction, out);
    if (graph->shown_count > 0 && graph->shown_count < graph->original_count)
        ht_buffer_printf(out, "Showing top %zu nodes out of %zu\n", graph->shown_count,
                         graph->original_count);
}
