// The report `top`, as text and as JSON.
#include "view/graph/json.h"
#include "view/reports.h"
#include "view/text.h"

#include <math.h>

static const char *inline_mark(enum ht_inlined inlined)
{
    return inlined == HT_INLINED_ALWAYS   ? " (inline)"
           : inlined == HT_INLINED_PARTLY ? " (partial-inline)"
                                          : "";
}

// Whether 0 is within the interval of 95 %: a row that may as well be nothing.
static bool is_noise(const struct ht_graph *graph, const struct ht_node *node)
{
    double error = graph->report->has_errors ? ht_node_error(node) : (double)NAN;
    return error > 0 && fabs((double)ht_node_flat(node)) < 1.96 * error;
}

static void top_text(struct ht_graph *graph, const struct ht_report_form *form, struct ht_buffer *out)
{
    enum { NAME_COLUMN = 44 };
    int64_t sum = 0;
    size_t error_width = ht_graph_error_width(graph);
    ht_graph_header(graph, 0, true, out);
    ht_buffer_printf(out, "%10s%*s %5s%% %5s%% %10s %5s%%\n", "flat", (int)error_width, "", "flat", "sum",
                     "cum", "cum");
    for (size_t i = 0; i < graph->shown_count; i++) {
        uint32_t position = graph->shown[i];
        const struct ht_node *node = &graph->nodes[position];
        sum = ht_wrap_add(sum, ht_node_flat(node));
        bool is_dim = form->colour && is_noise(graph, node);
        ht_buffer_text(out, is_dim ? "\033[2m" : "");
        ht_graph_values(graph, position, sum, error_width, out);
        ht_buffer_text(out, "  ");
        ht_text_name(out, ht_graph_text(graph, position), inline_mark(ht_graph_inlined(graph, position)),
                     form->columns, NAME_COLUMN + (int)error_width);
        ht_buffer_text(out, is_dim ? "\033[0m\n" : "\n");
    }
}

static void top_json(struct ht_graph *graph, const char *name, struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    ht_graph_json_begin(&json, graph, name);
    int64_t sum = 0;
    for (size_t i = 0; i < graph->shown_count; i++) {
        const struct ht_node *node = &graph->nodes[graph->shown[i]];
        sum = ht_wrap_add(sum, ht_node_flat(&graph->nodes[graph->shown[i]]));
        ht_json_begin_object(&json, NULL);
        ht_graph_json_row(&json, graph, graph->shown[i], sum);
        if (graph->report->knows_errors)
            ht_report_json_error(&json, "flat_error", ht_node_error(node));
        ht_json_end_object(&json);
    }
    ht_json_end_array(&json);
    if (graph->report->knows_errors)
        ht_report_json_error(&json, "total_error", graph->report->total_error);
    ht_json_end_object(&json);
}

int ht_write_top(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_graph graph;
    ht_graph_build_as(&graph, report, HT_GRAPH_INLINED);
    if (form->json)
        top_json(&graph, form->name, out);
    else
        top_text(&graph, form, out);
    ht_graph_free(&graph);
    return 0;
}
