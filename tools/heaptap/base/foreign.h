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

// The two halves of it, with the rights as they are. A file that is only looked at (O_PATH), whatever it is;
// without `follow` a link in its last component is the file, and below /proc/PID/root there may be none at
// all. And that file, opened with O_RDONLY or O_RDWR. Descriptors, or -1 with errno.
int ht_foreign_look(const char *path, bool follow);
int ht_foreign_open_looked(int looked_at, int flags);

#endif
