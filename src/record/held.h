// The live heap by estimate, kept up to date with each sample, and the most of it lately: what a process held
// before its exit began to free.
#ifndef HT_RECORD_HELD_H
#define HT_RECORD_HELD_H

#include "record/layout.h"

// Context: hook, any thread; lock-free. Adds what a sample stands for, or takes it off. Threads that begin a
// quarter at the same moment may lose each other's maximum, no more.
void ht_held_add(struct ht_region_header *header, int64_t bytes, uint64_t now_ns);

// The most that was held within a second and a quarter before `now_ns`; 0: nothing changed in that time.
int64_t ht_held_lately(const struct ht_region_header *header, uint64_t now_ns);

#endif
