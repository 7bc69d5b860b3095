// Stacks and entries: one record for each distinct stack, one for each (kind, stack, size class, label);
// append-only.
#ifndef HT_RECORD_STACKS_H
#define HT_RECORD_STACKS_H

#include "record/region.h"

// Context of all: hook, any thread; lock-free; no errno; memory from the region only.

// The entry of a stack; made when new. When no memory is left for it the overflow entry of the kind and size
// class is given, and counted. 0 when not even that can be had, or there is no such kind. Kinds without sizes
// have size class 0.
uint32_t ht_entry_intern(struct ht_region *region, uint32_t kind, const uint64_t *frames,
                         uint32_t frame_count, uint32_t flags, uint32_t size_class, uint32_t label_ref);

// A string, once; 0 when no memory is left.
uint32_t ht_string_intern(struct ht_region *region, const char *text, uint32_t length_bytes);

// Adds one sample to an entry's totals. `amount`: its size in bytes, its length in nanoseconds, ...; weight =
// 1/P; noise in [0, 1) rounds the fixed point without bias. The variance comes last (E6).
void ht_entry_add(struct ht_region *region, uint32_t entry_ref, uint64_t amount, double weight, double noise);

// What all entries hold by now is what a forked child began with. Context: the one who makes the region,
// before it is published.
void ht_entries_began(struct ht_region *region);

#endif
