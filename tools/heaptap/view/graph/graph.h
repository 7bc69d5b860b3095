// The call graph of a report: nodes by granularity with flat and cumulative values, edges between them,
// trimmed.
#ifndef HT_VIEW_GRAPH_GRAPH_H
#define HT_VIEW_GRAPH_GRAPH_H

#include "view/report.h"

struct ht_regex;

// What one node is; strings of the profile. Two nodes of a graph never have the same; in a tree of calls they
// differ in their ways from the root.
struct ht_node_info {
    uint32_t name, file, object; // object: the mapping's file, where there is no name
    uint64_t address;
    int64_t line, start_line;
};

struct ht_node {
    struct ht_node_info info;
    int64_t flat, flat_divisor, cum, cum_divisor;
    double flat_variance;        // NaN: unknown
    bool kept;                   // by trimming
    uint32_t in_first, in_count; // edges in graph->in_edges, after ht_graph_link()
    uint32_t out_first, out_count;
    uint32_t parent; // in a tree of calls, before anything was trimmed; HT_NONE: none
    char *text;      // as printed, made on demand
};

struct ht_edge {
    uint32_t from, to; // nodes: caller, callee
    int64_t weight, divisor;
    bool is_residual; // goes over nodes that were not kept
    bool is_inline;   // always inlined
};

// A label's value at a node, for graphs with tags.
struct ht_node_tag {
    uint32_t node;
    uint32_t group; // string: the text labels, "key:value" joined by "\\n"; 0: none
    uint32_t name;  // string: the number as printed; 0: the tag of the text labels themselves
    int64_t number;
    int64_t flat, flat_divisor, cum, cum_divisor;
};

struct ht_graph {
    const struct ht_report *report;
    struct ht_node *nodes; // every node of the profile
    size_t node_count, node_capacity;
    bool is_tree;             // one node for each way from the root
    uint32_t *location_first; // by location, into location_nodes (one more entry at the end); NULL in a tree
    uint32_t *location_nodes; // innermost inlined function first
    uint32_t *shown;          // what the report shows, sorted
    size_t shown_count;
    struct ht_edge *edges;
    size_t edge_count, edge_capacity;
    uint32_t *in_edges, *out_edges; // edges grouped by callee and by caller
    size_t original_count;          // nodes before the limit by number
    size_t dropped_nodes, dropped_edges;
    struct ht_node_tag *tags; // by node, group and name; only with HT_GRAPH_VISUAL
    size_t tag_count;
};

enum {
    HT_GRAPH_TREE = 1,     // a tree of calls if --call-tree asks for one (pprof: dot and callgrind)
    HT_GRAPH_OBJECTS = 2,  // functions of different files and objects stay apart (pprof: list and callgrind)
    HT_GRAPH_VISUAL = 4,   // for the eye: with tags, what tells most first, no superfluous edges (pprof: dot)
    HT_GRAPH_WHOLE = 8,    // values will be written as whole numbers (pprof: callgrind)
    HT_GRAPH_INLINED = 16, // no edges but those that ht_graph_inlined() needs
    HT_GRAPH_NO_EDGES = 32, // none at all
};

enum { HT_NODE_TAGS = 4 }; // that are drawn at one node

// Context: tool. Builds and trims as pprof does for text reports; settles report->output_unit. The report
// must outlive the graph. `flags` as above.
void ht_graph_build_as(struct ht_graph *graph, struct ht_report *report, unsigned flags);

// Likewise without flags, with the edges of those nodes alone whose text matches; NULL: of all.
void ht_graph_build_around(struct ht_graph *graph, struct ht_report *report, const struct ht_regex *regex);

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

// Sorts each node's edges as reports list them: the heaviest first, then by the callers' and callees' names.
void ht_graph_sort_edges(struct ht_graph *graph);

enum ht_inlined { HT_INLINED_NEVER, HT_INLINED_ALWAYS, HT_INLINED_PARTLY };

// Nodes alone, for reports that only need the frames' names; nothing is counted. pprof's traces show source
// paths as the profile has them, whatever --trim-path says: then `trim_paths` is false.
void ht_graph_build_names(struct ht_graph *graph, struct ht_report *report, bool trim_paths);

// The standard error of the node's flat value; NaN: unknown.
double ht_node_error(const struct ht_node *node);

// Appends the node's "flat flat% sum% cum cum%"; `sum` is the flat value of the rows up to this one. With an
// `error_width`, " ±1.1" stands behind flat, in so many characters.
void ht_graph_values(const struct ht_graph *graph, uint32_t node, int64_t sum, size_t error_width,
                     struct ht_buffer *out);

// The characters that the widest error of a row takes; 0: there are none to show.
size_t ht_graph_error_width(const struct ht_graph *graph);

// By the edges into the node that are left.
enum ht_inlined ht_graph_inlined(const struct ht_graph *graph, uint32_t node);

// Appends the header of a text report, "Showing nodes accounting for ..." and what was dropped, to *out.
void ht_graph_header(const struct ht_graph *graph, size_t dropped_edges, bool shows_errors,
                     struct ht_buffer *out);

#endif
