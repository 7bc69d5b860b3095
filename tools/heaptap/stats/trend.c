// Whether a call site grew over a series of snapshots, how fast, and in which shape.
#include "stats/trend.h"

#include "base/memory.h"
#include "stats/drift.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AGES = 5, FINE_BINS = 240 };

// What is older than one of these is looked at by itself, as long as it is at most a third of the window:
// what leaks stays, what is only used comes to its end. Seconds.
static const double ages_s[AGES] = {0, 15, 100, 600, 3600};

// The share of the allowed chance that goes to the first test; the others share the rest.
#define FIRST_SHARE 0.55

struct judge {
    struct ht_trend *trend;
    const struct ht_trend_sample *samples;
    size_t sample_count;
    const double *times;
    size_t count;
    double chance;
    double *values; // of the series that is looked at
    double *d;      // its increments, or finer
    double window_s;
    double age_s; // of the series in which drift is seen best
};

const char *ht_verdict_name(enum ht_verdict verdict)
{
    static const char *const names[HT_VERDICTS] = {
        [HT_VERDICT_GROWS] = "grows",         [HT_VERDICT_STEPS] = "steps",
        [HT_VERDICT_LEVELS] = "levels",       [HT_VERDICT_CYCLES] = "cycles",
        [HT_VERDICT_SHRINKS] = "shrinks",     [HT_VERDICT_NOISE] = "noise",
        [HT_VERDICT_UNDECIDED] = "undecided",
    };
    return names[verdict];
}

