// Adds up what each call site has on both sides, with what a sample of it is worth, and tests each.
#include "stats/gate.h"

#include "base/error.h"
#include "profile/birth.h"
#include "stats/misses.h"

#include <math.h>
#include <stdlib.h>

// The total's part of the chance; the rest is shared by the call sites. Whose test fails leaves its part to
// the others (Holm).
#define TOTAL_SHARE 0.75

// What is summed up for a side of a row. `skew`: of each sample's variance times what it stands for; both
// without large blocks, which are counted apart (stats/misses.h). `all`: the variance with them; `gross`:
// with what both sides share as well.
struct sums {
    double value, variance, skew, all, gross, blocks;
};

struct builder {
    struct ht_gate *gate;
    const struct ht_gate_options *options;
    const struct ht_profile *profile;
    struct ht_sites sites;
    size_t type, objects; // objects: SIZE_MAX, there are none
    uint32_t old_key;
    struct ht_misses *misses; // one for each row, and for the total
    struct sums *sums;        // two for each row and for the total behind them: before, now
};

static void add_sums(struct sums *to, const struct sums *more, double sign)
{
    to->value += sign * more->value;
    to->variance += sign * more->variance;
    to->skew += sign * more->skew;
    to->all += sign * more->all;
    to->gross += sign * more->gross;
    to->blocks += sign * more->blocks;
}

// The live samples of a sample of the file that were born before.
static struct sums born_before(const struct builder *builder, const struct ht_sample *sample, int64_t ticks)
{
    struct sums sums = {0};
    const struct ht_birth *births = ht_profile_births(builder->profile, sample);
    double floor = ht_profile_floor(builder->profile);
    for (uint32_t i = 0; i < sample->birth_count; i++) {
        double p = ht_birth_probability(&births[i], floor);
        if (births[i].ticks >= ticks || !(p > 0))
            continue;
        double stands_for = (double)births[i].size_bytes / p, uncertain = stands_for * (1 - p);
        add_sums(&sums,
                 &(struct sums){stands_for, stands_for * uncertain, stands_for * uncertain * uncertain,
                                stands_for * uncertain, 0, 1 / p},
                 1);
    }
    return sums;
}

// Takes blocks that are almost always seen out of what is uncertain by Poisson's law; `sign`: -1 for shared
// ones.
static void part_large(const struct builder *builder, struct ht_misses *misses, bool is_new, double sign,
                       const struct sums *sums, struct sums *rest)
{
    const struct ht_gate_options *options = builder->options;
    *rest = *sums;
    if (!options->is_pair || !(sums->blocks > 0))
        return;
    double bytes = sums->value / sums->blocks, uncertain = sums->variance / sums->value;
    double rate = options->old_rate > 0 ? options->old_rate : bytes / log1p(bytes / uncertain);
    if (uncertain >= bytes || !ht_misses_take(bytes, rate))
        return;
    // At two rates what the newer side sees stands for more than one block: that stays uncertain.
    bool is_apart = options->old_rate == options->new_rate;
    ht_misses_add(misses, is_new, sign * sums->blocks, bytes, bytes + uncertain, rate,
                  is_apart ? sign * sums->variance : 0);
    if (is_apart)
        rest->variance = rest->skew = 0;
}

// Without births: a sample of the file is one size class, whose blocks stand for the same within an eighth.
static struct sums sums_of(const struct builder *builder, size_t i)
{
    const struct ht_profile *profile = builder->profile;
    double value = (double)ht_profile_values(profile, i)[builder->type];
    double variance = ht_profile_variances(profile, i)[builder->type];
    struct sums sums = {value, variance, value > 0 ? variance * variance / value : 0, variance, variance, 0};
    if (builder->objects != SIZE_MAX)
        sums.blocks = (double)ht_profile_values(profile, i)[builder->objects];
    if (profile->samples[i].birth_count > 0) {
        struct sums exact = born_before(builder, &profile->samples[i], INT64_MAX);
        sums.skew = exact.skew;
        sums.blocks = exact.blocks; // the file's is rounded
    }
    return sums;
}

static bool is_old(const struct builder *builder, size_t sample)
{
    return builder->options->is_pair &&
           ht_profile_has_label(builder->profile, &builder->profile->samples[sample], builder->old_key);
}

