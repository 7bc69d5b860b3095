// The JSON of the reports whose rows are nodes of a graph.
#include "view/graph/json.h"

#include "view/graph/dot.h"

#include <stdlib.h>

void ht_graph_json_node(struct ht_json *json, struct ht_graph *graph, uint32_t node)
{
    const struct ht_profile *profile = graph->report->profile;
    const struct ht_node_info *info = &graph->nodes[node].info;
    ht_json_string(json, "name", ht_graph_text(graph, node));
    if (info->name != 0)
        ht_json_string(json, "function", ht_profile_text(profile, info->name));
    if (info->file != 0)
        ht_json_string(json, "file", ht_profile_text(profile, info->file));
    if (info->line != 0)
        ht_json_int(json, "line", info->line);
    if (info->object != 0)
        ht_json_string(json, "object", ht_profile_text(profile, info->object));
    if (info->address != 0)
        ht_report_json_hex(json, "address", info->address);
}

void ht_graph_json_row(struct ht_json *json, struct ht_graph *graph, uint32_t position, int64_t sum)
{
    static const char *const inlined[] = {"never", "always", "partly"};
    const struct ht_node *node = &graph->nodes[position];
    int64_t total = graph->report->total;
    ht_graph_json_node(json, graph, position);
    ht_json_int(json, "flat", ht_node_flat(node));
    ht_report_json_percent(json, "flat_percent", ht_node_flat(node), total);
    ht_report_json_percent(json, "sum_percent", sum, total);
    ht_json_int(json, "cum", ht_node_cum(node));
    ht_report_json_percent(json, "cum_percent", ht_node_cum(node), total);
    ht_json_string(json, "inlined", inlined[ht_graph_inlined(graph, position)]);
}

void ht_graph_json_begin(struct ht_json *json, const struct ht_graph *graph, const char *name)
{
    ht_report_json_begin(json, graph->report, name);
    ht_json_int(json, "dropped_nodes", (int64_t)graph->dropped_nodes);
    ht_json_int(json, "nodes", (int64_t)graph->original_count);
    ht_json_begin_array(json, "rows");
}

static void json_tags(struct ht_json *json, struct ht_graph *graph, uint32_t position)
{
    const struct ht_profile *profile = graph->report->profile;
    size_t first, count;
    ht_dot_tags(graph, position, &first, &count);
    ht_json_begin_array(json, "tags");
    for (size_t i = first; i < first + count; i++) {
        const struct ht_node_tag *tag = &graph->tags[i];
        ht_json_begin_object(json, NULL);
        ht_json_string(json, "text", ht_profile_text(profile, tag->name != 0 ? tag->name : tag->group));
        if (tag->name != 0)
            ht_json_int(json, "number", tag->number);
        ht_json_int(json, "flat", ht_report_mean(tag->flat, tag->flat_divisor));
        ht_json_int(json, "cum", ht_report_mean(tag->cum, tag->cum_divisor));
        ht_json_end_object(json);
    }
    ht_json_end_array(json);
}

// `numbers`: of the nodes that are rows, by node.
static void json_edges(struct ht_json *json, struct ht_graph *graph, const uint32_t *numbers)
{
    uint32_t *edges = ht_alloc_zero(graph->edge_count + 1, sizeof *edges);
    size_t count = ht_dot_edges(graph, edges);
    ht_json_begin_array(json, "edges");
    for (size_t i = 0; i < count; i++) {
        const struct ht_edge *edge = &graph->edges[edges[i]];
        ht_json_begin_object(json, NULL);
        ht_json_int(json, "from", numbers[edge->from]);
        ht_json_int(json, "to", numbers[edge->to]);
        ht_json_int(json, "value", ht_report_mean(edge->weight, edge->divisor));
        ht_json_string(json, "inlined", edge->is_inline ? "always" : "never");
        ht_json_bool(json, "indirect", edge->is_residual);
        ht_json_end_object(json);
    }
    ht_json_end_array(json);
    free(edges);
}

void ht_graph_json(struct ht_graph *graph, const char *name, struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    uint32_t *numbers = ht_alloc_zero(graph->node_count + 1, sizeof *numbers);
    int64_t sum = 0;
    ht_graph_json_begin(&json, graph, name);
    for (size_t i = 0; i < graph->shown_count; i++) {
        uint32_t position = graph->shown[i];
        numbers[position] = (uint32_t)i + 1;
        sum = ht_wrap_add(sum, ht_node_flat(&graph->nodes[position]));
        ht_json_begin_object(&json, NULL);
        ht_json_int(&json, "id", (int64_t)i + 1);
        ht_graph_json_row(&json, graph, position, sum);
        json_tags(&json, graph, position);
        ht_json_end_object(&json);
    }
    ht_json_end_array(&json);
    json_edges(&json, graph, numbers);
    ht_json_end_object(&json);
    free(numbers);
}
