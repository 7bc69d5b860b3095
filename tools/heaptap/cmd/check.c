// `heaptap check`: a gate for build servers, which fails where growth between two snapshots is proven.
#include "base/terminal.h"
#include "cmd/command.h"
#include "cmd/shared_options.h"
#include "input/load.h"
#include "profile/bounds.h"
#include "view/text/gate.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    char folder[PATH_MAX]; // the current one
    struct ht_gate_options gate;
    struct ht_gate_form form;
    struct ht_load load;
    uint64_t max_growth;
    double confidence;
    const char *output, *suppressions, *junit;
    int64_t node_count;
    bool json;
};

#define AT(member) offsetof(struct settings, member)

static const struct ht_option option_table[] = {
    HT_OPTION_TITLE("What fails"),
    {"max-growth", 0, HT_OPT_SIZE, AT(max_growth), 0, "SIZE",
     "how much the total and each call site may have grown (default 0)"},
    {"confidence", 0, HT_OPT_NUMBER, AT(confidence), 0, "0.99",
     "how sure: of 100 checks without growth at most one fails, for 0.99"},

    HT_OPTION_TITLE("Which stacks"),
    {"focus", 0, HT_OPT_STRING, AT(gate.filter.focus), 0, "RE",
     "only stacks through a matching function, file or library"},
    {"ignore", 0, HT_OPT_STRING, AT(gate.filter.ignore), 0, "RE", "without stacks through a match"},
    {"suppressions", 0, HT_OPT_STRING, AT(suppressions), 0, "FILE",
     "without the stacks that FILE names, as LeakSanitizer does (leak:PATTERN)"},

    HT_OPTION_TITLE("Which rows"),
    HT_OPTIONS_GRANULARITY(struct settings, gate.granularity, " (default)", ""),
    {"nodecount", 'n', HT_OPT_INT, AT(node_count), 0, "N",
     "show at most N rows that do not fail (default 10, 0: all)"},

    HT_OPTION_TITLE("Names"),
    HT_OPTIONS_NAMES(struct settings, load),
    HT_OPTIONS_TRIM_PATH(struct settings, form.trim_path),

    HT_OPTION_TITLE("URLs"),
    HT_OPTIONS_URL(struct settings, load),

    HT_OPTION_TITLE("Output"),
    {"output", 'o', HT_OPT_STRING, AT(output), 0, "FILE", "write the report to FILE"},
    {"json", 0, HT_OPT_FLAG, AT(json), 0, NULL, "JSON instead of text"},
    {"junit", 0, HT_OPT_STRING, AT(junit), 0, "FILE",
     "also write JUnit's XML to FILE: a test case for the total and each call site"},
    {.name = NULL},
};

// Why the exit status is 3, in a line.
static int say_failure(const struct settings *settings, const struct ht_gate *gate)
{
    struct ht_buffer text = {0};
    ht_gate_failing(gate, &text);
    ht_buffer_text(&text, " grew by more than --max-growth ");
    ht_gate_amount(gate, gate->limit, 0, false, &text);
    const struct ht_gate_row *worst = &gate->total;
    for (size_t i = 0; i < gate->row_count && !worst->fails; i++)
        worst = &gate->rows[i];
    ht_buffer_text(&text, gate->failing > 1 || worst != &gate->total ? ", the first of them by " : ", by ");
    ht_gate_amount(gate, (double)worst->change, worst->error, false, &text);
    ht_cmd_say("check", "%s (confidence %g)", text.data, settings->confidence);
    ht_buffer_free(&text);
    return HT_EXIT_THRESHOLD;
}

static int write_junit(const struct settings *settings, const struct ht_gate *gate)
{
    struct ht_buffer out = {0};
    if (settings->junit == NULL)
        return HT_EXIT_DONE;
    ht_gate_junit(gate, &settings->form, &out);
    int status = ht_cmd_write("check", settings->junit, &out);
    ht_buffer_free(&out);
    return status;
}

static int print_report(const struct settings *settings, const struct ht_gate *gate)
{
    struct ht_buffer out = {0};
    if (settings->json)
        ht_gate_json(gate, &settings->form, &out);
    else
        ht_gate_text(gate, &settings->form, &out);
    int status = ht_cmd_write("check", settings->output, &out);
    ht_buffer_free(&out);
    int written = write_junit(settings, gate);
    if (status == HT_EXIT_DONE)
        status = written;
    return status == HT_EXIT_DONE && gate->failing > 0 ? say_failure(settings, gate) : status;
}

