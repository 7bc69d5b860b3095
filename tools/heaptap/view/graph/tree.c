// The tree of calls: one node for each way from the root, by the rules of google/pprof's graph.go as Go 1.19
// ships them.
#include "view/graph/builder.h"

#include <stdlib.h>

// The node behind `parent` for the base node `base`, with its edge; made when the way is new.
static uint32_t find_or_add_tree_node(struct ht_graph_builder *builder, const struct ht_node *bases,
                                      uint32_t parent, uint32_t base, bool is_inline)
{
    struct ht_graph *graph = builder->graph;
    bool is_new;
    uint32_t *node = ht_pairs_at(&builder->table, parent + 1, base, &is_new); // HT_NONE + 1 is 0
    if (!is_new) {
        if (parent != HT_NONE && !is_inline)
            graph->edges[builder->tree_edge[*node]].is_inline = false;
        return *node;
    }
    HT_RESERVE(graph->nodes, graph->node_capacity, graph->node_count + 1);
    HT_RESERVE(builder->tree_edge, builder->tree_edge_capacity, graph->node_count + 1);
    uint32_t added = *node = (uint32_t)graph->node_count++;
    graph->nodes[added] = (struct ht_node){.info = bases[base].info, .kept = true, .parent = parent};
    builder->tree_edge[added] = parent == HT_NONE ? HT_NONE : ht_graph_add_edge(builder, parent, added);
    if (parent != HT_NONE)
        graph->edges[builder->tree_edge[added]].is_inline = is_inline;
    return added;
}

static void add_weight(int64_t *value, int64_t *divisor, struct ht_weight weight)
{
    *value = ht_wrap_add(*value, weight.value);
    *divisor = ht_wrap_add(*divisor, weight.divisor);
}

// One sample from the root to the leaf; nothing is counted twice, since each step is a node of its own.
static void grow_tree(struct ht_graph_builder *builder, const struct ht_node *bases, size_t position)
{
    struct ht_graph *graph = builder->graph;
    const struct ht_profile *profile = graph->report->profile;
    const struct ht_sample *sample = &profile->samples[position];
    struct ht_weight weight = {ht_report_value(graph->report, position),
                               ht_report_divisor(graph->report, position)};
    uint32_t parent = HT_NONE;
    if (weight.value == 0 && weight.divisor == 0)
        return;
    if (builder->is_visual)
        ht_tags_sample(&builder->tags, sample);
    for (uint32_t frame = sample->frame_count; frame > 0; frame--) {
        uint32_t location = profile->frames[sample->frames + frame - 1];
        uint32_t first = graph->location_first[location], end = graph->location_first[location + 1];
        for (uint32_t at = end; at > first; at--) {
            uint32_t node =
                find_or_add_tree_node(builder, bases, parent, graph->location_nodes[at - 1], at != end);
            uint32_t edge = builder->tree_edge[node];
            add_weight(&graph->nodes[node].cum, &graph->nodes[node].cum_divisor, weight);
            if (edge != HT_NONE)
                add_weight(&graph->edges[edge].weight, &graph->edges[edge].divisor, weight);
            if (builder->is_visual)
                ht_tags_add(&builder->tags, node, weight.value, weight.divisor, false);
            parent = node;
        }
    }
    if (parent == HT_NONE)
        return;
    add_weight(&graph->nodes[parent].flat, &graph->nodes[parent].flat_divisor, weight);
    if (builder->is_visual)
        ht_tags_add(&builder->tags, parent, weight.value, weight.divisor, true);
}

void ht_graph_make_tree(struct ht_graph_builder *builder)
{
    struct ht_graph *graph = builder->graph;
    struct ht_node *bases = graph->nodes;
    graph->nodes = NULL;
    graph->node_count = graph->node_capacity = 0;
    graph->is_tree = true;
    ht_pairs_free(&builder->table);
    for (size_t i = 0; i < graph->report->profile->sample_count; i++)
        grow_tree(builder, bases, i);
    free(bases);
    free(graph->location_first);
    free(graph->location_nodes);
    graph->location_first = graph->location_nodes = NULL;
    graph->shown = ht_realloc_array(graph->shown, graph->node_count, sizeof *graph->shown);
    ht_graph_collect_shown(graph);
}

// Takes the nodes that are not kept out of the tree: what they called is called by their callers. Values
// stay. Callers stand before what they call in `nodes`, so one pass is enough.
static void cut_tree(struct ht_graph_builder *builder)
{
    struct ht_graph *graph = builder->graph;
    for (size_t i = 0; i < graph->node_count; i++)
        builder->tree_edge[i] = HT_NONE;
    for (size_t i = 0; i < graph->edge_count; i++)
        builder->tree_edge[graph->edges[i].to] = (uint32_t)i;
    for (size_t i = 0; i < graph->node_count; i++) {
        uint32_t position = builder->tree_edge[i];
        if (position == HT_NONE || graph->nodes[graph->edges[position].from].kept)
            continue;
        struct ht_edge *edge = &graph->edges[position];
        uint32_t above = builder->tree_edge[edge->from];
        if (above == HT_NONE) {
            builder->tree_edge[i] = HT_NONE;
            continue;
        }
        edge->from = graph->edges[above].from;
        edge->is_residual = true;
        edge->is_inline = edge->is_inline && graph->edges[above].is_inline;
    }
    size_t left = 0;
    for (size_t i = 0; i < graph->edge_count; i++) {
        struct ht_edge edge = graph->edges[i];
        if (graph->nodes[edge.to].kept && builder->tree_edge[edge.to] != HT_NONE)
            graph->edges[left++] = edge;
    }
    graph->edge_count = left;
    ht_graph_collect_shown(graph);
}

// Of the nodes that are shown, the first `count` with at least the cutoff below them are kept; returns how
// many went.
static size_t drop_from_tree(struct ht_graph_builder *builder, size_t count, int64_t cutoff)
{
    struct ht_graph *graph = builder->graph;
    size_t dropped = 0;
    for (size_t i = 0; i < graph->shown_count; i++) {
        struct ht_node *node = &graph->nodes[graph->shown[i]];
        node->kept = i < count && ht_wrap_abs(node->cum) >= cutoff;
        dropped += !node->kept;
    }
    if (dropped > 0)
        cut_tree(builder);
    return dropped;
}

void ht_graph_trim_tree(struct ht_graph_builder *builder, int64_t node_cutoff, int64_t edge_cutoff,
                        int64_t node_limit)
{
    struct ht_graph *graph = builder->graph;
    if (node_cutoff > 0)
        graph->dropped_nodes = drop_from_tree(builder, graph->shown_count, node_cutoff);
    graph->original_count = graph->shown_count;
    ht_graph_sort_shown(builder);
    if (node_limit > 0) {
        ht_graph_trim_edges(graph, edge_cutoff);
        if (drop_from_tree(builder, ht_graph_limit(builder, node_limit, node_cutoff), 0) > 0)
            ht_graph_sort_shown(builder);
    }
    graph->dropped_edges = ht_graph_trim_edges(graph, edge_cutoff);
    ht_tags_trim(&builder->tags, node_cutoff);
}
