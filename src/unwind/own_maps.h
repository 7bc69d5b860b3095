// This process's /proc/self/maps, for what the loader does not tell.
#ifndef HT_UNWIND_OWN_MAPS_H
#define HT_UNWIND_OWN_MAPS_H

#include "sys/maps.h"

#include <stdbool.h>
#include <stdint.h>

// One reader at a time; a second one (another thread, a signal handler) goes without instead of waiting:
// false. Context: hook; raw system calls only.
bool ht_own_maps_open(void);
// The path of the last line stays readable until the next ht_own_maps_open of anybody: copy it before this.
void ht_own_maps_close(void);

// The mapping that contains `address` (its path lies in the buffer), and where the mapping of the beginning
// of the same file lies. The caller has the maps open.
bool ht_own_maps_find(uintptr_t address, struct ht_maps_line *ret_line, uintptr_t *ret_image);

// In a forked child: whoever had the maps open does not exist.
void ht_own_maps_after_fork(void);

#endif
