// The commands that are reports: `heaptap NAME [options] [RE] FILE...`.
#include "cmd/report.h"

#include "base/terminal.h"
#include "cmd/reports.h"
#include "cmd/shared_options.h"
#include "input/program.h"
#include "profile/bounds.h"
#include "view/report_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const ht_sample_shorthands[] = {
    NULL, "inuse_space", "inuse_objects", "alloc_space", "alloc_objects", "delay", "contentions"};
const char *const ht_granularity_names[] = {"functions", "filefunctions", "files", "lines", "addresses"};

#define AT(member) offsetof(struct ht_report_settings, member)

const struct ht_option ht_options_report[] = {
    HT_OPTION_TITLE("What is counted"),
    HT_OPTIONS_SAMPLE_TYPE(struct ht_report_settings, view.sample_index, sample_shorthand),
    {"total-delay", 0, HT_OPT_SET, AT(sample_shorthand), 5, NULL, NULL},
    {"contentions", 0, HT_OPT_SET, AT(sample_shorthand), 6, NULL, NULL},
    {"mean-delay", 0, HT_OPT_FLAG, AT(mean_delay), 0, NULL, NULL},
    {"mean", 0, HT_OPT_FLAG, AT(view.mean), 0, NULL,
     "divide by the profile's first value (mean size of objects)"},
    {"divide-by", 0, HT_OPT_NUMBER, AT(view.divide_by), 0, "X", "divide all values"},
    {"unit", 0, HT_OPT_STRING, AT(view.unit), 0, "UNIT", "kB, MB, s ...; auto: a unit for each value"},

    HT_OPTION_TITLE("Which stacks"),
    HT_OPTIONS_FILTER(struct ht_report_settings, view.filter),
    {"tagshow", 0, HT_OPT_STRING, AT(view.filter.tag_show), 0, "RE", "show only labels with such keys"},
    {"taghide", 0, HT_OPT_STRING, AT(view.filter.tag_hide), 0, "RE", "leave out labels with such keys"},
    {"tagroot", 0, HT_OPT_STRING, AT(view.tag_root), 0, "KEYS",
     "put these labels below the stacks: one tree a thread"},
    {"tagleaf", 0, HT_OPT_STRING, AT(view.tag_leaf), 0, "KEYS",
     "put these labels on top of the stacks: sizes by call site"},

    HT_OPTION_TITLE("Which rows"),
    HT_OPTIONS_GRANULARITY(struct ht_report_settings, view.granularity, " (default)", ""),
    {"addresses", 0, HT_OPT_SET, AT(view.granularity), HT_BY_ADDRESSES, NULL, "a row for each address"},
    {"granularity", 0, HT_OPT_STRING, AT(granularity), 0, "WHAT", NULL},
    {"by", 0, HT_OPT_STRING, AT(view.by), 0, "LABEL",
     "a row for each process, thread or value of another label, instead of functions"},
    {"noinlines", 0, HT_OPT_FLAG, AT(view.noinlines), 0, NULL, "count inlined functions to their callers"},
    {"cum", 0, HT_OPT_SET, AT(view.sort_by_cum), 1, NULL, "sort by the cumulative value"},
    {"flat", 0, HT_OPT_SET, AT(view.sort_by_cum), 0, NULL, NULL},
    {"sort", 0, HT_OPT_STRING, AT(sort), 0, "HOW", NULL},
    {"nodecount", 'n', HT_OPT_INT, AT(view.node_count), 0, "N",
     "show at most N nodes (default: all; graphs and trees 80)"},
    {"nodefraction", 0, HT_OPT_NUMBER, AT(view.node_fraction), 0, "X",
     "hide rows below this part of all (0.005)"},
    {"edgefraction", 0, HT_OPT_NUMBER, AT(view.edge_fraction), 0, "X",
     "hide calls below this part of all (0.001)"},
    {"trim", 0, HT_OPT_FLAG, AT(view.trim), 0, NULL,
     "hide what is negligible (default; --no-trim hides nothing)"},
    {"drop-negative", 0, HT_OPT_FLAG, AT(view.drop_negative), 0, NULL, "hide rows with negative values"},
    {"call-tree", 0, HT_OPT_FLAG, AT(view.call_tree), 0, NULL,
     "graphs: a node for each way to reach a function"},
    {"relative-percentages", 0, HT_OPT_FLAG, AT(view.relative_percentages), 0, NULL,
     "percentages of what filters left"},

    HT_OPTION_TITLE("Several inputs"),
    {"sum", 0, HT_OPT_FLAG, AT(load.sum), 0, NULL,
     "add up all, also snapshots of one process and what forked ones share"},

    HT_OPTION_TITLE("Comparing"),
    {"base", 0, HT_OPT_LIST, AT(load.bases), 0, "FILE", "subtract this profile"},
    {"diff-base", 0, HT_OPT_LIST, AT(load.diff_bases), 0, "FILE", "the same, with percentages of the base"},
    {"normalize", 0, HT_OPT_FLAG, AT(load.normalize), 0, NULL, "scale to the base's total first"},

    HT_OPTION_TITLE("Names and sources"),
    HT_OPTIONS_NAMES(struct ht_report_settings, load),
    {"buildid", 0, HT_OPT_STRING, AT(load.build_id), 0, "ID",
     "the program's build id, in place of the profile's"},
    {"all-frames", 0, HT_OPT_FLAG, AT(load.all_frames), 0, NULL,
     "also frames that the profile itself leaves out (drop_frames)"},
    {"source-path", 0, HT_OPT_STRING, AT(view.source_path), 0, "DIRS",
     "where source files are (a list with ':')"},
    {"trim-path", 0, HT_OPT_STRING, AT(view.trim_path), 0, "DIRS",
     "take these prefixes off source file names"},

    HT_OPTION_TITLE("URLs"),
    {"seconds", 0, HT_OPT_INT, AT(load.input.seconds), 0, "N",
     "what happens within N seconds (CPU profiles, deltas)"},
    HT_OPTIONS_URL(struct ht_report_settings, load),

    HT_OPTION_TITLE("Output"),
    {"output", 'o', HT_OPT_STRING, AT(output), 0, "FILE", "write the report to FILE"},
    {"json", 0, HT_OPT_FLAG, AT(json), 0, NULL, "JSON instead of text; `heaptap help json` lists its words"},
    {"error", 0, HT_OPT_FLAG, AT(view.errors), 0, NULL,
     "top: standard errors of what is held or allocated (default; --no-error hides them)"},
    {"compact-labels", 0, HT_OPT_FLAG, AT(view.compact_labels), 0, NULL, "no header lines"},
    {"svg", 0, HT_OPT_FLAG, AT(svg), 0, NULL, "flame: a static picture instead of a page"},
    {"icicle", 0, HT_OPT_FLAG, AT(icicle), 0, NULL, "flame: begin with the program's start on top"},
    {"add-comment", 0, HT_OPT_STRING, AT(load.comment), 0, "TEXT",
     "a comment for the profile that is written"},

    // pprof's: the first two are for what it does by other programs, the others are answered.
    {"tools", 0, HT_OPT_STRING, AT(tools), 0, "DIRS", NULL},
    {"intel-syntax", 0, HT_OPT_FLAG, AT(intel_syntax), 0, NULL, NULL},
    {"showcolumns", 0, HT_OPT_FLAG, AT(show_columns), 0, NULL, NULL},
    {"http", 0, HT_OPT_STRING, AT(http), 0, "HOST:PORT", NULL},
    {"no-browser", 0, HT_OPT_FLAG, AT(no_browser), 0, NULL, NULL},
    {.name = NULL},
};

