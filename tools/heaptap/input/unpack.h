// Files that another program has to unpack: zstd, xz, bzip2, lz4.
#ifndef HT_INPUT_UNPACK_H
#define HT_INPUT_UNPACK_H

#include "profile/profile.h"

#include <sys/types.h>

// A program that unpacks a file into a pipe.
struct ht_unpack {
    const char *program;
    int fd; // the pipe's reading end
    pid_t pid;
    struct ht_profile_limits limits; // for the reader: a small file that becomes a large one is refused
};

// Context: tool. Functions that return int fail with ht_error().

// The program has the rights of the file's owner where we are root, nothing of the environment, at most 4 GB
// of memory and 120 s of computing, and what it says is not heard.

// Starts the program that an open file needs, from where it stands: 1, or 0 if it is not packed or cannot be
// looked at without reading it (a pipe).
int ht_unpack_start(struct ht_unpack *unpack, int fd);

// Closes the pipe and waits for the program. `result` is that of reading; fails with the program's failure if
// that was the reason.
int ht_unpack_end(struct ht_unpack *unpack, int result);

#endif
