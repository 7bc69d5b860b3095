// heaptap doctor: what it looks at, what it finds, and the check functions that the table in findings.c
// names.
#ifndef HT_DOCTOR_DOCTOR_H
#define HT_DOCTOR_DOCTOR_H

#include "base/memory.h"
#include "base/proc.h"
#include "base/runtime.h"
#include "elf/check.h"
#include "elf/image.h"
#include "region/process.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

// Context: tool. Programs, libraries and processes are foreign: they may be damaged, change and vanish at any
// time; a check that cannot look says so instead of failing.

enum ht_doctor_level {
    HT_DOCTOR_OK,
    HT_DOCTOR_UNKNOWN, // cannot be found out from here
    HT_DOCTOR_WARNING, // works, but something will be worse than it could be
    HT_DOCTOR_PARTLY,  // a warning: some of the memory stays unseen, or profiles cannot be written
    HT_DOCTOR_CLOSED,  // unknown, so that nothing can be said about the whole
    HT_DOCTOR_PROBLEM, // nothing will be recorded
};

enum ht_doctor_debug { HT_DEBUG_NONE, HT_DEBUG_MINI, HT_DEBUG_SYMBOLS, HT_DEBUG_SEPARATE, HT_DEBUG_FULL };

// The program (always the first) or a library that it loads.
struct ht_doctor_file {
    char *path;       // as shown
    char *open_path;  // as it can be opened from here
    const char *name; // the last part of path
    bool is_deleted;  // removed or replaced since the process mapped it
    bool is_system;   // of the loader and libc: they define malloc for everybody
    bool has_build_id, defines_malloc, defines_new, wants_new, is_symbolic;
    const char *own_call,
        *own_call_of;      // a function that gives out memory and is not malloc, and its allocator; or NULL
    const char *companion; // of an allocator: the library that sees such functions of it; NULL
    enum ht_doctor_debug debug;
    struct ht_elf_unwind unwind;
};

struct ht_doctor_finding {
    const char *name; // of the check
    enum ht_doctor_level level;
    bool ends_with_restart; // a problem of this process, not of its program
    char *seen, *advice;    // advice: NULL for nothing to do
};

struct ht_doctor {
    struct ht_region_header header; // with has_header: of the process's region, as it was a moment ago
    uint32_t pid;                   // 0: a program that does not run
    bool verbose, is_script, is_go, is_java;
    char subject[PATH_MAX];   // the program as found, or the process's executable
    char path[PATH_MAX];      // the ELF file behind it, no link: the interpreter of a script
    char open_path[PATH_MAX]; // of it, from here
    struct ht_elf_image image;
    enum ht_elf_form form;
    enum ht_elf_verdict verdict; // of the file's bytes
    struct ht_doctor_file *files;
    size_t file_count, file_capacity;
    char **missing; // needed libraries that were not found
    size_t missing_count, missing_capacity;
    char *const *environment; // where the HEAPTAP_ variables come from: the profiled process, else the caller
    char *const *arguments;   // of the program, or of the process (its file names, options ...)
    size_t argument_count;
    struct ht_buffer status; // /proc/PID/status; of a program: our own, which it will inherit
    // A process:
    struct ht_process process;                  // with has_shim
    struct ht_proc_environment own_environment; // with may_look
    struct ht_buffer command_line;
    char **own_arguments; // in it
    char root[64];        // "" or /proc/PID/root
    bool may_look;        // its maps can be read
    bool has_shim;        // libheaptap.so is loaded
    bool has_header;
    bool is_region; // neither program nor process: a region's file
    // Results:
    const char *check; // that is being run
    struct ht_doctor_finding *findings;
    size_t finding_count, finding_capacity;
};

// Finds the program, (a number) the process or (*.live) the region, and runs all checks. Fails when there is
// none to look at. The caller has set `verbose`, the environment and the image's fd (-1), and frees in any
// case.
int ht_doctor_examine(struct ht_doctor *doctor, const char *argument);
void ht_doctor_free(struct ht_doctor *doctor);

