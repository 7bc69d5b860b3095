// The program of `heaptap doctor`: what kind of file it is, who allocates in it, and whether a preload
// reaches that.
#include "base/error.h"
#include "base/path.h"
#include "base/proc.h"
#include "doctor/doctor.h"
#include "launch/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int ht_doctor_find_program(struct ht_doctor *doctor, const char *argument)
{
    struct stat stat_of;
    int status = ht_program_find(argument, getenv("PATH"), doctor->subject);
    // 126 without a file that can be seen: a folder of PATH that this user may not look into.
    if (status == 127 || stat(doctor->subject, &stat_of) != 0)
        return ht_fail("no such program%s", strchr(argument, '/') == NULL
                                                ? " in PATH; for one in this directory write ./NAME"
                                                : "");
    if (S_ISDIR(stat_of.st_mode))
        return ht_fail("is a directory, not a program");
    if (status == 0 && access(doctor->subject, R_OK) != 0)
        return ht_fail("may not be read by this user, so nothing can be said; try as root");
    if (status != 0 && S_ISREG(stat_of.st_mode))
        return ht_fail("may not be executed; chmod +x makes it a program");
    if (status != 0)
        return ht_fail("is not a regular file, so not a program");
    doctor->is_script = ht_elf_follow_script(doctor->subject, doctor->open_path);
    if (realpath(doctor->open_path, doctor->path) == NULL) // the loader's $ORIGIN goes by the real name
        snprintf(doctor->path, sizeof doctor->path, "%s", doctor->open_path);
    snprintf(doctor->open_path, sizeof doctor->open_path, "%s", doctor->path);
    ht_proc_read(0, "status", &doctor->status); // what the program inherits
    ht_doctor_open_program(doctor);
    ht_doctor_add_file(doctor, doctor->path, doctor->open_path, false);
    if (doctor->form == HT_ELF_WHOLE)
        ht_doctor_find_libraries(doctor);
    return 0;
}

void ht_doctor_open_program(struct ht_doctor *doctor)
{
    doctor->form = ht_elf_image_open(&doctor->image, doctor->open_path);
    doctor->verdict = ht_elf_check_image(&doctor->image, doctor->form);
}

void ht_doctor_check_script(struct ht_doctor *doctor)
{
    if (!doctor->is_script)
        return;
    if (doctor->form == HT_ELF_NOT && access(doctor->path, F_OK) != 0) {
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, "install the interpreter, or correct the first line",
                      "a script for %s, which is not there", doctor->path);
        return;
    }
    static const char *const shells[] = {"sh", "bash", "dash", "ksh", "zsh", "busybox"};
    bool is_shell = false;
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++)
        is_shell |= strcmp(ht_path_name(doctor->path), shells[i]) == 0;
    if (is_shell)
        ht_doctor_say(doctor, HT_DOCTOR_UNKNOWN, "name the program that it starts, or its PID once it runs",
                      "a script for %s, which the rest is about: the programs that it starts are profiled as "
                      "well, but which they are is not known before it runs",
                      doctor->path);
    else
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL,
                      "run by %s, which the rest is about; programs that it starts are profiled as well",
                      doctor->path);
}

void ht_doctor_check_format(struct ht_doctor *doctor)
{
    char machine[64];
    if (doctor->pid != 0 && !doctor->may_look)
        return;
    ht_elf_image_machine(&doctor->image, machine, sizeof machine);
    enum ht_elf_verdict verdict = doctor->verdict;
    if (verdict == HT_ELF_UNKNOWN)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, "name the program that it starts",
                      "neither an ELF file nor a script with #!: a shell will run it, or nothing will");
    else if (verdict == HT_ELF_FOREIGN)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, ht_elf_remedy(verdict),
                      "%s; heaptap was built for 64-bit %s", machine, HT_ELF_MACHINE_NAME);
    else if (verdict == HT_ELF_BROKEN)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, ht_elf_remedy(verdict), "%s", ht_elf_complaint(verdict));
    else if (verdict == HT_ELF_STATIC)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM,
                      ht_doctor_is_go(doctor) ? "leave it as it is: Go's own profiler knows more"
                                              : ht_elf_remedy(verdict),
                      "%s, statically linked%s: %s", machine, doctor->image.is_dynamic ? " (static-pie)" : "",
                      "no library can be preloaded into it");
    else
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s, dynamically linked", machine);
}

