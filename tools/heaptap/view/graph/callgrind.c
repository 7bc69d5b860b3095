// The report `callgrind`: the call graph in the format of valgrind's callgrind, for KCachegrind and
// callgrind_annotate, as `go tool pprof -callgrind` of Go 1.19 writes it.
#include "view/graph/dot.h"
#include "view/graph/json.h"

#include <stdlib.h>

// Functions as the format has them: of one name and file. Several nodes may be one function (its addresses).
struct function {
    uint32_t name, file, object, parent; // parent: the caller, in a tree of calls
    int64_t start_line;
    uint32_t number; // among the functions of its name and file, from 1
    uint32_t group;  // of its name and file
};

struct functions {
    struct function *items;
    size_t count, capacity;
    struct ht_index by_all, by_name; // by_name: one of each group
    uint32_t *group_sizes;
    uint32_t group_count;
};

// Names that were written already, by string: their number, 0: not yet.
struct names {
    uint32_t *numbers, count;
};

struct writer {
    struct ht_graph *graph;
    struct ht_buffer *out;
    struct names files, objects, functions;
    uint32_t *callee_names; // by node, strings
};

static uint32_t add_function(struct functions *functions, const struct function *wanted, uint64_t hash,
                             uint64_t name_hash)
{
    size_t cursor = 0;
    uint32_t other;
    while ((other = ht_index_next(&functions->by_name, name_hash, &cursor)) != HT_NONE)
        if (functions->items[other].name == wanted->name && functions->items[other].file == wanted->file)
            break;
    HT_RESERVE(functions->items, functions->capacity, functions->count + 1);
    uint32_t added = (uint32_t)functions->count++;
    struct function *function = &functions->items[added];
    *function = *wanted;
    function->group = other != HT_NONE ? functions->items[other].group : functions->group_count++;
    function->number = ++functions->group_sizes[function->group];
    ht_index_add(&functions->by_all, hash, added);
    if (other == HT_NONE)
        ht_index_add(&functions->by_name, name_hash, added);
    return added;
}

static uint32_t find_or_add_function(struct functions *functions, const struct function *wanted)
{
    uint64_t name_hash = ht_hash_add(0, (uint64_t)wanted->name << 32 | wanted->file);
    uint64_t hash = ht_hash_add(ht_hash_add(name_hash, (uint64_t)wanted->object << 32 | wanted->parent),
                                (uint64_t)wanted->start_line);
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&functions->by_all, hash, &cursor)) != HT_NONE;) {
        const struct function *function = &functions->items[at];
        if (function->name == wanted->name && function->file == wanted->file &&
            function->object == wanted->object && function->parent == wanted->parent &&
            function->start_line == wanted->start_line)
            return at;
    }
    return add_function(functions, wanted, hash, name_hash);
}

// Functions that share name and file (of several objects, or in a tree of calls) are called "name [1/3]". A
// node that is not shown has no name, as pprof has it.
static void name_callees(struct writer *writer)
{
    const struct ht_graph *graph = writer->graph;
    struct ht_profile *profile = graph->report->profile;
    struct functions functions = {0};
    functions.group_sizes = ht_alloc_zero(graph->shown_count + 1, sizeof *functions.group_sizes);
    uint32_t *function_of = ht_alloc_zero(graph->shown_count + 1, sizeof *function_of);
    for (size_t i = 0; i < graph->shown_count; i++) {
        const struct ht_node *node = &graph->nodes[graph->shown[i]];
        struct function wanted = {.name = node->info.name,
                                  .file = node->info.file,
                                  .object = node->info.object,
                                  .parent = graph->is_tree ? node->parent : 0,
                                  .start_line = node->info.start_line};
        function_of[i] = find_or_add_function(&functions, &wanted);
    }
    for (size_t i = 0; i < graph->shown_count; i++) {
        const struct function *function = &functions.items[function_of[i]];
        uint32_t size = functions.group_sizes[function->group],
                 *name = &writer->callee_names[graph->shown[i]];
        *name = function->name;
        if (size < 2)
            continue;
        char *text =
            ht_format("%s [%u/%u]", ht_profile_text(profile, function->name), function->number, size);
        *name = ht_profile_intern_text(profile, text);
        free(text);
    }
    free(functions.items);
    free(functions.group_sizes);
    free(function_of);
    ht_index_free(&functions.by_all);
    ht_index_free(&functions.by_name);
}

