// `heaptap growth`: which call sites grow steadily over many snapshots.
#include "view/text/growth.h"
#include "base/json.h"
#include "base/limit.h"
#include "base/proc.h"
#include "base/terminal.h"
#include "cmd/command.h"
#include "cmd/shared_options.h"
#include "input/series.h"
#include "view/text/figures.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    struct ht_series_options series;
    struct ht_growth_form form;
    struct ht_load load;
    const char *output, *confidence, *limit;
    int64_t node_count, paths;
    bool json;
    int sample_shorthand;
};

#define AT(member) offsetof(struct settings, member)

static const struct ht_option option_table[] = {
    HT_OPTION_TITLE("What is counted"),
    HT_OPTIONS_SAMPLE_TYPE(struct settings, series.sample_index, sample_shorthand),

    HT_OPTION_TITLE("Which stacks"),
    HT_OPTIONS_FILTER(struct settings, series.filter),
    HT_OPTIONS_LEAF(struct settings, series.leaf_sites),

    HT_OPTION_TITLE("Which rows"),
    HT_OPTIONS_GRANULARITY(struct settings, series.granularity, "", " (default)"),
    {"nodecount", 'n', HT_OPT_INT, AT(node_count), 0, "N", "show at most N rows (default 20, 0: all)"},
    {"paths", 0, HT_OPT_INT, AT(paths), 0, "N", "show the stack of the first N rows that grow (default 1)"},

    HT_OPTION_TITLE("Verdicts"),
    {"confidence", 0, HT_OPT_STRING, AT(confidence), 0, "0.99",
     "how rarely a call site that does not grow may be called growing: 1 in 100 for 0.99"},
    {"limit", 0, HT_OPT_STRING, AT(limit), 0, "SIZE",
     "the memory that the process may have (default: its control group's, or the machine's)"},

    HT_OPTION_TITLE("Names"),
    HT_OPTIONS_NAMES(struct settings, load),
    HT_OPTIONS_TRIM_PATH(struct settings, form.trim_path),

    HT_OPTION_TITLE("Output"),
    {"output", 'o', HT_OPT_STRING, AT(output), 0, "FILE", "write the report to FILE"},
    {"json", 0, HT_OPT_FLAG, AT(json), 0, NULL, "JSON instead of text"},
    {.name = NULL},
};

// What the process may have, if it still runs here.
static void find_limit(struct ht_growth_form *form, const struct ht_series_of *item)
{
    char boot_id[40];
    ht_limit_boot_id(boot_id);
    if (form->limit_bytes > 0 || item->pid == 0 || strcmp(boot_id, item->boot_id) != 0 ||
        !ht_proc_is_same(item->pid, item->start_ticks))
        return;
    form->limit_bytes = (double)ht_limit_of(item->pid, &form->limit_name);
}

// A process of which there are enough snapshots.
struct reported {
    struct ht_growth growth;
    struct ht_growth_form form;
};

static void write_json(const struct reported *all, size_t count, double chance, struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "report", "growth");
    ht_json_number(&json, "chance", chance);
    ht_json_begin_array(&json, "rows");
    for (size_t i = 0; i < count; i++)
        ht_growth_json_rows(&all[i].growth, &all[i].form, &json);
    ht_json_end_array(&json);
    ht_json_begin_array(&json, "processes");
    for (size_t i = 0; i < count; i++)
        ht_growth_json_process(&all[i].growth, &all[i].form, &json);
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}

static void write_text(const struct reported *all, size_t count, struct ht_buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            ht_buffer_byte(out, '\n');
        ht_growth_text(&all[i].growth, &all[i].form, out);
    }
}

static int report(const struct settings *settings, struct ht_series_list *list, double chance)
{
    struct reported *all = ht_alloc_zero(list->count, sizeof *all);
    struct ht_buffer out = {0};
    size_t count = 0;
    int status = HT_EXIT_DONE;
    for (size_t i = 0; i < list->count; i++) {
        struct ht_series_of *item = &list->items[i];
        if (!settings->json)
            ht_profile_make_printable(item->series.names);
        if (ht_growth_judge(&all[count].growth, &item->series, chance) < 0) {
            if (i == 0) // the one with the most snapshots
                status = ht_cmd_error("growth",
                                      "%s: %s; heaptap run --interval 10s, HEAPTAP_INTERVAL=10s or "
                                      "kill -USR2 take them",
                                      item->process, ht_error());
            break;
        }
        all[count].form = settings->form;
        all[count].form.process = item->process;
        find_limit(&all[count++].form, item);
    }
    if (status == HT_EXIT_DONE) {
        if (settings->json)
            write_json(all, count, chance, &out);
        else
            write_text(all, count, &out);
        status = ht_cmd_write("growth", settings->output, &out);
    }
    for (size_t i = 0; i < count; i++)
        ht_growth_free(&all[i].growth);
    free(all);
    ht_buffer_free(&out);
    return status;
}

