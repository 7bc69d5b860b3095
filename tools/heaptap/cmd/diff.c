// `heaptap diff`: what grew between two snapshots, the leak on top.
#include "base/measure.h"
#include "base/terminal.h"
#include "cmd/command.h"
#include "cmd/shared_options.h"
#include "input/load.h"
#include "profile/bounds.h"
#include "view/text/compare.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    struct ht_compare_options compare;
    struct ht_compare_form form;
    struct ht_load load;
    const char *fail_above, *output;
    int64_t node_count, paths;
    bool json;
    int sample_shorthand;
};

#define AT(member) offsetof(struct settings, member)

static const struct ht_option option_table[] = {
    HT_OPTION_TITLE("What is counted"),
    HT_OPTIONS_SAMPLE_TYPE(struct settings, compare.sample_index, sample_shorthand),
    {"objects", 0, HT_OPT_SET, AT(sample_shorthand), 2, NULL, "the same as --inuse-objects"},
    {"unit", 0, HT_OPT_STRING, AT(form.unit), 0, "UNIT",
     "kB, MB ... for all values (default: what fits each)"},

    HT_OPTION_TITLE("Which stacks"),
    HT_OPTIONS_FILTER(struct settings, compare.filter),
    HT_OPTIONS_LEAF(struct settings, compare.leaf_sites),

    HT_OPTION_TITLE("Which rows"),
    HT_OPTIONS_GRANULARITY(struct settings, compare.granularity, "", " (default)"),
    {"nodecount", 'n', HT_OPT_INT, AT(node_count), 0, "N", "show at most N rows (default 20, 0: all)"},
    {"paths", 0, HT_OPT_INT, AT(paths), 0, "N", "show the heaviest stack of the first N rows (default 1)"},

    HT_OPTION_TITLE("Names"),
    HT_OPTIONS_NAMES(struct settings, load),
    HT_OPTIONS_TRIM_PATH(struct settings, form.trim_path),

    HT_OPTION_TITLE("URLs"),
    HT_OPTIONS_URL(struct settings, load),

    HT_OPTION_TITLE("Output"),
    {"fail-above", 0, HT_OPT_STRING, AT(fail_above), 0, "SIZE[/min]",
     "exit with status 3 if the total grew by more"},
    {"output", 'o', HT_OPT_STRING, AT(output), 0, "FILE", "write the report to FILE"},
    {"json", 0, HT_OPT_FLAG, AT(json), 0, NULL, "JSON instead of text"},
    {.name = NULL},
};

struct threshold {
    bool is_set, per_minute;
    double value;
};

static int parse_threshold(const char *text, struct threshold *ret_threshold)
{
    if (text == NULL)
        return HT_PARSED;
    size_t length = strcspn(text, "/");
    char *size = ht_format("%.*s", (int)length, text);
    uint64_t bytes;
    int result = ht_parse_size(size, &bytes);
    free(size);
    bool per_minute = text[length] == '/';
    if (result == 0 && per_minute && strcmp(text + length, "/min") != 0 && strcmp(text + length, "/m") != 0)
        result = ht_fail("'%s' is not a size or a size/min", text);
    if (result < 0)
        return ht_cmd_usage_error("diff", "option '--fail-above': %s", ht_error());
    *ret_threshold = (struct threshold){true, per_minute, (double)bytes};
    return HT_PARSED;
}

// Why the exit status is 3, in a line.
static int say_threshold(const struct settings *settings, const struct ht_compare *compare, double change)
{
    char text[HT_MEASURE_TEXT_BYTES];
    ht_measure_label(ht_int64_of_double(change), compare->unit, "auto", text);
    ht_cmd_say("diff", "the total grew by %s%s, which is more than --fail-above %s", text,
               strchr(settings->fail_above, '/') != NULL ? "/min" : "", settings->fail_above);
    return HT_EXIT_THRESHOLD;
}

static int check_threshold(const struct settings *settings, const struct threshold *threshold,
                           const struct ht_compare *compare)
{
    double change = (double)compare->total.new - (double)compare->total.old;
    if (!threshold->is_set)
        return HT_EXIT_DONE;
    if (threshold->per_minute && compare->minutes <= 0)
        return ht_cmd_error(
            "diff", "the profiles do not tell in how much time it grew (two runs, or no times in them); give "
                    "--fail-above a size without /min");
    change /= threshold->per_minute ? compare->minutes : 1;
    return change > threshold->value ? say_threshold(settings, compare, change) : HT_EXIT_DONE;
}

