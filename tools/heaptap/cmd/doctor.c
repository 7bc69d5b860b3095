// heaptap doctor: prints what was found about a program or a process, and whether profiling will work.
#include "doctor/doctor.h"

#include "base/json.h"
#include "base/terminal.h"
#include "base/text.h"
#include "cmd/command.h"

#include "region/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct doctor_settings {
    bool json, verbose;
};

static const struct ht_option option_table[] = {
    {"json", 0, HT_OPT_FLAG, offsetof(struct doctor_settings, json), 0, NULL, "machine-readable output"},
    {"verbose", 'v', HT_OPT_FLAG, offsetof(struct doctor_settings, verbose), 0, NULL,
     "name every library that a check is about, not only the first ones"},
    {.name = NULL},
};

static const char *const level_words[] = {"ok", "unknown", "warning", "warning", "unknown", "problem"};
static const char *const level_colours[] = {"\033[32m", "\033[36m", "\033[33m",
                                            "\033[33m", "\033[36m", "\033[31m"};

static void spaced(const char *name, char text[32])
{
    snprintf(text, 32, "%s", name);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
}

// The names of the checks that decided, each once.
static void add_reasons(const struct ht_doctor *doctor, enum ht_doctor_level level, struct ht_buffer *out)
{
    const char *before = NULL;
    for (size_t i = 0; i < doctor->finding_count; i++) {
        const struct ht_doctor_finding *finding = &doctor->findings[i];
        char name[32];
        if (finding->level != level || (before != NULL && strcmp(before, finding->name) == 0))
            continue;
        spaced(finding->name, name);
        ht_buffer_printf(out, "%s%s", before == NULL ? " (" : ", ", name);
        before = finding->name;
    }
    ht_buffer_text(out, before != NULL ? ")" : "");
}

static void add_summary(const struct ht_doctor *doctor, bool colour, struct ht_buffer *out)
{
    const char *answer = ht_doctor_works(doctor, false), *later = ht_doctor_works(doctor, true);
    enum ht_doctor_level worst = ht_doctor_worst(doctor, false);
    const char *paint = level_colours[worst >= HT_DOCTOR_PARTLY ? worst : HT_DOCTOR_OK];
    ht_buffer_printf(out, "\n%s: %s%s%s", doctor->is_region ? "the region is sound" : "profiling will work",
                     colour ? paint : "", answer, colour ? "\033[0m" : "");
    if (worst >= HT_DOCTOR_PARTLY)
        add_reasons(doctor, worst, out);
    if (strcmp(answer, later) != 0)
        ht_buffer_printf(out, "; started anew with 'heaptap run': %s", later);
    ht_buffer_byte(out, '\n');
}

// What was found is filtered already (ht_doctor_say).
static void add_table(const struct ht_doctor *doctor, struct ht_buffer *out)
{
    bool colour = ht_terminal_of(STDOUT_FILENO).colour;
    size_t width = 0;
    for (size_t i = 0; i < doctor->finding_count; i++)
        if (strlen(doctor->findings[i].name) > width)
            width = strlen(doctor->findings[i].name);
    if (doctor->pid != 0)
        ht_buffer_printf(out, "%" PRIu32 " (", doctor->pid);
    ht_text_show(out, doctor->subject, strlen(doctor->subject), "");
    ht_buffer_text(out, doctor->pid != 0 ? ")\n\n" : "\n\n");
    for (size_t i = 0; i < doctor->finding_count; i++) {
        const struct ht_doctor_finding *finding = &doctor->findings[i];
        char name[32];
        spaced(finding->name, name);
        ht_buffer_printf(out, "%s%-7s%s  %-*s  %s\n", colour ? level_colours[finding->level] : "",
                         level_words[finding->level], colour ? "\033[0m" : "", (int)width, name,
                         finding->seen);
        if (finding->advice != NULL)
            ht_buffer_printf(out, "%-7s  %-*s  -> %s\n", "", (int)width, "", finding->advice);
    }
    add_summary(doctor, colour, out);
}

static void add_json(const struct ht_doctor *doctor, struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "works", ht_doctor_works(doctor, false));
    ht_json_string(&json, "works_after_restart", ht_doctor_works(doctor, true));
    if (doctor->pid != 0)
        ht_json_int(&json, "pid", doctor->pid);
    ht_json_string(&json, "subject", doctor->subject);
    ht_json_string(&json, "program", doctor->path);
    ht_json_begin_array(&json, "checks");
    for (size_t i = 0; i < doctor->finding_count; i++) {
        const struct ht_doctor_finding *finding = &doctor->findings[i];
        ht_json_begin_object(&json, NULL);
        ht_json_string(&json, "check", finding->name);
        ht_json_string(&json, "status", level_words[finding->level]);
        ht_json_bool(&json, "decides", finding->level >= HT_DOCTOR_PARTLY);
        ht_json_string(&json, "seen", finding->seen);
        ht_json_string(&json, "advice", finding->advice);
        ht_json_end_object(&json);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}

