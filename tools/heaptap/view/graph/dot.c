// The report `dot`: the call graph in Graphviz's language, as `go tool pprof -dot` of Go 1.19 writes it.
#include "view/graph/dot.h"

#include "base/path.h"
#include "base/regex.h"
#include "view/graph/json.h"

#include <math.h>
#include <stdlib.h>

// Shortens function names: each expression's groups are what is left.
static const char *const name_patterns[] = {
    "^(?:[\\w\\-\\.]+/)+(.+)",                                                           // Go
    "^(?:[a-z]\\w*\\.)*([A-Z][\\w$]*\\.(?:<init>|[a-z][\\w$]*(?:\\$\\d+)?))(?:\\(|\\z)", // Java
    "^(?:[_a-zA-Z]\\w*::)+(_*[A-Z]\\w*::~?[_a-zA-Z]\\w*(?:<.*>)?)",                      // C++
};
enum { NAME_PATTERNS = sizeof name_patterns / sizeof name_patterns[0] };
static const char version_pattern[] = "^(.*?)/v(?:[2-9]|[1-9][0-9]+)([./].*)\\z"; // of a Go module

struct writer {
    struct ht_graph *graph;
    struct ht_buffer *out;
    struct ht_regex *names[NAME_PATTERNS], *version;
    uint32_t *numbers; // by node: as printed, 0: not shown
    bool *has_tags;    // by node
    double largest_flat;
};

// Quotation marks and backslashes would end the text; a line's end becomes a left-justified one.
static void add_escaped(struct ht_buffer *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\')
            ht_buffer_byte(out, '\\');
        if (text[i] == '\n')
            ht_buffer_text(out, "\\l");
        else
            ht_buffer_byte(out, text[i]);
    }
}

static void add_escaped_text(struct ht_buffer *out, const char *text)
{
    add_escaped(out, text, strlen(text));
}

// A unit may be any text in a foreign profile.
static void tame(char *label)
{
    for (char *at = label + strcspn(label, "\"\\\n"); *at != '\0'; at += strcspn(at, "\"\\\n"))
        *at = '_';
}

static void label_of(const struct ht_report *report, int64_t value, char label[HT_MEASURE_TEXT_BYTES])
{
    ht_report_label(report, value, label);
    tame(label);
}

// A function's name without what is common to many: namespaces, module paths, packages.
static void shorten(const struct writer *writer, const char *name, struct ht_buffer *ret_short)
{
    static const char anonymous[] = "(anonymous namespace)::";
    if (strncmp(name, anonymous, sizeof anonymous - 1) == 0)
        name += sizeof anonymous - 1;
    size_t start, end, start_of_rest, end_of_rest, length = strlen(name);
    struct ht_buffer text = {0};
    ht_buffer_text(&text, "");
    if (ht_regex_find(writer->version, name, length, 0, 1, &start, &end) &&
        ht_regex_find(writer->version, name, length, 0, 2, &start_of_rest, &end_of_rest)) {
        ht_buffer_add(&text, name + start, end - start);
        ht_buffer_add(&text, name + start_of_rest, end_of_rest - start_of_rest);
    } else {
        ht_buffer_text(&text, name);
    }
    for (size_t i = 0; i < NAME_PATTERNS; i++) {
        if (!ht_regex_find(writer->names[i], text.data, text.length, 0, 1, &start, &end))
            continue;
        ht_buffer_add(ret_short, text.data + start, end - start);
        ht_buffer_free(&text);
        return;
    }
    ht_buffer_add(ret_short, text.data, text.length);
    ht_buffer_free(&text);
}

