// Whose the snapshot signal of a profiled process is: ours, or the program's own.
#ifndef HT_REGION_SIGNAL_H
#define HT_REGION_SIGNAL_H

#include "record/layout.h"

#include <stdbool.h>
#include <stdint.h>

// Context: tool. The kernel tells nobody outside whose a handler is, so the process is asked, through its
// region; it answers at its next sample or free of a sampled block. One that does neither keeps its last
// answer.

// Asks the process of the region `path`; false when it cannot be asked (not ours to write, gone). *ret_asked
// is for ht_signal_is_fresh.
bool ht_signal_ask(const char *path, uint32_t *ret_asked);

// Whether the header that was read later has the answer.
bool ht_signal_is_fresh(const struct ht_region_header *header, uint32_t asked);

// Asks and waits for the answer, timeout_ms at most. False: there is none; *ret_owner is then what it said
// last.
bool ht_signal_owner(const char *path, int timeout_ms, enum ht_signal_owner *ret_owner);

// "SIGUSR2", "signal 40".
enum { HT_SIGNAL_NAME_BYTES = 32 };
void ht_signal_name(int number, char name[HT_SIGNAL_NAME_BYTES]);

// USR2, usr2: 12; 0: no such name.
int ht_signal_number(const char *name);

#endif
