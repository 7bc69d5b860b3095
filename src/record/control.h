// Switching recording on and off in a region: by its own process, or by the command from outside.
#ifndef HT_RECORD_CONTROL_H
#define HT_RECORD_CONTROL_H

#include "record/layout.h"

// `now_ns` is CLOCK_MONOTONIC. Time between a stop and a start is added up, so that profiles can say what
// they miss. Context: hook, tool; lock-free, may run in several processes at once.
void ht_control_activate(struct ht_region_header *header, uint64_t now_ns);
void ht_control_deactivate(struct ht_region_header *header, uint64_t now_ns);

#endif