// Options behind the program, where nothing else is: ours, as those in front of it.
static bool take_options_behind(struct doctor_settings *settings, const struct ht_operands *operands)
{
    struct doctor_settings taken = *settings;
    struct ht_operands rest;
    bool help;
    size_t count = (size_t)operands->count;
    char **copy = ht_realloc_array(NULL, count, sizeof *copy); // the parser moves what it does not take
    memcpy(copy, operands->items, count * sizeof *copy);
    bool ours =
        ht_options_parse(option_table, HT_PARSE_ANYWHERE, (int)count, copy, &taken, &rest, &help) == 0 &&
        rest.count == 0 && !help;
    if (ours)
        *settings = taken;
    free(copy);
    return ours;
}

static int command(int argc, char **argv)
{
    struct doctor_settings settings = {0};
    struct ht_operands operands;
    int status = ht_cmd_parse("doctor", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status;
    if (operands.count == 0)
        return ht_cmd_usage_error("doctor", "name a program, the PID of a process or a region file (*.live)");
    const char *argument = operands.items[0];
    bool has_arguments = operands.count > 1 && !take_options_behind(&settings, &operands);
    if (has_arguments && ht_target_matches(argument))
        return ht_cmd_usage_error("doctor", "%s: one process or region at a time", operands.items[1]);
    struct ht_doctor doctor = {.verbose = settings.verbose,
                               .environment = environ,
                               .arguments = operands.items + 1,
                               .argument_count = has_arguments ? (size_t)operands.count - 1 : 0,
                               .image = {.fd = -1}};
    if (ht_doctor_examine(&doctor, argument) != 0) {
        ht_doctor_free(&doctor);
        return ht_cmd_error("doctor", "%s: %s", argument, ht_error());
    }
    struct ht_buffer out = {0};
    ht_buffer_text(&out, "");
    if (settings.json)
        add_json(&doctor, &out);
    else
        add_table(&doctor, &out);
    bool fails = ht_doctor_worst(&doctor, false) >= HT_DOCTOR_CLOSED;
    ht_doctor_free(&doctor);
    status = ht_cmd_write("doctor", NULL, &out);
    ht_buffer_free(&out);
    return status != HT_EXIT_DONE ? status : fails ? HT_EXIT_FAILED : HT_EXIT_DONE;
}

const struct ht_command ht_command_doctor = {
    .name = "doctor",
    .summary = "say whether profiling will work, and what to change",
    .usage = "[options] [--] PROGRAM [ARGS...]|PID|FILE.live",
    .text =
        "Looks at a program (found in PATH as the shell does; a script is followed to its interpreter, and arguments may\n"
        "follow as for `heaptap run`: some of them decide what is seen) or at a running\n"
        "process, at its libraries, at this machine and at the HEAPTAP_ variables, and prints one line for each check: ok,\n"
        "warning, problem or unknown, what was seen, and what to do about it. Nothing of the program is run; the profiler\n"
        "itself is tried on a program of our own.\n"
        "\n"
        "The last line says whether profiling will work: yes, partly (some memory stays unseen, or profiles cannot be\n"
        "written), no, or unknown where this user may not look. For a process it is about the process as it runs, and about\n"
        "a new start where that differs; one that is being profiled is not asked what a start would need. The exit status\n"
        "is 0 for yes and partly, 1 for no and unknown.\n"
        "\n"
        "Of a region (FILE.live, what a process records into and leaves behind when it is killed) it says whose it is, whether\n"
        "its process runs, whether the rules hold that every region keeps, by their numbers in the sources, and what was\n"
        "counted on the way: samples dropped, stacks cut, thinnings. The last line then says whether the region is sound. A\n"
        "damaged one is answered with status 1.\n",
    .examples = "  heaptap doctor ./server\n"
                "  heaptap doctor python3 app.py\n"
                "  heaptap doctor 4242\n"
                "      why does this process show up nowhere? will SIGUSR2 take a snapshot?\n"
                "  heaptap doctor /dev/shm/heaptap.server.4242.live\n"
                "      can what this process left behind be trusted?\n"
                "  heaptap doctor --json ./server\n",
    .group = HT_GROUP_RUN,
    .options = option_table,
    .mode = HT_PARSE_BEFORE_OPERAND,
    .run = command,
};
