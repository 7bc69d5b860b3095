// Loading for reports.
#include "input/load.h"

#include "base/error.h"
#include "base/measure.h"
#include "base/path.h"
#include "input/input.h"
#include "input/program.h"
#include "profile/birth.h"
#include "profile/bounds.h"
#include "profile/filter.h"
#include "profile/kin.h"
#include "profile/source.h"
#include "region/target.h"
#include "stats/health.h"
#include "stats/names.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { NOBODY = 65534 };

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

// Whether two profiles are of the same program, but of different builds of it.
static bool are_builds(const struct ht_profile *a, const struct ht_profile *b)
{
    if (a->mapping_count == 0 || b->mapping_count == 0)
        return false;
    const struct ht_profile_mapping *of_a = &a->mappings[0], *of_b = &b->mappings[0];
    const char *id_a = ht_profile_text(a, of_a->build_id), *id_b = ht_profile_text(b, of_b->build_id);
    return id_a[0] != '\0' && id_b[0] != '\0' && strcmp(id_a, id_b) != 0 &&
           strcmp(ht_path_name(ht_profile_text(a, of_a->file)),
                  ht_path_name(ht_profile_text(b, of_b->file))) == 0;
}

static bool warn_builds(const struct ht_load *load, const struct ht_profile *a, const struct ht_profile *b,
                        const char *consequence)
{
    bool differ = are_builds(a, b);
    if (differ)
        ht_warn("these are profiles of different builds of %s (%.12s and %.12s)%s%s",
                ht_path_name(ht_profile_text(a, a->mappings[0].file)),
                ht_profile_text(b, b->mappings[0].build_id), ht_profile_text(a, a->mappings[0].build_id),
                consequence,
                load->by_lines ? "; lines may have moved, --functions joins the rows of each function" : "");
    return differ;
}

// What was opened of a list of inputs.
struct opened {
    struct ht_profile **profiles;
    const char **names;
    size_t count;
    size_t older;  // snapshots that were left out, for there are newer ones of their process
    char *process; // of which they were, "": of several
};

static const char *or_unknown(const char *text)
{
    return text != NULL ? text : "?";
}

static void note_older(struct opened *opened, const struct ht_profile *profile)
{
    struct ht_source origin = {0};
    ht_source_of(profile, &origin);
    char *process = ht_format("%s %s", or_unknown(origin.program), or_unknown(origin.pid));
    if (opened->older++ == 0)
        opened->process = process;
    else if (strcmp(opened->process, process) != 0)
        opened->process[0] = '\0';
    if (opened->process != process)
        free(process);
}

// Of several snapshots of one process the newest is meant: their sum is nothing that any machine ever held.
static void add_opened(struct opened *opened, bool sum, struct ht_profile *profile, const char *name)
{
    for (size_t i = 0; i < opened->count && !sum; i++) {
        if (!ht_source_is_series(opened->profiles[i], profile))
            continue;
        struct ht_profile *older = profile;
        if (!ht_source_is_newer(opened->profiles[i], profile)) {
            older = opened->profiles[i];
            opened->profiles[i] = profile;
            opened->names[i] = name;
        }
        note_older(opened, older);
        ht_profile_free(older);
        return;
    }
    opened->profiles[opened->count] = profile;
    opened->names[opened->count++] = name;
}

static void warn_older(const struct opened *opened)
{
    if (opened->older == 0)
        return;
    if (opened->count == 1)
        ht_warn("these are %zu snapshots of one process (%s): the newest is shown; --sum adds them up",
                opened->older + 1, opened->process);
    else if (opened->process[0] != '\0')
        ht_warn("%zu are snapshots of one process (%s): the newest of them is taken; --sum adds up all",
                opened->older + 1, opened->process);
    else
        ht_warn(
            "several are snapshots of one process: of each process the newest is taken; --sum adds up all");
}

static int merge_all(const struct ht_load *load, const struct opened *opened)
{
    struct ht_kin *kin = NULL;
    if (load->by_process || (opened->count > 1 && !load->sum))
        kin = ht_kin_begin(opened->profiles, opened->names, opened->count);
    for (size_t i = 0; i < opened->count && (kin == NULL || load->sum); i++)
        ht_kin_forget_inherited(opened->profiles[i]);
    if (ht_profile_merge(opened->profiles, opened->count) < 0) {
        ht_kin_free(kin);
        return -1;
    }
    int64_t shared = kin != NULL ? ht_kin_end(kin, opened->profiles[0], load->by_process) : 0;
    char text[HT_MEASURE_TEXT_BYTES];
    ht_measure_bytes(shared, 0, text);
    if (shared > 0 && opened->count > 1)
        ht_warn(
            "forked processes share blocks with each other: %s that several of them hold are counted once; "
            "--sum counts them for each",
            text);
    return 0;
}

