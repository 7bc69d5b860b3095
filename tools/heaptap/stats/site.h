// The call sites of a profile's samples: what rows of a comparison are about.
#ifndef HT_STATS_SITE_H
#define HT_STATS_SITE_H

#include "profile/place.h"

// A call site is the frame nearest to the allocation that is not plumbing (allocators, the C and C++ runtime,
// standard containers), or the leaf if all are.
struct ht_sites {
    struct ht_place *places; // in order of their first samples
    size_t count, capacity;
    uint32_t *of_sample; // by sample: its place
};

// Context: tool; pure but for memory. `leaf`: the frame nearest to the allocation, whatever it is. The
// profile is not changed.
void ht_sites_find(struct ht_sites *sites, const struct ht_profile *profile, int granularity, bool leaf);
void ht_sites_free(struct ht_sites *sites);

#endif
