// Profiled processes and their regions, from outside: who has one, is it alive, and a whole copy of its
// bytes.
#ifndef HT_REGION_PROCESS_H
#define HT_REGION_PROCESS_H

#include "region/copy.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

// Context: tool. Functions that return int give 0, or -1 with the reason and the remedy in ht_error(),
// written so that it can follow "PID: " or "FILE: ". Nothing that is read is trusted: processes and files may
// belong to others, change and vanish at any time.

// A process that has the shim loaded.
struct ht_process {
    uint32_t pid;         // as seen from here
    uint32_t own_pid;     // in its own pid namespace
    uint64_t start_ticks; // since boot, 1/sysconf(_SC_CLK_TCK) s
    uid_t uid;            // effective
    gid_t gid;
    char program[64];           // the kernel's short name, until a region says better
    bool has_region;            // a region of its own; a forked child has none before its first sample
    char region_path[PATH_MAX]; // a name under which the region can be opened from here
    uint64_t device, inode;     // of the region
};

// Every process that has the shim or a region of its own mapped and may be looked at, by pid. free() it.
int ht_process_list(struct ht_process **ret_processes, size_t *ret_count);

// One process; fails when it does not exist, may not be looked at, or is not profiled at all.
int ht_process_find(uint32_t pid, struct ht_process *ret_process);

// Why a profiled process has no region yet and what to do (for ht_process.has_region == false).
void ht_process_explain_no_region(const struct ht_process *process, char *text, size_t text_bytes);

// The parent's pid and the start of a process, from /proc/PID/stat.
bool ht_process_stat(uint32_t pid, uint32_t *ret_parent, char *ret_state, uint64_t *ret_start_ticks);

// Names come from programs and reach a terminal: control characters become '_'.
void ht_process_printable(char *text);

// The whole of a file of /proc with a NUL behind it (content before is dropped), or false with errno.
struct ht_buffer;
bool ht_process_read_file(const char *path, struct ht_buffer *ret);

// A variable of the environment a process was started with; false: unset, or not readable.
bool ht_process_environment(uint32_t pid, const char *name, char *text, size_t text_bytes);

// Where files of the process lie as seen from here: "" when it has our root and mounts, else
// "/proc/PID/root".
void ht_process_root(uint32_t pid, char *text, size_t text_bytes);

// A region as named on the command line: by the PID of its process or by its file (*.live).
struct ht_target {
    char name[PATH_MAX]; // as given
    bool alive;          // its process runs; `process` is filled in
    struct ht_process process;
    char region_path[PATH_MAX];
    struct stat stat;
    int fd; // of the region, O_RDONLY or as asked; HT_NO_FD after ht_target_close
};
#define HT_NO_FD (-1)

int ht_target_open(const char *argument, int flags, struct ht_target *ret_target);
void ht_target_close(struct ht_target *target);

// Is the process that wrote this region still running with it? (A process that called exec is another
// program.) True also when it cannot be told: a live process's region must never be taken for a dead one's.
bool ht_region_is_alive(const struct ht_region_header *header, const struct stat *stat,
                        struct ht_process *ret_process);

#endif
