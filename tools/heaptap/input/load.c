// Loading for reports.
#include "input/load.h"

#include "base/error.h"
#include "input/input.h"
#include "input/program.h"
#include "profile/filter.h"
#include "stats/health.h"

#include <stdlib.h>
#include <strings.h>

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

static int interpret_demangle(struct ht_load *load, const char *mode, size_t length)
{
    static const char *const modes[] = {"simple", "templates", "full", "none"};
    if (is_word(mode, length, "default")) // pprof's word for what happens anyhow
        return 0;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (is_word(mode, length, modes[i])) {
            load->resolve.demangle = (enum ht_demangle)i;
            load->resolve.names_given = true;
            return 0;
        }
    return ht_fail("--demangle is simple, templates, full or none, not '%.*s'", (int)length, mode);
}

// One of the words that --symbolize takes; pprof's are among them.
static int interpret_word(struct ht_load *load, const char *word, size_t length)
{
    static const char demangle[] = "demangle=";
    size_t prefix = sizeof demangle - 1;
    if (length > prefix && strncasecmp(word, demangle, prefix) == 0)
        return interpret_demangle(load, word + prefix, length - prefix);
    if (is_word(word, length, "none") || is_word(word, length, "no")) {
        load->no_symbols = true;
    } else if (is_word(word, length, "debuginfod")) {
        load->resolve.debuginfod = true;
        load->resolve.debuginfod_timeout_ns = HT_DEBUGINFOD_TIMEOUT_NS;
    } else if (is_word(word, length, "local") || is_word(word, length, "fastlocal")) {
        load->no_remote_names = true;
        load->resolve.names_only = false;
    } else if (is_word(word, length, "remote")) {
        load->no_remote_names = false;
        load->resolve.names_only = true;
    } else if (is_word(word, length, "force")) {
        ht_warn(
            "--symbolize=force is not supported: names that the profile carries are kept, only missing ones are "
            "looked for");
    } else {
        return ht_fail("--symbolize is local, remote, none, debuginfod or demangle=HOW, not '%.*s'",
                       (int)length, word);
    }
    return 0;
}

int ht_load_interpret(struct ht_load *load)
{
    int result = 0;
    for (const char *word = load->symbolize; word != NULL && *word != '\0' && result == 0;) {
        size_t length = strcspn(word, ":");
        if (length > 0)
            result = interpret_word(load, word, length);
        word += length;
        word += *word == ':';
    }
    if (result == 0 && load->demangle != NULL)
        result = interpret_demangle(load, load->demangle, strlen(load->demangle));
    return result;
}

static void warn_one(void *name, const char *text)
{
    ht_warn("%s: %s", (const char *)name, text);
}

// One input. A URL's server is asked for names that cannot be found here: its addresses are those of its own
// process, before merging shifts them.
static int open_one(const struct ht_load *load, struct ht_inputs *inputs, size_t position,
                    struct ht_profile **ret_profile)
{
    char *name = (char *)(uintptr_t)ht_inputs_name(inputs, position);
    if (ht_inputs_open(inputs, position, ret_profile) < 0)
        return ht_fail("%s: %s", name, ht_error());
    ht_health_each(*ret_profile, warn_one, name);
    ht_profile_ensure_mapping(*ret_profile);
    ht_load_use_program(load, name, *ret_profile);
    if (!ht_inputs_is_url(inputs, position) || load->no_symbols || load->no_remote_names)
        return 0;
    struct ht_resolve_options quiet = load->resolve;
    quiet.quiet = true;
    ht_resolve_profile(*ret_profile, &quiet);
    if (ht_inputs_ask_names(inputs, position, *ret_profile) < 0)
        ht_warn("%s: no names from the server: %s", name, ht_error());
    return 0;
}

// All of them, merged into one. A server that does not answer leaves the others; nothing else does.
static int open_all(const struct ht_load *load, char *const *arguments, size_t count,
                    struct ht_profile **ret_profile)
{
    struct ht_profile **profiles = ht_alloc_zero(count, sizeof(struct ht_profile *));
    struct ht_inputs *inputs = ht_inputs_new(arguments, count, &load->input);
    size_t opened = 0;
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        if (open_one(load, inputs, i, &profiles[opened]) == 0)
            opened++;
        else if (!ht_inputs_is_url(inputs, i) || (i + 1 == count && opened == 0))
            result = -1;
        else
            ht_note_error("%s", ht_error());
    }
    if (result == 0 && opened < count)
        ht_warn("the report is made of %zu of the %zu profiles", opened, count);
    if (result == 0)
        result = ht_profile_merge(profiles, opened);
    if (result == 0)
        *ret_profile = profiles[0];
    for (size_t i = 0; i < count && result < 0; i++)
        ht_profile_free(profiles[i]);
    ht_inputs_free(inputs);
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
    if (open_all(load, arguments, (size_t)count, &profile) < 0)
        return -1;
    if (bases->count > 0) {
        char **names = ht_realloc_array(NULL, bases->count, sizeof *names);
        memcpy(names, bases->items, bases->count * sizeof *names);
        int result = open_all(load, names, bases->count, &base);
        free(names);
        if (result == 0)
            result = ht_profile_subtract(&profile, &base, mark, load->normalize);
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
    // New, old: the program and the order of mappings are the new one's.
    struct ht_profile *both[2] = {NULL, NULL};
    char *arguments[2] = {(char *)(uintptr_t)new_argument, (char *)(uintptr_t)old_argument};
    if (open_all(load, &arguments[1], 1, &both[1]) < 0)
        return -1;
    if (open_all(load, &arguments[0], 1, &both[0]) < 0) {
        ht_profile_free(both[1]);
        return -1;
    }
    warn_strangers(both[1], both[0]);
    struct ht_load_times times = {.old_ns = both[1]->time_ns, .new_ns = both[0]->time_ns};
    ht_profile_set_label(both[1], HT_COMPARE_OLD_LABEL, "true");
    if (ht_profile_merge(both, 2) < 0) {
        ht_profile_free(both[0]);
        ht_profile_free(both[1]);
        return -1;
    }
    resolve_and_prune(load, both[0]);
    *ret_profile = both[0];
    *ret_times = times;
    return 0;
}
