// Judges and ranks the call sites of a series of snapshots.
#include "stats/growth.h"

#include "base/error.h"
#include "stats/drift.h"

#include <math.h>
#include <stdlib.h>

enum { LEAST_SNAPSHOTS = 3 };

static bool is_growing(const struct ht_trend *trend)
{
    return trend->verdict == HT_VERDICT_GROWS || trend->verdict == HT_VERDICT_STEPS;
}

// What grows, by how much is believed at least; then what grew or may grow; then the rest, by what it holds.
static int class_of(const struct ht_trend *trend)
{
    return is_growing(trend)                        ? 0
           : trend->verdict == HT_VERDICT_UNDECIDED ? 1
           : trend->verdict == HT_VERDICT_LEVELS    ? 1
                                                    : 2;
}

static int compare_rows(const void *left, const void *right)
{
    const struct ht_growth_row *a = left, *b = right;
    int class_a = class_of(&a->trend), class_b = class_of(&b->trend);
    if (class_a != class_b)
        return class_a - class_b;
    double x = class_a == 0 ? fmax(a->trend.low, 0) : a->trend.now;
    double y = class_b == 0 ? fmax(b->trend.low, 0) : b->trend.now;
    if (x == y) {
        x = a->trend.now;
        y = b->trend.now;
    }
    return x != y ? (x < y) - (x > y) : (a->row > b->row) - (a->row < b->row);
}

static int compare_chances(const void *left, const void *right)
{
    double a = (*(const struct ht_growth_row *const *)left)->trend.p_value;
    double b = (*(const struct ht_growth_row *const *)right)->trend.p_value;
    return (a > b) - (a < b);
}

// Source: Benjamini and Hochberg 1995; the rows' samples are independent of each other.
static void correct_for_many(struct ht_growth *growth)
{
    struct ht_growth_row **order = ht_realloc_array(NULL, growth->count + 1, sizeof(struct ht_growth_row *));
    for (size_t i = 0; i < growth->count; i++)
        order[i] = &growth->rows[i];
    qsort(order, growth->count, sizeof(struct ht_growth_row *), compare_chances);
    double least = 1;
    for (size_t i = growth->count; i-- > 0;) {
        least = fmin(least, order[i]->trend.p_value * (double)growth->count / (double)(i + 1));
        order[i]->q_value = least;
        if (is_growing(&order[i]->trend) && growth->growing++ == 0)
            growth->false_share = least;
    }
    free(order);
}

static void judge_row(struct ht_growth *growth, size_t number)
{
    const struct ht_series *series = growth->series;
    const struct ht_series_row *of = &series->rows[number];
    struct ht_growth_row *row = &growth->rows[growth->count];
    struct ht_trend_sample *samples;
    size_t count = ht_series_samples(series, number, &samples);
    *row = (struct ht_growth_row){.row = number, .freed_share = NAN};
    if (count > 0) {
        ht_trend_judge(&row->trend, samples, count, series->times, series->count, growth->chance);
        row->values = ht_realloc_array(NULL, series->count, sizeof *row->values);
        ht_trend_series(row->values, samples, count, series->times, series->count, 0);
        if (of->allocated > 0)
            row->freed_share = fmin(1, fmax(0, 1 - of->in_use / of->allocated));
        growth->count++;
    }
    free(samples);
}

static void measure(struct ht_growth *growth)
{
    const struct ht_series *series = growth->series;
    struct ht_slope slope = ht_slope_of(series->live, series->times, series->count);
    growth->live_per_s = slope.per_s;
    growth->live_error = slope.error;
    growth->resident_per_s = growth->resident_error = NAN;
    for (size_t k = 0; k < series->count; k++)
        if (isnan(series->resident[k]))
            return;
    slope = ht_slope_of(series->resident, series->times, series->count);
    growth->resident_per_s = slope.per_s;
    growth->resident_error = slope.error;
}

int ht_growth_judge(struct ht_growth *growth, const struct ht_series *series, double chance)
{
    *growth = (struct ht_growth){.series = series, .chance = chance};
    if (series->count < LEAST_SNAPSHOTS)
        return ht_fail(
            "%zu snapshots of one process are too few to see growth in: %d at least, 20 or more are better",
            series->count, LEAST_SNAPSHOTS);
    growth->rows = ht_alloc_zero(series->row_count + 1, sizeof *growth->rows);
    for (size_t i = 0; i < series->row_count; i++)
        judge_row(growth, i);
    correct_for_many(growth);
    measure(growth);
    qsort(growth->rows, growth->count, sizeof *growth->rows, compare_rows);
    return 0;
}

void ht_growth_free(struct ht_growth *growth)
{
    for (size_t i = 0; i < growth->count; i++)
        free(growth->rows[i].values);
    free(growth->rows);
    *growth = (struct ht_growth){0};
}

struct ht_growth_time ht_growth_time_to(const struct ht_growth *growth, double room_bytes)
{
    double per_s = 0, variance = 0;
    for (size_t i = 0; i < growth->count; i++)
        if (is_growing(&growth->rows[i].trend)) {
            per_s += growth->rows[i].trend.per_s;
            variance += growth->rows[i].trend.error * growth->rows[i].trend.error;
        }
    double low = per_s - 1.96 * sqrt(variance), high = per_s + 1.96 * sqrt(variance);
    return (struct ht_growth_time){per_s > 0 ? room_bytes / per_s : INFINITY,
                                   high > 0 ? room_bytes / high : INFINITY,
                                   low > 0 ? room_bytes / low : INFINITY};
}
