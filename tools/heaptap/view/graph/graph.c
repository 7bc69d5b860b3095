// Builds and trims the call graph by the rules of google/pprof's graph.go and report.go as Go 1.19 ships
// them: which frames are one node, values counted once for each sample however deep the recursion, cut-offs,
// order, unit.
#include "view/graph/graph.h"

#include "base/path.h"
#include "base/regex.h"
#include "view/graph/builder.h"

#include <stdlib.h>

enum { EDGES_IN = 1, EDGES_OUT = 2 };

static uint32_t cleaned_path(const struct ht_graph_builder *builder, const char *path)
{
    const struct ht_report *report = builder->graph->report;
    if (!builder->keep_paths)
        path = ht_path_trim(path, report->options.trim_path, report->options.source_path);
    struct ht_buffer clean = {0};
    if (path[0] != '\0')
        ht_path_clean(path, &clean);
    uint32_t string = clean.length > 0 ? ht_profile_intern(report->profile, clean.data, clean.length) : 0;
    ht_buffer_free(&clean);
    return string;
}

static uint32_t cleaned_file(struct ht_graph_builder *builder, uint32_t file)
{
    if (file == 0)
        return 0;
    if (builder->clean_file[file] != HT_NONE)
        return builder->clean_file[file];
    struct ht_profile *profile = builder->graph->report->profile;
    uint32_t string = cleaned_path(builder, ht_profile_text(profile, file));
    if (string != file && profile->strings[file].original != 0) {
        uint32_t original = cleaned_path(builder, ht_profile_original(profile, file));
        profile->strings[string].original = original;
    }
    return builder->clean_file[file] = string;
}

