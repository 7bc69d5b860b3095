// Removing the regions that dead processes left behind.
#ifndef HT_REGION_DEAD_H
#define HT_REGION_DEAD_H

#include <stdbool.h>

// Removes every region in `directory` whose process is dead, and prints a line for each, with the reason
// where one is kept. Removed is only what is ours: a regular file with one name, our magic, this user's
// (root: anybody's), of this pid namespace. Context: tool. False when something that is dead could not be
// removed.
bool ht_dead_clean(const char *directory);

#endif