static int print_report(const struct settings *settings, const struct threshold *threshold,
                        struct ht_profile *profile, struct ht_load_times times)
{
    struct ht_compare compare;
    struct ht_buffer out = {0};
    struct ht_compare_options options = settings->compare;
    struct ht_compare_form form = settings->form;
    char folder[PATH_MAX];
    size_t ignored;
    if (form.trim_path == NULL && getcwd(folder, sizeof folder) != NULL && strcmp(folder, "/") != 0)
        form.trim_path = folder;
    if (options.sample_index == NULL && ht_profile_sample_index(profile, "inuse_space", &ignored) == 0)
        options.sample_index = "inuse_space"; // whatever the profile itself prefers
    struct ht_compare_times taken = {times.old_ns, times.new_ns, times.old_ticks};
    if (times.unrelated)
        taken = (struct ht_compare_times){0};
    ht_profile_bound_texts(profile);
    if (!settings->json)
        ht_profile_make_printable(profile);
    if (ht_compare_init(&compare, profile, &options, taken) < 0)
        return ht_cmd_usage_error("diff", "%s", ht_error());
    form.limit = settings->node_count > 0 ? (size_t)settings->node_count : 0;
    form.paths = settings->paths > 0 ? (size_t)settings->paths : 0;
    struct ht_terminal terminal = ht_terminal_of(settings->output == NULL ? STDOUT_FILENO : -1);
    form.columns = terminal.columns;
    form.colour = terminal.colour;
    if (settings->json)
        ht_compare_json(&compare, &form, &out);
    else
        ht_compare_text(&compare, &form, &out);
    int status = ht_cmd_write("diff", settings->output, &out);
    if (status == HT_EXIT_DONE)
        status = check_threshold(settings, threshold, &compare);
    ht_buffer_free(&out);
    ht_compare_free(&compare);
    return status;
}

static int command(int argc, char **argv)
{
    struct settings settings = {.compare = {.granularity = HT_BY_LINES}, .node_count = 20, .paths = 1};
    struct threshold threshold = {0};
    struct ht_operands files;
    int status = ht_cmd_parse("diff", argc, argv, &settings, &files);
    if (status == HT_PARSED)
        status = parse_threshold(settings.fail_above, &threshold);
    if (status == HT_PARSED && ht_load_interpret(&settings.load) < 0)
        status = ht_cmd_usage_error("diff", "%s", ht_error());
    if (status != HT_PARSED)
        return status;
    if (files.count != 2)
        return ht_cmd_usage_error("diff", "name two snapshots, the older one first");
    if (settings.sample_shorthand != 0)
        settings.compare.sample_index = ht_sample_shorthands[settings.sample_shorthand];
    struct ht_profile *profile;
    struct ht_load_times times;
    settings.load.sample_index = settings.compare.sample_index;
    settings.load.by_lines = settings.compare.granularity >= HT_BY_LINES;
    if (ht_load_pair(&settings.load, files.items[0], files.items[1], &profile, &times) < 0)
        return ht_cmd_error("diff", "%s", ht_error());
    status = print_report(&settings, &threshold, profile, times);
    ht_profile_free(profile);
    return status;
}

const struct ht_command ht_command_diff = {
    .name = "diff",
    .summary = "show what grew between two snapshots, the leak on top",
    .usage = "[options] OLD NEW|PID",
    .text =
        "One row for each allocating call site, sorted by growth of live bytes: old, new, change with its standard error,\n"
        "and, between two snapshots of one process, change per hour. `freed` is how much of what the call site ever\n"
        "allocated was freed again. What sampling alone makes by chance is called noise: what both snapshots share cancels,\n"
        "so the error is that of what came and went. grows and shrinks say that the change is real, not that it goes on:\n"
        "`heaptap growth` looks at many snapshots. The call site is the caller nearest to the allocation that is not\n"
        "the C or C++ library or a wrapper with malloc, calloc, realloc, palloc or zalloc in its name (g_malloc0);\n"
        "--leaf takes those as well. NEW may be a running process.\n"
        "\n"
        "Below the table: the stack of the largest growth (--paths N: of the first N rows). What grew between two\n"
        "snapshots may still be a cache that fills: compare later ones before calling it a leak.\n",
    .examples = "  heaptap diff first.pb.gz last.pb.gz\n"
                "  heaptap diff --inuse-objects first.pb.gz last.pb.gz\n"
                "      count objects instead of bytes\n"
                "  heaptap diff --fail-above 1M/min first.pb.gz last.pb.gz\n"
                "      exit with status 3 when the heap grows faster than that\n",
    .options = option_table,
    .run = command,
};
