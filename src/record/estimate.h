// The sampling law: with which probability a block is sampled, what a sample stands for, and size classes.
#ifndef HT_RECORD_ESTIMATE_H
#define HT_RECORD_ESTIMATE_H

#include <stdint.h>

// A live sample, whole.
struct ht_live_copy {
    uint64_t address;
    uint64_t size_bytes;
    uint64_t birth_ns;
    float rate_bytes, rank_bytes;
    uint32_t entry_ref;
};
// Probability that an allocation of this size is sampled at this mean distance; source: Poisson process by
// bytes, P = 1 - exp(-size/rate), 1 at rates <= 1.
double ht_probability(uint64_t size_bytes, double rate_bytes);

// The weight 1/P of a live sample at the view's floor.
double ht_live_weight(const struct ht_live_copy *live, double floor_bytes);

// A logarithmic grid, four cells for each doubling: 2^(cell/4), exactly a float. Floors lie on it, so that
// for a sample "rank > floor" is decided by the rank's cell: it is so for each floor of this cell and below.
double ht_cell_bytes(int cell);
// The largest cell whose bytes are below `bytes`; of what is no number above 0 a very small one.
int ht_cell_of(double bytes);
// The largest cell whose bytes are not above `bytes`: no rank of a sample of this rate has a lower one.
static inline int ht_cell_of_rate(double bytes)
{
    int cell = ht_cell_of(bytes);
    return ht_cell_bytes(cell + 1) <= bytes ? cell + 1 : cell;
}
// The smallest cell whose bytes are not below `bytes`: of a floor.
static inline int ht_cell_of_floor(double bytes)
{
    return ht_cell_of(bytes) + 1;
}

// Size classes: at most 12.5 % wide. The upper bound of a class is the label `bytes` of its entries.
uint32_t ht_size_class(uint64_t size_bytes);
uint64_t ht_size_class_bound(uint32_t size_class);

#endif
