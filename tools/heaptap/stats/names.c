// Weighs a profile's frames without names, by file.
#include "stats/names.h"

#include "base/package.h"
#include "base/path.h"
#include "stats/unseen.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

// The outermost frames of a stripped program (_start, main) never have names, and nobody misses them.
enum { FILES_TOLD = 3, LEAST_PERCENT = 5, ROOT_FRAMES = 4 };

struct nameless {
    const struct ht_profile *profile;
    const struct ht_runtime *runtime;
    bool *is_interpreter; // by function
    double *of_file;      // by string: what passes through functions without names in the file
    double of_jit;        // and through code in no file, or through the runtime's interpreter
    bool has_jit_names;   // the program's map for perf was there
    double total;
};

// Where the code of a location lies: a file's name, or 0 for code in no file.
static uint32_t file_of(const struct ht_profile *profile, const struct ht_location *location)
{
    uint32_t file = location->mapping != HT_NONE ? profile->mappings[location->mapping].file : 0;
    const char *name = ht_profile_text(profile, file);
    return name[0] == '/' && name[1] != '/' && strncmp(name, "/memfd:", 7) != 0 ? file : 0;
}

static bool is_interpreted(const struct nameless *nameless, const struct ht_location *location)
{
    const struct ht_line *lines = nameless->profile->lines + location->lines;
    for (uint32_t i = 0; i < location->line_count; i++)
        if (nameless->is_interpreter[lines[i].function])
            return true;
    return false;
}

static void weigh_sample(struct nameless *nameless, const struct ht_sample *sample, double value,
                         uint32_t *seen, uint32_t mark)
{
    const struct ht_profile *profile = nameless->profile;
    for (uint32_t i = 0; i < sample->frame_count; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        uint32_t file = file_of(profile, location);
        if (location->line_count > 0) {
            // Frames that the recorder makes up, [truncated], lie where no code can.
            nameless->has_jit_names |= file == 0 && location->address >> 63 == 0;
            if (!is_interpreted(nameless, location))
                continue;
            file = 0;
        }
        if (seen[file] == mark || (file != 0 && i + ROOT_FRAMES >= sample->frame_count))
            continue;
        seen[file] = mark;
        *(file == 0 ? &nameless->of_jit : &nameless->of_file[file]) += value;
    }
}

static void weigh(struct nameless *nameless, size_t column)
{
    const struct ht_profile *profile = nameless->profile;
    uint32_t *seen = ht_alloc_zero(profile->string_count, sizeof *seen);
    for (size_t i = 0; i < profile->sample_count; i++) {
        double value = (double)profile->values[i * profile->sample_type_count + column];
        value = value < 0 ? -value : value;
        nameless->total += value;
        weigh_sample(nameless, &profile->samples[i], value, seen, (uint32_t)i + 1);
    }
    free(seen);
}

static void tell_file(const struct nameless *nameless, uint32_t file, void (*warn)(const char *text))
{
    const char *path = ht_profile_text(nameless->profile, file);
    if (access(path, R_OK) != 0)
        return;
    char *package = ht_package_with_debug(path), *text;
    double percent = 100 * nameless->of_file[file] / nameless->total;
    if (package != NULL)
        text = ht_format(
            "%.0f%% passes through functions of %s that have no names: the package %s brings them (or "
            "--symbolize=debuginfod)",
            percent, ht_path_name(path), package);
    else
        text = ht_format(
            "%.0f%% passes through functions of %s that have no names: a build that is not stripped (or linked "
            "with -rdynamic) has them, or --symbolize=debuginfod brings them",
            percent, ht_path_name(path));
    warn(text);
    free(text);
    free(package);
}

static void tell_jit(const struct nameless *nameless, void (*warn)(const char *text))
{
    const struct ht_runtime *runtime = nameless->runtime;
    double percent = 100 * nameless->of_jit / nameless->total;
    char *text;
    if (runtime != NULL && runtime->frames_advice != NULL)
        text = ht_format("%.0f%% passes through %s functions, which have no names here: %s", percent,
                         runtime->frames, runtime->frames_advice);
    else
        text = ht_format("%.0f%% passes through code without names that the program made at run time: a "
                         "/tmp/perf-PID.map of its runtime would name it",
                         percent);
    warn(text);
    free(text);
}

// Without files, it is not said that an address lies outside of them.
static bool has_files(const struct ht_profile *profile)
{
    for (size_t i = 0; i < profile->mapping_count; i++)
        if (ht_profile_text(profile, profile->mappings[i].file)[0] == '/')
            return true;
    return false;
}

void ht_names_judge(const struct ht_profile *profile, const char *sample_index,
                    void (*warn)(const char *text))
{
    struct nameless nameless = {.profile = profile, .runtime = ht_runtime_of_profile(profile)};
    size_t column;
    if (ht_profile_sample_index(profile, sample_index, &column) < 0)
        return;
    nameless.of_file = ht_alloc_zero(profile->string_count, sizeof *nameless.of_file);
    nameless.is_interpreter = ht_alloc_zero(profile->function_count, sizeof *nameless.is_interpreter);
    const char *interpreter = nameless.runtime != NULL ? nameless.runtime->interpreter : NULL;
    for (size_t i = 0; i < profile->function_count && interpreter != NULL; i++)
        nameless.is_interpreter[i] =
            strcmp(ht_profile_text(profile, profile->functions[i].name), interpreter) == 0;
    weigh(&nameless, column);
    double least = nameless.total * (double)LEAST_PERCENT / 100;
    for (unsigned told = 0; told < FILES_TOLD && nameless.total > 0; told++) {
        uint32_t worst = 0;
        for (uint32_t file = 1; file < profile->string_count; file++)
            if (nameless.of_file[file] > nameless.of_file[worst])
                worst = file;
        if (nameless.of_file[worst] < least || worst == 0)
            break;
        tell_file(&nameless, worst, warn);
        nameless.of_file[worst] = 0;
    }
    if (nameless.of_jit >= least && nameless.total > 0 && !nameless.has_jit_names && has_files(profile))
        tell_jit(&nameless, warn);
    free(nameless.of_file);
    free(nameless.is_interpreter);
}
