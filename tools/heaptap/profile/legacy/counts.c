// Profiles as text whose stacks have counts: Go's goroutine and threadcreate, tcmalloc's threadz, lock
// contention.
#include "profile/legacy/reader.h"

#include "base/error.h"
#include "base/text.h"

#include <ctype.h>

bool ht_legacy_is_counts_head(const char *line)
{
    int64_t total;
    const char *at = line + strcspn(line, " \t");
    return at != line && ht_legacy_scan(&at, "~profile:~total~#", &total) && *at == '\0';
}

// goroutine?debug=1: "NAME profile: total N", "COUNT @ 0xADDRESS ...".
int ht_legacy_counts(struct ht_legacy *legacy)
{
    int more;
    while ((more = ht_legacy_next(legacy)) > 0 && ht_legacy_is_comment(legacy))
        ;
    legacy->what = "count profile";
    if (more <= 0 || !ht_legacy_is_counts_head(legacy->line))
        return more < 0 ? -1 : ht_legacy_malformed(legacy, "not its head");
    char *name = legacy->text.data + (legacy->line - legacy->text.data);
    name[strcspn(name, " \t")] = '\0';
    ht_profile_add_sample_type(legacy->profile, name, "count");
    ht_legacy_period(legacy, name, "count", 1);
    ht_legacy_drop_profiler(legacy->profile);
    while ((more = ht_legacy_next(legacy)) > 0 && !ht_text_starts_with(legacy->line, "---")) {
        int64_t count;
        const char *at = legacy->line;
        if (ht_legacy_is_comment(legacy))
            continue;
        if (!ht_legacy_scan(&at, "# @", &count) || count < 0)
            return ht_legacy_malformed(legacy, "neither a sample nor the maps");
        if (ht_legacy_push_text(legacy, at, true, HT_CALLS_ALL) < 0)
            return -1;
        ht_legacy_add_sample(legacy, &count, 0);
    }
    return more < 0 ? -1 : ht_legacy_finish(legacy, more > 0 && ht_legacy_is_maps_head(legacy));
}

bool ht_legacy_is_threads_head(const char *line)
{
    int64_t number;
    const char *at = strstr(line, "--- threadz ");
    return (at != NULL && ht_legacy_scan(&at, "--- threadz # ---", &number)) ||
           ht_text_starts_with(line, "--- Thread ");
}

static bool is_thread(const char *line)
{
    return ht_text_starts_with(line, "--- Thread ") && strstr(line, "stack: ---") != NULL;
}

// One thread's lines; the line read last is then the one behind them.
static int read_thread(struct ht_legacy *legacy)
{
    struct ht_profile *profile = legacy->profile;
    bool same = false;
    int more;
    while ((more = ht_legacy_next(legacy)) > 0 && !ht_text_starts_with(legacy->line, "---") &&
           !ht_legacy_is_maps_head(legacy)) {
        if (strstr(legacy->line, "same as previous thread") != NULL)
            same = true;
        else if (ht_legacy_push_text(legacy, legacy->line, false, HT_CALLS_BUT_LEAF) < 0)
            return -1;
    }
    if (same || legacy->stack_count == 0) {
        legacy->stack_count = 0;
        if (profile->sample_count > 0) {
            int64_t *count = ht_profile_values(profile, profile->sample_count - 1);
            *count = ht_wrap_add(*count, 1);
        }
    } else {
        ht_legacy_add_sample(legacy, &(int64_t){1}, 0);
    }
    return more;
}

int ht_legacy_threads(struct ht_legacy *legacy)
{
    int more;
    while ((more = ht_legacy_next(legacy)) > 0 && ht_legacy_is_comment(legacy))
        ;
    legacy->what = "thread profile";
    ht_profile_add_sample_type(legacy->profile, "thread", "count");
    ht_legacy_period(legacy, "thread", "count", 1);
    ht_legacy_drop_profiler(legacy->profile);
    if (more > 0 && !is_thread(legacy->line))
        while ((more = ht_legacy_next(legacy)) > 0 && !ht_legacy_is_maps_head(legacy) && *legacy->line != '-')
            ;
    while (more > 0 && !ht_legacy_is_maps_head(legacy) &&
           !ht_text_starts_with(legacy->line, "---- no stack trace for")) {
        if (!is_thread(legacy->line))
            return ht_legacy_malformed(legacy, "neither a thread nor the maps");
        more = read_thread(legacy);
    }
    if (more < 0 || ht_legacy_finish(legacy, more > 0 && ht_legacy_is_maps_head(legacy)) < 0)
        return -1;
    ht_legacy_join_leafs(legacy->profile);
    return 0;
}

