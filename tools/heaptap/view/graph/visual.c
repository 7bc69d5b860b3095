// Tags, order and superfluous edges of graphs for the eye, by the rules of google/pprof's graph.go as Go 1.19
// ships it.
#include "view/graph/visual.h"

#include <math.h>
#include <stdlib.h>

void ht_tags_start(struct ht_tag_table *table, struct ht_report *report)
{
    *table = (struct ht_tag_table){.report = report};
    table->bytes_key = ht_profile_intern_text(report->profile, "bytes");
    table->base_key = ht_profile_intern_text(report->profile, "pprof::base");
}

void ht_tags_clear(struct ht_tag_table *table)
{
    ht_index_free(&table->index);
    table->count = 0;
}

void ht_tags_free(struct ht_tag_table *table)
{
    ht_index_free(&table->index);
    free(table->tags);
    free(table->numbers);
    memset(table, 0, sizeof *table);
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

// "key:value" of each text label, joined as lines of a DOT label; a quotation mark would end that label.
static uint32_t join_labels(const struct ht_tag_table *table, const struct ht_sample *sample)
{
    struct ht_profile *profile = table->report->profile;
    char **lines = ht_alloc_zero(sample->label_count + 1, sizeof *lines);
    size_t count = 0;
    for (uint32_t i = 0; i < sample->label_count; i++) {
        const struct ht_label *label = &profile->labels[sample->labels + i];
        if (label->text != 0 && label->key != table->base_key)
            lines[count++] = ht_format("%s:%s", ht_profile_text(profile, label->key),
                                       ht_profile_text(profile, label->text));
    }
    qsort(lines, count, sizeof *lines, compare_texts);
    struct ht_buffer joined = {0};
    for (size_t i = 0; i < count; i++) {
        ht_buffer_text(&joined, i > 0 ? "\\n" : "");
        for (const char *at = lines[i]; *at != '\0'; at++) {
            if (*at == '"' || *at == '\\')
                ht_buffer_byte(&joined, '\\');
            ht_buffer_byte(&joined, *at);
        }
        free(lines[i]);
    }
    free(lines);
    uint32_t group = joined.length > 0 ? ht_profile_intern(profile, joined.data, joined.length) : 0;
    ht_buffer_free(&joined);
    return group;
}

void ht_tags_sample(struct ht_tag_table *table, const struct ht_sample *sample)
{
    struct ht_profile *profile = table->report->profile;
    table->group = join_labels(table, sample);
    table->number_count = 0;
    for (uint32_t i = 0; i < sample->label_count; i++) {
        const struct ht_label *label = &profile->labels[sample->labels + i];
        if (label->text != 0 || label->key != table->bytes_key)
            continue;
        char text[HT_MEASURE_TEXT_BYTES];
        ht_measure_label(label->number, ht_report_label_unit(table->report, label->key),
                         table->report->output_unit, text);
        int64_t number = label->number;
        HT_RESERVE(table->numbers, table->number_capacity, table->number_count + 1);
        table->numbers[table->number_count++] =
            (struct ht_tag_number){.name = ht_profile_intern_text(profile, text), .number = number};
    }
}

static void add_one(struct ht_tag_table *table, const struct ht_node_tag *key, int64_t value, int64_t divisor,
                    bool flat)
{
    uint64_t hash = ht_hash_add((uint64_t)key->node << 32 | key->group, key->name);
    size_t cursor = 0;
    uint32_t position;
    while ((position = ht_index_next(&table->index, hash, &cursor)) != HT_NONE) {
        const struct ht_node_tag *tag = &table->tags[position];
        if (tag->node == key->node && tag->group == key->group && tag->name == key->name)
            break;
    }
    if (position == HT_NONE) {
        HT_RESERVE(table->tags, table->capacity, table->count + 1);
        position = (uint32_t)table->count++;
        table->tags[position] = *key;
        ht_index_add(&table->index, hash, position);
    }
    struct ht_node_tag *tag = &table->tags[position];
    int64_t *sum = flat ? &tag->flat : &tag->cum, *divisors = flat ? &tag->flat_divisor : &tag->cum_divisor;
    *sum = ht_wrap_add(*sum, value);
    *divisors = ht_wrap_add(*divisors, divisor);
}

void ht_tags_add(struct ht_tag_table *table, uint32_t node, int64_t value, int64_t divisor, bool flat)
{
    struct ht_node_tag key = {.node = node, .group = table->group};
    if (key.group != 0)
        add_one(table, &key, value, divisor, flat);
    for (size_t i = 0; i < table->number_count; i++) {
        key.name = table->numbers[i].name;
        key.number = table->numbers[i].number;
        add_one(table, &key, value, divisor, flat);
    }
}

void ht_tags_trim(struct ht_tag_table *table, int64_t cutoff)
{
    size_t kept = 0;
    for (size_t i = 0; i < table->count; i++)
        if (ht_wrap_abs(table->tags[i].flat) >= cutoff || ht_wrap_abs(table->tags[i].cum) >= cutoff)
            table->tags[kept++] = table->tags[i];
    table->count = kept;
    ht_index_free(&table->index); // nothing is added after this
}

size_t ht_tags_limit(const struct ht_tag_table *table, const struct ht_graph *graph, size_t limit)
{
    uint32_t *counts = ht_alloc_zero(graph->node_count + 1, sizeof *counts);
    for (size_t i = 0; i < table->count; i++)
        counts[table->tags[i].node] += table->tags[i].flat != 0;
    size_t places = 0, fit = limit;
    for (size_t i = 0; i < graph->shown_count; i++) {
        uint32_t tags = counts[graph->shown[i]];
        places += 1 + (tags < HT_NODE_TAGS ? tags : HT_NODE_TAGS);
        if (places >= limit) {
            fit = i + 1;
            break;
        }
    }
    free(counts);
    return fit;
}

static int compare_tags(const void *left, const void *right)
{
    const struct ht_node_tag *a = left, *b = right;
    if (a->node != b->node)
        return a->node < b->node ? -1 : 1;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return (a->name > b->name) - (a->name < b->name);
}

void ht_tags_finish(struct ht_tag_table *table, struct ht_graph *graph)
{
    if (table->count > 0)
        qsort(table->tags, table->count, sizeof *table->tags, compare_tags);
    graph->tags = table->tags;
    graph->tag_count = table->count;
    table->tags = NULL;
    table->count = table->capacity = 0;
}

// As Go computes it: exact for powers of two.
static double log_2(double value)
{
    int exponent;
    double fraction = frexp(value, &exponent);
    return fraction == 0.5 ? exponent - 1 : log(fraction) * (1 / M_LN2) + exponent;
}

static double entropy_of(int64_t weight, int64_t total)
{
    double part = (double)ht_wrap_abs(weight) / (double)total;
    return -part * log_2(part);
}

// Nodes through which all simply falls get less: the entropy of what comes in and of where it goes is the
// factor.
void ht_graph_score(const struct ht_graph *graph, int64_t *scores)
{
    enum { IN, OUT };
    size_t count = graph->node_count;
    struct sums {
        int64_t total;
        uint32_t edges;
        double entropy;
    }(*sums)[2] = ht_alloc_zero(count + 1, sizeof *sums);
    for (size_t i = 0; i < count; i++)
        sums[i][OUT].total = graph->nodes[i].flat;
    for (size_t i = 0; i < graph->edge_count; i++) {
        const struct ht_edge *edge = &graph->edges[i];
        struct sums *ends[2] = {&sums[edge->to][IN], &sums[edge->from][OUT]};
        for (int end = 0; end < 2; end++) {
            ends[end]->edges++;
            if (edge->weight > 0)
                ends[end]->total = ht_wrap_add(ends[end]->total, edge->weight);
        }
    }
    for (size_t i = 0; i < graph->edge_count; i++) {
        const struct ht_edge *edge = &graph->edges[i];
        struct sums *ends[2] = {&sums[edge->to][IN], &sums[edge->from][OUT]};
        for (int end = 0; end < 2; end++)
            if (ends[end]->total != 0)
                ends[end]->entropy += entropy_of(edge->weight, ends[end]->total);
    }
    for (size_t i = 0; i < count; i++) {
        const struct ht_node *node = &graph->nodes[i];
        double score = sums[i][IN].edges == 0 ? 1 : sums[i][IN].entropy;
        if (sums[i][OUT].edges == 0)
            score += 1;
        else if (node->flat > 0 && sums[i][OUT].total != 0)
            score += sums[i][OUT].entropy + entropy_of(node->flat, sums[i][OUT].total);
        else
            score += sums[i][OUT].entropy;
        scores[i] = ht_wrap_add(ht_int64_of_double(score * (double)node->cum), node->flat);
    }
    free(sums);
}

struct search {
    const struct ht_graph *graph;
    bool *is_removed;  // by edge
    uint32_t *seen;    // by node: number of the search that saw it
    uint32_t *queue;   // of nodes
    uint32_t searches; // so far
};

// Is there another way from the edge's caller to its callee?
static bool is_redundant(struct search *search, uint32_t position)
{
    const struct ht_graph *graph = search->graph;
    const struct ht_edge *edge = &graph->edges[position];
    uint32_t stamp = ++search->searches;
    size_t read = 0, written = 0;
    search->queue[written++] = edge->to;
    search->seen[edge->to] = stamp;
    while (read < written) {
        const struct ht_node *node = &graph->nodes[search->queue[read++]];
        for (uint32_t i = 0; i < node->in_count; i++) {
            uint32_t in = graph->in_edges[node->in_first + i], from = graph->edges[in].from;
            if (in == position || search->is_removed[in] || search->seen[from] == stamp)
                continue;
            if (from == edge->from)
                return true;
            search->seen[from] = stamp;
            search->queue[written++] = from;
        }
    }
    return false;
}

void ht_graph_remove_redundant_edges(struct ht_graph *graph)
{
    struct search search = {.graph = graph};
    search.is_removed = ht_alloc_zero(graph->edge_count + 1, sizeof *search.is_removed);
    search.seen = ht_alloc_zero(graph->node_count + 1, sizeof *search.seen);
    search.queue = ht_alloc_zero(graph->node_count + 1, sizeof *search.queue);
    for (size_t i = graph->shown_count; i > 0; i--) { // the lightest first
        const struct ht_node *node = &graph->nodes[graph->shown[i - 1]];
        for (uint32_t in = node->in_count; in > 0; in--) {
            uint32_t position = graph->in_edges[node->in_first + in - 1];
            if (!graph->edges[position].is_residual)
                break; // nothing that is heavier than a direct call goes
            search.is_removed[position] = is_redundant(&search, position);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < graph->edge_count; i++)
        if (!search.is_removed[i])
            graph->edges[kept++] = graph->edges[i];
    graph->edge_count = kept;
    free(search.is_removed);
    free(search.seen);
    free(search.queue);
}