static void add_sample(struct builder *builder, size_t i)
{
    struct ht_gate *gate = builder->gate;
    const struct ht_profile *profile = builder->profile;
    const struct ht_sample *sample = &profile->samples[i];
    size_t at = builder->sites.of_sample[i];
    bool old = is_old(builder, i);
    const int64_t *values = ht_profile_values(profile, i);
    struct sums all = sums_of(builder, i), shared = {0};
    if (!old && builder->options->old_ticks != 0) // the very same samples are in the older snapshot
        shared = born_before(builder, sample, builder->options->old_ticks);
    struct ht_gate_row *of[] = {&gate->rows[at], &gate->total};
    for (size_t j = 0; j < 2; j++) {
        struct sums *sums = &builder->sums[2 * (j == 0 ? at : gate->row_count)];
        int64_t *side = old ? &of[j]->old : &of[j]->new;
        *side = ht_wrap_add(*side, values[builder->type]);
        if (!old && builder->objects != SIZE_MAX)
            of[j]->blocks = ht_wrap_add(of[j]->blocks, values[builder->objects]);
        struct ht_misses *misses = &builder->misses[j == 0 ? at : gate->row_count];
        struct sums rest;
        part_large(builder, misses, !old, 1, &all, &rest);
        add_sums(&sums[!old], &rest, 1);
        for (size_t k = 0; k < 2; k++) {
            part_large(builder, misses, k, -1, &shared, &rest);
            add_sums(&sums[k], &rest, -1);
        }
    }
}

// What the roundings of sums and files leave of a side that shares all.
static void clean(struct sums *sums)
{
    sums->value = fmax(sums->value, 0);
    if (sums->variance <= 1e-6 * sums->gross || sums->skew <= 0)
        sums->variance = sums->skew = 0;
    if (sums->all <= 1e-6 * sums->gross)
        sums->all = 0;
}

// What a sample of a side stands for, as far as it is uncertain: the mean over its samples, by variance. The
// same on both sides where they were sampled alike, for a side that has no samples still could have had some.
static void weigh(const struct sums *sums, const struct ht_gate_options *options, double ret_weights[2])
{
    const double rates[2] = {options->old_rate, options->new_rate};
    double variance = sums[0].variance + sums[1].variance, skew = sums[0].skew + sums[1].skew;
    double pooled = variance > 0 ? skew / variance : 0;
    for (size_t i = 0; i < 2; i++) {
        const struct sums *own = &sums[i], *other = &sums[!i];
        if (rates[0] == rates[1] || (own->variance <= 0 && rates[i] <= 0))
            ret_weights[i] = pooled;
        else if (own->variance > 0)
            ret_weights[i] = own->skew / own->variance;
        else if (rates[i] <= 1)
            ret_weights[i] = 0;
        else // what the other side has would be sampled here as well, more rarely or less
            ret_weights[i] = other->variance > 0 && rates[!i] > 1
                                 ? other->skew / other->variance * rates[i] / rates[!i]
                                 : rates[i];
    }
}

static void test_row(const struct builder *builder, struct ht_gate_row *row, struct sums *sums,
                     const struct ht_misses *misses)
{
    double weights[2];
    for (size_t i = 0; i < 2; i++) {
        sums[i].variance += ht_misses_give_back(misses, i, &sums[i].skew);
        clean(&sums[i]);
    }
    weigh(sums, builder->options, weights);
    if (!builder->options->is_pair)
        weights[0] = 0; // nothing is known to have been there before
    row->change = ht_wrap_add(row->new, (int64_t)(0 - (uint64_t)row->old));
    row->before = (struct ht_side){sums[0].value, sums[0].variance, weights[0]};
    row->now = (struct ht_side){sums[1].value, sums[1].variance, weights[1]};
    row->error = ht_error_of(sums[0].all + sums[1].all);
    row->p_value = ht_misses_p(misses, &row->now, &row->before, builder->gate->limit);
}

