// Two snapshots compared: adds up by call site, and finds the stack of each that grew most.
#include "stats/compare.h"

#include "base/measure.h"
#include "profile/birth.h"
#include "stats/evidence.h"

#include <math.h>
#include <stdlib.h>

struct builder {
    struct ht_compare *compare;
    const struct ht_profile *profile;
    struct ht_sites sites;
    size_t sample_index;
    uint32_t old_key;
    struct ht_evidence *evidence; // of each row, and behind them of the total
    bool goes_by_births;
    int64_t old_ticks;
    size_t alloc_index, live_index; // for the share that was freed; HT_NONE: not to be told
};

static bool is_old(const struct builder *builder, const struct ht_sample *sample)
{
    return ht_profile_has_label(builder->profile, sample, builder->old_key);
}

static void add_value(struct ht_change *to, int64_t value, bool old)
{
    int64_t *column = old ? &to->old : &to->new;
    *column = ht_wrap_add(*column, value);
}

static void settle_change(const struct builder *builder, struct ht_change *value,
                          const struct ht_evidence *evidence)
{
    value->change = ht_wrap_add(value->new, (int64_t)(0 - (uint64_t)value->old));
    value->freed_share = builder->alloc_index != HT_NONE && evidence->allocated > 0
                             ? fmin(1, fmax(0, 1 - evidence->in_use / evidence->allocated))
                             : (double)NAN;
    ht_evidence_judge(evidence, value);
}

static void add_evidence(const struct builder *builder, size_t sample, bool old, struct ht_evidence *to)
{
    const struct ht_profile *profile = builder->profile;
    const int64_t *values = ht_profile_values(profile, sample);
    const double *variances = ht_profile_variances(profile, sample);
    if (builder->alloc_index != HT_NONE && !old) {
        to->allocated += (double)values[builder->alloc_index];
        to->in_use += (double)values[builder->live_index];
    }
    if (builder->goes_by_births)
        ht_evidence_births(to, profile, sample, old, builder->old_ticks,
                           builder->sample_index == builder->live_index);
    else
        ht_evidence_total(to, (double)values[builder->sample_index],
                          variances != NULL ? variances[builder->sample_index] : (double)NAN, old);
}

static int compare_chances(const void *left, const void *right)
{
    double a = (*(const struct ht_compare_row *const *)left)->value.p_value;
    double b = (*(const struct ht_compare_row *const *)right)->value.p_value;
    return (a > b) - (a < b);
}

// A row is said to change if, with it and all that are clearer, at most 1 in 100 is expected to be chance.
// Source: Benjamini and Hochberg 1995.
static void correct_for_many(struct ht_compare *compare)
{
    size_t count = 0;
    struct ht_compare_row **order =
        ht_realloc_array(NULL, compare->row_count + 1, sizeof(struct ht_compare_row *));
    for (size_t i = 0; i < compare->row_count; i++)
        if (!isnan(compare->rows[i].value.error))
            order[count++] = &compare->rows[i];
    if (count > 0)
        qsort(order, count, sizeof(struct ht_compare_row *), compare_chances);
    double least = 1;
    for (size_t i = count; i-- > 0;) {
        struct ht_change *value = &order[i]->value;
        least = fmin(least, value->p_value * (double)count / (double)(i + 1));
        value->verdict = least > 0.01 || value->change == 0 ? HT_CHANGE_NOISE
                         : value->change > 0                ? HT_CHANGE_GROWS
                                                            : HT_CHANGE_SHRINKS;
        if (value->verdict != HT_CHANGE_NOISE && compare->false_share == 0)
            compare->false_share = least;
    }
    free(order);
}

static void add_samples(struct builder *builder)
{
    struct ht_compare *compare = builder->compare;
    const struct ht_profile *profile = builder->profile;
    compare->row_count = builder->sites.count;
    compare->rows = ht_alloc_zero(compare->row_count, sizeof *compare->rows);
    for (size_t i = 0; i < compare->row_count; i++)
        compare->rows[i].site = builder->sites.places[i];
    for (size_t i = 0; i < profile->sample_count; i++) {
        int64_t value = ht_profile_values(profile, i)[builder->sample_index];
        bool old = is_old(builder, &profile->samples[i]);
        add_value(&compare->rows[builder->sites.of_sample[i]].value, value, old);
        add_value(&compare->total, value, old);
        add_evidence(builder, i, old, &builder->evidence[builder->sites.of_sample[i]]);
        add_evidence(builder, i, old, &builder->evidence[compare->row_count]);
    }
    for (size_t i = 0; i < compare->row_count; i++)
        settle_change(builder, &compare->rows[i].value, &builder->evidence[i]);
    settle_change(builder, &compare->total, &builder->evidence[compare->row_count]);
    compare->has_errors = !isnan(compare->total.error);
    correct_for_many(compare);
}

// A distinct stack, and how it changed.
struct stack {
    uint32_t sample; // one that has it
    int64_t change;
};