// Files are opened with the rights of whose profile names them: profiles of several owners get their names
// before they become one.
static void settle_owners(const struct ht_load *load, struct ht_profile **profiles, size_t count)
{
    bool differ = false;
    for (size_t i = 1; i < count; i++)
        differ = differ || profiles[i]->owner.uid != profiles[0]->owner.uid ||
                 profiles[i]->owner.gid != profiles[0]->owner.gid;
    for (size_t i = 0; i < count && differ && geteuid() == 0; i++) {
        if (!load->no_symbols)
            ht_resolve_profile(profiles[i], &load->resolve);
        profiles[i]->owner = (struct ht_owner){NOBODY, NOBODY}; // what several say may show what all may read
    }
}

// All of them, merged into one. A server that does not answer leaves the others; nothing else does.
static int open_named(const struct ht_load *load, char *const *arguments, size_t count,
                      struct ht_profile **ret_profile)
{
    struct opened opened = {.profiles = ht_alloc_zero(count, sizeof(struct ht_profile *)),
                            .names = ht_alloc_zero(count, sizeof(char *))};
    struct ht_inputs *inputs = ht_inputs_new(arguments, count, &load->input);
    size_t missing = 0;
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        struct ht_profile *profile;
        if (open_one(load, inputs, i, &profile) == 0) {
            add_opened(&opened, load->sum, profile, ht_inputs_name(inputs, i));
            continue;
        }
        missing++;
        if (!ht_inputs_is_url(inputs, i) || missing == count)
            result = -1;
        else
            ht_note_error("%s", ht_error());
    }
    if (result == 0 && missing > 0)
        ht_warn("the report is made of %zu of the %zu profiles", count - missing, count);
    for (size_t i = 1; i < opened.count && result == 0; i++)
        if (warn_builds(load, opened.profiles[0], opened.profiles[i], ""))
            break;
    if (result == 0)
        warn_older(&opened);
    if (result == 0) {
        settle_owners(load, opened.profiles, opened.count);
        result = merge_all(load, &opened);
    }
    if (result == 0)
        *ret_profile = opened.profiles[0];
    for (size_t i = 0; i < opened.count && result < 0; i++)
        ht_profile_free(opened.profiles[i]);
    ht_inputs_free(inputs);
    free(opened.profiles);
    free(opened.names);
    free(opened.process);
    return result;
}

// A name stands for the processes that have it.
static int open_all(const struct ht_load *load, char *const *arguments, size_t count,
                    struct ht_profile **ret_profile)
{
    struct ht_strings names = ht_target_names(arguments, count);
    int result = open_named(load, (char *const *)(uintptr_t)names.items, names.count, ret_profile);
    ht_target_names_free(&names);
    return result;
}

static void warn_names(const char *text)
{
    ht_warn("%s", text);
}