// For each row the stack that grew most. Samples of one stack differ in size class and side.
static void find_stacks(struct builder *builder)
{
    const struct ht_profile *profile = builder->profile;
    struct ht_index index = {0};
    uint32_t *first = ht_realloc_array(NULL, profile->sample_count + 1, sizeof *first), count = 0;
    int64_t *changes = ht_alloc_zero(profile->sample_count + 1, sizeof *changes);
    for (uint32_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        const uint32_t *frames = profile->frames + sample->frames;
        size_t bytes = sample->frame_count * sizeof *frames, cursor = 0;
        uint64_t hash = ht_hash_bytes(frames, bytes);
        uint32_t at;
        while ((at = ht_index_next(&index, hash, &cursor)) != HT_NONE) {
            const struct ht_sample *other = &profile->samples[first[at]];
            if (other->frame_count == sample->frame_count &&
                (bytes == 0 || memcmp(profile->frames + other->frames, frames, bytes) == 0))
                break;
        }
        if (at == HT_NONE) {
            at = count++;
            first[at] = i;
            ht_index_add(&index, hash, at);
        }
        int64_t value = ht_profile_values(profile, i)[builder->type];
        changes[at] = ht_wrap_add(changes[at], is_old(builder, i) ? (int64_t)(0 - (uint64_t)value) : value);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct ht_gate_row *row = &builder->gate->rows[builder->sites.of_sample[first[i]]];
        if (changes[i] > row->stack_change) {
            row->stack_change = changes[i];
            row->stack = first[i];
        }
    }
    ht_index_free(&index);
    free(first);
    free(changes);
}

static void decide(struct ht_gate *gate, bool total_alone)
{
    size_t count = 1 + (total_alone ? 0 : gate->row_count);
    double *p = ht_realloc_array(NULL, count, sizeof *p), *weights = ht_realloc_array(NULL, count, sizeof *p);
    double *levels = ht_realloc_array(NULL, count, sizeof *p);
    bool *rejected = ht_alloc_zero(count, sizeof *rejected);
    for (size_t i = 0; i < count; i++) {
        p[i] = i == 0 ? gate->total.p_value : gate->rows[i - 1].p_value;
        weights[i] = count == 1 ? 1 : i == 0 ? TOTAL_SHARE : (1 - TOTAL_SHARE) / (double)(count - 1);
    }
    ht_holm(p, weights, count, gate->chance, rejected, levels);
    for (size_t i = 0; i < count; i++) {
        struct ht_gate_row *row = i == 0 ? &gate->total : &gate->rows[i - 1];
        row->fails = rejected[i];
        row->level = levels[i];
        gate->failing += rejected[i];
    }
    free(p);
    free(weights);
    free(levels);
    free(rejected);
}

// What a green result was able to see: how much more would have been proven at the level that a test has
// before any other one fails.
static void find_smallest(struct ht_gate *gate, const struct ht_gate_options *options)
{
    const struct ht_gate_row *total = &gate->total;
    struct ht_side now = total->now, before = total->before;
    double rate = fmax(options->new_rate, 0);
    if (now.weight <= 0 && rate > 1)
        now.weight = before.weight = rate;
    gate->is_exact = now.weight <= 0 && before.weight <= 0;
    if (gate->is_exact || now.weight <= 0)
        return;
    double share = options->total_alone ? 1 : TOTAL_SHARE;
    // As if the total were what it was before, or as much as the limit allows.
    struct ht_side same = {before.value, before.variance * now.weight / fmax(before.weight, 1e-9),
                           now.weight};
    if (before.weight <= 0)
        same.variance = before.value * now.weight;
    gate->total_samples = ht_excess_needed(&same, &before, gate->limit, gate->chance * share);
    gate->total_smallest = (double)gate->total_samples * now.weight;
    // Of small blocks a sample stands for as much as the rate.
    double one = rate > 1 ? rate : now.weight;
    struct ht_side nothing = {0, 0, one},
                   none = {0, 0, options->old_rate > 1 ? options->old_rate : before.weight};
    double level = gate->chance * (1 - share) / fmax((double)gate->row_count, 1);
    if (!options->total_alone)
        gate->site_samples = ht_excess_needed(&nothing, &none, gate->limit, level);
    gate->site_smallest = (double)gate->site_samples * one;
}

