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
    uid_t uids[4];              // real, effective, saved, of file systems
    char program[64];           // the kernel's short name, until a region says better
    char short_name[16];        // that one
    bool has_region;            // a region of its own; a forked child has none before its first sample
    bool has_private_tables;    // memory of its own where a region would be: nobody else can read it
    char region_path[PATH_MAX]; // a name under which the region can be opened from here
    uint64_t device, inode;     // of the region
    // A forked child without one: it holds what it has from whom made the region that it has mapped, as long
    // as it has recorded nothing, at least what that one still holds of before the fork. region_path and
    // inode are that region's then.
    bool is_heir;
    uint64_t heir_ticks; // when the child was forked in whose line it is; start_ticks of that one
};

// Every process that has the shim or a region of its own mapped and may be looked at, by pid. free() it.
int ht_process_list(struct ht_process **ret_processes, size_t *ret_count);

// One process; fails when it does not exist, may not be looked at, or is not profiled at all. A number that
// is no profiled process's here, but one's in its container, means that one.
int ht_process_find(uint32_t pid, struct ht_process *ret_process);

// Could the process have made a file of this owner? Root's are not made by others.
bool ht_process_is_owner(const struct ht_process *process, uid_t owner);

// Whether a process is called so: by its region, or by the kernel.
bool ht_process_is_named(const struct ht_process *process, const char *name);

// Why a profiled process has no region yet and what to do (for ht_process.has_region == false).
void ht_process_explain_no_region(const struct ht_process *process, char *text, size_t text_bytes);

// One look at all processes, for the questions about many regions.
struct ht_processes {
    struct ht_process *items;
    size_t count;
    bool is_known; // false: they cannot be listed
    bool is_whole; // each of them could be looked at, or may not be looked at by us
};
void ht_processes_look(struct ht_processes *ret_processes);
void ht_processes_free(struct ht_processes *processes);

// Is the process that wrote this region still running with it? (A process that called exec is another
// program.) True also when it cannot be told: a live process's region must never be taken for a dead one's.
// `processes`: as they were looked at after the file was seen, or its process may have come between; NULL:
// now.
bool ht_region_is_alive(const struct ht_region_header *header, const struct stat *stat,
                        const struct ht_processes *processes, struct ht_process *ret_process);

#endif