// The newest version that a libc defines, from its own list of version names: 36 for GLIBC_2.36; 0 unknown.
static unsigned newest_glibc(const struct ht_elf_image *libc)
{
    unsigned newest = 0;
    for (uint64_t at = 0; libc->strings != NULL && at < libc->strings_bytes;
         at += strlen(libc->strings + at) + 1) {
        const char *name = libc->strings + at;
        unsigned long minor = strncmp(name, "GLIBC_2.", 8) == 0 ? strtoul(name + 8, NULL, 10) : 0;
        if (minor > newest && minor < 1000)
            newest = (unsigned)minor;
    }
    return newest;
}

static unsigned glibc_of(const struct ht_doctor *doctor)
{
    unsigned newest = 0;
    for (size_t i = 1; i < doctor->file_count && newest == 0; i++) {
        if (strcmp(doctor->files[i].name, "libc.so.6") != 0)
            continue;
        struct ht_elf_image libc;
        if (ht_elf_image_open(&libc, doctor->files[i].open_path) == HT_ELF_WHOLE)
            newest = newest_glibc(&libc);
        ht_elf_image_close(&libc);
    }
    return newest;
}

void ht_doctor_check_loader(struct ht_doctor *doctor)
{
    char loader[PATH_MAX];
    if (doctor->form != HT_ELF_WHOLE || !ht_elf_image_interpreter(&doctor->image, loader, sizeof loader))
        return;
    if (doctor->verdict == HT_ELF_MUSL) {
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, ht_elf_remedy(HT_ELF_MUSL), "%s: musl", loader);
        return;
    }
    if (doctor->pid == 0 && access(loader, F_OK) != 0) {
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM,
                      "install the loader, or a build of the program for this system",
                      "%s is not there: the program cannot start", loader);
        return;
    }
    unsigned minor = glibc_of(doctor);
    if (strstr(loader, "/ld-linux") == NULL)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, "try it: 'heaptap run' with this program, then 'heaptap ps'",
                      "%s: not glibc's usual loader", loader);
    else if (minor != 0 && minor < 17)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, "glibc 2.17 or later is needed", "glibc 2.%u", minor);
    else if (minor != 0 && minor < 35)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL,
                      "glibc 2.%u (before 2.35 stacks are found through /proc/self/maps)", minor);
    else if (minor != 0)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "glibc 2.%u", minor);
}

void ht_doctor_check_rights(struct ht_doctor *doctor)
{
    struct ht_elf_caller caller = ht_elf_this_caller();
    enum ht_elf_verdict verdict = ht_elf_check_rights(doctor->path, &caller);
    if (ht_elf_complaint(verdict) != NULL) {
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, ht_elf_remedy(verdict), "%s", ht_elf_complaint(verdict));
        return;
    }
    // What holds for us may not hold for the user that a service runs as.
    struct ht_elf_caller other = {
        .real_uid = 65534, .effective_uid = 65534, .real_gid = 65534, .effective_gid = 65534};
    verdict = ht_elf_check_rights(doctor->path, &other);
    if (ht_elf_complaint(verdict) != NULL)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, ht_elf_remedy(verdict), "started by another user it %s",
                      ht_elf_complaint(verdict));
}

void ht_doctor_check_sanitizer(struct ht_doctor *doctor)
{
    const char *name = doctor->form == HT_ELF_WHOLE ? ht_elf_sanitizer(&doctor->image) : NULL;
    if (name != NULL)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, ht_elf_remedy(HT_ELF_SANITIZER),
                      "built with %s, which needs malloc for itself", name);
}

