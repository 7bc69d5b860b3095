// Builds and trims the call graph by the rules of google/pprof's graph.go and report.go as Go 1.19 ships
// them: which frames are one node, values counted once for each sample however deep the recursion, cut-offs,
// order, unit.
#include "view/graph/graph.h"

#include "base/pairs.h"
#include "base/path.h"
#include "base/regex.h"
#include "view/graph/visual.h"
#include "view/text.h"

#include <stdlib.h>

enum { EDGES_IN = 1, EDGES_OUT = 2 };

struct builder {
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

static uint32_t cleaned_file(struct builder *builder, uint32_t file)
{
    if (file == 0)
        return 0;
    if (builder->clean_file[file] != HT_NONE)
        return builder->clean_file[file];
    const struct ht_report *report = builder->graph->report;
    const char *path = ht_profile_text(report->profile, file);
    if (!builder->keep_paths)
        path = ht_path_trim(path, report->options.trim_path, report->options.source_path);
    struct ht_buffer clean = {0};
    if (path[0] != '\0')
        ht_path_clean(path, &clean);
    uint32_t string = clean.length > 0 ? ht_profile_intern(report->profile, clean.data, clean.length) : 0;
    ht_buffer_free(&clean);
    return builder->clean_file[file] = string;
}

static uint32_t find_or_add_node(struct builder *builder, const struct ht_node_info *info)
{
    struct ht_graph *graph = builder->graph;
    uint64_t hash =
        ht_hash_add(ht_hash_add((uint64_t)info->name << 32 | info->file, info->address),
                    ht_hash_add((uint64_t)info->line << 32 ^ info->object, (uint64_t)info->start_line));
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&builder->node_index, hash, &cursor)) != HT_NONE;) {
        const struct ht_node_info *other = &graph->nodes[at].info;
        if (other->name == info->name && other->file == info->file && other->object == info->object &&
            other->address == info->address && other->line == info->line &&
            other->start_line == info->start_line)
            return at;
    }
    HT_RESERVE(graph->nodes, graph->node_capacity, graph->node_count + 1);
    uint32_t added = (uint32_t)graph->node_count++;
    graph->nodes[added] = (struct ht_node){.info = *info, .kept = true, .parent = HT_NONE};
    ht_index_add(&builder->node_index, hash, added);
    return added;
}

static uint32_t node_of_line(struct builder *builder, const struct ht_location *location,
                             const struct ht_line *line)
{
    const struct ht_report *report = builder->graph->report;
    const struct ht_profile *profile = report->profile;
    int by = report->options.granularity;
    struct ht_node_info info = {.address = by == HT_BY_ADDRESSES ? location->address : 0};
    uint32_t object = location->mapping != HT_NONE ? profile->mappings[location->mapping].file : 0;
    if (line == NULL) {
        info.object = object;
        return find_or_add_node(builder, &info);
    }
    const struct ht_function function = profile->functions[line->function];
    if (by != HT_BY_FILES)
        info.name = function.name;
    if (by != HT_BY_FUNCTIONS)
        info.file = cleaned_file(builder, function.file);
    if (by == HT_BY_LINES || by == HT_BY_ADDRESSES)
        info.line = line->line;
    if (info.name == 0 || builder->with_objects) {
        info.object = object;
        info.start_line = function.start_line;
    }
    return find_or_add_node(builder, &info);
}

static void create_nodes(struct builder *builder)
{
    struct ht_graph *graph = builder->graph;
    const struct ht_profile *profile = graph->report->profile;
    bool noinlines = graph->report->options.noinlines;
    builder->clean_count = profile->string_count;
    builder->clean_file = ht_realloc_array(NULL, builder->clean_count, sizeof *builder->clean_file);
    memset(builder->clean_file, 0xff, builder->clean_count * sizeof *builder->clean_file);
    graph->location_first =
        ht_realloc_array(NULL, profile->location_count + 1, sizeof *graph->location_first);
    graph->location_nodes =
        ht_realloc_array(NULL, profile->location_count + profile->line_count, sizeof *graph->location_nodes);
    uint32_t end = 0;
    for (size_t i = 0; i < profile->location_count; i++) {
        const struct ht_location *location = &profile->locations[i];
        graph->location_first[i] = end;
        uint32_t first_line = noinlines && location->line_count > 1 ? location->line_count - 1 : 0;
        if (location->line_count == 0)
            graph->location_nodes[end++] = node_of_line(builder, location, NULL);
        for (uint32_t line = first_line; line < location->line_count; line++)
            graph->location_nodes[end++] =
                node_of_line(builder, location, &profile->lines[location->lines + line]);
    }
    graph->location_first[profile->location_count] = end;
}