static uint32_t find_or_add_node(struct ht_graph_builder *builder, const struct ht_node_info *info)
{
    struct ht_graph *graph = builder->graph;
    uint64_t hash =
        ht_hash_add(ht_hash_add((uint64_t)info->name << 32 | info->file, info->address),
                    ht_hash_add(ht_hash_add((uint64_t)info->line, info->object), (uint64_t)info->start_line));
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

static uint32_t node_of_line(struct ht_graph_builder *builder, const struct ht_location *location,
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

static void create_nodes(struct ht_graph_builder *builder)
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

uint32_t ht_graph_add_edge(struct ht_graph_builder *builder, uint32_t from, uint32_t to)
{
    struct ht_graph *graph = builder->graph;
    HT_RESERVE(graph->edges, graph->edge_capacity, graph->edge_count + 1);
    HT_RESERVE(builder->edge_sample, builder->edge_sample_capacity, graph->edge_count + 1);
    builder->edge_sample[graph->edge_count] = 0;
    graph->edges[graph->edge_count] = (struct ht_edge){.from = from, .to = to, .is_inline = true};
    return (uint32_t)graph->edge_count++;
}

static inline uint32_t find_or_add_edge(struct ht_graph_builder *builder, uint32_t from, uint32_t to)
{
    bool is_new;
    uint32_t *edge = ht_pairs_at(&builder->table, from, to, &is_new);
    if (is_new)
        *edge = ht_graph_add_edge(builder, from, to);
    return *edge;
}

static inline void count_edge(struct ht_graph_builder *builder, uint32_t from, uint32_t to, uint32_t sample,
                              struct ht_weight weight, bool is_residual, bool is_inline)
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

static inline bool is_wanted(const struct ht_graph_builder *builder, uint32_t from, uint32_t to)
{
    return builder->ends == NULL || (builder->ends[from] & EDGES_OUT) || (builder->ends[to] & EDGES_IN);
}

// One sample from the root to the leaf; frames of nodes that are not kept are stepped over.
static void count_sample(struct ht_graph_builder *builder, size_t position, bool with_edges)
{
    struct ht_graph *graph = builder->graph;
    const struct ht_profile *profile = graph->report->profile;
    const struct ht_sample *sample = &profile->samples[position];
    struct ht_weight weight = {ht_report_value(graph->report, position),
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
        leaf->flat_variance += ht_report_variance(graph->report, position);
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

void ht_graph_collect_shown(struct ht_graph *graph)
{
    graph->shown_count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        if (is_shown(graph, &graph->nodes[i]))
            graph->shown[graph->shown_count++] = (uint32_t)i;
}

// Values of the kept nodes, and what is shown of them, in no order.
static void count_all(struct ht_graph_builder *builder, bool with_edges)
{
    struct ht_graph *graph = builder->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        struct ht_node *node = &graph->nodes[i];
        node->flat = node->flat_divisor = node->cum = node->cum_divisor = 0;
        node->flat_variance = 0;
    }
    memset(builder->node_sample, 0, graph->node_count * sizeof *builder->node_sample);
    graph->edge_count = 0;
    if (with_edges) {
        ht_tags_clear(&builder->tags);
        ht_pairs_free(&builder->table);
    }
    for (size_t i = 0; i < graph->report->profile->sample_count; i++)
        count_sample(builder, i, with_edges);
    ht_graph_collect_shown(graph);
}

size_t ht_graph_limit(struct ht_graph_builder *builder, int64_t node_limit, int64_t node_cutoff)
{
    if (node_limit <= 0)
        return 0;
    if (!builder->is_visual)
        return (size_t)node_limit;
    ht_tags_trim(&builder->tags, node_cutoff);
    return ht_tags_limit(&builder->tags, builder->graph, (size_t)node_limit);
}

size_t ht_graph_trim_edges(struct ht_graph *graph, int64_t cutoff)
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

int64_t ht_graph_cutoff(int64_t total, double fraction)
{
    return ht_wrap_abs(ht_int64_of_double((double)total * fraction));
}

// In pprof's order: light nodes, then the limit by number, then light edges. Values are counted anew after
// each step, because a node whose leaf went has less flat value.
static void trim(struct ht_graph_builder *builder)
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
    int64_t node_cutoff = ht_graph_cutoff(total, node_fraction),
            edge_cutoff = ht_graph_cutoff(total, edge_fraction);
    if (graph->is_tree) {
        ht_graph_trim_tree(builder, node_cutoff, edge_cutoff, node_limit);
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
    ht_graph_sort_shown(builder);
    size_t limit = ht_graph_limit(builder, node_limit, node_cutoff);
    if (limit > 0) {
        ht_graph_trim_edges(graph, edge_cutoff);
        bool is_cut = limit < graph->shown_count;
        if (is_cut)
            keep_shown(graph, limit, 0);
        if (is_cut || is_limited) {
            count_all(builder, true);
            ht_graph_sort_shown(builder);
        }
    }
    graph->dropped_edges = ht_graph_trim_edges(graph, edge_cutoff);
    ht_tags_trim(&builder->tags, node_cutoff);
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

void ht_graph_build_names(struct ht_graph *graph, struct ht_report *report, bool trim_paths)
{
    *graph = (struct ht_graph){.report = report};
    struct ht_graph_builder builder = {.graph = graph, .keep_paths = !trim_paths};
    create_nodes(&builder);
    ht_index_free(&builder.node_index);
    free(builder.clean_file);
}

// Edges into nodes that are inlined somewhere, which are few: what ht_graph_inlined() needs.
static void want_inlined(struct ht_graph_builder *builder)
{
    const struct ht_graph *graph = builder->graph;
    for (size_t i = 0; i < graph->report->profile->location_count; i++)
        for (uint32_t at = graph->location_first[i]; at + 1 < graph->location_first[i + 1]; at++)
            builder->ends[graph->location_nodes[at]] = EDGES_IN;
}

static void want_matching(struct ht_graph_builder *builder, const struct ht_regex *regex)
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
    struct ht_graph_builder builder = {.graph = graph,
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
        ht_graph_make_tree(&builder);
    trim(&builder);
    ht_graph_group_edges(graph);
    if (builder.is_visual) {
        ht_graph_sort_edges(graph);
        ht_graph_remove_redundant_edges(graph);
        ht_graph_group_edges(graph);
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