// The name in lines: cut at "::" and ".".
static void add_function(const struct writer *writer, const char *name)
{
    static const char go_types[] = "[...]";
    struct ht_buffer *out = writer->out, text = {0}, escaped = {0};
    ht_buffer_text(&escaped, "");
    shorten(writer, name, &text);
    add_escaped(&escaped, text.data, text.length);
    for (const char *at = escaped.data; *at != '\0';) {
        if (at[0] == ':' && at[1] == ':') {
            ht_buffer_text(out, "\\n");
            at += 2;
        } else if (strncmp(at, go_types, sizeof go_types - 1) == 0) {
            ht_buffer_text(out, "[\u2026]");
            at += sizeof go_types - 1;
        } else if (*at == '.') {
            ht_buffer_text(out, "\\n");
            at++;
        } else {
            ht_buffer_byte(out, *at++);
        }
    }
    ht_buffer_free(&text);
    ht_buffer_free(&escaped);
}

static void add_base(struct ht_buffer *out, const char *path)
{
    struct ht_buffer base = {0};
    ht_path_base(path, &base);
    add_escaped_text(out, base.data);
    ht_buffer_free(&base);
}

// The node's name as a label of several lines.
static void add_name(const struct writer *writer, const struct ht_node_info *info)
{
    const struct ht_profile *profile = writer->graph->report->profile;
    struct ht_buffer *out = writer->out;
    if (info->address != 0)
        ht_buffer_printf(out, "%016llx\\n", (unsigned long long)info->address);
    if (info->name != 0) {
        add_function(writer, ht_profile_text(profile, info->name));
        ht_buffer_text(out, "\\n");
    }
    if (info->line != 0 || info->file != 0) {
        if (info->file != 0)
            add_base(out, ht_profile_text(profile, info->file));
        if (info->line != 0)
            ht_buffer_printf(out, ":%lld", (long long)info->line);
        ht_buffer_text(out, "\\n");
    } else if (info->name == 0 && info->object != 0) {
        ht_buffer_byte(out, '[');
        add_base(out, ht_profile_text(profile, info->object));
        ht_buffer_text(out, "]\\n");
    } else if (info->name == 0) {
        ht_buffer_text(out, "<unknown>\\n");
    }
}

static unsigned colour_part(double part)
{
    return part >= 0 ? (unsigned)(part * 255) & 0xff : 0; // not a number where there is no total
}

// Red for growth, green for less, grey near nothing; pale for backgrounds.
static void add_colour(struct ht_buffer *out, const char *key, int64_t value, int64_t total, bool is_pale)
{
    const double shift = 0.7; // away from grey
    double score = (double)value / (double)ht_wrap_abs(total);
    double saturation = is_pale ? 0.1 : 1, brightness = is_pale ? 0.93 : 0.7;
    double red = brightness, green = brightness;
    score = score > 1 ? 1 : score < -1 ? -1 : score;
    if (fabs(score) < 0.2)
        saturation *= fabs(score) / 0.2;
    if (score > 0)
        score = pow(score, 1 - shift);
    else if (score < 0)
        score = -pow(-score, 1 - shift);
    if (score < 0)
        red = brightness * (1 + saturation * score);
    else
        green = brightness * (1 - saturation * score);
    ht_buffer_printf(out, " %s=\"#%02x%02x%02x\"", key, colour_part(red), colour_part(green),
                     colour_part(brightness * (1 - saturation)));
}

static void add_share(const struct writer *writer, const char *words, int64_t value)
{
    char label[HT_MEASURE_TEXT_BYTES], percent[HT_MEASURE_TEXT_BYTES];
    label_of(writer->graph->report, value, label);
    ht_measure_percent(value, writer->graph->report->total, percent);
    ht_buffer_printf(writer->out, "%s%s (%s)", words, label, percent + strspn(percent, " "));
}