static bool same_frames(const struct ht_profile *profile, uint32_t sample_a, uint32_t sample_b)
{
    const struct ht_sample *a = &profile->samples[sample_a], *b = &profile->samples[sample_b];
    return a->frame_count == b->frame_count &&
           (a->frame_count == 0 || memcmp(profile->frames + a->frames, profile->frames + b->frames,
                                          a->frame_count * sizeof *profile->frames) == 0);
}

// For each row the stack that grew most. Samples of one stack differ in size class and in the snapshot they
// are from.
static void find_heaviest(struct builder *builder)
{
    const struct ht_profile *profile = builder->profile;
    struct ht_index index = {0};
    struct stack *stacks = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        uint64_t hash =
            ht_hash_bytes(profile->frames + sample->frames, sample->frame_count * sizeof *profile->frames);
        size_t cursor = 0;
        uint32_t at;
        while ((at = ht_index_next(&index, hash, &cursor)) != HT_NONE)
            if (same_frames(profile, stacks[at].sample, (uint32_t)i))
                break;
        if (at == HT_NONE) {
            HT_RESERVE(stacks, capacity, count + 1);
            at = (uint32_t)count++;
            stacks[at] = (struct stack){.sample = (uint32_t)i};
            ht_index_add(&index, hash, at);
        }
        int64_t value = ht_profile_values(profile, i)[builder->sample_index];
        if (is_old(builder, sample))
            value = (int64_t)(0 - (uint64_t)value);
        stacks[at].change = ht_wrap_add(stacks[at].change, value);
    }
    for (size_t i = 0; i < count; i++) {
        struct ht_compare_row *row = &builder->compare->rows[builder->sites.of_sample[stacks[i].sample]];
        if (stacks[i].change > row->heaviest_change) {
            row->heaviest_change = stacks[i].change;
            row->heaviest = stacks[i].sample;
        }
    }
    free(stacks);
    ht_index_free(&index);
}

static int compare_rows(const void *left, const void *right, void *context)
{
    const struct ht_compare_row *a = left, *b = right;
    if (a->value.change != b->value.change)
        return a->value.change > b->value.change ? -1 : 1;
    return ht_place_compare(context, &a->site, &b->site);
}

static void drop_unchanged(struct ht_compare *compare)
{
    size_t kept = 0;
    for (size_t i = 0; i < compare->row_count; i++)
        if (compare->rows[i].value.change != 0)
            compare->rows[kept++] = compare->rows[i];
        else if (compare->rows[i].value.new != 0)
            compare->unchanged++;
    compare->row_count = kept;
}

// Births tell what came and went since the older snapshot; they are of the live columns alone.
static void choose_evidence(struct builder *builder, const struct ht_compare_times *times)
{
    const struct ht_profile *profile = builder->profile;
    size_t objects = HT_NONE;
    builder->alloc_index = builder->live_index = HT_NONE;
    if (ht_profile_sample_index(profile, "inuse_space", &builder->live_index) < 0)
        return;
    ht_profile_sample_index(profile, "inuse_objects", &objects);
    if (ht_profile_sample_index(profile, "alloc_space", &builder->alloc_index) < 0 ||
        ht_profile_comment_value(profile, "inherited_pid") != NULL ||
        ht_profile_comment_value(profile, "thinned_since") != NULL)
        builder->alloc_index = HT_NONE;
    builder->old_ticks = times->old_ticks;
    builder->goes_by_births =
        times->old_ticks != 0 && profile->tick_ns != 0 &&
        (builder->sample_index == builder->live_index || builder->sample_index == objects);
}

int ht_compare_init(struct ht_compare *compare, struct ht_profile *profile,
                    const struct ht_compare_options *options, struct ht_compare_times times)
{
    struct builder builder = {.compare = compare, .profile = profile};
    *compare = (struct ht_compare){.profile = profile};
    if (ht_profile_sample_index(profile, options->sample_index, &builder.sample_index) < 0 ||
        ht_filter_apply(profile, &options->filter) < 0)
        return -1;
    if (times.old_ns != 0 && times.new_ns > times.old_ns)
        compare->minutes = (double)(times.new_ns - times.old_ns) / 60e9;
    compare->sample_type = ht_profile_text(profile, profile->sample_types[builder.sample_index].type);
    compare->unit = ht_profile_text(profile, profile->sample_types[builder.sample_index].unit);
    builder.old_key = ht_profile_intern_text(profile, HT_COMPARE_OLD_LABEL);
    ht_sites_find(&builder.sites, profile, options->granularity, options->leaf_sites);
    choose_evidence(&builder, &times);
    builder.evidence = ht_alloc_zero(builder.sites.count + 1, sizeof *builder.evidence);
    add_samples(&builder);
    find_heaviest(&builder);
    drop_unchanged(compare);
    if (compare->row_count > 0)
        qsort_r(compare->rows, compare->row_count, sizeof *compare->rows, compare_rows, profile);
    ht_sites_free(&builder.sites);
    free(builder.evidence);
    return 0;
}

void ht_compare_free(struct ht_compare *compare)
{
    free(compare->rows);
    compare->rows = NULL;
}

double ht_compare_per_minute(const struct ht_compare *compare, int64_t change)
{
    return compare->minutes > 0 ? (double)change / compare->minutes : NAN;
}