// What pprof's prompt and its saved settings spell as name=value.
static int interpret_choices(struct ht_report_settings *settings)
{
    const char *command = settings->command;
    if (settings->sort != NULL) {
        settings->view.sort_by_cum = strcmp(settings->sort, "cum") == 0;
        if (!settings->view.sort_by_cum && strcmp(settings->sort, "flat") != 0)
            return ht_cmd_usage_error(command, "--sort is flat or cum, not '%s'", settings->sort);
    }
    if (settings->granularity == NULL)
        return HT_PARSED;
    for (size_t i = 0; i < sizeof ht_granularity_names / sizeof ht_granularity_names[0]; i++)
        if (strcmp(settings->granularity, ht_granularity_names[i]) == 0) {
            settings->view.granularity = (int)i; // the order of enum ht_granularity
            return HT_PARSED;
        }
    return ht_cmd_usage_error(
        command, "--granularity is functions, filefunctions, files, lines or addresses, not '%s'",
        settings->granularity);
}

// What pprof has and heaptap has not.
static int answer_foreign(const struct ht_report_settings *settings)
{
    static const char http[] = "http";
    if (settings->http != NULL || settings->no_browser)
        return ht_cmd_usage_error(settings->command, "there is no --%s; %s",
                                  settings->http != NULL ? http : "no-browser",
                                  ht_cmd_instead(http, sizeof http - 1));
    if (settings->show_columns)
        return ht_cmd_usage_error(settings->command,
                                  "there is no --showcolumns; 'raw --json' has all that the profile says "
                                  "of a line");
    return HT_PARSED;
}