static void add_node(const struct writer *writer, uint32_t position)
{
    const struct ht_node *node = &writer->graph->nodes[position];
    const struct ht_report *report = writer->graph->report;
    struct ht_buffer *out = writer->out;
    int64_t flat = ht_node_flat(node), cum = ht_node_cum(node);
    uint32_t number = writer->numbers[position];
    ht_buffer_printf(out, "N%u [label=\"", number);
    add_name(writer, &node->info);
    if (flat != 0)
        add_share(writer, "", flat);
    else
        ht_buffer_byte(out, '0');
    if (cum != flat)
        add_share(writer, flat != 0 ? "\\nof " : " of ", cum);
    int size = 8;
    double magnitude = fabs((double)flat);
    if (writer->largest_flat != 0 && flat != 0 && magnitude <= writer->largest_flat)
        size += (int)ceil(16 * sqrt(magnitude / writer->largest_flat));
    ht_buffer_printf(out, "\" id=\"node%u\" fontsize=%d shape=box tooltip=\"", number, size);
    char label[HT_MEASURE_TEXT_BYTES];
    label_of(report, cum, label);
    add_escaped_text(out, ht_graph_text(writer->graph, position));
    ht_buffer_printf(out, " (%s)\"", label);
    add_colour(out, "color", cum, report->total, false);
    add_colour(out, "fillcolor", cum, report->total, true);
    ht_buffer_text(out, "]\n");
}

// value * parts / total as a whole number from 0 to `parts`.
static int parts_of(int64_t value, int64_t total, int parts)
{
    int64_t product = (int64_t)((uint64_t)value * (uint64_t)parts);
    int64_t part = ht_wrap_abs(ht_report_mean(product, total));
    return part < parts ? (int)part : parts;
}

static void add_edge(const struct writer *writer, const struct ht_edge *edge)
{
    const struct ht_report *report = writer->graph->report;
    struct ht_buffer *out = writer->out, tooltip = {0};
    int64_t weight = ht_report_mean(edge->weight, edge->divisor);
    char label[HT_MEASURE_TEXT_BYTES];
    label_of(report, weight, label);
    ht_buffer_printf(out, "N%u -> N%u [label=\" %s%s\"", writer->numbers[edge->from],
                     writer->numbers[edge->to], label, edge->is_inline ? "\\n (inline)" : "");
    if (report->total != 0) {
        int hundredths = parts_of(weight, report->total, 100), fifths = parts_of(weight, report->total, 5);
        if (hundredths > 0)
            ht_buffer_printf(out, " weight=%d", 1 + hundredths);
        if (fifths > 0)
            ht_buffer_printf(out, " penwidth=%d", 1 + fifths);
        add_colour(out, "color", weight, report->total, false);
    }
    add_escaped_text(&tooltip, ht_graph_text(writer->graph, edge->from));
    ht_buffer_text(&tooltip, edge->is_residual ? " ... " : " -> ");
    add_escaped_text(&tooltip, ht_graph_text(writer->graph, edge->to));
    ht_buffer_printf(out, " tooltip=\"%s (%s)\" labeltooltip=\"%s (%s)\"%s%s]\n", tooltip.data, label,
                     tooltip.data, label, edge->is_residual ? " style=\"dotted\"" : "",
                     writer->has_tags[edge->from] ? " minlen=2" : "");
    ht_buffer_free(&tooltip);
}

static void add_legend(const struct writer *writer)
{
    const struct ht_profile *profile = writer->graph->report->profile;
    struct ht_buffer header = {0}, title = {0}, *out = writer->out;
    if (profile->mapping_count > 0 && profile->mappings[0].file != 0)
        add_base(&title, ht_profile_text(profile, profile->mappings[0].file));
    ht_graph_header(writer->graph, writer->graph->dropped_edges, false, &header);
    ht_buffer_printf(out, "digraph \"%s\" {\nnode [style=filled fillcolor=\"#f8f8f8\"]\n",
                     title.length > 0 ? title.data : "unnamed");
    ht_buffer_text(out, "subgraph cluster_L { \"");
    add_escaped(out, header.data, strcspn(header.data, "\n"));
    ht_buffer_text(out, "\" [shape=box fontsize=16 label=\"");
    ht_buffer_text(&header, "\nSee https://git.io/JfYMW for how to read the graph");
    add_escaped(out, header.data, header.length);
    ht_buffer_text(out, "\\l\"");
    if (title.length > 0)
        ht_buffer_printf(out, " tooltip=\"%s\"", title.data);
    ht_buffer_text(out, "] }\n");
    ht_buffer_free(&header);
    ht_buffer_free(&title);
}

