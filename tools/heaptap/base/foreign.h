// Files that foreign bytes name: a profile, a region, a process, another file.
#ifndef HT_BASE_FOREIGN_H
#define HT_BASE_FOREIGN_H

#include "base/rights.h"

#include <sys/stat.h>

// Context: tool, one thread.

// Opens a regular file for reading with the owner's rights, wherever the name leads; never a device, a FIFO
// or a socket: it is looked at before it is opened (O_PATH), so nothing waits and nothing is set off. `root`
// is the folder that the name's "/" stands for, NULL or "" for ours: links do not lead out of it (openat2,
// where the kernel has it); nor do they out of /proc/PID/root where a name begins with that. Returns a
// descriptor, or -1 with errno and the reason in ht_error(); ret_stat may be NULL.
int ht_foreign_open(struct ht_owner owner, const char *root, const char *path, struct stat *ret_stat);

// What access(path, R_OK) is for ht_foreign_open().
int ht_foreign_check(struct ht_owner owner, const char *root, const char *path);

#endif