int ht_report_interpret(struct ht_report_settings *settings)
{
    const char *command = settings->command;
    const char *shorthand = settings->mean_delay ? "delay" : ht_sample_shorthands[settings->sample_shorthand];
    bool is_given = settings->view.sample_index != NULL && settings->view.sample_index[0] != '\0';
    if (shorthand != NULL && is_given && strcmp(settings->view.sample_index, shorthand) != 0)
        ht_warn("--sample-index=%s wins over %s", settings->view.sample_index, shorthand);
    else if (shorthand != NULL)
        settings->view.sample_index = shorthand;
    if (settings->mean_delay)
        settings->view.mean = true;
    if (settings->load.input.seconds < 0 || settings->load.input.seconds > INT32_MAX)
        return ht_cmd_usage_error(command, "--seconds is a number from 1");
    if (settings->load.bases.count > 0 && settings->load.diff_bases.count > 0)
        return ht_cmd_usage_error(command, "give --base or --diff-base, not both");
    if (settings->load.normalize && settings->load.bases.count + settings->load.diff_bases.count == 0)
        return ht_cmd_usage_error(command, "--normalize needs a --base or --diff-base");
    if (settings->output != NULL && (settings->output[0] == '\0' || strcmp(settings->output, "-") == 0))
        settings->output = NULL; // standard output; so a prompt's "output=" takes a file back
    int status = answer_foreign(settings);
    if (status == HT_PARSED)
        status = interpret_choices(settings);
    if (status == HT_PARSED && ht_load_interpret(&settings->load) < 0)
        status = ht_cmd_usage_error(command, "%s", ht_error());
    return status;
}

int ht_report_run(const struct ht_report_settings *settings, const struct ht_report_kind *kind,
                  const char *expression, struct ht_profile *profile)
{
    const char *command = settings->command;
    struct ht_terminal terminal = ht_terminal_of(settings->output == NULL ? STDOUT_FILENO : -1);
    if ((kind->flags & HT_REPORT_BINARY) && terminal.is_terminal && !settings->json)
        return ht_cmd_usage_error(command, "the output is not text; write it to a file with -o FILE");
    struct ht_report report;
    struct ht_view_options options = settings->view;
    ht_report_settle(kind, &options);
    if (kind->write != ht_write_proto)
        ht_profile_bound_texts(profile);
    if (!settings->json && !(kind->flags & HT_REPORT_AS_IS))
        ht_profile_make_printable(profile);
    if (ht_report_init(&report, profile, &options) < 0)
        return ht_cmd_usage_error(command, "%s", ht_error());
    if (!(kind->flags & HT_REPORT_UNTRIMMED))
        ht_report_tell_all_freed(&report);
    struct ht_report_form form = {
        .name = kind->name,
        .json = settings->json,
        .colour = terminal.colour,
        .columns = terminal.columns,
        .expression = expression,
        .svg = settings->svg,
        .root_on_top = settings->icicle,
    };
    if (settings->is_plain) {
        form.colour = false;
        form.columns = 0;
    }
    struct ht_buffer out = {0};
    if (settings->output == NULL || strcmp(settings->output, "-") == 0)
        out.stream = stdout;
    ht_cmd_tell_notes(command);
    ht_buffer_text(&out, ""); // an empty report has bytes to point at as well
    int status = kind->write(&report, &form, &out) < 0 ? ht_cmd_error(command, "%s", ht_error())
                                                       : ht_cmd_write(command, settings->output, &out);
    ht_buffer_free(&out);
    ht_report_free(&report);
    return status;
}