static int interpret(struct settings *settings, double *ret_chance)
{
    *ret_chance = 0.01;
    if (settings->confidence != NULL) {
        char *end;
        double confidence = strtod(settings->confidence, &end);
        if (*end != '\0' || !(confidence >= 0.5 && confidence < 1))
            return ht_cmd_usage_error(
                "growth", "option '--confidence': '%s' is not a number from 0.5 to 1, such as 0.99",
                settings->confidence);
        *ret_chance = 1 - confidence;
    }
    if (settings->limit != NULL) {
        uint64_t bytes;
        if (ht_parse_size(settings->limit, &bytes) < 0)
            return ht_cmd_usage_error("growth", "option '--limit': %s", ht_error());
        settings->form.limit_bytes = (double)bytes;
        settings->form.limit_name = "limit";
    }
    if (ht_load_interpret(&settings->load) < 0)
        return ht_cmd_usage_error("growth", "%s", ht_error());
    return HT_PARSED;
}

static int command(int argc, char **argv)
{
    struct settings settings = {.series = {.granularity = HT_BY_LINES}, .node_count = 20, .paths = 1};
    struct ht_operands operands;
    char folder[PATH_MAX];
    double chance;
    int status = ht_cmd_parse("growth", argc, argv, &settings, &operands);
    if (status == HT_PARSED)
        status = interpret(&settings, &chance);
    if (status != HT_PARSED)
        return status;
    if (operands.count == 0)
        return ht_cmd_usage_error("growth", "name a folder with snapshots, the snapshots, or a process");
    if (settings.sample_shorthand != 0)
        settings.series.sample_index = ht_sample_shorthands[settings.sample_shorthand];
    settings.load.by_lines = settings.series.granularity >= HT_BY_LINES;
    if (settings.form.trim_path == NULL && getcwd(folder, sizeof folder) != NULL && strcmp(folder, "/") != 0)
        settings.form.trim_path = folder;
    struct ht_terminal terminal = ht_terminal_of(settings.output == NULL ? STDOUT_FILENO : -1);
    settings.form.columns = terminal.columns;
    settings.form.colour = terminal.colour;
    settings.form.plain = !ht_figure_is_utf8();
    settings.form.limit = settings.node_count > 0 ? (size_t)settings.node_count : 0;
    settings.form.paths = settings.paths > 0 ? (size_t)settings.paths : 0;
    struct ht_series_list list;
    if (ht_series_load(&settings.load, &settings.series, operands.items, (size_t)operands.count, &list) < 0)
        return ht_cmd_error("growth", "%s", ht_error());
    if (list.left_out > 0 && !settings.json)
        ht_warn("%zu snapshot%s written at an exit left out: %s what the exit left over", list.left_out,
                list.left_out == 1 ? " is" : "s are", list.left_out == 1 ? "it shows" : "they show");
    status = list.count == 0 ? ht_cmd_error("growth", "there are no snapshots but those of exits")
                             : report(&settings, &list, chance);
    ht_series_list_free(&list);
    return status;
}

const struct ht_command ht_command_growth = {
    .name = "growth",
    .summary = "say which call sites grow steadily, over many snapshots",
    .usage = "[options] DIR|FILE...|PID",
    .text =
        "Takes the snapshots of a process (of each, where there are several) in the order of time and says of each call\n"
        "site whether it grows, beyond what sampling and the program's own ups and downs explain:\n"
        "\n"
        "  grows      until the last snapshot (a leak, or a cache that still fills)\n"
        "  steps      the same, in a few jumps\n"
        "  levels     it grew, and no longer does\n"
        "  cycles     it goes up and down\n"
        "  shrinks    it becomes less\n"
        "  noise      nothing beyond what it does all the time\n"
        "  undecided  too little was seen: more snapshots, or a lower HEAPTAP_RATE, would tell\n"
        "\n"
        "The number behind the sign is one standard error. `freed` is how much of what the call site ever allocated was\n"
        "freed again. A folder stands for the heaptap.*.pb.gz in it, a PID for what its process has written so far and\n"
        "holds now. Snapshots written at an exit are left out.\n",
    .examples = "  heaptap run --interval 10s -o out -- ./server; heaptap growth out\n"
                "  heaptap growth $(pidof server)\n"
                "  heaptap growth --json out | jq '.rows[] | select(.verdict == \"grows\")'\n",
    .options = option_table,
    .run = command,
};
