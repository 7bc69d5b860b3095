// Loading for reports: inputs merged, a base taken off, names found, allocator wrappers left out.
#ifndef HT_INPUT_LOAD_H
#define HT_INPUT_LOAD_H

#include "base/options.h"
#include "input/input.h"
#include "profile/profile.h"
#include "resolve/resolve.h"

struct ht_load {
    struct ht_strings bases, diff_bases;
    bool normalize;
    bool sum;        // add up all: also several snapshots of one process, and what a family shares
    bool by_process; // samples say of which process they are (profile/kin.h)
    const char *symbolize, *demangle; // as given, or NULL; ht_load_interpret() makes of them:
    bool no_symbols;                  // --symbolize=none
    bool no_remote_names;             // --symbolize=local
    bool by_lines;                    // the report's rows go by lines or addresses
    const char *sample_index;         // what it counts, NULL: the profile's default
    // Of a pair: two runs or builds are what is wanted, and the errors stay each side's own; of one process
    // old_ticks is told only where the samples of both can be told apart by it.
    bool keeps_sides;
    bool all_frames;                // also those that the profile itself calls an allocator's
    const char *build_id, *comment; // instead of the program's own; for the result. NULL: none
    const char *program; // the profiles' program named in front of them, NULL: none (input/program.h)
    struct ht_input_options input;
    struct ht_resolve_options resolve;
};

// Context: tool. Functions that return int fail with ht_error(), which names the input that it is about; what
// can be lived with is a warning (ht_warn(), ht_note_error()).

// Makes options for the layers below of the words of --symbolize and --demangle.
int ht_load_interpret(struct ht_load *load);

// Opens and merges the inputs, subtracts the base, resolves and prunes. Of several URLs those that do not
// answer are left out, of several snapshots of one process all but the newest; what forked processes share is
// counted once. The profile's time is that of the inputs, whatever the base's.
int ht_load_profile(const struct ht_load *load, char **arguments, int count, struct ht_profile **ret_profile);

// One snapshot of many, resolved and pruned, without a word about what may be wrong with it.
int ht_load_one(const struct ht_load *load, const char *argument, struct ht_profile **ret_profile);

// Two snapshots in one profile: the samples of the older one carry HT_COMPARE_OLD_LABEL. Warns when they do
// not belong together (other program, process or rate; the wrong way round).
struct ht_load_times {
    int64_t old_ns, new_ns;    // of the snapshots, since the epoch; 0 unknown
    bool unrelated;            // two runs: what lies between is no time of growth
    int64_t old_ticks;         // of one process, when the older one was taken by its clock; 0: unknown
    double old_rate, new_rate; // mean distances between samples; 0: unknown
};

// The mean distance between a profile's samples in bytes; 0: unknown.
double ht_load_rate(const struct ht_profile *profile);

int ht_load_pair(const struct ht_load *load, const char *old_argument, const char *new_argument,
                 struct ht_profile **ret_profile, struct ht_load_times *ret_times);

#endif