static uint32_t add_edge(struct builder *builder, uint32_t from, uint32_t to)
{
    struct ht_graph *graph = builder->graph;
    HT_RESERVE(graph->edges, graph->edge_capacity, graph->edge_count + 1);
    HT_RESERVE(builder->edge_sample, builder->edge_sample_capacity, graph->edge_count + 1);
    builder->edge_sample[graph->edge_count] = 0;
    graph->edges[graph->edge_count] = (struct ht_edge){.from = from, .to = to, .is_inline = true};
    return (uint32_t)graph->edge_count++;
}

static inline uint32_t find_or_add_edge(struct builder *builder, uint32_t from, uint32_t to)
{
    bool is_new;
    uint32_t *edge = ht_pairs_at(&builder->table, from, to, &is_new);
    if (is_new)
        *edge = add_edge(builder, from, to);
    return *edge;
}

struct weight {
    int64_t value, divisor;
};

static inline void count_edge(struct builder *builder, uint32_t from, uint32_t to, uint32_t sample,
                              struct weight weight, bool is_residual, bool is_inline)
{
    uint32_t position = find_or_add_edge(builder, from, to);
    if (builder->edge_sample[position] == sample)
        return;
    builder->edge_sample[position] = sample;
    struct ht_edge *edge = &builder->graph->edges[position];
    edge->weight = ht_wrap_add(edge->weight, weight.value);
    edge->divisor = ht_wrap_add(edge->divisor, weight.divisor);
    edge->is_residual = edge->is_residual || is_residual;
    edge->is_inline = edge->is_inline && is_inline;
}

static inline bool is_wanted(const struct builder *builder, uint32_t from, uint32_t to)
{
    return builder->ends == NULL || (builder->ends[from] & EDGES_OUT) || (builder->ends[to] & EDGES_IN);
}

// One sample from the root to the leaf; frames of nodes that are not kept are stepped over.
static void count_sample(struct builder *builder, size_t position, bool with_edges)
{
    struct ht_graph *graph = builder->graph;
    const struct ht_profile *profile = graph->report->profile;
    const struct ht_sample *sample = &profile->samples[position];
    struct weight weight = {ht_report_value(graph->report, position),
                            ht_report_divisor(graph->report, position)};
    uint32_t stamp = (uint32_t)position + 1, parent = HT_NONE;
    bool is_residual = false;
    if (weight.value == 0 && weight.divisor == 0)
        return;
    bool with_tags = with_edges && builder->is_visual;
    if (with_tags)
        ht_tags_sample(&builder->tags, sample);
    for (uint32_t frame = sample->frame_count; frame > 0; frame--) {
        uint32_t location = profile->frames[sample->frames + frame - 1];
        uint32_t first = graph->location_first[location], end = graph->location_first[location + 1];
        for (uint32_t at = end; at > first; at--) {
            uint32_t position_of_node = graph->location_nodes[at - 1];
            struct ht_node *node = &graph->nodes[position_of_node];
            if (!node->kept) {
                is_residual = true;
                continue;
            }
            if (builder->node_sample[position_of_node] != stamp) {
                builder->node_sample[position_of_node] = stamp;
                node->cum = ht_wrap_add(node->cum, weight.value);
                node->cum_divisor = ht_wrap_add(node->cum_divisor, weight.divisor);
                if (with_tags)
                    ht_tags_add(&builder->tags, position_of_node, weight.value, weight.divisor, false);
            }
            if (with_edges && parent != HT_NONE && parent != position_of_node &&
                is_wanted(builder, parent, position_of_node))
                count_edge(builder, parent, position_of_node, stamp, weight, is_residual, at != end);
            parent = position_of_node;
            is_residual = false;
        }
    }
    if (parent != HT_NONE && !is_residual) {
        struct ht_node *leaf = &graph->nodes[parent];
        leaf->flat = ht_wrap_add(leaf->flat, weight.value);
        leaf->flat_divisor = ht_wrap_add(leaf->flat_divisor, weight.divisor);
        if (with_tags)
            ht_tags_add(&builder->tags, parent, weight.value, weight.divisor, true);
    }
}

