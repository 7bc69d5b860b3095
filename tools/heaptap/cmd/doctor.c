// heaptap doctor: says whether profiling a program or a process will work, and what to change.
#include "doctor/doctor.h"

#include "base/json.h"
#include "base/terminal.h"
#include "cmd/command.h"
#include "launch/launch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct doctor_settings {
    bool json, verbose;
};

const struct ht_option ht_options_doctor[] = {
    {"json", 0, HT_OPT_FLAG, offsetof(struct doctor_settings, json), 0, NULL, "machine-readable output"},
    {"verbose", 'v', HT_OPT_FLAG, offsetof(struct doctor_settings, verbose), 0, NULL,
     "name every library that a check is about, not only the first ones"},
    {.name = NULL},
};

enum { OF_PROGRAM = 1, OF_PROCESS = 2, OF_BOTH = 3 };

// The one table of checks, in the order in which they are shown. A check that has nothing to say adds no
// line.
static const struct {
    const char *name; // as in --json; with spaces in the table
    int of;
    void (*run)(struct ht_doctor *doctor);
} checks[] = {
    {"access", OF_PROCESS, ht_doctor_check_access},     {"profiler", OF_PROCESS, ht_doctor_check_profiler},
    {"script", OF_PROGRAM, ht_doctor_check_script},     {"format", OF_BOTH, ht_doctor_check_format},
    {"loader", OF_BOTH, ht_doctor_check_loader},        {"rights", OF_PROGRAM, ht_doctor_check_rights},
    {"rights", OF_PROCESS, ht_doctor_check_privileges}, {"sanitizer", OF_BOTH, ht_doctor_check_sanitizer},
    {"allocator", OF_BOTH, ht_doctor_check_allocator},  {"runtime", OF_BOTH, ht_doctor_check_runtime},
    {"libraries", OF_BOTH, ht_doctor_check_libraries},  {"unwind_tables", OF_BOTH, ht_doctor_check_unwind},
    {"debug_info", OF_BOTH, ht_doctor_check_debug},     {"build_id", OF_BOTH, ht_doctor_check_build_id},
    {"replaced", OF_PROCESS, ht_doctor_check_replaced}, {"signal", OF_BOTH, ht_doctor_check_signal},
    {"seccomp", OF_BOTH, ht_doctor_check_seccomp},      {"container", OF_PROCESS, ht_doctor_check_container},
    {"ptrace", OF_PROCESS, ht_doctor_check_ptrace},     {"shim", OF_BOTH, ht_doctor_check_shim},
    {"preload", OF_BOTH, ht_doctor_check_preload},      {"variables", OF_BOTH, ht_doctor_check_variables},
    {"live_region", OF_BOTH, ht_doctor_check_live},     {"output", OF_BOTH, ht_doctor_check_output},
    {"memory", OF_BOTH, ht_doctor_check_memory},        {"limits", OF_BOTH, ht_doctor_check_limits},
};

struct ht_doctor_finding *ht_doctor_say(struct ht_doctor *doctor, enum ht_doctor_level level,
                                        const char *advice, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ht_process_printable(text); // names of files and libraries may hold anything
    HT_RESERVE(doctor->findings, doctor->finding_capacity, doctor->finding_count + 1);
    struct ht_doctor_finding *finding = &doctor->findings[doctor->finding_count++];
    *finding = (struct ht_doctor_finding){
        .name = doctor->check,
        .level = level,
        .seen = ht_strdup(text),
        .advice = advice != NULL ? ht_strdup(advice) : NULL,
    };
    if (finding->advice != NULL)
        ht_process_printable(finding->advice);
    return finding;
}

const char *ht_doctor_variable(const struct ht_doctor *doctor, const char *name)
{
    return ht_run_variable(doctor->environment, name);
}

static const char *const level_words[] = {"ok", "warning", "warning", "problem"};
static const char *const level_colours[] = {"\033[32m", "\033[33m", "\033[33m", "\033[31m"};

// "yes", "partly" or "no". `after_restart`: leaving out what a restart of the process mends.
static const char *works(const struct ht_doctor *doctor, bool after_restart)
{
    enum ht_doctor_level worst = HT_DOCTOR_OK;
    for (size_t i = 0; i < doctor->finding_count; i++)
        if (doctor->findings[i].level > worst && !(after_restart && doctor->findings[i].ends_with_restart))
            worst = doctor->findings[i].level;
    return worst == HT_DOCTOR_PROBLEM ? "no" : worst == HT_DOCTOR_PARTLY ? "partly" : "yes";
}

static void spaced(const char *name, char text[32])
{
    snprintf(text, 32, "%s", name);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
}

