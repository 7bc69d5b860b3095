// Snapshots of one process, one after the other, as series of its call sites.
#ifndef HT_STATS_SERIES_H
#define HT_STATS_SERIES_H

#include "profile/filter.h"
#include "profile/place.h"
#include "stats/trend.h"

struct ht_series_options {
    const char *sample_index; // NULL: inuse_space, or else the profile's default
    int granularity;          // HT_BY_LINES, ...
    bool leaf_sites;          // the frame nearest to the allocation, whatever it is
    bool no_births;           // goes by the values alone
    struct ht_filter filter;
};

struct ht_series_row {
    struct ht_place site;    // strings of series->names
    struct ht_place *frames; // the heaviest stack of the newest snapshot that has one, leaf first
    size_t frame_count;
    int64_t heaviest;         // its value
    double allocated, in_use; // of the newest snapshot, for the share that was freed; NaN: not to be told
    struct ht_series_item *items;
    size_t item_count, item_capacity;
};

// A sampled block, as it is found again in the next snapshot: by birth, size, rate and rank.
struct ht_series_item {
    int64_t ticks;
    uint64_t size_bytes;
    float rate_bytes;
    int16_t rank_cell;
    double value; // where the profile has no births: a part of the row's value
    uint32_t first, last;
};

struct ht_series {
    struct ht_series_options options;
    struct ht_profile *names; // keeps the strings of the rows; no samples
    struct ht_series_row *rows;
    size_t row_count, row_capacity;
    double *times, *live, *resident; // of each snapshot: seconds since the first; totals; RSS, NaN: unknown
    size_t count, capacity;
    char *sample_type, *unit;
    int64_t begin_ns, last_ns; // CLOCK_REALTIME of the first snapshot and the last
    int64_t tick_base;         // the first snapshot's clock, in ticks
    uint64_t tick_ns;          // 0: the profiles have no births
    int floor_cell;            // the coarsest of all
    // private
    struct ht_index row_index, item_index;
};

// Context: tool; pure but for memory. Functions that return int fail with ht_error().

void ht_series_begin(struct ht_series *series, const struct ht_series_options *options);

// Adds the next snapshot, named and pruned; it is changed by the filters and stays the caller's. Fails if it
// is not newer than the last one, lacks the sample type, or the filter is wrong. 1: births are missing in it
// that others have, or the other way round; then only a series without them can be had.
int ht_series_add(struct ht_series *series, struct ht_profile *profile);

// The samples of a row for ht_trend_judge(); free() them. Returns their number.
size_t ht_series_samples(const struct ht_series *series, size_t row, struct ht_trend_sample **ret_samples);

void ht_series_free(struct ht_series *series);

#endif