static bool is_shown(const struct ht_graph *graph, const struct ht_node *node)
{
    if (!node->kept || (node->cum == 0 && node->flat == 0))
        return false;
    bool is_negative = node->flat < 0 || (node->flat == 0 && node->cum < 0);
    return !(graph->report->options.drop_negative && is_negative);
}

static void collect_shown(struct ht_graph *graph)
{
    graph->shown_count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        if (is_shown(graph, &graph->nodes[i]))
            graph->shown[graph->shown_count++] = (uint32_t)i;
}

// Values of the kept nodes, and what is shown of them, in no order.
static void count_all(struct builder *builder, bool with_edges)
{
    struct ht_graph *graph = builder->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        struct ht_node *node = &graph->nodes[i];
        node->flat = node->flat_divisor = node->cum = node->cum_divisor = 0;
    }
    memset(builder->node_sample, 0, graph->node_count * sizeof *builder->node_sample);
    graph->edge_count = 0;
    if (with_edges) {
        ht_tags_clear(&builder->tags);
        ht_pairs_free(&builder->table);
    }
    for (size_t i = 0; i < graph->report->profile->sample_count; i++)
        count_sample(builder, i, with_edges);
    collect_shown(graph);
}

const char *ht_graph_text(struct ht_graph *graph, uint32_t position)
{
    struct ht_node *node = &graph->nodes[position];
    if (node->text != NULL)
        return node->text;
    const struct ht_profile *profile = graph->report->profile;
    const struct ht_node_info *info = &node->info;
    struct ht_buffer text = {0};
    if (info->address != 0)
        ht_buffer_printf(&text, "%016llx ", (unsigned long long)info->address);
    if (info->name != 0)
        ht_buffer_printf(&text, "%s ", ht_profile_text(profile, info->name));
    if (info->line != 0) {
        ht_buffer_printf(&text, "%s:%lld ", ht_profile_text(profile, info->file), (long long)info->line);
    } else if (info->file != 0) {
        ht_buffer_printf(&text, "%s ", ht_profile_text(profile, info->file));
    } else if (info->name == 0 && info->object != 0) {
        ht_buffer_byte(&text, '[');
        ht_path_base(ht_profile_text(profile, info->object), &text);
        ht_buffer_text(&text, "] ");
    } else if (info->name == 0) {
        ht_buffer_text(&text, "<unknown> ");
    }
    text.data[text.length - 1] = '\0';
    return node->text = text.data;
}

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

static void sort_shown(struct builder *builder)
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

// How many of the nodes shown the limit leaves; 0: all of them.
static size_t limit_of(struct builder *builder, int64_t node_limit, int64_t node_cutoff)
{
    if (node_limit <= 0)
        return 0;
    if (!builder->is_visual)
        return (size_t)node_limit;
    ht_tags_trim(&builder->tags, node_cutoff);
    return ht_tags_limit(&builder->tags, builder->graph, (size_t)node_limit);
}

// Removes light edges; returns how many of those into shown nodes went.
static size_t trim_edges(struct ht_graph *graph, int64_t cutoff)
{
    size_t kept = 0;
    for (size_t i = 0; i < graph->edge_count; i++)
        if (ht_wrap_abs(graph->edges[i].weight) >= cutoff ||
            !is_shown(graph, &graph->nodes[graph->edges[i].to]))
            graph->edges[kept++] = graph->edges[i];
    size_t dropped = graph->edge_count - kept;
    graph->edge_count = kept;
    return dropped;
}

// Keeps exactly those of the first `count` shown nodes whose cum is at least the cutoff; returns how many.
static size_t keep_shown(struct ht_graph *graph, size_t count, int64_t cutoff)
{
    size_t kept = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        graph->nodes[i].kept = false;
    for (size_t i = 0; i < count; i++) {
        struct ht_node *node = &graph->nodes[graph->shown[i]];
        node->kept = ht_wrap_abs(node->cum) >= cutoff;
        kept += node->kept;
    }
    return kept;
}

static void keep_all(struct ht_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++)
        graph->nodes[i].kept = true;
}

static int64_t cutoff_of(int64_t total, double fraction)
{
    return ht_wrap_abs(ht_int64_of_double((double)total * fraction));
}

