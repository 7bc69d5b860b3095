// The parts of `heaptap run`: its settings, the environment of the program, and the child that runs it.
#ifndef HT_CMD_RUN_H
#define HT_CMD_RUN_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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
    bool no_exit, dormant, verbose;
};

// Context: tool. Functions that return int give -1 with ht_error().

// libheaptap.so beside the command (`directory`: where the command is), in ../lib, or installed.
int ht_run_find_shim(const char *directory, char ret_path[PATH_MAX]);

// The allocator to preload behind the shim: "jemalloc", or a path.
int ht_run_find_allocator(const char *name, char ret_path[PATH_MAX]);

// LD_PRELOAD: shim, allocator (NULL: none), then what was there; an older libheaptap.so in it is dropped.
// free() it.
char *ht_run_preload(const char *shim, const char *allocator, const char *existing);

// The environment of the program: `base` with LD_PRELOAD and the HEAPTAP_ variables of the settings. free()
// the array and its strings with ht_run_environment_free. With `outside` the command itself takes the
// snapshots of --interval.
char **ht_run_environment(char *const *base, const struct ht_run_settings *settings, const char *preload,
                          bool outside);
void ht_run_environment_free(char **environment);

// A variable of an environment, NULL if unset.
const char *ht_run_variable(char *const *environment, const char *name);

// A child program and what is to happen meanwhile.
struct ht_child {
    const char *path; // of the executable
    char *const *argv;
    char *const *environment;
    uint64_t interval_ns;                 // 0: no ticks
    void (*tick)(pid_t child, void *arg); // in a process of its own, at exact intervals
    void (*ended)(pid_t child, const siginfo_t *info, void *arg); // the child is dead, but not yet reaped
    void *arg;
};

// Starts the program, passes signals on, waits, and returns what `heaptap run` exits with; when the program
// could not be started, 126 or 127 after a message.
//
// Signals: the program stays in our process group, so those of the terminal reach it without us, and only
// those that another process sent to us are passed on (with their value, if queued). When the terminal stops
// the program, we stop too, for the shell's sake. A signal that was sent to the whole process group reaches
// the program twice.
int ht_child_run(const struct ht_child *child);

#endif
