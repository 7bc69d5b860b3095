// Loading for reports.
#include "cmd/load.h"

#include "base/measure.h"
#include "cmd/cmd.h"
#include "profile/filter.h"
#include "profile/input.h"
#include "record/region.h"
#include "view/compare.h"

#include <stdlib.h>

// The recorder's counters that say that figures or stacks are not what they should be (the region's table has
// all of them). A value of 0 is not written.
static const struct {
    const char *key, *meaning;
} health[] = {
#define X(id, name, meaning) [HT_HEALTH_##id] = {name, meaning},
    HT_HEALTH_TABLE(X)
#undef X
};

static bool matters(size_t counter)
{
    switch ((enum ht_health)counter) {
    case HT_HEALTH_DROP_REENTRANT:
    case HT_HEALTH_DROP_NO_REGION:
    case HT_HEALTH_DROP_LIVE_FULL:
    case HT_HEALTH_DROP_SCRATCH:
    case HT_HEALTH_OVERFLOW_STACKS:
    case HT_HEALTH_TRUNCATED_STACKS:
    case HT_HEALTH_FAILED_UNWINDS:
    case HT_HEALTH_INHERIT_LOST:
    case HT_HEALTH_RAW_FORK:
    case HT_HEALTH_THINNINGS:
        return true;
    default:
        return false;
    }
}

// Times when nothing was recorded, and a recorder that gave up.
static void add_gaps(const struct ht_profile *profile, struct ht_buffer *text)
{
    const char *failed = ht_profile_comment_value(profile, "failed");
    const char *unknown = ht_profile_comment_value(profile, "unknown_before");
    const char *inactive = ht_profile_comment_value(profile, "inactive_ns");
    if (failed != NULL)
        ht_buffer_text(text, "; recording was given up in this process");
    if (unknown != NULL)
        ht_buffer_text(text, "; blocks older than the start of recording are not in it");
    if (inactive != NULL) {
        char age[HT_MEASURE_TEXT_BYTES];
        ht_measure_age(strtoll(inactive, NULL, 10), age);
        ht_buffer_printf(text, "; recording was off for %s", age);
    }
}

void ht_load_warn_health(const char *name, const struct ht_profile *profile)
{
    struct ht_buffer text = {0};
    for (size_t i = 0; i < sizeof health / sizeof health[0]; i++) {
        const char *value = matters(i) ? ht_profile_comment_value(profile, health[i].key) : NULL;
        if (value != NULL)
            ht_buffer_printf(&text, "; %s %s", value, health[i].meaning);
    }
    add_gaps(profile, &text);
    if (text.length > 0)
        ht_warn("%s: %s", name, text.data + 2);
    ht_buffer_free(&text);
}

// All of them, merged into one.
static int open_all(const char *command, char *const *arguments, size_t count,
                    struct ht_profile **ret_profile)
{
    struct ht_profile **profiles = ht_alloc_zero(count, sizeof(struct ht_profile *));
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        result = ht_input_open(arguments[i], &profiles[i]);
        if (result < 0) {
            ht_cmd_error(command, "%s: %s", arguments[i], ht_error());
        } else {
            ht_load_warn_health(arguments[i], profiles[i]);
            ht_profile_ensure_mapping(profiles[i]);
        }
    }
    if (result == 0) {
        result = ht_profile_merge(profiles, count);
        if (result < 0)
            ht_cmd_error(command, "%s", ht_error());
    }
    if (result == 0)
        *ret_profile = profiles[0];
    for (size_t i = 0; i < count && result < 0; i++)
        ht_profile_free(profiles[i]);
    free(profiles);
    return result;
}

// Names for addresses, then without what the profile itself calls allocator frames.
static void resolve_and_prune(const struct ht_load *load, struct ht_profile *profile)
{
    if (!load->no_symbols)
        ht_resolve_profile(profile, &load->resolve);
    if (ht_filter_drop_frames(profile) < 0)
        ht_warn("the profile's drop_frames are not used: %s", ht_error());
}

int ht_load_profile(const struct ht_load *load, char **arguments, int count, struct ht_profile **ret_profile)
{
    struct ht_profile *profile = NULL, *base = NULL;
    bool mark = load->diff_bases.count > 0;
    const struct ht_strings *bases = mark ? &load->diff_bases : &load->bases;
    if (open_all(load->command, arguments, (size_t)count, &profile) < 0)
        return -1;
    if (bases->count > 0) {
        char **names = ht_realloc_array(NULL, bases->count, sizeof *names);
        memcpy(names, bases->items, bases->count * sizeof *names);
        int result = open_all(load->command, names, bases->count, &base);
        free(names);
        if (result == 0 && ht_profile_subtract(&profile, &base, mark, load->normalize) < 0) {
            ht_cmd_error(load->command, "%s", ht_error());
            result = -1;
        }
        if (result < 0) {
            ht_profile_free(profile);
            ht_profile_free(base);
            return -1;
        }
    }
    resolve_and_prune(load, profile);
    *ret_profile = profile;
    return 0;
}

// True if both say something under this key and not the same.
static bool differs(const struct ht_profile *a, const struct ht_profile *b, const char *key)
{
    const char *value_a = ht_profile_comment_value(a, key), *value_b = ht_profile_comment_value(b, key);
    return value_a != NULL && value_b != NULL && strcmp(value_a, value_b) != 0;
}

static void warn_strangers(const struct ht_profile *old, const struct ht_profile *new)
{
    if (differs(old, new, "program"))
        ht_warn("these are snapshots of different programs (%s and %s)",
                ht_profile_comment_value(old, "program"), ht_profile_comment_value(new, "program"));
    else if (differs(old, new, "pid") || differs(old, new, "start") || differs(old, new, "boot_id"))
        ht_warn("these are snapshots of different processes: the change is the difference of two runs, not "
                "growth");
    else if (old->time_ns > new->time_ns &&new->time_ns != 0)
        ht_warn("the first snapshot is the newer one; write 'heaptap diff OLD NEW'");
    if (differs(old, new, "rate"))
        ht_warn("the snapshots were sampled at different rates (%s and %s bytes); small changes may be noise",
                ht_profile_comment_value(old, "rate"), ht_profile_comment_value(new, "rate"));
    if (differs(old, new, "floor_bytes"))
        ht_warn(
            "the memory limit made the sampling coarser between the snapshots; small changes may be noise");
}

int ht_load_pair(const struct ht_load *load, const char *old_argument, const char *new_argument,
                 struct ht_profile **ret_profile, struct ht_load_times *ret_times)
{
    struct ht_profile *both[2] = {NULL,
                                  NULL}; // new, old: the program and the order of mappings are the new one's
    char *arguments[2] = {(char *)(uintptr_t)new_argument, (char *)(uintptr_t)old_argument};
    if (open_all(load->command, &arguments[1], 1, &both[1]) < 0)
        return -1;
    if (open_all(load->command, &arguments[0], 1, &both[0]) < 0) {
        ht_profile_free(both[1]);
        return -1;
    }
    warn_strangers(both[1], both[0]);
    struct ht_load_times times = {.old_ns = both[1]->time_ns, .new_ns = both[0]->time_ns};
    ht_profile_set_label(both[1], HT_COMPARE_OLD_LABEL, "true");
    if (ht_profile_merge(both, 2) < 0) {
        ht_cmd_error(load->command, "%s", ht_error());
        ht_profile_free(both[0]);
        ht_profile_free(both[1]);
        return -1;
    }
    resolve_and_prune(load, both[0]);
    *ret_profile = both[0];
    *ret_times = times;
    return 0;
}
