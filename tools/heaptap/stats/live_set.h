// The live samples of one look at a region, their sum, and the change between two looks, each with its
// standard error.
#ifndef HT_STATS_LIVE_SET_H
#define HT_STATS_LIVE_SET_H

#include "record/view.h"

#include <stddef.h>

// Estimators (Horvitz and Thompson): a sample of size s that was drawn with probability P stands for s/P
// bytes, and adds s^2 (1-P)/P^2 to the variance. Between two looks the samples that survived cancel exactly,
// so that only what was allocated or freed in between makes noise. With P from the later look's floor on both
// sides.

struct ht_live_item {
    uint64_t address, birth_ns, size_bytes;
    float rate_bytes, rank_bytes;
};

struct ht_live_set {
    struct ht_live_item *items; // by address, then birth
    size_t count, capacity;
    double floor_bytes; // of thinning
};

struct ht_estimate {
    double bytes;
    double error_bytes; // one standard error
};

// Context: tool; pure but for memory.
void ht_live_set_fill(struct ht_live_set *set, const struct ht_view *view);
void ht_live_set_free(struct ht_live_set *set);
struct ht_estimate ht_live_set_total(const struct ht_live_set *set);
struct ht_estimate ht_live_set_change(const struct ht_live_set *before, const struct ht_live_set *after);

#endif
