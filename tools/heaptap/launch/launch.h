// The parts of `heaptap run`: its settings, the environment of the program, and the child that runs it.
#ifndef HT_LAUNCH_LAUNCH_H
#define HT_LAUNCH_LAUNCH_H

#include "elf/image.h"
#include "record/layout.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum ht_run_exit {
    HT_RUN_OWN_FAILURE = 125,
    HT_RUN_CANNOT_EXECUTE = 126,
    HT_RUN_NOT_FOUND = 127,
    HT_RUN_SIGNAL_BASE = 128, // + the signal the program died of
};

#define HT_RUN_UNSET UINT64_MAX

// What was given on the command line; NULL, HT_RUN_UNSET or -1: nothing, so that a variable in the
// environment or the shim's default stays.
struct ht_run_settings {
    const char *out; // made absolute by the command
    const char *signal, *only, *labels, *unwind, *allocator;
    uint64_t rate_bytes, interval_ns, growth_bytes, memory_bytes;
    int64_t keep;
    bool no_exit, dormant, verbose, no_symbolize;
    uint64_t run_id; // this run's mark, in the region of each of its processes; 0: none
};

// Context: tool. Functions that return int give -1 with ht_error().

// libheaptap.so beside the command (`directory`: where the command is), in ../lib, or installed.
int ht_run_find_shim(const char *directory, char ret_path[PATH_MAX]);

// A library by its name in the folders of the system; false: it is not there.
bool ht_run_find_installed(const char *name, char ret_path[PATH_MAX]);

// The allocator to preload behind the shim: jemalloc, tcmalloc, mimalloc, or a path.
int ht_run_find_allocator(const char *name, char ret_path[PATH_MAX]);

// What is preloaded.
struct ht_run_libraries {
    const char *shim, *allocator; // allocator: NULL, none
    char companion[PATH_MAX];     // "": none
    char of[NAME_MAX + 1];        // the library that it stands before, "": none
    bool is_missing;              // it would be needed, and does not lie beside the shim
};

// The companion that sees what an allocator gives out beside malloc; NULL: none is needed.
const char *ht_run_companion_of(const struct ht_elf_image *image);

// Fills in the companion for the allocator, without one for the first library of an allocator that the
// program (an ELF file) loads.
void ht_run_find_companion(const char *program, struct ht_run_libraries *libraries);

// LD_PRELOAD: shim, companion and allocator, then what was there; a companion without --allocator stands
// directly before its allocator, or last. An older libheaptap.so in it is dropped. free() it.
char *ht_run_preload(const struct ht_run_libraries *libraries, const char *existing);

// The environment of the program: `base` with LD_PRELOAD and the HEAPTAP_ variables of the settings. free()
// the array and its strings with ht_run_environment_free. With `outside` the command itself takes the
// snapshots of --interval.
char **ht_run_environment(char *const *base, const struct ht_run_settings *settings, const char *preload,
                          bool outside);
void ht_run_environment_free(char **environment);

// Where regions are with this environment; "" when they are off: then nothing can be read from outside.
const char *ht_run_live_directory(char *const *environment);

// Where profiles go, absolute; false when that is not known.
bool ht_run_profile_directory(char *const *environment, char ret_path[PATH_MAX]);

// Makes a line for a person and hands it to `say` (NULL: nobody), which may be called in any process of this
// run.
void ht_run_say(void (*say)(const char *text), const char *format, ...) __attribute__((format(printf, 2, 3)));

// A child program and what is to happen meanwhile.
struct ht_child {
    const char *path; // of the executable
    char *const *argv;
    char *const *environment;
    uint64_t interval_ns;                    // 0: no ticks
    void (*started)(pid_t child, void *arg); // it runs
    void (*tick)(pid_t child, void *arg);    // in a process of its own, at exact intervals
    void (*ended)(pid_t child, const siginfo_t *info, void *arg); // the child is dead, but not yet reaped
    void (*say)(const char *text);                                // why it could not be started
    void *arg;
};

// Starts the program, passes signals on, waits, and returns what `heaptap run` exits with; when the program
// could not be started, 125, 126 or 127 after saying why.
//
// Signals: the program stays in our process group, so those of the terminal reach it without us, and only
// those that another process sent to us are passed on (with their value, if queued). When the terminal stops
// the program, we stop too, for the shell's sake. A signal that was sent to the whole process group reaches
// the program twice.
int ht_child_run(const struct ht_child *child);

// How a process below the program ended that left its region behind.
struct ht_death {
    const struct ht_region_header *header;
    const char *region_path;
    bool is_known; // else nobody but its parent knows
    int status;    // as of waitpid
};

struct ht_family {
    const char *live_directory;
    uint64_t run_id;
    pid_t program;                                         // looked after by its parent, not here
    void (*died)(const struct ht_death *death, void *arg); // in the watching process
    void *arg;
};

struct ht_family_watcher {
    pid_t pid;
    int control; // -1: there is none
};

// Starts a process that watches over the family until ht_family_end; nothing that goes wrong there can take
// the program's parent away. It takes no signal and wakes only when a region appears or a process of the run
// ends. What was started without a region, or in another pid namespace, is not seen.
void ht_family_watch(const struct ht_family *family, struct ht_family_watcher *ret_watcher);

// The program is dead; `killed`: by a signal, so that others may follow it within a moment. What still runs
// after that goes on unwatched.
void ht_family_end(struct ht_family_watcher *watcher, bool killed);

// Profiles in a directory that were written since `started`, the newest first.
struct ht_written_files {
    struct ht_written {
        char *name;
        struct timespec time;
    } * files;
    size_t count, capacity;
};
void ht_run_list_written(const char *directory, struct timespec started, struct ht_written_files *list);
void ht_run_free_written(struct ht_written_files *list);

// The last thing that a run does: puts names into the profiles in this directory that its processes wrote
// since it started, newest first, in a process of its own. Whatever goes wrong there, a profile stays as it
// was. Says so when it takes longer than 3 seconds, gives up after 60 or at Ctrl-C. The signals that could
// interrupt are blocked.
void ht_run_symbolize(const char *directory, uint64_t run_id, struct timespec started,
                      void (*say)(const char *text));

#endif
