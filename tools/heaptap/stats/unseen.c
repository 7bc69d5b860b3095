// Compares live heap with resident memory, and finds the runtime that may have the difference.
#include "stats/unseen.h"

#include "base/measure.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/text.h"
#include "sys/maps.h"

#include <stdlib.h>
#include <unistd.h>

#define LEAST_BYTES 67108864.0 // 64 MB

char *ht_unseen_text(const struct ht_runtime *runtime, double live_bytes, double resident_bytes)
{
    char live[HT_MEASURE_TEXT_BYTES], resident[HT_MEASURE_TEXT_BYTES];
    if (live_bytes * 4 > resident_bytes || resident_bytes - live_bytes < LEAST_BYTES)
        return NULL;
    ht_measure_bytes((int64_t)live_bytes, 0, live);
    ht_measure_bytes((int64_t)resident_bytes, 0, resident);
    if (runtime == NULL)
        return ht_format(
            "live heap is %s of %s in memory: the rest did not come from malloc, or was freed and is kept "
            "by the allocator",
            live, resident);
    return ht_format("live heap is %s of %s in memory (%s): %s; %s", live, resident, runtime->name,
                     runtime->unseen, runtime->advice);
}

static const struct ht_runtime *runtime_of_process(uint32_t pid)
{
    const struct ht_runtime *runtime = NULL;
    char link[HT_PROC_PATH_BYTES], path[PATH_MAX];
    struct ht_buffer maps = {0};
    ht_proc_path(pid, "exe", link);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    ht_proc_take_deleted(path);
    runtime = ht_runtime_of(ht_path_name(path));
    if (runtime == NULL && ht_proc_read(pid, "maps", &maps)) {
        char *rest = maps.data;
        struct ht_maps_line line;
        for (char *text; runtime == NULL && (text = ht_text_take_line(&rest)) != NULL;)
            if (ht_maps_parse(text, &line) && line.executable && line.path[0] == '/')
                runtime = ht_runtime_of(ht_path_name(line.path));
    }
    ht_buffer_free(&maps);
    return runtime;
}

char *ht_unseen_of_process(uint32_t pid, double live_bytes)
{
    struct ht_buffer status = {0};
    uint64_t anonymous_kib = 0, swapped_kib = 0;
    char *text = NULL;
    if (ht_proc_read(pid, "status", &status) &&
        ht_proc_status_number(&status, "RssAnon", 10, &anonymous_kib)) { // since Linux 4.5
        ht_proc_status_number(&status, "VmSwap", 10, &swapped_kib);
        double resident_bytes = (double)(anonymous_kib + swapped_kib) * 1024;
        text = ht_unseen_text(NULL, live_bytes, resident_bytes);
        if (text != NULL) {
            free(text);
            text = ht_unseen_text(runtime_of_process(pid), live_bytes, resident_bytes);
        }
    }
    ht_buffer_free(&status);
    return text;
}

const struct ht_runtime *ht_runtime_of_profile(const struct ht_profile *profile)
{
    const char *program = ht_profile_comment_value(profile, "program");
    const struct ht_runtime *runtime = program != NULL ? ht_runtime_of(program) : NULL;
    for (size_t i = 0; i < profile->mapping_count && runtime == NULL; i++)
        runtime = ht_runtime_of(ht_path_name(ht_profile_text(profile, profile->mappings[i].file)));
    return runtime;
}

char *ht_unseen_of_profile(const struct ht_profile *profile)
{
    const char *resident = ht_profile_comment_value(profile, "rss_bytes");
    const char *trigger = ht_profile_comment_value(profile, "trigger");
    size_t column;
    double live_bytes = 0;
    if (resident == NULL || (trigger != NULL && strcmp(trigger, "exit") == 0) ||
        ht_profile_sample_index(profile, "inuse_space", &column) < 0)
        return NULL;
    for (size_t i = 0; i < profile->sample_count; i++)
        live_bytes += (double)profile->values[i * profile->sample_type_count + column];
    return ht_unseen_text(ht_runtime_of_profile(profile), live_bytes, strtod(resident, NULL));
}