// A tag, or several that are drawn as one.
struct box {
    const char *name;
    struct ht_node_tag sum;
};

struct box_order {
    bool by_flat;
};

static int compare_magnitudes(int64_t a, int64_t b) // larger first
{
    int64_t x = ht_wrap_abs(a), y = ht_wrap_abs(b);
    return x > y ? -1 : x < y;
}

static int compare_boxes(const void *left, const void *right, void *context)
{
    const struct box *a = left, *b = right;
    const struct box_order *how = context;
    int order = how->by_flat ? 0 : compare_magnitudes(a->sum.cum, b->sum.cum);
    if (order == 0)
        order = compare_magnitudes(a->sum.flat, b->sum.flat);
    return order != 0 ? order : strcmp(a->name, b->name);
}

static void sort_boxes(struct box *boxes, size_t count, bool by_flat)
{
    struct box_order how = {by_flat};
    qsort_r(boxes, count, sizeof *boxes, compare_boxes, &how);
}

// Numbers that are alike share a box. Returns how many are left; *ret_names owns the names of ranges.
static size_t join_boxes(const struct writer *writer, struct box *boxes, size_t count, bool by_flat,
                         char *ret_names[HT_NODE_TAGS])
{
    const struct ht_report *report = writer->graph->report;
    int64_t low[HT_NODE_TAGS], high[HT_NODE_TAGS], first[HT_NODE_TAGS];
    bool is_range[HT_NODE_TAGS] = {false};
    for (size_t i = 0; i < HT_NODE_TAGS; i++)
        low[i] = high[i] = first[i] = boxes[i].sum.number;
    for (size_t i = HT_NODE_TAGS; i < count; i++) {
        const struct ht_node_tag *tag = &boxes[i].sum;
        size_t nearest = 0;
        for (size_t group = 1; group < HT_NODE_TAGS; group++)
            if (fabs((double)first[group] - (double)tag->number) <
                fabs((double)first[nearest] - (double)tag->number))
                nearest = group;
        struct ht_node_tag *sum = &boxes[nearest].sum;
        sum->flat = ht_wrap_add(sum->flat, tag->flat);
        sum->flat_divisor = ht_wrap_add(sum->flat_divisor, tag->flat_divisor);
        sum->cum = ht_wrap_add(sum->cum, tag->cum);
        sum->cum_divisor = ht_wrap_add(sum->cum_divisor, tag->cum_divisor);
        low[nearest] = tag->number < low[nearest] ? tag->number : low[nearest];
        high[nearest] = tag->number > high[nearest] ? tag->number : high[nearest];
        is_range[nearest] = true;
    }
    const char *unit = ht_report_label_unit(report, ht_profile_intern_text(report->profile, "bytes"));
    for (size_t i = 0; i < HT_NODE_TAGS; i++) {
        char from[HT_MEASURE_TEXT_BYTES], to[HT_MEASURE_TEXT_BYTES];
        struct ht_node_tag *sum = &boxes[i].sum;
        ht_measure_label(low[i], unit, "auto", from);
        ht_measure_label(high[i], unit, "auto", to);
        tame(from);
        tame(to);
        ret_names[i] = is_range[i] ? ht_format("%s..%s", from, to) : ht_strdup(from);
        boxes[i].name = ret_names[i];
        sum->flat = ht_report_mean(sum->flat, sum->flat_divisor);
        sum->cum = ht_report_mean(sum->cum, sum->cum_divisor);
        sum->flat_divisor = sum->cum_divisor = 0;
    }
    sort_boxes(boxes, HT_NODE_TAGS, by_flat);
    return HT_NODE_TAGS;
}

