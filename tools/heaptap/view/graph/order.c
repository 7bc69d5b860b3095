// The order of a graph's nodes and edges, as google/pprof's graph.go of Go 1.19 sorts them.
#include "view/graph/builder.h"

#include <stdlib.h>

// The last resort of the order: all of a node's properties as one text, joined as Go prints a struct.
static int compare_infos(const struct ht_profile *profile, const struct ht_node_info *a,
                         const struct ht_node_info *b)
{
    const struct ht_node_info *infos[2] = {a, b};
    char *text[2];
    for (int i = 0; i < 2; i++)
        text[i] = ht_format("{%s  %llu %s %lld %lld %s}", ht_profile_text(profile, infos[i]->name),
                            (unsigned long long)infos[i]->address, ht_profile_text(profile, infos[i]->file),
                            (long long)infos[i]->start_line, (long long)infos[i]->line,
                            ht_profile_text(profile, infos[i]->object));
    int result = strcmp(text[0], text[1]);
    free(text[0]);
    free(text[1]);
    return result;
}

static int compare_magnitudes(int64_t a, int64_t b) // larger first
{
    int64_t x = ht_wrap_abs(a), y = ht_wrap_abs(b);
    return x > y ? -1 : x < y;
}

struct order {
    struct ht_graph *graph;
    const int64_t *scores; // by node, or NULL: by flat or cum
};

static int compare_nodes(const void *left, const void *right, void *context)
{
    const struct order *how = context;
    struct ht_graph *graph = how->graph;
    uint32_t l = *(const uint32_t *)left, r = *(const uint32_t *)right;
    const struct ht_node *a = &graph->nodes[l], *b = &graph->nodes[r];
    bool by_flat = how->scores == NULL && !graph->report->options.sort_by_cum;
    int order = how->scores != NULL ? compare_magnitudes(how->scores[l], how->scores[r])
                : by_flat           ? compare_magnitudes(a->flat, b->flat)
                                    : compare_magnitudes(a->cum, b->cum);
    if (order == 0)
        order = strcmp(ht_graph_text(graph, l), ht_graph_text(graph, r));
    if (order == 0)
        order = by_flat ? compare_magnitudes(a->cum, b->cum) : compare_magnitudes(a->flat, b->flat);
    if (order == 0 && l != r)
        order = compare_infos(graph->report->profile, &a->info, &b->info);
    return order != 0 ? order : (l > r) - (l < r); // the last only in trees
}

void ht_graph_sort_shown(struct ht_graph_builder *builder)
{
    struct ht_graph *graph = builder->graph;
    int64_t *scores = NULL;
    if (builder->is_visual) {
        scores = ht_alloc_zero(graph->node_count + 1, sizeof *scores);
        ht_graph_score(graph, scores);
    }
    struct order how = {.graph = graph, .scores = scores};
    qsort_r(graph->shown, graph->shown_count, sizeof *graph->shown, compare_nodes, &how);
    free(scores);
}

void ht_graph_group_edges(struct ht_graph *graph)
{
    graph->in_edges = ht_realloc_array(graph->in_edges, graph->edge_count, sizeof *graph->in_edges);
    graph->out_edges = ht_realloc_array(graph->out_edges, graph->edge_count, sizeof *graph->out_edges);
    for (size_t i = 0; i < graph->node_count; i++)
        graph->nodes[i].in_count = graph->nodes[i].out_count = 0;
    for (size_t i = 0; i < graph->edge_count; i++) {
        graph->nodes[graph->edges[i].to].in_count++;
        graph->nodes[graph->edges[i].from].out_count++;
    }
    uint32_t in = 0, out = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        struct ht_node *node = &graph->nodes[i];
        node->in_first = in;
        node->out_first = out;
        in += node->in_count;
        out += node->out_count;
        node->in_count = node->out_count = 0;
    }
    for (size_t i = 0; i < graph->edge_count; i++) {
        struct ht_node *to = &graph->nodes[graph->edges[i].to], *from = &graph->nodes[graph->edges[i].from];
        graph->in_edges[to->in_first + to->in_count++] = (uint32_t)i;
        graph->out_edges[from->out_first + from->out_count++] = (uint32_t)i;
    }
}

static int compare_edges(const void *left, const void *right, void *context)
{
    struct ht_graph *graph = context;
    const struct ht_edge *a = &graph->edges[*(const uint32_t *)left],
                         *b = &graph->edges[*(const uint32_t *)right];
    int order = compare_magnitudes(a->weight, b->weight);
    if (order == 0 && a->from != b->from)
        order = strcmp(ht_graph_text(graph, a->from), ht_graph_text(graph, b->from));
    if (order == 0 && a->to != b->to)
        order = strcmp(ht_graph_text(graph, a->to), ht_graph_text(graph, b->to));
    return order;
}

void ht_graph_sort_edges(struct ht_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ht_node *node = &graph->nodes[i];
        qsort_r(graph->in_edges + node->in_first, node->in_count, sizeof *graph->in_edges, compare_edges,
                graph);
        qsort_r(graph->out_edges + node->out_first, node->out_count, sizeof *graph->out_edges, compare_edges,
                graph);
    }
}
