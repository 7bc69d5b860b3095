// Region files from outside: opens them safely and copies their bytes so that every live sample is whole.
#ifndef HT_REGION_COPY_H
#define HT_REGION_COPY_H

#include "record/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

// Context: tool. Functions that return int give -1 with the reason and the remedy in ht_error(), written so
// that it can follow "FILE: ". The files may belong to others, change, be cut and vanish at any time: they
// are read with pread into memory of ours, never mapped, so nobody can make us fault.

// heaptap.<...>.live
bool ht_region_is_name(const char *path);

// Opens a region file: never through a link in its last component, never waiting (a fifo), only regular
// files. `flags`: O_RDONLY or O_RDWR. Returns the descriptor or -1.
int ht_region_open(const char *path, int flags, struct stat *ret_stat);

// Whether an errno of these functions says something of us and of this moment, and nothing of the file.
bool ht_region_is_passing(int error);

// The header alone of a finished region, of any version, its program's name with a NUL behind; for the
// identity of what it is about. ret_stat (may be NULL) is set as soon as the file is open.
int ht_region_read_header(const char *path, struct ht_region_header *ret_header, struct stat *ret_stat);

// Names of region files in a directory that the caller may read; free each and the array. Of one user at most
// 1,024 are looked at, of all 8,192; a warning tells.
size_t ht_region_files(const char *directory, char ***ret_paths);

// A copy of a region that no longer changes, and the view of it.
struct ht_region_copy {
    uint8_t *bytes; // mapped (region/sparse.h)
    uint64_t mapped_bytes;
    uint64_t file_bytes;   // the file's size
    uint64_t blocks_bytes; // the memory it takes
    uint64_t begun_ns;     // CLOCK_MONOTONIC before the first byte was copied: what was born before is in it
    struct ht_view view;
};

// Copies what is in use; memory is taken by what the file holds, not by what it claims. Live samples that
// changed while they were copied are left out rather than torn: the copy holds each of them whole or not at
// all. Its writer may be at work; nobody waits.
int ht_region_read(int fd, struct ht_region_copy *ret_copy);
// The same of a region whose tables may contradict each other, for those who look for that (record/check.h).
int ht_region_read_damaged(int fd, struct ht_region_copy *ret_copy);
void ht_region_copy_free(struct ht_region_copy *copy);

#endif