static void group_edges(struct ht_graph *graph)
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

// pprof's unit "minimum": that of the smallest value shown, or of a hundred times it where the total is far
// larger.
static void select_unit(struct ht_graph *graph, struct ht_report *report, bool is_whole)
{
    if (strcmp(report->output_unit, "minimum") != 0 || graph->shown_count == 0)
        return;
    int64_t smallest = 0;
    for (size_t i = 0; i < graph->shown_count; i++) {
        const struct ht_node *node = &graph->nodes[graph->shown[i]];
        int64_t value = ht_wrap_abs(ht_node_flat(node));
        if (value == 0)
            value = ht_wrap_abs(ht_node_cum(node));
        if (value > 0 && (smallest == 0 || value < smallest))
            smallest = value;
    }
    int64_t largest = report->total;
    if (smallest == 0)
        smallest = largest;
    double ratio = 1 / report->options.divide_by;
    if (ratio > 0 && ratio != 1) {
        smallest = ht_int64_of_double((double)smallest * ratio);
        largest = ht_int64_of_double((double)largest * ratio);
    }
    const char *unit, *largest_unit;
    int64_t hundredfold = (int64_t)(100 * (uint64_t)smallest);
    ht_measure_scale(smallest, report->sample_unit, "minimum", &unit);
    ht_measure_scale(largest, report->sample_unit, "minimum", &largest_unit);
    if (strcmp(unit, largest_unit) != 0 && hundredfold < largest && !is_whole)
        ht_measure_scale(hundredfold, report->sample_unit, "minimum", &unit);
    report->output_unit = unit[0] != '\0' ? unit : report->sample_unit;
}

// The node behind `parent` for the base node `base`, with its edge; made when the way is new.
static uint32_t find_or_add_tree_node(struct builder *builder, const struct ht_node *bases, uint32_t parent,
                                      uint32_t base, bool is_inline)
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
    builder->tree_edge[added] = parent == HT_NONE ? HT_NONE : add_edge(builder, parent, added);
    if (parent != HT_NONE)
        graph->edges[builder->tree_edge[added]].is_inline = is_inline;
    return added;
}

static void add_weight(int64_t *value, int64_t *divisor, struct weight weight)
{
    *value = ht_wrap_add(*value, weight.value);
    *divisor = ht_wrap_add(*divisor, weight.divisor);
}

// One sample from the root to the leaf; nothing is counted twice, since each step is a node of its own.
static void grow_tree(struct builder *builder, const struct ht_node *bases, size_t position)
{
    struct ht_graph *graph = builder->graph;
    const struct ht_profile *profile = graph->report->profile;
    const struct ht_sample *sample = &profile->samples[position];
    struct weight weight = {ht_report_value(graph->report, position),
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

// The nodes that were made for the locations become those of a tree.
static void make_tree(struct builder *builder)
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
    collect_shown(graph);
}

// Takes the nodes that are not kept out of the tree: what they called is called by their callers. Values
// stay. Callers stand before what they call in `nodes`, so one pass is enough.
static void cut_tree(struct builder *builder)
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
    collect_shown(graph);
}

// Of the nodes that are shown, the first `count` with at least the cutoff below them are kept; returns how
// many went.
static size_t drop_from_tree(struct builder *builder, size_t count, int64_t cutoff)
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

static void trim_tree(struct builder *builder, int64_t node_cutoff, int64_t edge_cutoff, int64_t node_limit)
{
    struct ht_graph *graph = builder->graph;
    if (node_cutoff > 0)
        graph->dropped_nodes = drop_from_tree(builder, graph->shown_count, node_cutoff);
    graph->original_count = graph->shown_count;
    sort_shown(builder);
    if (node_limit > 0) {
        trim_edges(graph, edge_cutoff);
        if (drop_from_tree(builder, limit_of(builder, node_limit, node_cutoff), 0) > 0)
            sort_shown(builder);
    }
    graph->dropped_edges = trim_edges(graph, edge_cutoff);
    ht_tags_trim(&builder->tags, node_cutoff);
}

