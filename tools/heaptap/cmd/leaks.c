// `heaptap leaks`: what one snapshot tells of leaks, by the ages of what is still there.
#include "view/text/leaks.h"
#include "base/terminal.h"
#include "cmd/command.h"
#include "cmd/shared_options.h"
#include "input/load.h"
#include "view/text/figures.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

struct settings {
    struct ht_leaks_options leaks;
    struct ht_leaks_form form;
    struct ht_load load;
    const char *output;
    int64_t node_count, paths;
    bool json;
};

#define AT(member) offsetof(struct settings, member)

static const struct ht_option option_table[] = {
    HT_OPTION_TITLE("Which stacks"),
    HT_OPTIONS_FILTER(struct settings, leaks.filter),
    HT_OPTIONS_LEAF(struct settings, leaks.leaf_sites),

    HT_OPTION_TITLE("Which rows"),
    HT_OPTIONS_GRANULARITY(struct settings, leaks.granularity, "", " (default)"),
    {"nodecount", 'n', HT_OPT_INT, AT(node_count), 0, "N", "show at most N rows (default 20, 0: all)"},
    {"paths", 0, HT_OPT_INT, AT(paths), 0, "N", "show evidence and stack of the first N rows (default 1)"},

    HT_OPTION_TITLE("Names"),
    HT_OPTIONS_NAMES(struct settings, load),
    HT_OPTIONS_TRIM_PATH(struct settings, form.trim_path),

    HT_OPTION_TITLE("Output"),
    {"output", 'o', HT_OPT_STRING, AT(output), 0, "FILE", "write the report to FILE"},
    {"json", 0, HT_OPT_FLAG, AT(json), 0, NULL, "JSON instead of text"},
    {.name = NULL},
};

static int report(struct settings *settings, struct ht_profile *profile, const char *name)
{
    struct ht_leaks leaks;
    struct ht_buffer out = {0};
    char folder[PATH_MAX];
    struct ht_terminal terminal = ht_terminal_of(settings->output == NULL ? STDOUT_FILENO : -1);
    struct ht_leaks_form form = settings->form;
    if (form.trim_path == NULL && getcwd(folder, sizeof folder) != NULL && strcmp(folder, "/") != 0)
        form.trim_path = folder;
    form.columns = terminal.columns;
    form.colour = terminal.colour;
    form.plain = !ht_figure_is_utf8();
    form.limit = settings->node_count > 0 ? (size_t)settings->node_count : 0;
    form.paths = settings->paths > 0 ? (size_t)settings->paths : 0;
    if (!settings->json)
        ht_profile_make_printable(profile);
    if (ht_leaks_judge(&leaks, profile, &settings->leaks) < 0)
        return ht_cmd_error("leaks", "%s: %s", name, ht_error());
    if (settings->json)
        ht_leaks_json(&leaks, profile, &form, &out);
    else
        ht_leaks_text(&leaks, profile, &form, &out);
    int status = ht_cmd_write("leaks", settings->output, &out);
    ht_buffer_free(&out);
    ht_leaks_free(&leaks);
    return status;
}

static int command(int argc, char **argv)
{
    struct settings settings = {.leaks = {.granularity = HT_BY_LINES}, .node_count = 20, .paths = 1};
    struct ht_operands operands;
    int status = ht_cmd_parse("leaks", argc, argv, &settings, &operands);
    if (status == HT_PARSED && ht_load_interpret(&settings.load) < 0)
        status = ht_cmd_usage_error("leaks", "%s", ht_error());
    if (status != HT_PARSED)
        return status;
    if (operands.count != 1)
        return ht_cmd_usage_error("leaks", "name one snapshot, or a process");
    struct ht_profile *profile;
    settings.load.by_lines = settings.leaks.granularity >= HT_BY_LINES;
    if (ht_load_profile(&settings.load, operands.items, operands.count, &profile) < 0)
        return ht_cmd_error("leaks", "%s", ht_error());
    status = report(&settings, profile, operands.items[0]);
    ht_profile_free(profile);
    return status;
}

const struct ht_command ht_command_leaks = {
    .name = "leaks",
    .summary = "say from one snapshot what looks like a leak, by the ages of what is live",
    .usage = "[options] FILE|PID",
    .text =
        "Each live sample has its time of birth. By their ages a call site is one of these:\n"
        "\n"
        "  grows      samples of all ages at an even rate: a leak, or a cache that still fills\n"
        "  bounded    nothing older than some age in an older process: it is replaced in time\n"
        "  start-up   all old: allocated at the start, and kept\n"
        "  in use     all young: what the program is working on\n"
        "  undecided  too few samples, or none of these\n"
        "\n"
        "One snapshot cannot tell a cache that still fills from a leak, nor a leak that has stopped: `heaptap growth`\n"
        "looks at many. The rows are sorted by what they are believed to lose; the number behind the sign is one\n"
        "standard error.\n",
    .examples = "  heaptap leaks $(pidof server)\n"
                "  heaptap leaks last.pb.gz\n",
    .options = option_table,
    .run = command,
};