// Allocators that programs carry inside or call by names of their own.
static const struct {
    const char *name;
    const char *function;     // in a full symbol table, when it is built in
    const char *own_calls[3]; // that do not pass through malloc
    const char *text;         // among the constants of a stripped program
} allocators[] = {
    {"jemalloc", "je_malloc", {"mallocx", "rallocx", "je_malloc"}, "<jemalloc>: "},
    {"jemalloc (Rust)", "_rjem_malloc", {"_rjem_malloc", "_rjem_mallocx", NULL}, "_RJEM_MALLOC_CONF"},
    {"mimalloc", "mi_malloc", {"mi_malloc", "mi_new", "mi_heap_malloc"}, "mimalloc: "},
    {"tcmalloc", "tc_malloc", {"tc_malloc", "tc_new", "tc_malloc_skip_new_handler"}, "Tcmalloc page size"},
    {"tcmalloc", "TCMallocInternalMalloc", {"TCMallocInternalMalloc", NULL, NULL}, NULL},
    {"TBB's allocator", "scalable_malloc", {"scalable_malloc", "scalable_aligned_malloc", NULL}, NULL},
    {"rpmalloc", "rpmalloc", {"rpmalloc", NULL, NULL}, NULL},
};
#define ALLOCATORS (sizeof allocators / sizeof *allocators)

// Python carries mimalloc since 3.13, for builds without the global lock and for PYTHONMALLOC=mimalloc.
static bool is_unused(const struct ht_doctor *doctor, const char *allocator)
{
    static const char *const no_lock[] = {"free-threading build"}; // in what sys.version says
    if (strcmp(allocator, "mimalloc") != 0 || !ht_doctor_has_runtime(doctor, ht_runtime_of("python3")) ||
        ht_elf_image_texts(&doctor->image, no_lock, 1) != 0)
        return false;
    const char *value = ht_doctor_variable(doctor, "PYTHONMALLOC");
    return value == NULL || strncmp(value, "mimalloc", 8) != 0;
}

static void check_bundled(struct ht_doctor *doctor)
{
    const char *functions[ALLOCATORS], *texts[ALLOCATORS];
    for (size_t i = 0; i < ALLOCATORS; i++) {
        functions[i] = allocators[i].function;
        texts[i] = allocators[i].text != NULL ? allocators[i].text : "\x01heaptap: no such text\x01";
    }
    uint64_t by_name = ht_elf_image_functions(&doctor->image, functions, ALLOCATORS);
    uint64_t by_text = ht_elf_image_texts(&doctor->image, texts, ALLOCATORS);
    for (size_t i = 0; i < ALLOCATORS; i++)
        if (((by_name | by_text) >> i & 1) != 0 && !is_unused(doctor, allocators[i].name)) {
            ht_doctor_say(
                doctor, HT_DOCTOR_PARTLY, ht_elf_remedy(HT_ELF_PRIVATE_MALLOC),
                "%s is built in (%s), under names that it does not export: what it gives out stays unseen",
                allocators[i].name, (by_name >> i & 1) != 0 ? functions[i] : "by its messages");
            return;
        }
    if (doctor->verdict == HT_ELF_PRIVATE_MALLOC)
        ht_doctor_say(doctor, HT_DOCTOR_PARTLY, ht_elf_remedy(doctor->verdict), "%s",
                      ht_elf_complaint(doctor->verdict));
}

void ht_doctor_find_own_call(struct ht_doctor_file *file, const struct ht_elf_image *image)
{
    for (size_t i = 0; i < ALLOCATORS && file->own_call == NULL; i++) {
        size_t count = 0;
        while (count < 3 && allocators[i].own_calls[count] != NULL)
            count++;
        uint64_t found = ht_elf_image_imports(image, allocators[i].own_calls, count);
        for (size_t j = 0; j < count && file->own_call == NULL; j++)
            if ((found >> j & 1) != 0) {
                file->own_call = allocators[i].own_calls[j];
                file->own_call_of = allocators[i].name;
            }
    }
}

static bool loads(const struct ht_doctor *doctor, const char *library)
{
    for (size_t i = 1; i < doctor->file_count; i++)
        if (strcmp(doctor->files[i].name, library) == 0)
            return true;
    return false;
}

// Whether what this allocator gives out beside malloc is seen: the companion is loaded, or will be.
static bool has_companion(const struct ht_doctor *doctor, const struct ht_doctor_file *allocator)
{
    char folder[PATH_MAX], shim[PATH_MAX];
    if (allocator->companion == NULL)
        return false;
    if (doctor->pid != 0)
        return loads(doctor, allocator->companion);
    if (ht_proc_own_folder(folder) != 0 || ht_run_find_shim(folder, shim) != 0)
        return false;
    char *path = ht_format("%.*s%s", (int)(ht_path_name(shim) - shim), shim, allocator->companion);
    bool is_there = access(path, R_OK) == 0;
    free(path);
    return is_there;
}