static int compare_rows(const void *left, const void *right, void *profile)
{
    const struct ht_gate_row *a = left, *b = right;
    if (a->change != b->change)
        return a->change > b->change ? -1 : 1;
    return ht_place_compare(profile, &a->site, &b->site);
}

static int check_law(const struct builder *builder)
{
    const struct ht_profile *profile = builder->profile;
    if (strcmp(ht_profile_text(profile, profile->sample_types[builder->type].unit), "bytes") != 0)
        return ht_fail("their live bytes are not counted in bytes");
    for (size_t i = 0; i < profile->sample_count; i++)
        if (profile->variances == NULL || isnan(ht_profile_variances(profile, i)[builder->type]))
            return ht_fail(
                "the profiles do not tell how they were sampled, so nothing can be proven by them");
    return 0;
}

static int64_t newer_total(const struct builder *builder)
{
    int64_t sum = 0;
    for (size_t i = 0; i < builder->profile->sample_count; i++)
        if (!is_old(builder, i))
            sum = ht_wrap_add(sum, ht_profile_values(builder->profile, i)[builder->type]);
    return sum;
}

static void add_rows(struct builder *builder)
{
    struct ht_gate *gate = builder->gate;
    ht_sites_find(&builder->sites, builder->profile, builder->options->granularity, false);
    gate->row_count = builder->sites.count;
    gate->rows = ht_alloc_zero(gate->row_count + 1, sizeof *gate->rows);
    builder->misses = ht_alloc_zero(gate->row_count + 1, sizeof *builder->misses);
    builder->sums = ht_alloc_zero(2 * (gate->row_count + 1), sizeof *builder->sums);
    for (size_t i = 0; i < gate->row_count; i++)
        gate->rows[i].site = builder->sites.places[i];
    for (size_t i = 0; i < builder->profile->sample_count; i++)
        add_sample(builder, i);
    for (size_t i = 0; i < gate->row_count; i++)
        test_row(builder, &gate->rows[i], &builder->sums[2 * i], &builder->misses[i]);
    test_row(builder, &gate->total, &builder->sums[2 * gate->row_count], &builder->misses[gate->row_count]);
    find_stacks(builder);
    size_t kept = 0; // what held nothing then and now is nobody's test
    for (size_t i = 0; i < gate->row_count; i++)
        if (gate->rows[i].old != 0 || gate->rows[i].new != 0)
            gate->rows[kept++] = gate->rows[i];
    gate->row_count = kept;
}

int ht_gate_judge(struct ht_gate *gate, struct ht_profile *profile, const struct ht_gate_options *options)
{
    struct builder builder = {.gate = gate, .options = options, .profile = profile};
    *gate = (struct ht_gate){.profile = profile, .limit = options->limit, .chance = options->chance};
    if (ht_profile_sample_index(profile, "inuse_space", &builder.type) < 0 ||
        ht_filter_apply(profile, &options->filter) < 0)
        return -1;
    builder.objects = SIZE_MAX;
    for (size_t i = 0; i < profile->sample_type_count; i++)
        if (strcmp(ht_profile_text(profile, profile->sample_types[i].type), "inuse_objects") == 0)
            builder.objects = i;
    builder.old_key = ht_profile_intern_text(profile, HT_COMPARE_OLD_LABEL);
    if (check_law(&builder) < 0)
        return -1;
    gate->suppressed = newer_total(&builder);
    if (options->suppressions != NULL)
        ht_suppressions_apply(options->suppressions, profile);
    gate->suppressed = ht_wrap_add(gate->suppressed, (int64_t)(0 - (uint64_t)newer_total(&builder)));
    gate->sample_type = ht_profile_text(profile, profile->sample_types[builder.type].type);
    gate->unit = ht_profile_text(profile, profile->sample_types[builder.type].unit);
    add_rows(&builder);
    decide(gate, options->total_alone);
    find_smallest(gate, options);
    if (gate->row_count > 0)
        qsort_r(gate->rows, gate->row_count, sizeof *gate->rows, compare_rows, profile);
    ht_sites_free(&builder.sites);
    free(builder.sums);
    free(builder.misses);
    return 0;
}

void ht_gate_free(struct ht_gate *gate)
{
    free(gate->rows);
    gate->rows = NULL;
}