// In pprof's order: light nodes, then the limit by number, then light edges. Values are counted anew after
// each step, because a node whose leaf went has less flat value.
static void trim(struct builder *builder)
{
    struct ht_graph *graph = builder->graph;
    const struct ht_view_options *options = &graph->report->options;
    double node_fraction = options->trim ? options->node_fraction : 0;
    double edge_fraction = options->trim ? options->edge_fraction : 0;
    int64_t node_limit = options->trim ? options->node_count : 0;
    int64_t total = 0;
    if (!graph->is_tree)
        count_all(builder, false);
    for (size_t i = 0; i < graph->shown_count; i++)
        total = ht_wrap_add(total, graph->nodes[graph->shown[i]].flat);
    int64_t node_cutoff = cutoff_of(total, node_fraction), edge_cutoff = cutoff_of(total, edge_fraction);
    if (graph->is_tree) {
        trim_tree(builder, node_cutoff, edge_cutoff, node_limit);
        return;
    }
    if (node_cutoff > 0) {
        size_t kept = keep_shown(graph, graph->shown_count, node_cutoff);
        graph->dropped_nodes = graph->shown_count - kept;
        if (graph->dropped_nodes == 0)
            keep_all(graph);
    }
    // Edges can be far more than anything else. Only pictures need those of the nodes that the limit takes
    // away, for the order.
    bool is_limited = !builder->is_visual && node_limit > 0;
    count_all(builder, !is_limited);
    graph->original_count = graph->shown_count;
    sort_shown(builder);
    size_t limit = limit_of(builder, node_limit, node_cutoff);
    if (limit > 0) {
        trim_edges(graph, edge_cutoff);
        bool is_cut = limit < graph->shown_count;
        if (is_cut)
            keep_shown(graph, limit, 0);
        if (is_cut || is_limited) {
            count_all(builder, true);
            sort_shown(builder);
        }
    }
    graph->dropped_edges = trim_edges(graph, edge_cutoff);
    ht_tags_trim(&builder->tags, node_cutoff);
}

void ht_graph_build_names(struct ht_graph *graph, struct ht_report *report, bool trim_paths)
{
    *graph = (struct ht_graph){.report = report};
    struct builder builder = {.graph = graph, .keep_paths = !trim_paths};
    create_nodes(&builder);
    ht_index_free(&builder.node_index);
    free(builder.clean_file);
}

// Edges into nodes that are inlined somewhere, which are few: what ht_graph_inlined() needs.
static void want_inlined(struct builder *builder)
{
    const struct ht_graph *graph = builder->graph;
    for (size_t i = 0; i < graph->report->profile->location_count; i++)
        for (uint32_t at = graph->location_first[i]; at + 1 < graph->location_first[i + 1]; at++)
            builder->ends[graph->location_nodes[at]] = EDGES_IN;
}

static void want_matching(struct builder *builder, const struct ht_regex *regex)
{
    for (size_t i = 0; i < builder->graph->node_count; i++) {
        const char *text = ht_graph_text(builder->graph, (uint32_t)i);
        if (ht_regex_match(regex, text, strlen(text)))
            builder->ends[i] = EDGES_IN | EDGES_OUT;
    }
}

static void build(struct ht_graph *graph, struct ht_report *report, unsigned flags,
                  const struct ht_regex *regex)
{
    *graph = (struct ht_graph){.report = report};
    struct builder builder = {.graph = graph,
                              .with_objects = flags & HT_GRAPH_OBJECTS,
                              .is_visual = flags & HT_GRAPH_VISUAL,
                              .is_whole = flags & HT_GRAPH_WHOLE};
    create_nodes(&builder);
    ht_tags_start(&builder.tags, report);
    graph->shown = ht_realloc_array(NULL, graph->node_count, sizeof *graph->shown);
    builder.node_sample = ht_realloc_array(NULL, graph->node_count, sizeof *builder.node_sample);
    if ((flags & (HT_GRAPH_INLINED | HT_GRAPH_NO_EDGES)) || regex != NULL)
        builder.ends = ht_alloc_zero(graph->node_count + 1, sizeof *builder.ends);
    if (flags & HT_GRAPH_INLINED)
        want_inlined(&builder);
    if (regex != NULL)
        want_matching(&builder, regex);
    if ((flags & HT_GRAPH_TREE) && report->options.call_tree)
        make_tree(&builder);
    trim(&builder);
    group_edges(graph);
    if (builder.is_visual) {
        ht_graph_sort_edges(graph);
        ht_graph_remove_redundant_edges(graph);
        group_edges(graph);
        ht_tags_finish(&builder.tags, graph);
    }
    select_unit(graph, report, builder.is_whole);
    ht_tags_free(&builder.tags);
    ht_index_free(&builder.node_index);
    free(builder.clean_file);
    ht_pairs_free(&builder.table);
    free(builder.edge_sample);
    free(builder.node_sample);
    free(builder.tree_edge);
    free(builder.ends);
}

