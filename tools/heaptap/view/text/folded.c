// The report `folded`: each stack on a line, "root;...;leaf value", for flamegraph.pl, speedscope and their
// kin.
#include "view/graph/json.h"
#include "view/reports.h"

#include "base/error.h"

#include <stdlib.h>

// Samples of the same stack in one; `nodes` from the root to the leaf.
struct stack {
    uint64_t first;
    uint32_t count;
    int64_t value, divisor;
};

struct folder {
    struct ht_graph *graph;
    uint32_t *nodes;
    size_t node_count, node_capacity;
    struct stack *stacks;
    size_t stack_count, stack_capacity;
    struct ht_index index;
};

// ';' parts the frames: it is replaced, and what ends a line. Blanks stay: readers take the last one of a
// line for the value's.
static char replaced(char c)
{
    return c == ';' ? ':' : (unsigned char)c < ' ' || c == 0x7f ? '_' : c;
}

static const char *frame_text(const struct folder *folder, const struct stack *stack, uint32_t frame)
{
    return ht_graph_text(folder->graph, folder->nodes[stack->first + frame]);
}

static void add_stack(const struct folder *folder, const struct stack *stack, struct ht_buffer *out)
{
    for (uint32_t i = 0; i < stack->count; i++) {
        if (i > 0)
            ht_buffer_byte(out, ';');
        for (const char *name = frame_text(folder, stack, i); *name != '\0'; name++)
            ht_buffer_byte(out, replaced(*name));
    }
}

// Pushes the sample's nodes; returns where they begin.
static size_t push_nodes(struct folder *folder, const struct ht_sample *sample)
{
    const struct ht_graph *graph = folder->graph;
    size_t first = folder->node_count;
    for (uint32_t frame = sample->frame_count; frame > 0; frame--) {
        uint32_t location = graph->report->profile->frames[sample->frames + frame - 1];
        for (uint32_t at = graph->location_first[location + 1]; at > graph->location_first[location]; at--) {
            HT_RESERVE(folder->nodes, folder->node_capacity, folder->node_count + 1);
            folder->nodes[folder->node_count++] = graph->location_nodes[at - 1];
        }
    }
    return first;
}

static struct stack *find_or_add_stack(struct folder *folder, size_t first)
{
    uint32_t count = (uint32_t)(folder->node_count - first);
    size_t bytes = count * sizeof *folder->nodes;
    uint64_t hash = ht_hash_bytes(folder->nodes + first, bytes);
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&folder->index, hash, &cursor)) != HT_NONE;) {
        struct stack *stack = &folder->stacks[at];
        if (stack->count == count &&
            memcmp(folder->nodes + stack->first, folder->nodes + first, bytes) == 0) {
            folder->node_count = first;
            return stack;
        }
    }
    HT_RESERVE(folder->stacks, folder->stack_capacity, folder->stack_count + 1);
    ht_index_add(&folder->index, hash, (uint32_t)folder->stack_count);
    struct stack *stack = &folder->stacks[folder->stack_count++];
    *stack = (struct stack){.first = first, .count = count};
    return stack;
}

// A place in a stack's text, which is never there as a whole: all of them together may be longer than memory.
struct reader {
    const struct folder *folder;
    const struct stack *stack;
    uint32_t frame;
    const char *at; // in the frame's name
};

// The next character, or 0 at the end.
static unsigned char next_character(struct reader *reader)
{
    if (*reader->at != '\0')
        return (unsigned char)replaced(*reader->at++);
    if (reader->frame + 1 >= reader->stack->count)
        return 0;
    reader->at = frame_text(reader->folder, reader->stack, ++reader->frame);
    return ';';
}

// By their texts.
static int compare_stacks(const void *left, const void *right, void *context)
{
    const struct folder *folder = context;
    const struct stack *a = left, *b = right;
    uint32_t same = 0;
    while (same < a->count && same < b->count &&
           folder->nodes[a->first + same] == folder->nodes[b->first + same])
        same++;
    uint32_t frame = same > 0 ? same - 1 : 0;
    struct reader reader_a = {folder, a, frame, frame_text(folder, a, frame)};
    struct reader reader_b = {folder, b, frame, frame_text(folder, b, frame)};
    unsigned char next_a, next_b;
    do {
        next_a = next_character(&reader_a);
        next_b = next_character(&reader_b);
    } while (next_a == next_b && next_a != 0);
    return (next_a > next_b) - (next_a < next_b);
}

static void fold(struct folder *folder)
{
    const struct ht_report *report = folder->graph->report;
    for (size_t i = 0; i < report->profile->sample_count; i++) {
        const struct ht_sample *sample = &report->profile->samples[i];
        size_t first = push_nodes(folder, sample);
        if (first == folder->node_count)
            continue; // locations without a node
        struct stack *stack = find_or_add_stack(folder, first);
        stack->value = ht_wrap_add(stack->value, ht_report_value(report, i));
        stack->divisor = ht_wrap_add(stack->divisor, ht_report_divisor(report, i));
    }
    if (folder->stack_count > 0)
        qsort_r(folder->stacks, folder->stack_count, sizeof *folder->stacks, compare_stacks, folder);
}

static int64_t value_of(const struct folder *folder, const struct stack *stack)
{
    double ratio = 1 / folder->graph->report->options.divide_by;
    int64_t value = ht_report_mean(stack->value, stack->divisor);
    return ratio > 0 && ratio != 1 ? ht_int64_of_double((double)value * ratio) : value;
}

static void folded_text(const struct folder *folder, struct ht_buffer *out)
{
    size_t negative = 0;
    for (size_t i = 0; i < folder->stack_count; i++) {
        int64_t value = value_of(folder, &folder->stacks[i]);
        negative += value < 0;
        if (value <= 0)
            continue;
        add_stack(folder, &folder->stacks[i], out);
        ht_buffer_printf(out, " %lld\n", (long long)value);
        ht_buffer_drain(out);
    }
    if (negative > 0)
        ht_warn("%zu stack%s with a negative value left out: folded stacks have no sign (--json writes them)",
                negative, negative > 1 ? "s" : "");
}

static void folded_json(const struct folder *folder, const char *name, struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    ht_report_json_begin(&json, folder->graph->report, name);
    ht_json_begin_array(&json, "rows");
    for (size_t i = 0; i < folder->stack_count; i++) {
        const struct stack *stack = &folder->stacks[i];
        int64_t value = ht_report_mean(stack->value, stack->divisor);
        if (value == 0)
            continue;
        ht_json_begin_object(&json, NULL);
        ht_json_int(&json, "value", value);
        ht_json_begin_array(&json, "frames");
        for (uint32_t frame = stack->count; frame > 0; frame--) {
            ht_json_begin_object(&json, NULL);
            ht_graph_json_node(&json, folder->graph, folder->nodes[stack->first + frame - 1]);
            ht_json_end_object(&json);
        }
        ht_json_end_array(&json);
        ht_json_end_object(&json);
        ht_buffer_drain(out);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}

int ht_write_folded(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_graph graph;
    ht_graph_build_names(&graph, report, true);
    struct folder folder = {.graph = &graph};
    fold(&folder);
    if (form->json)
        folded_json(&folder, form->name, out);
    else
        folded_text(&folder, out);
    free(folder.stacks);
    free(folder.nodes);
    ht_index_free(&folder.index);
    ht_graph_free(&graph);
    return 0;
}
