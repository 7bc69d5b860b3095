// What one snapshot tells of leaks: the ages of what is still there.
#include "stats/leaks.h"

#include "base/error.h"
#include "profile/birth.h"
#include "stats/drift.h"
#include "stats/site.h"

#include <math.h>
#include <stdlib.h>

enum { LEAST_SAMPLES = 6, AGES = 5 };

// What is older than one of these may be at an even rate where what is younger is in use. Seconds.
static const double ages_s[AGES] = {0, 15, 100, 600, 3600};

struct aged {
    double age_s, value, variance;
};

// One call site's live samples, the youngest first.
struct ages {
    struct aged *items;
    size_t count, capacity;
};

const char *ht_age_class_name(enum ht_age_class class)
{
    static const char *const names[HT_AGE_CLASSES] = {[HT_AGES_GROWS] = "grows",
                                                      [HT_AGES_BOUNDED] = "bounded",
                                                      [HT_AGES_STARTUP] = "start-up",
                                                      [HT_AGES_TRANSIENT] = "in use",
                                                      [HT_AGES_UNDECIDED] = "undecided"};
    return names[class];
}

static int by_age(const void *left, const void *right)
{
    double a = ((const struct aged *)left)->age_s, b = ((const struct aged *)right)->age_s;
    return (a > b) - (a < b);
}

// The chance of so large a distance from an even spread, or a larger one. Source: Kolmogorov's distribution
// with Stephens's correction (1970).
static double uneven_chance(const struct aged *items, size_t count, double from_s, double to_s)
{
    double distance = 0, n = (double)count;
    for (size_t i = 0; i < count; i++) {
        double expected = (items[i].age_s - from_s) / (to_s - from_s);
        distance = fmax(distance, fmax((double)(i + 1) / n - expected, expected - (double)i / n));
    }
    double t = distance * (sqrt(n) + 0.12 + 0.11 / sqrt(n)), sum = 0;
    for (int k = 1; k < 50; k++)
        sum += (k % 2 ? 2 : -2) * exp(-2.0 * k * k * t * t);
    return t < 0.2 ? 1 : fmin(1, fmax(0, sum));
}

// How fast it grows by those that are older than `from_s`, of at most `to_s`.
static void set_rate(struct ht_leak_row *row, const struct aged *items, size_t count, double from_s,
                     double to_s)
{
    double value = 0, variance = 0, low, high;
    for (size_t i = 0; i < count; i++) {
        value += items[i].value;
        variance += items[i].variance;
    }
    // Blocks come by chance even where each is seen: their number has an error of its own.
    double n = (double)count, each = value / n, spread = fmax(variance, n * each * each);
    ht_poisson_limits(n, 1.96, &low, &high);
    row->older_than_s = from_s;
    row->reaches_s = to_s;
    row->per_s = value / (to_s - from_s);
    row->error = sqrt(spread) / (to_s - from_s);
    row->low = low * each / (to_s - from_s);
    row->high = high * each / (to_s - from_s);
}

// Looks for an age beyond which the samples are spread evenly. What is replaced in time is, too, up to the
// age at which that happens; what is then left is a small part of what was allocated.
static bool is_even(struct ht_leak_row *row, const struct ages *ages, double age_s)
{
    for (size_t a = 0; a < AGES && ages_s[a] <= row->oldest_s / 3; a++) {
        size_t first = 0;
        while (first < ages->count && ages->items[first].age_s < ages_s[a])
            first++;
        size_t count = ages->count - first;
        if (count < LEAST_SAMPLES)
            return false;
        // Of an even spread the oldest is a gap or three from its beginning.
        double gap = (row->oldest_s - ages_s[a]) / (double)count;
        bool reaches_start = age_s - row->oldest_s < 3 * gap;
        double to_s = reaches_start ? age_s : fmin(age_s, row->oldest_s + gap);
        if (uneven_chance(ages->items + first, count, ages_s[a], to_s) < 0.05)
            continue;
        // As much as a cache of this turnover would have left: it is one.
        bool is_replaced =
            !reaches_start && row->freed_share > 0.5 * (1 - to_s / age_s) && row->freed_share > 0.2;
        set_rate(row, ages->items + first, count, ages_s[a], to_s);
        row->class = is_replaced ? HT_AGES_BOUNDED : HT_AGES_GROWS;
        return true;
    }
    return false;
}

static void judge_row(struct ht_leak_row *row, struct ages *ages, double age_s)
{
    row->samples = ages->count;
    row->class = HT_AGES_UNDECIDED;
    if (ages->count == 0)
        return;
    qsort(ages->items, ages->count, sizeof *ages->items, by_age);
    row->youngest_s = ages->items[0].age_s;
    row->oldest_s = ages->items[ages->count - 1].age_s;
    row->median_s = ages->items[ages->count / 2].age_s;
    for (size_t i = 0; i < ages->count; i++) {
        double part = age_s > 0 ? (1 - ages->items[i].age_s / age_s) * (double)HT_AGE_COLUMNS : 0;
        size_t column = part > 0 ? (size_t)part : 0;
        row->ages[column < HT_AGE_COLUMNS ? column : HT_AGE_COLUMNS - 1] += ages->items[i].value;
        row->now += ages->items[i].value;
        row->now_error += ages->items[i].variance;
    }
    row->now_error = sqrt(row->now_error);
    if (ages->count < LEAST_SAMPLES || !(age_s > 0))
        return;
    if (row->youngest_s > 0.5 * age_s) // of a steady rate: 1 in 64, or less
        row->class = HT_AGES_STARTUP;
    else if (row->oldest_s < 0.1 * age_s && !(row->freed_share < 0.5))
        row->class = HT_AGES_TRANSIENT;
    else if (!is_even(row, ages, age_s) && row->oldest_s < 0.7 * age_s && row->freed_share > 0.5) {
        row->class = HT_AGES_BOUNDED;
        row->reaches_s = row->oldest_s;
    }
}

