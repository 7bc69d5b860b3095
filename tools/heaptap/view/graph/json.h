// The JSON of the reports whose rows are nodes of a graph; the words are those of view/report_json.h.
#ifndef HT_VIEW_GRAPH_JSON_H
#define HT_VIEW_GRAPH_JSON_H

#include "view/graph/graph.h"
#include "view/report_json.h"

// Context: tool. Members of an object for one node: name, function, file, line, object, address, as far as
// they are known.
void ht_graph_json_node(struct ht_json *json, struct ht_graph *graph, uint32_t node);

// The same with the node's values and share; `sum` is the flat value up to here.
void ht_graph_json_row(struct ht_json *json, struct ht_graph *graph, uint32_t node, int64_t sum);

// Begins the report up to the array "rows", which stays open.
void ht_graph_json_begin(struct ht_json *json, const struct ht_graph *graph, const char *name);

// Nodes (rows) and edges, for every report that is a graph.
void ht_graph_json(struct ht_graph *graph, const char *name, struct ht_buffer *out);

#endif