// "yes", "partly", "unknown" or "no"; of a region: whether it is sound. `after_restart`: leaving out what a
// restart of the process mends.
enum ht_doctor_level ht_doctor_worst(const struct ht_doctor *doctor, bool after_restart);
const char *ht_doctor_works(const struct ht_doctor *doctor, bool after_restart);

// Adds a finding of the check that is being run. `advice` is copied; NULL: nothing to do.
struct ht_doctor_finding *ht_doctor_say(struct ht_doctor *doctor, enum ht_doctor_level level,
                                        const char *advice, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

const char *ht_doctor_variable(const struct ht_doctor *doctor, const char *name); // NULL: unset, or not known
bool ht_doctor_knows(const struct ht_doctor *doctor, const char *name); // whether it is set, and to what

// A process that has recorded something: what stands in the way of a start does not stand in its way.
bool ht_doctor_records(const struct ht_doctor *doctor);

// program.c: finds the program or says why not (-1 with ht_error()), digests its file.
int ht_doctor_find_program(struct ht_doctor *doctor, const char *argument);
void ht_doctor_open_program(struct ht_doctor *doctor);
void ht_doctor_find_own_call(struct ht_doctor_file *file, const struct ht_elf_image *image);
void ht_doctor_check_script(struct ht_doctor *doctor);
void ht_doctor_check_format(struct ht_doctor *doctor);
void ht_doctor_check_loader(struct ht_doctor *doctor);
void ht_doctor_check_rights(struct ht_doctor *doctor);
void ht_doctor_check_sanitizer(struct ht_doctor *doctor);
void ht_doctor_check_allocator(struct ht_doctor *doctor);

// runtime.c: what the program's language does beside malloc.
bool ht_doctor_is_go(const struct ht_doctor *doctor);
bool ht_doctor_has_runtime(const struct ht_doctor *doctor, const struct ht_runtime *runtime);
void ht_doctor_check_runtime(struct ht_doctor *doctor);

// files.c: the program's file and its libraries.
void ht_doctor_add_file(struct ht_doctor *doctor, const char *path, const char *open_path, bool is_deleted);
void ht_doctor_find_libraries(
    struct ht_doctor *doctor); // of a program that does not run, as the loader would
void ht_doctor_files_free(struct ht_doctor *doctor);
void ht_doctor_check_libraries(struct ht_doctor *doctor);
void ht_doctor_check_unwind(struct ht_doctor *doctor);
void ht_doctor_check_debug(struct ht_doctor *doctor);
void ht_doctor_check_build_id(struct ht_doctor *doctor);

// process.c: a running process.
int ht_doctor_find_process(struct ht_doctor *doctor, const char *argument); // -1 with ht_error()
void ht_doctor_check_access(struct ht_doctor *doctor);
void ht_doctor_check_profiler(struct ht_doctor *doctor);
void ht_doctor_check_container(struct ht_doctor *doctor);
void ht_doctor_check_replaced(struct ht_doctor *doctor);
void ht_doctor_check_ptrace(struct ht_doctor *doctor);
void ht_doctor_check_signal(struct ht_doctor *doctor);
void ht_doctor_check_seccomp(struct ht_doctor *doctor);
void ht_doctor_check_privileges(struct ht_doctor *doctor);
uint64_t ht_doctor_limit(const struct ht_doctor *doctor, int resource); // RLIMIT_, soft; UINT64_MAX: none

// shim.c: the profiler itself and what it is told.
void ht_doctor_check_shim(struct ht_doctor *doctor);
void ht_doctor_check_preload(struct ht_doctor *doctor);
void ht_doctor_check_variables(struct ht_doctor *doctor);

// region.c: a region's file, all of it.
bool ht_doctor_is_region(const char *argument);
int ht_doctor_examine_region(struct ht_doctor *doctor, const char *path); // -1 with ht_error()

// system.c: the machine and the container.
void ht_doctor_check_live(struct ht_doctor *doctor);
void ht_doctor_check_output(struct ht_doctor *doctor);
void ht_doctor_check_memory(struct ht_doctor *doctor);
void ht_doctor_check_limits(struct ht_doctor *doctor);

#endif
