// The reports `tree` and `peek`: each node between its callers and its callees; peek shows those that match.
#include "view/graph/json.h"
#include "view/reports.h"
#include "view/text.h"

#include "base/error.h"
#include "base/regex.h"

static bool is_wanted(const struct ht_regex *regex, const char *name)
{
    return regex == NULL || ht_regex_match(regex, name, strlen(name));
}

static void add_edge(struct ht_graph *graph, const struct ht_edge *edge, uint32_t other, int64_t cum,
                     int columns, struct ht_buffer *out)
{
    enum { NAME_COLUMN = 62 };
    char value[HT_MEASURE_TEXT_BYTES], percent[HT_MEASURE_TEXT_BYTES];
    ht_report_label(graph->report, edge->weight, value);
    ht_measure_percent(edge->weight, cum, percent);
    ht_text_right(out, 50, value);
    ht_buffer_printf(out, " %s |   ", percent);
    ht_text_name(out, ht_graph_text(graph, other), edge->is_inline ? " (inline)" : "", columns, NAME_COLUMN);
    ht_buffer_byte(out, '\n');
}

static void add_node(struct ht_graph *graph, uint32_t position, int64_t sum, int columns,
                     struct ht_buffer *out)
{
    enum { NAME_COLUMN = 60 };
    const struct ht_node *node = &graph->nodes[position];
    int64_t cum = ht_node_cum(node);
    for (uint32_t i = 0; i < node->in_count; i++) {
        const struct ht_edge *edge = &graph->edges[graph->in_edges[node->in_first + i]];
        add_edge(graph, edge, edge->from, cum, columns, out);
    }
    ht_graph_values(graph, position, sum, 0, out);
    ht_buffer_printf(out, "%16s| ", "");
    ht_text_name(out, ht_graph_text(graph, position), "", columns, NAME_COLUMN);
    ht_buffer_byte(out, '\n');
    for (uint32_t i = 0; i < node->out_count; i++) {
        const struct ht_edge *edge = &graph->edges[graph->out_edges[node->out_first + i]];
        add_edge(graph, edge, edge->to, cum, columns, out);
    }
}

// Returns how many nodes were shown.
static size_t tree_text(struct ht_graph *graph, const struct ht_regex *regex, int columns,
                        struct ht_buffer *out)
{
    static const char separator[] =
        "----------------------------------------------------------+-------------\n";
    size_t shown = 0;
    int64_t sum = 0;
    ht_graph_header(graph, 0, false, out);
    ht_buffer_text(out, separator);
    ht_buffer_text(out, "      flat  flat%   sum%        cum   cum%   calls calls% + context \t \t \n");
    for (size_t i = 0; i < graph->shown_count; i++) {
        uint32_t position = graph->shown[i];
        if (!is_wanted(regex, ht_graph_text(graph, position)))
            continue;
        shown++;
        sum = ht_wrap_add(sum, ht_node_flat(&graph->nodes[position]));
        ht_buffer_text(out, separator);
        add_node(graph, position, sum, columns, out);
    }
    if (graph->shown_count > 0)
        ht_buffer_text(out, separator);
    return shown;
}

static void json_edges(struct ht_json *json, struct ht_graph *graph, const char *key, const uint32_t *edges,
                       uint32_t count, int64_t cum)
{
    ht_json_begin_array(json, key);
    for (uint32_t i = 0; i < count; i++) {
        const struct ht_edge *edge = &graph->edges[edges[i]];
        ht_json_begin_object(json, NULL);
        ht_graph_json_node(json, graph, strcmp(key, "callers") == 0 ? edge->from : edge->to);
        ht_json_int(json, "value", edge->weight);
        ht_report_json_percent(json, "percent", edge->weight, cum);
        ht_json_string(json, "inlined", edge->is_inline ? "always" : "never");
        ht_json_end_object(json);
    }
    ht_json_end_array(json);
}

static size_t tree_json(struct ht_graph *graph, const struct ht_regex *regex, const char *name,
                        struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    size_t shown = 0;
    int64_t sum = 0;
    ht_graph_json_begin(&json, graph, name);
    for (size_t i = 0; i < graph->shown_count; i++) {
        uint32_t position = graph->shown[i];
        const struct ht_node *node = &graph->nodes[position];
        if (!is_wanted(regex, ht_graph_text(graph, position)))
            continue;
        shown++;
        sum = ht_wrap_add(sum, ht_node_flat(node));
        ht_json_begin_object(&json, NULL);
        ht_graph_json_row(&json, graph, position, sum);
        json_edges(&json, graph, "callers", graph->in_edges + node->in_first, node->in_count,
                   ht_node_cum(node));
        json_edges(&json, graph, "callees", graph->out_edges + node->out_first, node->out_count,
                   ht_node_cum(node));
        ht_json_end_object(&json);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
    return shown;
}

int ht_write_tree(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_regex *regex = NULL;
    if (form->expression != NULL && ht_regex_compile(form->expression, &regex) < 0)
        return -1;
    struct ht_graph graph;
    ht_graph_build_around(&graph, report, regex);
    ht_graph_sort_edges(&graph);
    size_t shown =
        form->json ? tree_json(&graph, regex, form->name, out) : tree_text(&graph, regex, form->columns, out);
    ht_graph_free(&graph);
    ht_regex_free(regex);
    return form->expression != NULL && shown == 0
               ? ht_fail("no matches found for regexp: %s", form->expression)
               : 0;
}
