// How much memory a process may have.
#ifndef HT_BASE_LIMIT_H
#define HT_BASE_LIMIT_H

#include <stdint.h>

// Context: tool. The least memory.max (or memory.limit_in_bytes) of the control groups that it is in, or the
// machine's memory; *ret_name says which, a constant. 0: unknown.
uint64_t ht_limit_of(uint32_t pid, const char **ret_name);

// The machine's boot id; "": unknown.
void ht_limit_boot_id(char text[40]);

#endif
