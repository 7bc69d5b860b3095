// The report `top`: a table of nodes by flat or cumulative value.
#ifndef HT_VIEW_TOP_H
#define HT_VIEW_TOP_H

#include "view/graph.h"

// Context: tool; pure (appends to *out). The text is byte for byte that of `go tool pprof -top`; names are
// cut in the middle to fit `columns` (0: never).
void ht_top_text(struct ht_graph *graph, int columns, struct ht_buffer *out);
void ht_top_json(struct ht_graph *graph, struct ht_buffer *out);

#endif
