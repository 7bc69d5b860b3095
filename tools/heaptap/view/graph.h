// The call graph of a report: nodes by granularity with flat and cumulative values, edges between them,
// trimmed.
#ifndef HT_VIEW_GRAPH_H
#define HT_VIEW_GRAPH_H

#include "view/report.h"

// What one node is; strings of the profile. Two nodes never have the same.
struct ht_node_info {
    uint32_t name, file, object; // object: the mapping's file, where there is no name
    uint64_t address;
    int64_t line, start_line;
};

struct ht_node {
    struct ht_node_info info;
    int64_t flat, flat_divisor, cum, cum_divisor;
    bool kept;                   // by trimming
    uint32_t in_first, in_count; // edges in graph->in_edges, after ht_graph_link()
    uint32_t out_first, out_count;
    char *text; // as printed, made on demand
};

struct ht_edge {
    uint32_t from, to; // nodes: caller, callee
    int64_t weight, divisor;
    bool is_residual; // goes over nodes that were not kept
    bool is_inline;   // always inlined
};

struct ht_graph {
    const struct ht_report *report;
    struct ht_node *nodes; // every node of the profile
    size_t node_count, node_capacity;
    uint32_t *location_first; // by location, into location_nodes (one more entry at the end)
    uint32_t *location_nodes; // innermost inlined function first
    uint32_t *shown;          // what the report shows, sorted
    size_t shown_count;
    struct ht_edge *edges;
    size_t edge_count, edge_capacity;
    uint32_t *in_edges, *out_edges; // edges grouped by callee and by caller
    size_t original_count;          // nodes before the limit by number
    size_t dropped_nodes, dropped_edges;
};

// Context: tool. Builds and trims as pprof does for text reports; settles report->output_unit. The report
// must outlive the graph.
void ht_graph_build(struct ht_graph *graph, struct ht_report *report);
void ht_graph_free(struct ht_graph *graph);

// Name as printed: "[address ]function[ file[:line]]", "[object]" or "<unknown>". Valid until the graph is
// freed.
const char *ht_graph_text(struct ht_graph *graph, uint32_t node);

static inline int64_t ht_node_flat(const struct ht_node *node)
{
    return ht_report_mean(node->flat, node->flat_divisor);
}

static inline int64_t ht_node_cum(const struct ht_node *node)
{
    return ht_report_mean(node->cum, node->cum_divisor);
}

enum ht_inlined { HT_INLINED_NEVER, HT_INLINED_ALWAYS, HT_INLINED_PARTLY };

// By the edges into the node that are left.
enum ht_inlined ht_graph_inlined(const struct ht_graph *graph, uint32_t node);

// Appends the header of a text report, "Showing nodes accounting for ..." and what was dropped, to *out.
void ht_graph_header(const struct ht_graph *graph, size_t dropped_edges, struct ht_buffer *out);

#endif