void ht_graph_build_as(struct ht_graph *graph, struct ht_report *report, unsigned flags)
{
    build(graph, report, flags, NULL);
}

void ht_graph_build_around(struct ht_graph *graph, struct ht_report *report, const struct ht_regex *regex)
{
    build(graph, report, 0, regex);
}

void ht_graph_free(struct ht_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++)
        free(graph->nodes[i].text);
    free(graph->nodes);
    free(graph->location_first);
    free(graph->location_nodes);
    free(graph->shown);
    free(graph->edges);
    free(graph->in_edges);
    free(graph->out_edges);
    free(graph->tags);
    memset(graph, 0, sizeof *graph);
}

enum ht_inlined ht_graph_inlined(const struct ht_graph *graph, uint32_t position)
{
    const struct ht_node *node = &graph->nodes[position];
    uint32_t inlined = 0;
    for (uint32_t i = 0; i < node->in_count; i++)
        inlined += graph->edges[graph->in_edges[node->in_first + i]].is_inline;
    return inlined == 0                ? HT_INLINED_NEVER
           : inlined == node->in_count ? HT_INLINED_ALWAYS
                                       : HT_INLINED_PARTLY;
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

void ht_graph_values(const struct ht_graph *graph, uint32_t position, int64_t sum, struct ht_buffer *out)
{
    const struct ht_report *report = graph->report;
    int64_t flat = ht_node_flat(&graph->nodes[position]), cum = ht_node_cum(&graph->nodes[position]);
    char value[HT_MEASURE_TEXT_BYTES], percent[HT_MEASURE_TEXT_BYTES];
    ht_report_label(report, flat, value);
    ht_text_right(out, 10, value);
    ht_measure_percent(flat, report->total, percent);
    ht_buffer_printf(out, " %s", percent);
    ht_measure_percent(sum, report->total, percent);
    ht_buffer_printf(out, " %s ", percent);
    ht_report_label(report, cum, value);
    ht_text_right(out, 10, value);
    ht_measure_percent(cum, report->total, percent);
    ht_buffer_printf(out, " %s", percent);
}

static void add_dropped(const struct ht_graph *graph, size_t dropped, const char *what, const char *measure,
                        double fraction, struct ht_buffer *out)
{
    char label[HT_MEASURE_TEXT_BYTES];
    if (dropped == 0)
        return;
    ht_report_label(graph->report, cutoff_of(graph->report->total, fraction), label);
    ht_buffer_printf(out, "Dropped %zu %s%s (%s <= %s)\n", dropped, what, dropped > 1 ? "s" : "", measure,
                     label);
}

void ht_graph_header(const struct ht_graph *graph, size_t dropped_edges, struct ht_buffer *out)
{
    const struct ht_report *report = graph->report;
    char sum[HT_MEASURE_TEXT_BYTES], percent[HT_MEASURE_TEXT_BYTES], total[HT_MEASURE_TEXT_BYTES];
    if (!report->options.compact_labels)
        ht_report_profile_lines(report, out);
    ht_report_filter_lines(report, out);
    int64_t flat_sum = 0;
    for (size_t i = 0; i < graph->shown_count; i++)
        flat_sum = ht_wrap_add(flat_sum, ht_node_flat(&graph->nodes[graph->shown[i]]));
    ht_report_label(report, flat_sum, sum);
    ht_report_label(report, report->total, total);
    ht_measure_percent(flat_sum, report->total, percent);
    ht_buffer_printf(out, "Showing nodes accounting for %s, %s of %s total\n", sum,
                     percent + strspn(percent, " "), total);
    if (report->total == 0)
        return;
    add_dropped(graph, graph->dropped_nodes, "node", "cum", report->options.node_fraction, out);
    add_dropped(graph, dropped_edges, "edge", "freq", report->options.edge_fraction, out);
    if (graph->shown_count > 0 && graph->shown_count < graph->original_count)
        ht_buffer_printf(out, "Showing top %zu nodes out of %zu\n", graph->shown_count,
                         graph->original_count);
}
