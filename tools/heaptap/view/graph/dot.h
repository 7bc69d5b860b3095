// The call graph for the eye, shared by the reports that draw it or list it.
#ifndef HT_VIEW_GRAPH_DOT_H
#define HT_VIEW_GRAPH_DOT_H

#include "view/graph/graph.h"
#include "view/reports.h"

// Context: tool.

// Builds the graph as pprof's `dot` does.
void ht_dot_build(struct ht_graph *graph, struct ht_report *report);

// Appends the graph in Graphviz's language.
int ht_dot_graph(struct ht_graph *graph, struct ht_buffer *out);

// The edges between nodes that are shown, the heaviest first, into ret_edges (room for edge_count); returns
// how many. pprof also writes edges to nodes that are not there, as edges to a node N0.
size_t ht_dot_edges(struct ht_graph *graph, uint32_t *ret_edges);

// Where a node's tags stand in graph->tags.
void ht_dot_tags(const struct ht_graph *graph, uint32_t node, size_t *ret_first, size_t *ret_count);

#endif