static void add_box(const struct writer *writer, const char *from, const char *id, const char *name,
                    int64_t value, const char *style)
{
    char weight[HT_MEASURE_TEXT_BYTES];
    label_of(writer->graph->report, value, weight);
    ht_buffer_printf(writer->out, "%s [label = \"%s\" id=\"%s\" fontsize=8 shape=box3d tooltip=\"%s\"]\n", id,
                     name, id, weight);
    ht_buffer_printf(writer->out,
                     "%s -> %s [label=\" %s\" weight=100 tooltip=\"%s\" labeltooltip=\"%s\"%s]\n", from, id,
                     weight, weight, weight, style);
}

// Boxes for the numbers among tags[0 .. count), all of one group, below the node or box `from`. True if there
// are any.
static bool add_numbers(const struct writer *writer, const struct ht_node_tag *tags, size_t count,
                        bool by_flat, const char *from)
{
    const struct ht_profile *profile = writer->graph->report->profile;
    struct box *boxes = ht_alloc_zero(count + 1, sizeof *boxes);
    char *names[HT_NODE_TAGS] = {NULL};
    size_t number = 0;
    bool any = false;
    for (size_t i = 0; i < count; i++)
        if (tags[i].name != 0)
            boxes[number++] = (struct box){ht_profile_text(profile, tags[i].name), tags[i]};
    sort_boxes(boxes, number, by_flat);
    if (number > HT_NODE_TAGS)
        number = join_boxes(writer, boxes, number, by_flat, names);
    for (size_t i = 0; i < number; i++) {
        int64_t flat = ht_report_mean(boxes[i].sum.flat, boxes[i].sum.flat_divisor);
        int64_t cum = ht_report_mean(boxes[i].sum.cum, boxes[i].sum.cum_divisor);
        bool is_whole = by_flat || flat == cum;
        int64_t value = is_whole ? flat : cum;
        if (value == 0)
            continue;
        any = true;
        char id[96];
        snprintf(id, sizeof id, "N%s_%zu", from, i);
        add_box(writer, from, id, boxes[i].name, value, is_whole ? "" : " style=\"dotted\"");
    }
    for (size_t i = 0; i < HT_NODE_TAGS; i++)
        free(names[i]);
    free(boxes);
    return any;
}

// One box for each combination of text labels, with boxes of its numbers; then the numbers without text
// labels.
static bool add_tags(const struct writer *writer, uint32_t position, const struct ht_node_tag *tags,
                     size_t count)
{
    const struct ht_node *node = &writer->graph->nodes[position];
    const struct ht_profile *profile = writer->graph->report->profile;
    bool by_flat = node->out_count > 0, any = false; // leaves: with what was left out below them
    struct box *boxes = ht_alloc_zero(count + 1, sizeof *boxes);
    size_t groups = 0, first = 0;
    char from[32];
    snprintf(from, sizeof from, "N%u", writer->numbers[position]);
    for (size_t i = 0; i < count; i++)
        if (tags[i].name == 0)
            boxes[groups++] = (struct box){ht_profile_text(profile, tags[i].group), tags[i]};
    sort_boxes(boxes, groups, by_flat);
    for (size_t i = 0; i < groups && i < HT_NODE_TAGS; i++) {
        const struct ht_node_tag *sum = &boxes[i].sum;
        int64_t value = by_flat ? ht_report_mean(sum->flat, sum->flat_divisor)
                                : ht_report_mean(sum->cum, sum->cum_divisor);
        char id[64];
        if (value == 0)
            continue;
        any = true;
        snprintf(id, sizeof id, "%s_%zu", from, i);
        add_box(writer, from, id, boxes[i].name, value, "");
        for (first = 0; tags[first].group != sum->group;)
            first++;
        size_t end = first;
        while (end < count && tags[end].group == sum->group)
            end++;
        add_numbers(writer, tags + first, end - first, by_flat, id);
    }
    for (first = 0; first < count && tags[first].group == 0;)
        first++;
    any = add_numbers(writer, tags, first, by_flat, from) || any;
    free(boxes);
    return any;
}