static int judge(struct settings *settings, struct ht_profile *profile, const struct ht_load_times *times)
{
    struct ht_gate gate;
    if (settings->form.trim_path == NULL && getcwd(settings->folder, sizeof settings->folder) != NULL &&
        strcmp(settings->folder, "/") != 0)
        settings->form.trim_path = settings->folder;
    settings->gate.is_pair = true;
    settings->gate.limit = (double)settings->max_growth;
    settings->gate.chance = 1 - settings->confidence;
    settings->gate.old_ticks = times->old_ticks;
    settings->gate.old_rate = times->old_rate;
    settings->gate.new_rate = times->new_rate;
    settings->form.is_one_process = times->old_ticks != 0;
    settings->form.limit = settings->node_count > 0 ? (size_t)settings->node_count : 0;
    settings->form.columns = ht_terminal_of(settings->output == NULL ? STDOUT_FILENO : -1).columns;
    ht_profile_bound_texts(profile);
    if (!settings->json)
        ht_profile_make_printable(profile);
    if (ht_gate_judge(&gate, profile, &settings->gate) < 0)
        return ht_cmd_error("check", "%s", ht_error());
    int status = print_report(settings, &gate);
    ht_gate_free(&gate);
    return status;
}

static int interpret(struct settings *settings)
{
    if (!(settings->confidence >= 0.5 && settings->confidence < 1))
        return ht_cmd_usage_error(
            "check", "option '--confidence': %g is not a number from 0.5 to below 1, such as 0.99",
            settings->confidence);
    if (ht_load_interpret(&settings->load) < 0)
        return ht_cmd_usage_error("check", "%s", ht_error());
    return HT_PARSED;
}

static int command(int argc, char **argv)
{
    struct settings settings = {
        .gate = {.granularity = HT_BY_FUNCTIONS}, .confidence = 0.99, .node_count = 10};
    struct ht_suppressions suppressions = {0};
    struct ht_operands files;
    int status = ht_cmd_parse("check", argc, argv, &settings, &files);
    if (status == HT_PARSED)
        status = interpret(&settings);
    if (status != HT_PARSED)
        return status;
    if (files.count != 2)
        return ht_cmd_usage_error("check", "name two snapshots, the older one first");
    struct ht_profile *profile = NULL;
    struct ht_load_times times;
    settings.load.sample_index = "inuse_space";
    settings.load.keeps_sides = true;
    settings.load.by_lines = settings.gate.granularity >= HT_BY_LINES;
    settings.gate.suppressions = &suppressions;
    if ((settings.suppressions != NULL && ht_suppressions_read(&suppressions, settings.suppressions) < 0) ||
        ht_load_pair(&settings.load, files.items[0], files.items[1], &profile, &times) < 0)
        status = ht_cmd_error("check", "%s", ht_error());
    else
        status = judge(&settings, profile, &times);
    ht_profile_free(profile);
    ht_suppressions_free(&suppressions);
    return status;
}

const struct ht_command ht_command_check = {
    .name = "check",
    .summary = "fail where growth between two snapshots is proven: a gate for build servers",
    .usage = "[options] OLD NEW|PID",
    .text =
        "Compares the live bytes of two snapshots, of two runs or of one process, and exits with status 3 where growth\n"
        "beyond --max-growth is proven, of the total or of a call site. A profile is an estimate: what its sampling error\n"
        "could have made is no growth. At --confidence 0.99 one check in 100 of two runs that hold the same fails, however\n"
        "many call sites there are: the total has three quarters of that chance, the call sites share the rest, and a\n"
        "failure leaves its share to the others (Holm's correction).\n"
        "\n"
        "A profile of few samples proves little, and a check that does not fail is no proof of the contrary. The report\n"
        "ends with the smallest growth that these two could have proven: at the default rate six samples, 3 MB. With\n"
        "`heaptap run --rate 1` each byte counts. Only the error of sampling is known: a program whose live heap differs\n"
        "from run to run needs a --max-growth above that. Take both snapshots at the same point of the same work.\n"
        "\n"
        "--suppressions reads LeakSanitizer's files: lines `leak:PATTERN`, whose pattern is looked for in the function,\n"
        "source file and library of each frame; `*` stands for anything, `^` and `$` for the ends. Comments begin with #.\n",
    .examples = "  heaptap run --rate 16K -o new -- ./test; heaptap check old/*.exit.pb.gz new/*.exit.pb.gz\n"
                "      fail when the tests leave more behind than before\n"
                "  heaptap check --max-growth 1M --junit heap.xml first.pb.gz last.pb.gz\n"
                "      with a report for the build server\n",
    .options = option_table,
    .run = command,
};
