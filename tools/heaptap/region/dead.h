// Removing the regions that dead processes left behind.
#ifndef HT_REGION_DEAD_H
#define HT_REGION_DEAD_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ht_dead_fate {
    HT_DEAD_REMOVED,
    HT_DEAD_KEPT,  // not ours, or not surely dead
    HT_DEAD_STUCK, // dead, but it could not be removed
};

// What became of a region.
struct ht_dead {
    enum ht_dead_fate fate;
    const char *path;
    const char *reason; // why it was kept, could not be removed, or had no program; NULL: removed, as follows
    const char *program; // with `reason` NULL
    uint32_t pid;
    uint64_t size_bytes; // that it took
};

// Where programs of this environment leave their regions: /dev/shm and HEAPTAP_LIVE; returns how many.
enum { HT_DEAD_FOLDERS = 2 };
size_t ht_dead_folders(const char *ret_folders[HT_DEAD_FOLDERS]);

// The newest region that a process of this number, which has ended, left there; false: none.
bool ht_dead_find(uint32_t pid, char ret_path[PATH_MAX]);

// Removes every region in `directory` whose process is dead, and tells what became of each but those of the
// living. Removed is only what is ours: a regular file with one name, our magic, this user's (root:
// anybody's), of this pid namespace. Context: tool.
void ht_dead_clean(const char *directory, void (*told)(const struct ht_dead *dead, void *arg), void *arg);

#endif
