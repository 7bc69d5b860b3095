// `heaptap top`: the functions that hold or allocate the most.
#include "view/top.h"
#include "base/terminal.h"
#include "cmd/cmd.h"
#include "cmd/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct settings {
    struct ht_view_options view;
    struct ht_load load;
    const char *symbolize;
    const char *demangle;
    int sample_shorthand;
    bool json;
};

static const char *const shorthands[] = {NULL, "inuse_space", "inuse_objects", "alloc_space",
                                         "alloc_objects"};

#define AT(member) offsetof(struct settings, member)

const struct ht_option ht_options_top[] = {
    {"nodecount", 'n', HT_OPT_INT, AT(view.node_count), 0, "N", "show at most N rows (default: all)"},
    {"cum", 0, HT_OPT_SET, AT(view.sort_by_cum), 1, NULL, "sort by the cumulative value"},
    {"flat", 0, HT_OPT_SET, AT(view.sort_by_cum), 0, NULL, NULL},
    {"sample-index", 0, HT_OPT_STRING, AT(view.sample_index), 0, "NAME",
     "which value to show, by name or number"},
    {"inuse-space", 0, HT_OPT_SET, AT(sample_shorthand), 1, NULL,
     "live bytes (the default of heap profiles)"},
    {"inuse-objects", 0, HT_OPT_SET, AT(sample_shorthand), 2, NULL, "live objects"},
    {"alloc-space", 0, HT_OPT_SET, AT(sample_shorthand), 3, NULL, "all bytes ever allocated"},
    {"alloc-objects", 0, HT_OPT_SET, AT(sample_shorthand), 4, NULL, "all objects ever allocated"},
    {"functions", 0, HT_OPT_SET, AT(view.granularity), HT_BY_FUNCTIONS, NULL,
     "a row for each function (default)"},
    {"filefunctions", 0, HT_OPT_SET, AT(view.granularity), HT_BY_FILEFUNCTIONS, NULL,
     "a row for each function in each file"},
    {"files", 0, HT_OPT_SET, AT(view.granularity), HT_BY_FILES, NULL, "a row for each source file"},
    {"lines", 0, HT_OPT_SET, AT(view.granularity), HT_BY_LINES, NULL, "a row for each source line"},
    {"addresses", 0, HT_OPT_SET, AT(view.granularity), HT_BY_ADDRESSES, NULL, "a row for each address"},
    {"noinlines", 0, HT_OPT_FLAG, AT(view.noinlines), 0, NULL, "count inlined functions to their callers"},
    {"focus", 0, HT_OPT_STRING, AT(view.filter.focus), 0, "RE",
     "only stacks through a matching function, file or library"},
    {"ignore", 0, HT_OPT_STRING, AT(view.filter.ignore), 0, "RE", "without stacks through a match"},
    {"hide", 0, HT_OPT_STRING, AT(view.filter.hide), 0, "RE", "leave matching frames out of the stacks"},
    {"show", 0, HT_OPT_STRING, AT(view.filter.show), 0, "RE", "leave all other frames out of the stacks"},
    {"show-from", 0, HT_OPT_STRING, AT(view.filter.show_from), 0, "RE",
     "leave out what is above the highest match"},
    {"prune-from", 0, HT_OPT_STRING, AT(view.filter.prune_from), 0, "RE",
     "leave out what is below the lowest match"},
    {"tagfocus", 0, HT_OPT_STRING, AT(view.filter.tag_focus), 0, "TAG",
     "only samples with a label: bytes=64kb:, thread=io"},
    {"tagignore", 0, HT_OPT_STRING, AT(view.filter.tag_ignore), 0, "TAG",
     "without samples with such a label"},
    {"tagshow", 0, HT_OPT_STRING, AT(view.filter.tag_show), 0, "RE", NULL},
    {"taghide", 0, HT_OPT_STRING, AT(view.filter.tag_hide), 0, "RE", NULL},
    {"base", 0, HT_OPT_LIST, AT(load.bases), 0, "FILE", "subtract this profile"},
    {"diff-base", 0, HT_OPT_LIST, AT(load.diff_bases), 0, "FILE", "the same, with percentages of the base"},
    {"normalize", 0, HT_OPT_FLAG, AT(load.normalize), 0, NULL, "scale to the base's total first"},
    {"unit", 0, HT_OPT_STRING, AT(view.unit), 0, "UNIT", "kB, MB, s ...; auto: a unit for each value"},
    {"divide-by", 0, HT_OPT_NUMBER, AT(view.divide_by), 0, "X", "divide all values"},
    {"mean", 0, HT_OPT_FLAG, AT(view.mean), 0, NULL,
     "divide by the profile's first value (mean size of objects)"},
    {"nodefraction", 0, HT_OPT_NUMBER, AT(view.node_fraction), 0, "X",
     "hide rows below this part of all (0.005)"},
    {"edgefraction", 0, HT_OPT_NUMBER, AT(view.edge_fraction), 0, "X", NULL},
    {"trim", 0, HT_OPT_FLAG, AT(view.trim), 0, NULL,
     "hide what is negligible (default; --no-trim hides nothing)"},
    {"drop-negative", 0, HT_OPT_FLAG, AT(view.drop_negative), 0, NULL, "hide rows with negative values"},
    {"relative-percentages", 0, HT_OPT_FLAG, AT(view.relative_percentages), 0, NULL,
     "percentages of what filters left"},
    {"compact-labels", 0, HT_OPT_FLAG, AT(view.compact_labels), 0, NULL, "no header lines"},
    {"source-path", 0, HT_OPT_STRING, AT(view.source_path), 0, "DIRS", NULL},
    {"trim-path", 0, HT_OPT_STRING, AT(view.trim_path), 0, "DIRS",
     "take these prefixes off source file names"},
    {"symbolize", 0, HT_OPT_STRING, AT(symbolize), 0, "HOW",
     "none: leave addresses without names as they are"},
    {"demangle", 0, HT_OPT_STRING, AT(demangle), 0, "HOW",
     "C++ and Rust names: simple, templates, full or none"},
    {"json", 0, HT_OPT_FLAG, AT(json), 0, NULL, "JSON instead of text"},
    {.name = NULL},
};