static int compare_rows(const void *left, const void *right)
{
    const struct ht_leak_row *a = left, *b = right;
    bool grows_a = a->class == HT_AGES_GROWS, grows_b = b->class == HT_AGES_GROWS;
    if (grows_a != grows_b)
        return grows_a ? -1 : 1;
    double x = grows_a ? a->low : a->now, y = grows_b ? b->low : b->now;
    return (x < y) - (x > y);
}

// The process's age by its own word; blocks that a forked child has from its parent may be older.
static double age_of(const struct ht_profile *profile)
{
    const char *created = ht_profile_comment_value(profile, "created");
    double age_s = created != NULL ? ((double)profile->time_ns - strtod(created, NULL)) / 1e9 : 0;
    for (size_t i = 0; i < profile->birth_count; i++) {
        double age = (double)(profile->ticks_now - profile->births[i].ticks) * (double)profile->tick_ns / 1e9;
        age_s = fmax(age_s, age);
    }
    return age_s;
}

static void add_births(struct ages *ages, const struct ht_profile *profile, const struct ht_sample *sample)
{
    double floor_bytes = ht_profile_floor(profile);
    const struct ht_birth *births = ht_profile_births(profile, sample);
    for (uint32_t i = 0; i < sample->birth_count; i++) {
        double p = ht_birth_probability(&births[i], floor_bytes), size = (double)births[i].size_bytes;
        HT_RESERVE(ages->items, ages->capacity, ages->count + 1);
        ages->items[ages->count++] = (struct aged){
            .age_s = fmax(0, (double)(profile->ticks_now - births[i].ticks) * (double)profile->tick_ns / 1e9),
            .value = size / p,
            .variance = size * size * (1 - p) / p / p};
    }
}

static void fill_rows(struct ht_leaks *leaks, const struct ht_profile *profile, const struct ht_sites *sites)
{
    struct ages *ages = ht_alloc_zero(sites->count, sizeof *ages);
    double *allocated = ht_alloc_zero(sites->count, sizeof *allocated),
           *in_use = ht_alloc_zero(sites->count, sizeof *in_use);
    size_t live = 0, alloc = 0;
    ht_profile_sample_index(profile, "inuse_space", &live);
    bool has_freed = ht_profile_sample_index(profile, "alloc_space", &alloc) == 0 &&
                     ht_profile_comment_value(profile, "inherited_pid") == NULL &&
                     ht_profile_comment_value(profile, "thinned_since") == NULL;
    for (size_t i = 0; i < profile->sample_count; i++) {
        uint32_t site = sites->of_sample[i];
        const int64_t *values = ht_profile_values(profile, i);
        add_births(&ages[site], profile, &profile->samples[i]);
        allocated[site] += has_freed ? (double)values[alloc] : 0;
        in_use[site] += (double)values[live];
        if (values[live] > leaks->rows[site].heaviest_value) {
            leaks->rows[site].heaviest_value = values[live];
            leaks->rows[site].heaviest = (uint32_t)i;
        }
    }
    for (size_t i = 0; i < sites->count; i++) {
        struct ht_leak_row *row = &leaks->rows[i];
        row->site = sites->places[i];
        row->freed_share = allocated[i] > 0 ? fmin(1, fmax(0, 1 - in_use[i] / allocated[i])) : (double)NAN;
        judge_row(row, &ages[i], leaks->age_s);
        leaks->total += row->now;
        free(ages[i].items);
    }
    free(ages);
    free(allocated);
    free(in_use);
}

int ht_leaks_judge(struct ht_leaks *leaks, struct ht_profile *profile, const struct ht_leaks_options *options)
{
    struct ht_sites sites;
    size_t ignored;
    *leaks = (struct ht_leaks){0};
    if (profile->tick_ns == 0 || ht_profile_sample_index(profile, "inuse_space", &ignored) < 0)
        return ht_fail(
            "it does not say when what it holds was allocated: a snapshot of one process by this version of "
            "heaptap does");
    if (ht_filter_apply(profile, &options->filter) < 0)
        return -1;
    leaks->age_s = age_of(profile);
    ht_sites_find(&sites, profile, options->granularity, options->leaf_sites);
    leaks->rows = ht_alloc_zero(sites.count, sizeof *leaks->rows);
    leaks->count = sites.count;
    fill_rows(leaks, profile, &sites);
    ht_sites_free(&sites);
    if (leaks->count > 0)
        qsort(leaks->rows, leaks->count, sizeof *leaks->rows, compare_rows);
    while (leaks->count > 0 && leaks->rows[leaks->count - 1].samples == 0)
        leaks->count--; // nothing of it is left
    return 0;
}

void ht_leaks_free(struct ht_leaks *leaks)
{
    free(leaks->rows);
    *leaks = (struct ht_leaks){0};
}