static int compare_edges(const void *left, const void *right, void *context)
{
    struct ht_graph *graph = context;
    uint32_t l = *(const uint32_t *)left, r = *(const uint32_t *)right;
    const struct ht_edge *a = &graph->edges[l], *b = &graph->edges[r];
    int order = compare_magnitudes(a->weight, b->weight);
    if (order == 0)
        order = strcmp(ht_graph_text(graph, a->from), ht_graph_text(graph, b->from));
    if (order == 0)
        order = strcmp(ht_graph_text(graph, a->to), ht_graph_text(graph, b->to));
    return order != 0 ? order : (l > r) - (l < r);
}

size_t ht_dot_edges(struct ht_graph *graph, uint32_t *ret_edges)
{
    bool *is_shown = ht_alloc_zero(graph->node_count + 1, sizeof *is_shown);
    size_t count = 0;
    for (size_t i = 0; i < graph->shown_count; i++)
        is_shown[graph->shown[i]] = true;
    for (size_t i = 0; i < graph->edge_count; i++)
        if (is_shown[graph->edges[i].from] && is_shown[graph->edges[i].to])
            ret_edges[count++] = (uint32_t)i;
    qsort_r(ret_edges, count, sizeof *ret_edges, compare_edges, graph);
    free(is_shown);
    return count;
}

static void add_graph(struct writer *writer)
{
    struct ht_graph *graph = writer->graph;
    for (size_t i = 0; i < graph->shown_count; i++) {
        double flat = (double)ht_wrap_abs(ht_node_flat(&graph->nodes[graph->shown[i]]));
        writer->numbers[graph->shown[i]] = (uint32_t)i + 1;
        writer->largest_flat = flat > writer->largest_flat ? flat : writer->largest_flat;
    }
    for (size_t i = 0; i < graph->shown_count; i++) {
        uint32_t node = graph->shown[i];
        add_node(writer, node);
        size_t first, count;
        ht_dot_tags(graph, node, &first, &count);
        if (count > 0)
            writer->has_tags[node] = add_tags(writer, node, graph->tags + first, count);
    }
    uint32_t *edges = ht_alloc_zero(graph->edge_count + 1, sizeof *edges);
    size_t count = ht_dot_edges(graph, edges);
    for (size_t i = 0; i < count; i++)
        add_edge(writer, &graph->edges[edges[i]]);
    free(edges);
}

void ht_dot_tags(const struct ht_graph *graph, uint32_t node, size_t *ret_first, size_t *ret_count)
{
    size_t low = 0, high = graph->tag_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (graph->tags[middle].node < node)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_first = low;
    while (high < graph->tag_count && graph->tags[high].node == node)
        high++;
    *ret_count = high - low;
}

int ht_dot_graph(struct ht_graph *graph, struct ht_buffer *out)
{
    struct writer writer = {.graph = graph, .out = out};
    int result = ht_regex_compile(version_pattern, &writer.version);
    for (size_t i = 0; i < NAME_PATTERNS && result == 0; i++)
        result = ht_regex_compile(name_patterns[i], &writer.names[i]);
    if (result == 0) {
        writer.numbers = ht_alloc_zero(graph->node_count + 1, sizeof *writer.numbers);
        writer.has_tags = ht_alloc_zero(graph->node_count + 1, sizeof *writer.has_tags);
        add_legend(&writer);
        add_graph(&writer);
        ht_buffer_text(out, "}\n");
        free(writer.numbers);
        free(writer.has_tags);
    }
    ht_regex_free(writer.version);
    for (size_t i = 0; i < NAME_PATTERNS; i++)
        ht_regex_free(writer.names[i]);
    return result;
}

void ht_dot_build(struct ht_graph *graph, struct ht_report *report)
{
    report->options.compact_labels = false; // the legend always has everything
    ht_graph_build_as(graph, report, HT_GRAPH_VISUAL | HT_GRAPH_TREE);
}

int ht_write_dot(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_graph graph;
    int result = 0;
    ht_dot_build(&graph, report);
    if (form->json)
        ht_graph_json(&graph, form->name, out);
    else
        result = ht_dot_graph(&graph, out);
    ht_graph_free(&graph);
    return result;
}