// Options that are words for people become what the layers below understand.
static int interpret(struct settings *settings)
{
    static const char *const modes[] = {"simple", "templates", "full", "none"};
    if (settings->sample_shorthand != 0)
        settings->view.sample_index = shorthands[settings->sample_shorthand];
    if (settings->view.node_count < 0)
        settings->view.node_count = 0;
    if (settings->load.bases.count > 0 && settings->load.diff_bases.count > 0)
        return ht_cmd_usage_error("top", "give --base or --diff-base, not both");
    if (settings->symbolize != NULL) {
        settings->load.no_symbols = strcmp(settings->symbolize, "none") == 0;
        if (!settings->load.no_symbols && strcmp(settings->symbolize, "local") != 0)
            return ht_cmd_usage_error("top", "--symbolize is local or none, not '%s'", settings->symbolize);
    }
    if (settings->demangle == NULL)
        return HT_PARSED;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(settings->demangle, modes[i]) == 0) {
            settings->load.resolve.demangle = (enum ht_demangle)i;
            settings->load.resolve.names_given = true;
            return HT_PARSED;
        }
    return ht_cmd_usage_error("top", "--demangle is simple, templates, full or none, not '%s'",
                              settings->demangle);
}

static int print_report(const struct settings *settings, struct ht_profile *profile)
{
    struct ht_report report;
    if (ht_report_init(&report, profile, &settings->view) < 0)
        return ht_cmd_usage_error("top", "%s", ht_error());
    struct ht_graph graph;
    struct ht_buffer out = {0};
    ht_graph_build(&graph, &report);
    if (settings->json)
        ht_top_json(&graph, &out);
    else
        ht_top_text(&graph, ht_terminal_of(STDOUT_FILENO).columns, &out);
    fwrite(out.data, 1, out.length, stdout);
    ht_buffer_free(&out);
    ht_graph_free(&graph);
    ht_report_free(&report);
    return ht_cmd_finish("top");
}

static int load_and_print(const struct settings *settings, const struct ht_operands *files)
{
    struct ht_profile *profile;
    if (files->count == 0)
        return ht_cmd_usage_error("top", "name a profile, a region file or a process");
    if (ht_load_profile(&settings->load, files->items, files->count, &profile) < 0)
        return HT_EXIT_FAILED;
    int status = print_report(settings, profile);
    ht_profile_free(profile);
    return status;
}

int ht_cmd_top(int argc, char **argv)
{
    struct settings settings = {.view = HT_VIEW_OPTIONS_DEFAULT, .load = {.command = "top"}};
    struct ht_operands files;
    int status = ht_cmd_parse("top", argc, argv, &settings, &files);
    if (status == HT_PARSED)
        status = interpret(&settings);
    if (status == HT_PARSED)
        status = load_and_print(&settings, &files);
    free(settings.load.bases.items);
    free(settings.load.diff_bases.items);
    return status;
}
