// The call sites of a series of snapshots, judged and ranked by how steadily they grew.
#ifndef HT_STATS_GROWTH_H
#define HT_STATS_GROWTH_H

#include "stats/series.h"

struct ht_growth_row {
    size_t row; // of the series; SIZE_MAX: of the total
    struct ht_trend trend;
    double q_value;     // false discovery rate if this row and all with smaller ones are called growing
    double freed_share; // of what it allocated; NaN: not to be told
    double *values;     // the series at its common floor
};

struct ht_growth {
    const struct ht_series *series;
    struct ht_growth_row *rows; // what grows first, the fastest on top
    size_t count;
    size_t growing;                        // rows that grow, in whatever shape
    double chance;                         // for one row
    double resident_per_s, resident_error; // slope of RSS; NaN: unknown
    double live_per_s, live_error;
    double false_share; // of the rows that are called growing, expected to be chance at most
};

// Context: tool; pure but for memory. At least 3 snapshots, else it fails. `chance`: how often a row that
// does not grow may be called growing.
int ht_growth_judge(struct ht_growth *growth, const struct ht_series *series, double chance);
void ht_growth_free(struct ht_growth *growth);

// Seconds until the live heap, growing as it does, has `room_bytes` more, with the limits of its 95 %
// interval; INFINITY: never, as far as is known.
struct ht_growth_time {
    double s, low_s, high_s;
};
struct ht_growth_time ht_growth_time_to(const struct ht_growth *growth, double room_bytes);

#endif