// The first snapshot in which a sample is that old; `count`: none.
static size_t first_old(const struct ht_trend_sample *sample, const double *times, size_t count, double age_s)
{
    size_t low = sample->first, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (times[middle] - sample->birth_s >= age_s)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void ht_trend_series(double *values, const struct ht_trend_sample *samples, size_t sample_count,
                     const double *times, size_t count, double age_s)
{
    for (size_t k = 0; k < count; k++)
        values[k] = 0;
    for (size_t i = 0; i < sample_count; i++) {
        size_t from = first_old(&samples[i], times, count, age_s);
        if (from >= count || from > samples[i].last)
            continue;
        values[from] += samples[i].value;
        if (samples[i].last + 1 < count)
            values[samples[i].last + 1] -= samples[i].value;
    }
    for (size_t k = 1; k < count; k++)
        values[k] += values[k - 1];
    for (size_t k = 0; k < count; k++) // what sums of differences leave of a zero
        values[k] = fabs(values[k]) < 1e-6 ? 0 : values[k];
}

// Puts what comes and goes into bins: an interval between snapshots, or, where nothing goes, finer ones by
// the times of birth. Returns their number; *ret_correlated: how many intervals are worth one.
static size_t fill_increments(struct judge *judge, double age_s, double *ret_correlated)
{
    size_t n = judge->count - 1, bins = 0;
    double *fine = ht_alloc_zero(FINE_BINS + judge->count, sizeof *fine);
    double *gone = ht_alloc_zero(judge->count, sizeof *gone);
    size_t *begin = ht_alloc_zero(judge->count + 1, sizeof *begin);
    ht_trend_series(judge->values, judge->samples, judge->sample_count, judge->times, judge->count, age_s);
    for (size_t j = 0; j < n; j++)
        judge->d[j] = judge->values[j + 1] - judge->values[j];
    *ret_correlated = ht_correlated(judge->d, n);
    for (size_t j = 0; j < n; j++) {
        double share = (judge->times[j + 1] - judge->times[j]) / judge->window_s * (double)FINE_BINS;
        begin[j] = bins;
        bins += share > 1 ? (size_t)(share + 0.5) : 1;
    }
    begin[n] = bins;
    for (size_t i = 0; i < judge->sample_count; i++) {
        const struct ht_trend_sample *sample = &judge->samples[i];
        size_t from = first_old(sample, judge->times, judge->count, age_s);
        if (from >= judge->count || from > sample->last)
            continue;
        if (sample->last + 1 < judge->count)
            gone[sample->last] += sample->value;
        if (from == 0)
            continue;
        double part = (sample->birth_s + age_s - judge->times[from - 1]) /
                      (judge->times[from] - judge->times[from - 1]);
        size_t parts = begin[from] - begin[from - 1];
        size_t at = part > 0 ? (size_t)(part * (double)parts) : 0;
        fine[begin[from - 1] + (at < parts ? at : parts - 1)] += sample->value;
    }
    size_t count = 0;
    for (size_t j = 0; j < n; j++) {
        if (gone[j] > 0) {
            judge->d[count++] = judge->values[j + 1] - judge->values[j];
            continue;
        }
        for (size_t b = begin[j]; b < begin[j + 1]; b++)
            if (fine[b] > 0)
                judge->d[count++] = fine[b];
    }
    free(fine);
    free(gone);
    free(begin);
    return count;
}

// Neighbours that go together count as one; where nothing goes, nothing comes back either.
static size_t join_increments(double *d, size_t count, double correlated)
{
    size_t step = correlated > 1.5 ? (size_t)ceil(correlated) : 1, joined = 0, downs = 0;
    for (size_t i = 0; i < count; i++)
        downs += d[i] < 0;
    if (step == 1 || downs == 0)
        return count;
    for (size_t i = 0; i < count; i += step) {
        double sum = 0;
        for (size_t j = i; j < i + step && j < count; j++)
            sum += d[j];
        d[joined++] = sum;
    }
    return joined;
}

// Of ups and downs at one age, sign -1 for shrinking.
static double test_age(struct judge *judge, double age_s, double sign)
{
    double correlated;
    size_t count = fill_increments(judge, age_s, &correlated);
    count = join_increments(judge->d, count, correlated);
    for (size_t i = 0; i < count; i++)
        judge->d[i] *= sign;
    return ht_flip_p(judge->d, count);
}

// The slope of everything against its own fluctuation.
static double test_slope(struct judge *judge, double sign)
{
    ht_trend_series(judge->values, judge->samples, judge->sample_count, judge->times, judge->count, 0);
    for (size_t k = 0; k < judge->count; k++)
        judge->values[k] *= sign;
    struct ht_slope slope = ht_slope_of(judge->values, judge->times, judge->count);
    return fmax(slope.p_up, pow(0.5, (double)judge->count - 1));
}

// The least p-value of all tests, corrected for their number; judge->age_s is where to look on.
static double test_drift(struct judge *judge, double sign)
{
    size_t ages = 1;
    while (ages < AGES && ages_s[ages] <= judge->window_s / 3)
        ages++;
    if (sign < 0)
        ages = 1; // what is old comes to its end anyhow
    double others = (1 - FIRST_SHARE) / (double)ages;
    double best = test_slope(judge, sign) / others;
    judge->age_s = 0;
    for (size_t a = 0; a < ages; a++) {
        double p = test_age(judge, ages_s[a], sign) / (a == 0 ? FIRST_SHARE : others);
        if (p < best) {
            best = p;
            judge->age_s = ages_s[a];
        }
    }
    return best < 1 ? best : 1;
}

// Births and deaths of the series between two times, in samples' worth.
struct part {
    double up, down;       // values
    double births, deaths; // how many samples that is
    struct ht_slope slope;
};

static struct part look_at(const struct judge *judge, size_t from, size_t to)
{
    struct part part = {0};
    for (size_t i = 0; i < judge->sample_count; i++) {
        const struct ht_trend_sample *sample = &judge->samples[i];
        size_t first = first_old(sample, judge->times, judge->count, judge->age_s);
        if (first >= judge->count || first > sample->last)
            continue;
        if (first > from && first <= to) {
            part.up += sample->value;
            part.births++;
        }
        if (sample->last >= from && sample->last < to) {
            part.down += sample->value;
            part.deaths++;
        }
    }
    part.slope = ht_slope_of(judge->values + from, judge->times + from, to - from + 1);
    return part;
}

// Whether what grew went on to do so until the end.
static enum ht_verdict judge_end(const struct judge *judge)
{
    size_t n = judge->count - 1, third = n - n / 3;
    struct part before = look_at(judge, 0, third), last = look_at(judge, third, n);
    double early_s = judge->times[third] - judge->times[0], late_s = judge->times[n] - judge->times[third];
    double early = (judge->values[third] - judge->values[0]) / early_s;
    double late = (judge->values[n] - judge->values[third]) / late_s;
    // A sample's worth of the late part, for bounds where few were seen.
    double worth =
        before.births + last.births > 0 ? (before.up + last.up) / (before.births + last.births) : 0;
    double low, high;
    ht_poisson_limits(last.births, 1.645, &low, &high);
    double error = fmax(last.slope.error, (high - last.births) * worth / late_s / 1.645);
    if (last.deaths > 0)
        error = fmax(error, sqrt(last.births + last.deaths) * worth / late_s);
    if (late + 1.645 * error < 0.2 * early)
        return HT_VERDICT_LEVELS;
    if (late <= 0)
        return HT_VERDICT_UNDECIDED;
    if (last.deaths <= 0.25 * last.births) {
        double expected = before.births * late_s / early_s, net = last.births - last.deaths;
        bool is_less = net < 0.5 * expected && ht_poisson_below(net, expected) < 0.02;
        return is_less ? HT_VERDICT_UNDECIDED : HT_VERDICT_GROWS;
    }
    return late > 2.1 * error && late > 0.3 * early ? HT_VERDICT_GROWS : HT_VERDICT_UNDECIDED;
}

// The largest fall from a height that had been reached, as a share of the growth in all.
static double fall_of(const struct judge *judge)
{
    double top = judge->values[0], fall = 0, least = judge->values[0];
    for (size_t k = 1; k < judge->count; k++) {
        top = fmax(top, judge->values[k]);
        fall = fmax(fall, top - judge->values[k]);
        least = fmin(least, judge->values[k]);
    }
    double growth = judge->values[judge->count - 1] - least;
    return growth > 0 ? fall / growth : 1;
}

static int compare_down(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

// Few jumps hold most of what grew, fewer than chance would make of so many samples.
static bool is_steps(const struct judge *judge)
{
    size_t n = judge->count - 1, jumps = 0;
    double *births = ht_alloc_zero(n, sizeof *births), sum = 0, held = 0, squares = 0;
    for (size_t i = 0; i < judge->sample_count; i++) {
        const struct ht_trend_sample *sample = &judge->samples[i];
        size_t first = first_old(sample, judge->times, judge->count, judge->age_s);
        if (first > 0 && first < judge->count && first <= sample->last)
            births[first - 1]++;
    }
    for (size_t j = 0; j < n; j++) {
        sum += births[j];
        squares += births[j] * births[j];
    }
    qsort(births, n, sizeof *births, compare_down);
    while (jumps < n && held < 0.8 * sum)
        held += births[jumps++];
    free(births);
    // Dispersion: n - 1 expected of steady births, with a standard deviation of sqrt(2 (n - 1)).
    double each = sum / (double)n, dispersion = each > 0 ? (squares - sum * each) / each : 0;
    double excess = (dispersion - (double)n + 1) / sqrt(2 * ((double)n - 1));
    return (double)jumps <= 0.25 * (double)n && excess > 5 && sum > 8;
}

// Where a level part and a slope meet best, by least squares; `rise_first`: the slope comes first.
static double find_hinge(const struct judge *judge, bool rise_first)
{
    size_t n = judge->count;
    double best = DBL_MAX, at = judge->times[rise_first ? n - 1 : 0];
    for (size_t h = rise_first ? 2 : 0; h + (rise_first ? 1 : 2) < n; h++) {
        double mean = 0, mean_x = 0, xx = 0, xy = 0, yy = 0;
        for (size_t k = 0; k < n; k++) {
            bool flat = rise_first ? k > h : k < h;
            double x = flat ? 0 : judge->times[k] - judge->times[h];
            mean += judge->values[k] / (double)n;
            mean_x += x / (double)n;
        }
        for (size_t k = 0; k < n; k++) {
            bool flat = rise_first ? k > h : k < h;
            double x = (flat ? 0 : judge->times[k] - judge->times[h]) - mean_x, y = judge->values[k] - mean;
            xx += x * x;
            xy += x * y;
            yy += y * y;
        }
        double left = xx > 0 ? yy - xy * xy / xx : yy;
        if (left < best * (1 - 1e-9)) {
            best = left;
            at = judge->times[h];
        }
    }
    return at;
}

// A wave of at least three periods that makes up most of what changes.
static bool is_cycle(const struct judge *judge)
{
    size_t n = judge->count;
    struct ht_slope slope = ht_slope_of(judge->values, judge->times, n);
    double mean = 0, middle = 0, best = 0;
    for (size_t k = 0; k < n; k++) {
        mean += judge->values[k] / (double)n;
        middle += judge->times[k] / (double)n;
    }
    for (size_t quarters = 10; quarters <= n; quarters++) { // of a period more in the window
        double a = 0, b = 0, total = 0, periods = (double)quarters / 4;
        for (size_t k = 0; k < n; k++) {
            double left = judge->values[k] - mean - slope.per_s * (judge->times[k] - middle);
            double angle = 2 * M_PI * periods * (judge->times[k] - judge->times[0]) / judge->window_s;
            a += left * cos(angle);
            b += left * sin(angle);
            total += left * left;
        }
        best = fmax(best, total > 0 ? 2 * (a * a + b * b) / (double)n / total : 0);
    }
    double up = 0, down = 0;
    for (size_t k = 1; k < n; k++) {
        double change = judge->values[k] - judge->values[k - 1];
        up += change > 0 ? change : 0;
        down -= change < 0 ? change : 0;
    }
    return best > 0.5 && down > 0.5 * up && up > 0.5 * down;
}

// One period of a wave, or part of one, is no growth either; only what is said of `grows` goes by this.
static void judge_growth(struct judge *judge)
{
    struct ht_trend *trend = judge->trend;
    double age_s = judge->age_s;
    ht_trend_series(judge->values, judge->samples, judge->sample_count, judge->times, judge->count, age_s);
    double fall = fall_of(judge);
    trend->verdict = fall > 0.5 ? HT_VERDICT_UNDECIDED : judge_end(judge);
    if (trend->verdict == HT_VERDICT_GROWS && is_steps(judge))
        trend->verdict = HT_VERDICT_STEPS;
    trend->began_s = trend->verdict == HT_VERDICT_LEVELS ? judge->times[0] : find_hinge(judge, false);
}

// Whether it grew in its first part and is level in its last third: what the whole series may not show, since
// there is as much that did not grow.
static bool is_level_at_last(const struct judge *whole)
{
    static const double parts[] = {1.0 / 3, 0.5, 2.0 / 3};
    enum { PARTS = sizeof parts / sizeof parts[0] };
    struct judge judge = *whole;
    struct ht_trend_sample *samples = ht_realloc_array(NULL, whole->sample_count, sizeof *samples);
    bool level = false;
    for (size_t i = 0; i < PARTS && !level; i++) {
        judge.count = (size_t)((double)whole->count * parts[i]);
        if (judge.count < 5)
            continue;
        judge.sample_count = 0;
        for (size_t j = 0; j < whole->sample_count; j++) {
            struct ht_trend_sample sample = whole->samples[j];
            sample.last = sample.last < judge.count ? sample.last : (uint32_t)judge.count - 1;
            if (sample.first < judge.count)
                samples[judge.sample_count++] = sample;
        }
        judge.samples = samples;
        judge.window_s = judge.times[judge.count - 1] - judge.times[0];
        if (test_age(&judge, 0, 1) * (double)PARTS > whole->chance)
            continue;
        double early =
            judge.window_s > 0 ? (judge.values[judge.count - 1] - judge.values[0]) / judge.window_s : 0;
        ht_trend_series(whole->values, whole->samples, whole->sample_count, whole->times, whole->count, 0);
        size_t third = whole->count - 1 - (whole->count - 1) / 3;
        struct ht_slope last = ht_slope_of(whole->values + third, whole->times + third, whole->count - third);
        level = last.per_s + 1.645 * last.error < 0.2 * early;
    }
    free(samples);
    return level;
}

static void judge_rest(struct judge *judge, double p_down)
{
    struct ht_trend *trend = judge->trend;
    ht_trend_series(judge->values, judge->samples, judge->sample_count, judge->times, judge->count, 0);
    double half = trend->high - trend->per_s;
    if (is_cycle(judge))
        trend->verdict = HT_VERDICT_CYCLES;
    else if (is_level_at_last(judge))
        trend->verdict = HT_VERDICT_LEVELS;
    else if (p_down <= judge->chance && trend->high < 0)
        trend->verdict = HT_VERDICT_SHRINKS;
    else if (trend->mean <= 0 || (half * judge->window_s < trend->mean && trend->p_value > 0.2))
        trend->verdict = HT_VERDICT_NOISE;
    else
        trend->verdict = HT_VERDICT_UNDECIDED;
}

// The error of the sampling alone: a sample that is in several snapshots counts once, with all its weights.
static double sampling_error(const struct judge *judge)
{
    double *sums = ht_realloc_array(NULL, judge->count + 1, sizeof *sums), variance = 0;
    double *c = ht_realloc_array(NULL, judge->count, sizeof *c);
    ht_slope_weights(c, judge->times, judge->count);
    sums[0] = 0;
    for (size_t k = 0; k < judge->count; k++)
        sums[k + 1] = sums[k] + c[k];
    for (size_t i = 0; i < judge->sample_count; i++) {
        const struct ht_trend_sample *sample = &judge->samples[i];
        double weight = sums[sample->last + 1] - sums[sample->first];
        variance += sample->variance * weight * weight;
        if (sample->last == judge->count - 1)
            judge->trend->now_error += sample->variance;
    }
    judge->trend->now_error = sqrt(judge->trend->now_error);
    free(sums);
    free(c);
    return sqrt(variance);
}

static void measure(struct judge *judge)
{
    struct ht_trend *trend = judge->trend;
    size_t n = judge->count;
    ht_trend_series(judge->values, judge->samples, judge->sample_count, judge->times, n, 0);
    struct ht_slope slope = ht_slope_of(judge->values, judge->times, n);
    trend->per_s = slope.per_s;
    trend->error = fmax(slope.error, sampling_error(judge));
    trend->now = judge->values[n - 1];
    for (size_t k = 0; k < n; k++)
        trend->mean += judge->values[k] / (double)n;
    double wide = 1.96 * (1 + 0.6 / sqrt((double)n)); // few snapshots know their own noise less well
    trend->low = trend->per_s - wide * trend->error;
    trend->high = trend->per_s + wide * trend->error;
    for (size_t i = 0; i < judge->sample_count; i++) {
        trend->births += judge->samples[i].birth_s > judge->times[0];
        trend->deaths += judge->samples[i].last < n - 1;
    }
}

static int by_birth(const void *a, const void *b)
{
    double x = ((const struct ht_trend_sample *)a)->birth_s, y = ((const struct ht_trend_sample *)b)->birth_s;
    return (x > y) - (x < y);
}

void ht_trend_judge(struct ht_trend *trend, struct ht_trend_sample *samples, size_t sample_count,
                    const double *times, size_t count, double chance)
{
    *trend = (struct ht_trend){.p_value = 1, .began_s = times[0]};
    qsort(samples, sample_count, sizeof *samples, by_birth);
    struct judge judge = {.trend = trend,
                          .samples = samples,
                          .sample_count = sample_count,
                          .times = times,
                          .count = count,
                          .chance = chance,
                          .window_s = times[count - 1] - times[0]};
    judge.values = ht_realloc_array(NULL, count, sizeof *judge.values);
    judge.d = ht_realloc_array(NULL, count + FINE_BINS + 2, sizeof *judge.d);
    measure(&judge);
    trend->p_value = trend->births > 0 ? test_drift(&judge, 1) : 1; // old blocks alone are no growth
    if (trend->p_value <= chance)
        judge_growth(&judge);
    else
        judge_rest(&judge, test_drift(&judge, -1));
    if (trend->verdict == HT_VERDICT_LEVELS)
        trend->ended_s = find_hinge(&judge, true);
    free(judge.values);
    free(judge.d);
}