// The names of the checks that decided, each once.
static void add_reasons(const struct ht_doctor *doctor, const char *answer, struct ht_buffer *out)
{
    enum ht_doctor_level level = strcmp(answer, "no") == 0 ? HT_DOCTOR_PROBLEM : HT_DOCTOR_PARTLY;
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

static void print_summary(const struct ht_doctor *doctor, bool colour)
{
    const char *answer = works(doctor, false), *later = works(doctor, true);
    const char *paint = strcmp(answer, "no") == 0       ? level_colours[HT_DOCTOR_PROBLEM]
                        : strcmp(answer, "partly") == 0 ? level_colours[HT_DOCTOR_PARTLY]
                                                        : level_colours[HT_DOCTOR_OK];
    struct ht_buffer out = {0};
    ht_buffer_printf(&out, "profiling will work: %s%s%s", colour ? paint : "", answer,
                     colour ? "\033[0m" : "");
    if (strcmp(answer, "yes") != 0)
        add_reasons(doctor, answer, &out);
    if (strcmp(answer, later) != 0)
        ht_buffer_printf(&out, "; started anew with 'heaptap run': %s", later);
    printf("\n%s\n", out.data);
    ht_buffer_free(&out);
}

static void print_table(const struct ht_doctor *doctor)
{
    bool colour = ht_terminal_of(STDOUT_FILENO).colour;
    size_t width = 0;
    for (size_t i = 0; i < doctor->finding_count; i++)
        if (strlen(doctor->findings[i].name) > width)
            width = strlen(doctor->findings[i].name);
    if (doctor->pid != 0)
        printf("%" PRIu32 " (%s)\n\n", doctor->pid, doctor->subject);
    else
        printf("%s\n\n", doctor->subject);
    for (size_t i = 0; i < doctor->finding_count; i++) {
        const struct ht_doctor_finding *finding = &doctor->findings[i];
        char name[32];
        spaced(finding->name, name);
        printf("%s%-7s%s  %-*s  %s\n", colour ? level_colours[finding->level] : "",
               level_words[finding->level], colour ? "\033[0m" : "", (int)width, name, finding->seen);
        if (finding->advice != NULL)
            printf("%-7s  %-*s  -> %s\n", "", (int)width, "", finding->advice);
    }
    print_summary(doctor, colour);
}

static void print_json(const struct ht_doctor *doctor)
{
    struct ht_buffer out = {0};
    struct ht_json json = {.out = &out};
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "works", works(doctor, false));
    ht_json_string(&json, "works_after_restart", works(doctor, true));
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
    fwrite(out.data, 1, out.length, stdout);
    ht_buffer_free(&out);
}

static void free_doctor(struct ht_doctor *doctor)
{
    for (size_t i = 0; i < doctor->finding_count; i++) {
        free(doctor->findings[i].seen);
        free(doctor->findings[i].advice);
    }
    free(doctor->findings);
    ht_doctor_files_free(doctor);
    ht_elf_image_close(&doctor->image);
    ht_buffer_free(&doctor->status);
    ht_buffer_free(&doctor->own_environment);
    free(doctor->environment_list);
}

// "4242" is a process, "./4242" a program.
static bool is_pid(const char *argument)
{
    return *argument != '\0' && strspn(argument, "0123456789") == strlen(argument);
}

int ht_cmd_doctor(int argc, char **argv)
{
    struct doctor_settings settings = {0};
    struct ht_operands operands;
    int status = ht_cmd_parse("doctor", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status;
    if (operands.count == 0)
        return ht_cmd_usage_error("doctor", "name a program or the PID of a process");
    const char *argument = operands.items[0];
    if (operands.count > 1)
        return ht_cmd_usage_error("doctor", "%s: one program or PID at a time; its arguments are not needed",
                                  operands.items[1]);
    struct ht_doctor doctor = {.verbose = settings.verbose, .environment = environ, .image = {.fd = -1}};
    int of = is_pid(argument) ? OF_PROCESS : OF_PROGRAM;
    int found = of == OF_PROCESS ? ht_doctor_find_process(&doctor, argument)
                                 : ht_doctor_find_program(&doctor, argument);
    if (found != 0) {
        free_doctor(&doctor);
        return ht_cmd_error("doctor", "%s: %s", argument, ht_error());
    }
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        doctor.check = checks[i].name;
        if ((checks[i].of & of) != 0)
            checks[i].run(&doctor);
    }
    if (settings.json)
        print_json(&doctor);
    else
        print_table(&doctor);
    bool fails = strcmp(works(&doctor, false), "no") == 0;
    free_doctor(&doctor);
    status = ht_cmd_finish("doctor");
    return status != HT_EXIT_DONE ? status : fails ? HT_EXIT_FAILED : HT_EXIT_DONE;
}
