// What /proc says about processes: files read whole, and the few facts that several rooms want of them.
#ifndef HT_BASE_PROC_H
#define HT_BASE_PROC_H

#include "base/memory.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Context: tool. Processes may belong to others and vanish at any time: whatever cannot be read is unknown. A
// pid of 0 stands for this process.

enum { HT_PROC_PATH_BYTES = 320 };

// "/proc/4242/maps", "/proc/self/maps".
void ht_proc_path(uint32_t pid, const char *name, char path[HT_PROC_PATH_BYTES]);

// The whole of a file with a NUL behind it (content before is dropped), or false with errno.
bool ht_proc_read_file(const char *path, struct ht_buffer *ret);
bool ht_proc_read(uint32_t pid, const char *name, struct ht_buffer *ret);

// Of /proc/PID/stat.
struct ht_proc_stat {
    char state; // R, S, D, Z, T ...
    uint32_t parent;
    uint64_t start_ticks; // since boot, 1/sysconf(_SC_CLK_TCK) s
    int exit_status;      // as of waitpid, of a zombie that may be looked at
};
bool ht_proc_stat(uint32_t pid, struct ht_proc_stat *ret);

// When a process started, in ticks since boot; 0: there is none.
uint64_t ht_proc_start_ticks(uint32_t pid);

// Is the process that started then still there, if only as a zombie?
bool ht_proc_is_same(uint32_t pid, uint64_t start_ticks);

// The pids of all processes that can be seen, in order; 0 where they cannot all be listed. free() them.
size_t ht_proc_list(uint32_t **ret_pids);

// A line "Name:<tab>value" of the text of /proc/PID/status.
const char *ht_proc_status_line(const struct ht_buffer *status,
                                const char *name); // behind the colon; NULL: none
bool ht_proc_status_number(const struct ht_buffer *status, const char *name, int base, uint64_t *ret);

// The pid that a process has in its own namespace, of its status; `pid` where the kernel does not say.
uint32_t ht_proc_inner_pid(const struct ht_buffer *status, uint32_t pid);

// The number of a namespace ("pid", "mnt", "user"); 0: unknown.
uint64_t ht_proc_namespace(uint32_t pid, const char *name);

// The environment that a process was started with, as far as it is still there: programs that show a title
// write it over that. What stands there is true; what does not is unset only if all is whole.
struct ht_proc_environment {
    struct ht_buffer text; // NUL-separated
    char **items;          // "NAME=value", with NULL behind
    bool is_whole;         // it could be read, and nothing was written over it
};
void ht_proc_environment_read(uint32_t pid, struct ht_proc_environment *ret);
void ht_proc_environment_free(struct ht_proc_environment *environment);

// The name's value in an array of "NAME=value" that ends with NULL; NULL: unset.
const char *ht_proc_value_in(char *const *environment, const char *name);

// Where files of the process lie as seen from here: "" when it has our root and mounts, else
// "/proc/PID/root".
void ht_proc_root(uint32_t pid, char *text, size_t text_bytes);

// Whether the process has another root in our mounts (chroot).
bool ht_proc_is_chrooted(uint32_t pid);

// The folder of this command's executable. Fails where there is no /proc.
int ht_proc_own_folder(char ret_folder[PATH_MAX]);

// Takes the kernel's mark behind the name of a removed file off; false: there was none.
bool ht_proc_take_deleted(char *path);

// Nothing but digits: on the command line that is a process.
bool ht_proc_is_pid(const char *argument);

// The number, when a process could have it.
bool ht_proc_parse_pid(const char *argument, uint32_t *ret_pid);

#endif