// Names for addresses, the user's comment, then without what the profile itself calls allocator frames.
static void resolve_and_prune(const struct ht_load *load, struct ht_profile *profile)
{
    if (!load->no_symbols)
        ht_resolve_profile(profile, &load->resolve);
    ht_profile_bound_inlines(profile);
    if (!load->no_symbols)
        ht_names_judge(profile, load->sample_index, warn_names);
    if (load->comment != NULL)
        ht_profile_add_comment(profile, load->comment);
    if (!load->all_frames && ht_filter_drop_frames(profile) < 0)
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
        int64_t time_ns = profile->time_ns;
        if (result == 0)
            warn_builds(load, profile, base, "");
        if (result == 0) {
            struct ht_profile *both[] = {profile, base};
            settle_owners(load, both, 2);
        }
        if (result == 0)
            result = ht_profile_subtract(&profile, &base, mark, load->normalize);
        profile->time_ns = time_ns; // not the base's
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

int ht_load_one(const struct ht_load *load, const char *argument, struct ht_profile **ret_profile)
{
    struct ht_profile *profile;
    struct ht_resolve_options quiet = load->resolve;
    quiet.quiet = true;
    if (ht_input_open(argument, &profile) < 0)
        return ht_fail("%s: %s", argument, ht_error());
    ht_kin_forget_inherited(profile);
    ht_profile_ensure_mapping(profile);
    if (!load->no_symbols)
        ht_resolve_profile(profile, &quiet);
    if (!load->all_frames && ht_filter_drop_frames(profile) < 0)
        ht_warn("the profile's drop_frames are not used: %s", ht_error());
    *ret_profile = profile;
    return 0;
}

// True if both say something under this key and not the same.
static bool differs(const struct ht_profile *a, const struct ht_profile *b, const char *key)
{
    const char *value_a = ht_profile_comment_value(a, key), *value_b = ht_profile_comment_value(b, key);
    return value_a != NULL && value_b != NULL && strcmp(value_a, value_b) != 0;
}

// Returns whether they are of two runs: no time lies between those over which anything grew.
static bool warn_strangers(const struct ht_load *load, const struct ht_profile *old,
                           const struct ht_profile *new)
{
    static const char two_runs[] = ": the change is the difference of two runs, not growth";
    bool is_other = true,
         is_run = differs(old, new, "pid") || differs(old, new, "start") || differs(old, new, "boot_id");
    if (differs(old, new, "program"))
        ht_warn("these are snapshots of different programs (%s and %s)",
                ht_profile_comment_value(old, "program"), ht_profile_comment_value(new, "program"));
    else if (are_builds(new, old) && (!load->keeps_sides || load->by_lines))
        warn_builds(load, new, old, load->keeps_sides ? "" : two_runs);
    else if (is_run && !load->keeps_sides)
        ht_warn("these are snapshots of different processes%s", two_runs);
    else
        is_other = is_run || are_builds(new, old);
    if (!is_other && old->time_ns > new->time_ns &&new->time_ns != 0)
        ht_warn("the first snapshot is the newer one; the older one comes first");
    if (load->keeps_sides) // whoever tests for it knows what is noise
        return is_other;
    if (differs(old, new, "rate"))
        ht_warn("the snapshots were sampled at different rates (%s and %s bytes); small changes may be noise",
                ht_profile_comment_value(old, "rate"), ht_profile_comment_value(new, "rate"));
    if (differs(old, new, "floor_bytes"))
        ht_warn(
            "the memory limit made the sampling coarser between the snapshots; small changes may be noise");
    return is_other;
}

// A name of several processes is no snapshot.
static int check_one(const char *argument)
{
    struct ht_strings names = ht_target_names((char *const[]){(char *)(uintptr_t)argument}, 1);
    size_t count = names.count;
    ht_target_names_free(&names);
    return count == 1 ? 0 : ht_fail("%s: %zu processes have this name; name one by its pid", argument, count);
}

double ht_load_rate(const struct ht_profile *profile)
{
    const char *rate = ht_profile_comment_value(profile, "rate");
    const char *unit = ht_profile_text(profile, profile->period_type.unit);
    double bytes = rate != NULL                 ? strtod(rate, NULL)
                   : strcmp(unit, "bytes") == 0 ? (double)profile->period
                                                : 0;
    double floor = ht_profile_floor(profile);
    return bytes > floor || bytes == 0 ? bytes : floor;
}

int ht_load_pair(const struct ht_load *load, const char *old_argument, const char *new_argument,
                 struct ht_profile **ret_profile, struct ht_load_times *ret_times)
{
    if (check_one(old_argument) < 0 || check_one(new_argument) < 0)
        return -1;
    // New, old: the program and the order of mappings are the new one's.
    struct ht_profile *both[2] = {NULL, NULL};
    char *arguments[2] = {(char *)(uintptr_t)new_argument, (char *)(uintptr_t)old_argument};
    if (open_all(load, &arguments[1], 1, &both[1]) < 0)
        return -1;
    if (open_all(load, &arguments[0], 1, &both[0]) < 0) {
        ht_profile_free(both[1]);
        return -1;
    }
    bool unrelated = warn_strangers(load, both[1], both[0]);
    struct ht_load_times times = {both[1]->time_ns,      both[0]->time_ns,     unrelated, 0,
                                  ht_load_rate(both[1]), ht_load_rate(both[0])};
    settle_owners(load, both, 2);
    if (!unrelated && both[0]->tick_ns != 0 && both[0]->tick_ns == both[1]->tick_ns &&
        both[0]->ticks_now > both[1]->ticks_now)
        times.old_ticks = both[1]->ticks_now;
    if (!load->keeps_sides)
        ht_births_settle(both[0], both[1]);
    else if (!ht_births_fit(both, 2) || !ht_source_is_series(both[1], both[0]))
        times.old_ticks = 0;
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
