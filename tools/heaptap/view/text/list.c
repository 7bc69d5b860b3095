// The report `list`: the source of matching functions, each line with its own and its cumulative value.
#include "view/graph/graph.h"
#include "view/report_json.h"
#include "view/reports.h"
#include "view/text.h"
#include "view/text/source.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/regex.h"
#include "base/text.h"

#include <stdlib.h>
#include <sys/stat.h>

// The nodes that match, sorted by function, file and line.
struct listing {
    struct ht_graph *graph;
    const struct ht_report_form *form;
    uint32_t *nodes;
    size_t count;
    struct ht_sources sources;
    size_t missing;    // files that were not found
    const char *newer; // a file that was written after the program or its profile was
};

// The lines of one function in one file.
struct routine {
    const uint32_t *nodes;
    size_t count;
    int64_t flat, cum, first, last;
    const char *name, *path;
    const char *opened; // the path before names were made printable
    const struct ht_source_file *file;
};

static const char *text_of(const struct ht_graph *graph, uint32_t string)
{
    return ht_profile_text(graph->report->profile, string);
}

static int compare_nodes(const void *left, const void *right, void *context)
{
    const struct ht_graph *graph = context;
    const struct ht_node_info *a = &graph->nodes[*(const uint32_t *)left].info;
    const struct ht_node_info *b = &graph->nodes[*(const uint32_t *)right].info;
    int order = strcmp(text_of(graph, a->name), text_of(graph, b->name));
    if (order == 0)
        order = strcmp(text_of(graph, a->file), text_of(graph, b->file));
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static int find_nodes(struct listing *listing, const char *expression)
{
    struct ht_graph *graph = listing->graph;
    struct ht_regex *regex;
    if (ht_regex_compile(expression, &regex) < 0)
        return -1;
    listing->nodes = ht_alloc_zero(graph->shown_count + 1, sizeof *listing->nodes);
    for (size_t i = 0; i < graph->shown_count; i++) {
        const char *name = text_of(graph, graph->nodes[graph->shown[i]].info.name);
        if (ht_regex_match(regex, name, strlen(name)))
            listing->nodes[listing->count++] = graph->shown[i];
    }
    ht_regex_free(regex);
    qsort_r(listing->nodes, listing->count, sizeof *listing->nodes, compare_nodes, graph);
    return listing->count > 0 ? 0 : ht_fail("no matches found for regexp: %s", expression);
}

// From the function's first line (or some lines before the first with a value) to some lines after the last.
static void find_range(const struct ht_graph *graph, struct routine *routine)
{
    enum { MARGIN = 5 };
    for (size_t i = 0; i < routine->count; i++) {
        const struct ht_node *node = &graph->nodes[routine->nodes[i]];
        int64_t line = node->info.line; // of a foreign file: any number
        line = line < 0 ? 0 : line > INT64_MAX - MARGIN ? INT64_MAX - MARGIN : line;
        int64_t first = node->info.start_line != 0 ? node->info.start_line : line - MARGIN,
                last = line + MARGIN;
        routine->first = i == 0 || first < routine->first ? first : routine->first;
        routine->last = i == 0 || last > routine->last ? last : routine->last;
        routine->flat = ht_wrap_add(routine->flat, node->flat);
        routine->cum = ht_wrap_add(routine->cum, node->cum);
    }
    if (routine->first < 1)
        routine->first = 1;
}

// Sums of one line; *position moves over the nodes, which are sorted by line.
static void sum_line(const struct ht_graph *graph, const struct routine *routine, int64_t line,
                     size_t *position, int64_t *ret_flat, int64_t *ret_cum)
{
    *ret_flat = *ret_cum = 0;
    for (; *position < routine->count; ++*position) {
        const struct ht_node *node = &graph->nodes[routine->nodes[*position]];
        if (node->info.line > line)
            return;
        if (node->info.line < line) // line 0: unknown
            continue;
        *ret_flat = ht_wrap_add(*ret_flat, node->flat);
        *ret_cum = ht_wrap_add(*ret_cum, node->cum);
    }
}

static void add_value(const struct ht_report *report, int64_t value, const char *none, struct ht_buffer *out)
{
    char label[HT_MEASURE_TEXT_BYTES];
    ht_report_label(report, value, label);
    ht_text_right(out, 10, value == 0 ? none : label);
    ht_buffer_byte(out, ' ');
}

static void add_lines(const struct listing *listing, const struct routine *routine, struct ht_buffer *out)
{
    const struct ht_report *report = listing->graph->report;
    size_t position = 0;
    for (int64_t line = routine->first; line <= routine->last; line++) {
        const char *text = ht_source_line(routine->file, line);
        int64_t flat, cum;
        if (text == NULL)
            break;
        sum_line(listing->graph, routine, line, &position, &flat, &cum);
        const char *colour = !listing->form->colour ? "" : flat != 0 ? "\033[1m" : cum == 0 ? "\033[2m" : "";
        ht_buffer_text(out, colour);
        add_value(report, flat, ".", out);
        add_value(report, cum, ".", out);
        ht_buffer_printf(out, "%6lld:", (long long)line);
        ht_text_show(out, text, strlen(text), "\t");
        ht_buffer_text(out, colour[0] != '\0' ? "\033[0m\n" : "\n");
    }
}

static void add_routine(const struct listing *listing, const struct routine *routine, struct ht_buffer *out)
{
    const struct ht_report *report = listing->graph->report;
    char percent[HT_MEASURE_TEXT_BYTES];
    bool colour = listing->form->colour;
    ht_buffer_printf(out, "ROUTINE ======================== %s%s%s in %s\n", colour ? "\033[1;36m" : "",
                     routine->name, colour ? "\033[0m" : "", routine->path);
    add_value(report, routine->flat, "0", out);
    add_value(report, routine->cum, "0", out);
    ht_measure_percent(routine->cum, report->total, percent);
    ht_buffer_printf(out, "(flat, cum) %s of Total\n", percent);
    if (routine->file != NULL && routine->file->error != NULL) {
        ht_buffer_text(out, " Error: ");
        ht_text_show(out, routine->file->error, strlen(routine->file->error), "\t");
        ht_buffer_byte(out, '\n');
    } else if (routine->file != NULL) {
        add_lines(listing, routine, out);
    }
}

static void json_routine(struct ht_json *json, const struct listing *listing, const struct routine *routine)
{
    size_t position = 0;
    ht_json_begin_object(json, NULL);
    ht_json_string(json, "name", routine->name);
    ht_json_string(json, "function", routine->name);
    if (routine->path[0] != '\0')
        ht_json_string(json, "file", routine->path);
    ht_json_int(json, "flat", routine->flat);
    ht_json_int(json, "cum", routine->cum);
    ht_report_json_percent(json, "cum_percent", routine->cum, listing->graph->report->total);
    if (routine->file == NULL || routine->file->error != NULL)
        ht_json_string(json, "error",
                       routine->file != NULL ? routine->file->error
                                             : "the profile has no source file for it");
    ht_json_begin_array(json, "lines");
    for (int64_t line = routine->first; routine->file != NULL && line <= routine->last; line++) {
        const char *text = ht_source_line(routine->file, line);
        int64_t flat, cum;
        if (text == NULL)
            break;
        sum_line(listing->graph, routine, line, &position, &flat, &cum);
        ht_json_begin_object(json, NULL);
        ht_json_int(json, "line", line);
        ht_json_int(json, "flat", flat);
        ht_json_int(json, "cum", cum);
        ht_json_string(json, "source", text);
        ht_json_end_object(json);
    }
    ht_json_end_array(json);
    ht_json_end_object(json);
}

// When the program was built or at the latest its profile taken, since 1970; 0: unknown.
static int64_t built_ns(const struct ht_graph *graph, const struct ht_node_info *info)
{
    const struct ht_profile *profile = graph->report->profile;
    struct stat status;
    int64_t taken_ns = profile->time_ns;
    if (info->object == 0 || stat(ht_profile_original(profile, info->object), &status) != 0)
        return taken_ns;
    int64_t changed_ns = (int64_t)ht_ns_of(status.st_mtim);
    return taken_ns == 0 || changed_ns < taken_ns ? changed_ns : taken_ns;
}

// The routine that begins at nodes[first].
static struct routine routine_at(struct listing *listing, size_t first)
{
    const struct ht_graph *graph = listing->graph;
    const struct ht_node_info *info = &graph->nodes[listing->nodes[first]].info;
    struct routine routine = {.nodes = listing->nodes + first,
                              .name = text_of(graph, info->name),
                              .path = text_of(graph, info->file),
                              .opened = ht_profile_original(graph->report->profile, info->file)};
    while (first + routine.count < listing->count) {
        const struct ht_node_info *other = &graph->nodes[listing->nodes[first + routine.count]].info;
        if (other->name != info->name || other->file != info->file)
            break;
        routine.count++;
    }
    find_range(graph, &routine);
    if (info->file != 0 && routine.first <= routine.last)
        routine.file = ht_sources_find(&listing->sources, routine.opened);
    else if (info->file != 0) // no line to show: pprof does not look for the file then
        routine.file = ht_sources_known(&listing->sources, routine.opened);
    listing->missing += routine.file != NULL && routine.file->error != NULL;
    int64_t known_ns = built_ns(graph, info);
    if (routine.file != NULL && known_ns != 0 && routine.file->changed_ns > known_ns)
        listing->newer = routine.path;
    return routine;
}

static void write_listing(struct listing *listing, struct ht_buffer *out)
{
    const struct ht_report *report = listing->graph->report;
    struct ht_json json = {.out = out};
    char total[HT_MEASURE_TEXT_BYTES];
    ht_report_label(report, report->total, total);
    if (listing->form->json) {
        ht_report_json_begin(&json, report, listing->form->name);
        ht_json_begin_array(&json, "rows");
    } else {
        ht_buffer_printf(out, "Total: %s\n", total);
    }
    for (size_t first = 0, next; first < listing->count; first = next) {
        struct routine routine = routine_at(listing, first);
        next = first + routine.count;
        bool is_last = next == listing->count || listing->graph->nodes[listing->nodes[next]].info.name !=
                                                     listing->graph->nodes[listing->nodes[first]].info.name;
        if (listing->form->json)
            json_routine(&json, listing, &routine);
        else if (routine.path[0] != '\0')
            add_routine(listing, &routine, out);
        else if (is_last) // else the same function has a file elsewhere, and that is shown
            ht_buffer_printf(out, "No source information for %s\n", routine.name);
    }
    if (listing->form->json) {
        ht_json_end_array(&json);
        ht_json_end_object(&json);
    }
}

int ht_write_list(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_graph graph;
    const char *unit = report->output_unit;
    ht_graph_build_as(&graph, report, HT_GRAPH_OBJECTS | HT_GRAPH_NO_EDGES);
    report->output_unit = unit; // each value has its own
    struct listing listing = {.graph = &graph, .form = form};
    ht_sources_init(&listing.sources, report->profile->owner, report->options.source_path,
                    report->options.trim_path);
    int result = find_nodes(&listing, form->expression);
    if (result == 0)
        write_listing(&listing, out);
    if (listing.missing > 0)
        ht_warn(
            "%zu source file%s not found; say where they are with --source-path=DIRS, and what is in front of their "
            "names with --trim-path=DIRS",
            listing.missing, listing.missing > 1 ? "s were" : " was");
    if (listing.newer != NULL)
        ht_warn(
            "%s was written after the program or its profile: the lines shown may be others than those that "
            "allocated",
            listing.newer);
    ht_sources_free(&listing.sources);
    free(listing.nodes);
    ht_graph_free(&graph);
    return result;
}