// "(N) name" when it is new, then "(N)"; nothing for "".
static void add_name(struct writer *writer, const char *key, struct names *names, uint32_t string)
{
    ht_buffer_printf(writer->out, "%s=", key);
    if (string != 0 && names->numbers[string] != 0) {
        ht_buffer_printf(writer->out, "(%u)", names->numbers[string]);
    } else if (string != 0) {
        names->numbers[string] = ++names->count;
        ht_buffer_printf(writer->out, "(%u) %s", names->count,
                         ht_profile_text(writer->graph->report->profile, string));
    }
    ht_buffer_byte(writer->out, '\n');
}

// The address, or the distance from the one before where that is shorter.
static void add_address(struct writer *writer, const struct ht_node_info *before, uint64_t address)
{
    char absolute[32], relative[32];
    snprintf(absolute, sizeof absolute, "0x%llx", (unsigned long long)address);
    snprintf(relative, sizeof relative, "%+lld", before != NULL ? (long long)(address - before->address) : 0);
    if (before != NULL && before->address == address)
        ht_buffer_byte(writer->out, '*');
    else
        ht_buffer_text(writer->out,
                       before != NULL && strlen(relative) < strlen(absolute) ? relative : absolute);
}

static long long scaled(const struct writer *writer, int64_t value)
{
    const struct ht_report *report = writer->graph->report;
    const char *unit;
    return (long long)ht_int64_of_double(
        ht_measure_scale(value, report->sample_unit, report->output_unit, &unit));
}

static void add_node(struct writer *writer, const struct ht_node_info *before, const struct ht_node *node)
{
    const struct ht_graph *graph = writer->graph;
    const struct ht_node_info *info = &node->info;
    if (before == NULL || info->object != before->object || info->file != before->file ||
        info->name != before->name) {
        ht_buffer_byte(writer->out, '\n');
        add_name(writer, "ob", &writer->objects, info->object);
        add_name(writer, "fl", &writer->files, info->file);
        add_name(writer, "fn", &writer->functions, info->name);
    }
    add_address(writer, before, info->address);
    ht_buffer_printf(writer->out, " %lld %lld\n", (long long)info->line, scaled(writer, ht_node_flat(node)));
    for (uint32_t i = 0; i < node->out_count; i++) {
        const struct ht_edge *edge = &graph->edges[graph->out_edges[node->out_first + i]];
        const struct ht_node_info *callee = &graph->nodes[edge->to].info;
        add_name(writer, "cfl", &writer->files, callee->file);
        add_name(writer, "cfn", &writer->functions, writer->callee_names[edge->to]);
        ht_buffer_text(writer->out, "calls=0 ");
        add_address(writer, before, callee->address);
        ht_buffer_printf(writer->out, " %lld\n* * %lld\n", (long long)callee->line,
                         scaled(writer, edge->weight));
    }
}

static void write_callgrind(struct ht_graph *graph, struct ht_buffer *out)
{
    const struct ht_report *report = graph->report;
    struct writer writer = {.graph = graph, .out = out};
    writer.callee_names = ht_alloc_zero(graph->node_count + 1, sizeof *writer.callee_names);
    name_callees(&writer);
    size_t strings = report->profile->string_count;
    writer.files.numbers = ht_alloc_zero(strings, sizeof *writer.files.numbers);
    writer.objects.numbers = ht_alloc_zero(strings, sizeof *writer.objects.numbers);
    writer.functions.numbers = ht_alloc_zero(strings, sizeof *writer.functions.numbers);
    ht_buffer_printf(out, "positions: instr line\nevents: %s(%s)\n", report->sample_type,
                     report->output_unit);
    const struct ht_node_info *before = NULL;
    for (size_t i = 0; i < graph->shown_count; i++) {
        const struct ht_node *node = &graph->nodes[graph->shown[i]];
        add_node(&writer, before, node);
        before = &node->info;
    }
    free(writer.callee_names);
    free(writer.files.numbers);
    free(writer.objects.numbers);
    free(writer.functions.numbers);
}

int ht_write_callgrind(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_graph graph;
    ht_graph_build_as(&graph, report, HT_GRAPH_TREE | HT_GRAPH_OBJECTS | HT_GRAPH_WHOLE);
    ht_graph_sort_edges(&graph);
    if (form->json)
        ht_graph_json(&graph, form->name, out);
    else
        write_callgrind(&graph, out);
    ht_graph_free(&graph);
    return 0;
}