struct contention_head {
    const char *resolution; // of Java's
    char resolution_text[32];
    int64_t cycles_per_second, period;
    bool java, has_period;
};

// 1: it is one of the known, 0: another.
static int take_contention_attribute(struct ht_legacy *legacy, struct contention_head *head, const char *key,
                                     const char *value)
{
    int64_t number = 0;
    if (strcmp(key, "format") == 0) {
        head->java = true;
        return strcmp(value, "java") == 0;
    }
    if (strcmp(key, "resolution") == 0) {
        snprintf(head->resolution_text, sizeof head->resolution_text, "%s", value);
        head->resolution = head->resolution_text;
        return 1;
    }
    if (strcmp(key, "discarded samples") == 0)
        return 1;
    if (!ht_legacy_integer(value, &number))
        return 0;
    if (strcmp(key, "cycles/second") == 0) {
        head->cycles_per_second = number;
    } else if (strcmp(key, "sampling period") == 0) {
        head->period = number;
        head->has_period = true;
    } else if (strcmp(key, "ms since reset") == 0) {
        legacy->profile->duration_ns = (int64_t)((uint64_t)number * 1000000);
    } else {
        return 0;
    }
    return 1;
}

// The attributes; the line read last is then the first one behind them.
static int read_contention_head(struct ht_legacy *legacy, struct contention_head *head)
{
    int more = ht_legacy_next(legacy);
    if (more > 0 && ht_text_starts_with(legacy->line, "---"))
        more = ht_legacy_next(legacy);
    for (; more > 0; more = ht_legacy_next(legacy)) {
        const char *key, *value;
        if (ht_legacy_is_comment(legacy))
            continue;
        if (ht_text_starts_with(legacy->line, "---") || !ht_legacy_attribute(legacy, &key, &value))
            return more;
        if (take_contention_attribute(legacy, head, key, value) == 0)
            return ht_legacy_malformed(legacy, "not an attribute of such a profile");
    }
    return more;
}

// Cycles become nanoseconds, and what was sampled becomes what there was.
static void scale_contention(const struct contention_head *head, int64_t *cycles, int64_t *count)
{
    if (head->period <= 0)
        return;
    if (head->cycles_per_second > 0)
        *cycles = ht_int64_of_double((double)*cycles * (double)head->period /
                                     ((double)head->cycles_per_second / 1e9));
    *count = (int64_t)((uint64_t)*count * (uint64_t)head->period);
}

int ht_legacy_contention(struct ht_legacy *legacy)
{
    struct contention_head head = {.period = 1};
    legacy->what = "contention profile";
    int more = read_contention_head(legacy, &head);
    if (more < 0)
        return -1;
    ht_profile_add_sample_type(legacy->profile, "contentions", "count");
    ht_legacy_drop_locks(legacy->profile);
    if (head.java) {
        if (head.resolution == NULL)
            return ht_legacy_malformed(legacy, "no resolution before the samples");
        ht_profile_add_sample_type(legacy->profile, "delay", head.resolution);
        if (head.has_period)
            ht_legacy_period(legacy, "contentions", "count", head.period);
        return ht_legacy_java_samples(legacy, HT_JAVA_CONTENTION) < 0 ? -1 : ht_legacy_java_locations(legacy);
    }
    ht_profile_add_sample_type(legacy->profile, "delay", "nanoseconds");
    ht_legacy_period(legacy, "contentions", "count", head.period);
    for (; more > 0 && !ht_text_starts_with(legacy->line, "---") && !ht_legacy_is_maps_head(legacy);
         more = ht_legacy_next(legacy)) {
        int64_t figures[2]; // cycles, count
        const char *at = legacy->line;
        if (ht_legacy_is_comment(legacy))
            continue;
        if (!ht_legacy_scan(&at, "#~# @", figures))
            return ht_legacy_malformed(legacy, "neither a sample nor the maps");
        scale_contention(&head, &figures[0], &figures[1]);
        if (ht_legacy_push_text(legacy, at, true, HT_CALLS_ALL) < 0)
            return -1;
        ht_legacy_add_sample(legacy, (int64_t[]){figures[1], figures[0]}, 0);
    }
    return more < 0 ? -1 : ht_legacy_finish(legacy, more > 0 && ht_legacy_is_maps_head(legacy));
}