static const char companion_advice[] =
    "start it with 'heaptap run', which puts a companion before the allocator; or put that behind libheaptap.so "
    "in LD_PRELOAD";

// Some ask for such a function in case that it is there (a weak symbol): only with one that gives it this
// matters. NULL: there is none.
static const struct ht_doctor_file *giver_of(const struct ht_doctor *doctor, const char *function)
{
    const struct ht_doctor_file *giver = NULL;
    for (size_t i = 0; i < doctor->file_count && giver == NULL; i++) {
        struct ht_elf_image image;
        if (!doctor->files[i].is_system &&
            ht_elf_image_open(&image, doctor->files[i].open_path) == HT_ELF_WHOLE) {
            giver = ht_elf_image_exports(&image, function) ? &doctor->files[i] : NULL;
            ht_elf_image_close(&image);
        }
    }
    return giver;
}

static void check_own_calls(struct ht_doctor *doctor)
{
    for (size_t i = 0; i < doctor->file_count; i++) {
        const struct ht_doctor_file *file = &doctor->files[i];
        if (file->own_call == NULL || file->is_system)
            continue;
        const struct ht_doctor_file *giver = giver_of(doctor, file->own_call);
        if (giver == NULL || has_companion(doctor, giver))
            continue;
        ht_doctor_say(doctor, HT_DOCTOR_PARTLY,
                      giver->companion != NULL
                          ? companion_advice
                          : "build it to call malloc and free for all that is to be seen",
                      "%s calls %s of %s directly: that does not pass through malloc and stays unseen",
                      file->name, file->own_call, file->own_call_of);
        return;
    }
}

// Who calls operator new, libstdc++ aside; NULL: nobody.
static const char *wanted_by(const struct ht_doctor *doctor, const struct ht_doctor_file *allocator)
{
    for (size_t i = 0; i < doctor->file_count; i++)
        if (&doctor->files[i] != allocator && doctor->files[i].wants_new && !doctor->files[i].is_system &&
            strncmp(doctor->files[i].name, "libstdc++", 9) != 0)
            return doctor->files[i].name;
    return NULL;
}

// Shared allocators come behind the preload, so their malloc is seen. Their operator new may not be: it calls
// inside.
static void check_shared(struct ht_doctor *doctor)
{
    for (size_t i = 1; i < doctor->file_count; i++) {
        const struct ht_doctor_file *file = &doctor->files[i];
        if (!file->defines_malloc || file->is_system)
            continue;
        const char *user = wanted_by(doctor, file);
        if (has_companion(doctor, file))
            ht_doctor_say(
                doctor, HT_DOCTOR_OK, NULL,
                "%s: malloc and free are seen on their way to it, operator new and its own functions "
                "by %s%s",
                file->name, file->companion, doctor->pid == 0 ? ", which 'heaptap run' puts before it" : "");
        else if (file->defines_new && user != NULL)
            ht_doctor_say(
                doctor, HT_DOCTOR_PARTLY, companion_advice,
                "%s has an operator new that need not pass through malloc, and no companion before it: "
                "what C++ code allocates (%s) stays unseen",
                file->name, user);
        else
            ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s: malloc and free are seen on their way to it%s",
                          file->name, file->is_symbolic ? "; its own (-Bsymbolic) are not" : "");
    }
}

void ht_doctor_check_allocator(struct ht_doctor *doctor)
{
    if (doctor->form != HT_ELF_WHOLE || doctor->verdict == HT_ELF_SANITIZER ||
        doctor->verdict == HT_ELF_STATIC || doctor->verdict == HT_ELF_MUSL)
        return;
    size_t before = doctor->finding_count;
    if (doctor->verdict == HT_ELF_OWN_MALLOC)
        ht_doctor_say(
            doctor, HT_DOCTOR_PROBLEM, ht_elf_remedy(doctor->verdict),
            "defines malloc itself and exports it: the program's own names come before those of a preload");
    else
        check_bundled(doctor);
    check_own_calls(doctor);
    check_shared(doctor);
    if (doctor->finding_count == before)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "the malloc of libc");
}
