// What graphs for the eye add to view/graph: labels of nodes as tags, their order, no superfluous edges.
#ifndef HT_VIEW_GRAPH_VISUAL_H
#define HT_VIEW_GRAPH_VISUAL_H

#include "view/graph/graph.h"

// Context: tool. Internal to view/graph.c; the rules are those of pprof's `dot`.

// Collects a graph's tags: only text labels and the number `bytes` become tags, and the mark of a diff's base
// does not.
struct ht_tag_table {
    const struct ht_report *report;
    struct ht_node_tag *tags;
    size_t count, capacity;
    struct ht_index index;
    uint32_t bytes_key, base_key; // strings
    // of the sample at hand:
    uint32_t group;
    struct ht_tag_number {
        uint32_t name; // string
        int64_t number;
    } * numbers;
    size_t number_count, number_capacity;
};

void ht_tags_start(struct ht_tag_table *table, struct ht_report *report);
void ht_tags_free(struct ht_tag_table *table);
void ht_tags_clear(struct ht_tag_table *table); // forgets all tags
void ht_tags_sample(struct ht_tag_table *table, const struct ht_sample *sample);

// The sample's value for one node: of the node itself (`flat`) or of it and what it calls.
void ht_tags_add(struct ht_tag_table *table, uint32_t node, int64_t value, int64_t divisor, bool flat);

// Forgets tags with less than the cutoff.
void ht_tags_trim(struct ht_tag_table *table, int64_t cutoff);

// How many of the nodes shown fit into `limit`, each counted with its tags.
size_t ht_tags_limit(const struct ht_tag_table *table, const struct ht_graph *graph, size_t limit);

// Hands the tags to the graph, grouped by node.
void ht_tags_finish(struct ht_tag_table *table, struct ht_graph *graph);

// A value for each node: what it holds, less where it only passes on what it got (scores: node_count of
// them).
void ht_graph_score(const struct ht_graph *graph, int64_t *scores);

// Removes edges over nodes that are gone where another way leads from the caller to the callee. Edges are
// grouped and sorted; the caller groups them again.
void ht_graph_remove_redundant_edges(struct ht_graph *graph);

#endif
