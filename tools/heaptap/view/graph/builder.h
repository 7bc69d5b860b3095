// A graph while it is built, and what the files that build it ask of each other.
#ifndef HT_VIEW_GRAPH_BUILDER_H
#define HT_VIEW_GRAPH_BUILDER_H

#include "base/pairs.h"
#include "view/graph/graph.h"
#include "view/graph/visual.h"

struct ht_graph_builder {
    struct ht_graph *graph;
    struct ht_index node_index;
    uint32_t *clean_file; // by string: trimmed and cleaned, HT_NONE: not yet
    size_t clean_count;
    bool keep_paths;       // clean, but do not trim
    bool with_objects;     // HT_GRAPH_OBJECTS
    struct ht_pairs table; // (caller, callee) -> edge; of a tree, (caller + 1, node) -> node
    uint32_t *edge_sample; // by edge: last sample that was counted, +1
    size_t edge_sample_capacity;
    uint32_t *node_sample; // by node likewise
    uint32_t *tree_edge;   // by node of a tree: the edge from its caller, HT_NONE: none
    size_t tree_edge_capacity;
    uint8_t *ends;            // by node: which of its edges are wanted, EDGES_IN and EDGES_OUT; NULL: all
    bool is_visual, is_whole; // HT_GRAPH_VISUAL, HT_GRAPH_WHOLE
    struct ht_tag_table tags;
};

struct ht_weight {
    int64_t value, divisor;
};

// Context: tool; internal to view/graph.

// graph.c
uint32_t ht_graph_add_edge(struct ht_graph_builder *builder, uint32_t from, uint32_t to);
// What is shown of the kept nodes, in no order.
void ht_graph_collect_shown(struct ht_graph *graph);
// Removes light edges; returns how many of those into shown nodes went.
size_t ht_graph_trim_edges(struct ht_graph *graph, int64_t cutoff);
// How many of the nodes shown the limit leaves; 0: all of them.
size_t ht_graph_limit(struct ht_graph_builder *builder, int64_t node_limit, int64_t node_cutoff);
int64_t ht_graph_cutoff(int64_t total, double fraction);

// order.c
void ht_graph_sort_shown(struct ht_graph_builder *builder);
// Fills in_edges and out_edges.
void ht_graph_group_edges(struct ht_graph *graph);

// tree.c: a tree of calls, one node for each way from the root. The nodes that were made for the locations
// become its own.
void ht_graph_make_tree(struct ht_graph_builder *builder);
void ht_graph_trim_tree(struct ht_graph_builder *builder, int64_t node_cutoff, int64_t edge_cutoff,
                        int64_t node_limit);

#endif
