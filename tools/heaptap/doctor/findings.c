// The findings of `heaptap doctor`: the table of checks, what each has to say, and what all of them come to.
#include "base/proc.h"
#include "base/text.h"
#include "doctor/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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
    ht_text_vprint(text, sizeof text, format, args); // names of files and libraries may hold anything
    va_end(args);
    if (level == HT_DOCTOR_PROBLEM && ht_doctor_records(doctor) && doctor->header.failed == HT_FAILURE_NONE)
        level = HT_DOCTOR_PARTLY;
    HT_RESERVE(doctor->findings, doctor->finding_capacity, doctor->finding_count + 1);
    struct ht_doctor_finding *finding = &doctor->findings[doctor->finding_count++];
    *finding = (struct ht_doctor_finding){
        .name = doctor->check,
        .level = level,
        .seen = ht_strdup(text),
    };
    if (advice != NULL) {
        struct ht_buffer shown = {0};
        ht_text_show(&shown, advice, strlen(advice), "");
        finding->advice = shown.data;
    }
    return finding;
}

const char *ht_doctor_variable(const struct ht_doctor *doctor, const char *name)
{
    return ht_proc_value_in(doctor->environment, name);
}

bool ht_doctor_knows(const struct ht_doctor *doctor, const char *name)
{
    return !doctor->has_shim || doctor->own_environment.is_whole || ht_doctor_variable(doctor, name) != NULL;
}

bool ht_doctor_records(const struct ht_doctor *doctor)
{
    return doctor->has_header && doctor->header.entry_count > 0;
}

enum ht_doctor_level ht_doctor_worst(const struct ht_doctor *doctor, bool after_restart)
{
    enum ht_doctor_level worst = HT_DOCTOR_OK;
    for (size_t i = 0; i < doctor->finding_count; i++)
        if (doctor->findings[i].level > worst && !(after_restart && doctor->findings[i].ends_with_restart))
            worst = doctor->findings[i].level;
    return worst;
}

const char *ht_doctor_works(const struct ht_doctor *doctor, bool after_restart)
{
    switch (ht_doctor_worst(doctor, after_restart)) {
    case HT_DOCTOR_PROBLEM:
        return "no";
    case HT_DOCTOR_CLOSED:
        return "unknown";
    case HT_DOCTOR_PARTLY:
        return "partly";
    default:
        return "yes";
    }
}

int ht_doctor_examine(struct ht_doctor *doctor, const char *argument)
{
    if (ht_doctor_is_region(argument))
        return ht_doctor_examine_region(doctor, argument);
    int of = ht_proc_is_pid(argument) ? OF_PROCESS : OF_PROGRAM; // "./4242" is a program
    int found = of == OF_PROCESS ? ht_doctor_find_process(doctor, argument)
                                 : ht_doctor_find_program(doctor, argument);
    for (size_t i = 0; found == 0 && i < sizeof checks / sizeof *checks; i++) {
        doctor->check = checks[i].name;
        if ((checks[i].of & of) != 0)
            checks[i].run(doctor);
    }
    return found;
}

void ht_doctor_free(struct ht_doctor *doctor)
{
    for (size_t i = 0; i < doctor->finding_count; i++) {
        free(doctor->findings[i].seen);
        free(doctor->findings[i].advice);
    }
    free(doctor->findings);
    ht_doctor_files_free(doctor);
    ht_elf_image_close(&doctor->image);
    ht_buffer_free(&doctor->status);
    ht_proc_environment_free(&doctor->own_environment);
    ht_buffer_free(&doctor->command_line);
    free(doctor->own_arguments);
}
