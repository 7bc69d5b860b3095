// The language runtime of `heaptap doctor`: which of its memory malloc never sees, and which of its functions
// stacks do not show.
#include "base/proc.h"
#include "doctor/doctor.h"

#include <string.h>

bool ht_doctor_is_go(const struct ht_doctor *doctor)
{
    uint8_t byte; // "Go", 4: the build id of Go's own linker
    return ht_elf_image_note(&doctor->image, "Go", 4, &byte, 1) > 0 ||
           ht_elf_image_section(&doctor->image, ".go.buildinfo") != NULL;
}

bool ht_doctor_has_runtime(const struct ht_doctor *doctor, const struct ht_runtime *runtime)
{
    for (size_t i = 0; i < 3 && runtime->symbols[i] != NULL; i++)
        if (ht_elf_image_exports(&doctor->image, runtime->symbols[i]))
            return true;
    for (size_t i = 1; i < doctor->file_count; i++)
        for (size_t j = 0; j < 2 && runtime->libraries[j] != NULL; j++)
            if (strncmp(doctor->files[i].name, runtime->libraries[j], strlen(runtime->libraries[j])) == 0)
                return true;
    return false;
}

// The environment that the program has or will have.
static const char *setting(const struct ht_doctor *doctor, const char *name)
{
    char *const *environment =
        doctor->pid != 0 && doctor->may_look ? doctor->own_environment.items : doctor->environment;
    return name != NULL ? ht_proc_value_in(environment, name) : NULL;
}

// Whether the word stands in the variable or in one of the arguments.
static bool is_given(const struct ht_doctor *doctor, const char *variable, const char *word)
{
    bool given = word != NULL && ht_runtime_says(setting(doctor, variable), word);
    for (size_t i = 0; word != NULL && i < doctor->argument_count && !given; i++)
        given = ht_runtime_says(doctor->arguments[i], word);
    return given;
}

static void say_frames(struct ht_doctor *doctor, const struct ht_runtime *runtime)
{
    doctor->check = "frames";
    if (is_given(doctor, runtime->names_variable, runtime->names_word))
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL,
                      "%s's functions get their names from /tmp/perf-PID.map (%s)", runtime->frames,
                      runtime->names_word);
    else
        ht_doctor_say(
            doctor, runtime->frames_advice != NULL ? HT_DOCTOR_WARNING : HT_DOCTOR_OK, runtime->frames_advice,
            "stacks show the functions of the interpreter or of libraries, not %s's own", runtime->frames);
    doctor->check = "runtime";
}

static void check_one(struct ht_doctor *doctor, const struct ht_runtime *runtime)
{
    bool seen = runtime->variable != NULL && is_given(doctor, runtime->variable, runtime->value);
    bool known = doctor->pid == 0 || doctor->own_environment.is_whole;
    if (seen)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s with %s=%s: all that it allocates is seen",
                      runtime->name, runtime->variable, setting(doctor, runtime->variable));
    else if (runtime->variable != NULL && !known)
        ht_doctor_say(
            doctor, HT_DOCTOR_PARTLY, runtime->advice,
            "%s, and whether with %s=%s is not known (its environment was written over): without, %s",
            runtime->name, runtime->variable, runtime->value, runtime->unseen);
    else
        ht_doctor_say(doctor, HT_DOCTOR_PARTLY, runtime->advice, "%s: %s", runtime->name, runtime->unseen);
    if (runtime->frames != NULL)
        say_frames(doctor, runtime);
}

static void check_go(struct ht_doctor *doctor)
{
    static const char *const cgo[] = {"malloc", "x_cgo_init", "pthread_create"};
    static const char advice[] =
        "use Go's own profiler: net/http/pprof or runtime/pprof (heaptap reads its files)";
    if (doctor->verdict == HT_ELF_STATIC || ht_elf_image_imports(&doctor->image, cgo, 3) == 0)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, advice, "Go without cgo: it never calls malloc");
    else
        ht_doctor_say(doctor, HT_DOCTOR_PARTLY, advice,
                      "Go with cgo: what C code allocates is seen, Go's own heap is not");
}

static bool is_rust(const struct ht_doctor *doctor)
{
    static const char *const function[] = {"rust_eh_personality"}, *const text[] = {"RUST_BACKTRACE"};
    return ht_elf_image_functions(&doctor->image, function, 1) != 0 ||
           ht_elf_image_texts(&doctor->image, text, 1) != 0;
}

void ht_doctor_check_runtime(struct ht_doctor *doctor)
{
    size_t before = doctor->finding_count;
    if (doctor->form != HT_ELF_WHOLE)
        return;
    doctor->is_go = ht_doctor_is_go(doctor);
    doctor->is_java = ht_doctor_has_runtime(doctor, ht_runtime_of("java"));
    if (doctor->is_go)
        check_go(doctor);
    const struct ht_runtime *runtime;
    for (unsigned i = 0; (runtime = ht_runtime_at(i)) != NULL; i++)
        if (ht_doctor_has_runtime(doctor, runtime))
            check_one(doctor, runtime);
    if (doctor->finding_count == before && is_rust(doctor))
        ht_doctor_say(
            doctor, HT_DOCTOR_OK, NULL,
            "Rust: its standard allocator is malloc (a #[global_allocator] of another crate is not)");
}