static int load_and_run(struct ht_report_settings *settings, const struct ht_report_kind *kind,
                        const struct ht_operands *operands)
{
    const char *expression = NULL;
    char **files = operands->items;
    int count = operands->count;
    if ((kind->flags & HT_REPORT_EXPRESSION) && (count > 1 || !(kind->flags & HT_REPORT_OPTIONAL))) {
        if (count < 2)
            return ht_cmd_usage_error(settings->command, "name a regular expression and then a profile");
        expression = files[0];
        files++;
        count--;
    }
    if (count == 0)
        return ht_cmd_usage_error(settings->command, "name a profile, a region file or a process");
    if (ht_load_take_program(&settings->load, &files, &count) < 0)
        return ht_cmd_usage_error(settings->command, "%s", ht_error());
    settings->load.by_process = settings->view.by != NULL && strcmp(settings->view.by, "process") == 0;
    struct ht_profile *profile;
    settings->load.sample_index = settings->view.sample_index;
    settings->load.by_lines = settings->view.granularity >= HT_BY_LINES;
    if (ht_load_profile(&settings->load, files, count, &profile) < 0)
        return ht_cmd_error(settings->command, "%s", ht_error());
    int status = ht_report_run(settings, kind, expression, profile);
    ht_profile_free(profile);
    return status;
}

int ht_cmd_json_help(void)
{
    printf(
        "heaptap: the words of --json, the same in all reports that have them\n\n"
        "One object; 'rows' holds the report. Values are in the profile's own unit, undivided. Words may be added, but none\n"
        "changes its meaning. What is unknown (a file, a line) is left out.\n\n");
    for (const struct ht_json_word *word = ht_json_words; word->name != NULL; word++)
        printf("  %-20s %-14s %s\n", word->name, word->type, word->meaning);
    return ht_cmd_finish("help");
}

int ht_cmd_report(int argc, char **argv)
{
    const struct ht_report_kind *kind = ht_report_find(argv[0]);
    const char *command =
        kind->write == ht_write_svg ? "svg" : argv[0]; // whose help it has: png and its like
    struct ht_report_settings settings = HT_REPORT_SETTINGS_DEFAULT(command);
    struct ht_operands operands;
    settings.view.node_count = -1;
    settings.view.node_fraction = -1;
    int status = ht_cmd_parse(command, argc, argv, &settings, &operands);
    if (status == HT_PARSED)
        status = ht_report_interpret(&settings);
    bool is_flame = kind->flags & HT_REPORT_FLAME;
    if (status == HT_PARSED && !is_flame && (settings.svg || settings.icicle))
        status = ht_cmd_usage_error(command, "--svg and --icicle are for heaptap flame");
    if (is_flame &&
        settings.load.bases.count > 0) { // two colours need both sides, whatever percentages are of
        settings.load.diff_bases = settings.load.bases;
        settings.load.bases = (struct ht_strings){0};
    }
    if (status == HT_PARSED)
        status = load_and_run(&settings, kind, &operands);
    free(settings.load.bases.items);
    free(settings.load.diff_bases.items);
    return status;
}
