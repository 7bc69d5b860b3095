// Variances and births in memory: making room, dropping, and the variance of a difference.
#include "profile/birth.h"

#include "profile/source.h"

#include <stdlib.h>

double ht_birth_probability(const struct ht_birth *birth, double floor_bytes)
{
    double rate = (double)birth->rate_bytes;
    return ht_probability(birth->size_bytes, rate > floor_bytes ? rate : floor_bytes);
}

void ht_profile_need_variances(struct ht_profile *profile)
{
    if (profile->variances != NULL)
        return;
    size_t count = profile->sample_count * profile->sample_type_count;
    HT_RESERVE(profile->variances, profile->variance_capacity, count + 1);
    for (size_t i = 0; i < count; i++)
        profile->variances[i] = (double)NAN;
}

void ht_profile_drop_births(struct ht_profile *profile)
{
    for (size_t i = 0; i < profile->sample_count; i++)
        profile->samples[i].births = profile->samples[i].birth_count = 0;
    profile->birth_count = 0;
    profile->ticks_now = 0;
    profile->tick_ns = 0;
    profile->floor_cell = 0;
}

bool ht_births_fit(struct ht_profile *const *profiles, size_t count)
{
    const struct ht_profile *first = profiles[0];
    const char *boot_id = ht_profile_comment_value(first, "boot_id");
    for (size_t i = 1; i < count; i++) {
        const struct ht_profile *other = profiles[i];
        const char *other_id = ht_profile_comment_value(other, "boot_id");
        if (other->tick_ns != first->tick_ns || other->floor_cell != first->floor_cell || boot_id == NULL ||
            other_id == NULL || strcmp(boot_id, other_id) != 0)
            return false;
    }
    return true;
}

enum column { COLUMN_OTHER, COLUMN_TOTAL, COLUMN_LIVE_COUNT, COLUMN_LIVE_AMOUNT };

static enum column column_of(const struct ht_profile *profile, size_t type)
{
    const char *name = ht_profile_text(profile, profile->sample_types[type].type);
    if (strcmp(name, "inuse_objects") == 0)
        return COLUMN_LIVE_COUNT;
    if (strcmp(name, "inuse_space") == 0)
        return COLUMN_LIVE_AMOUNT;
    return strncmp(name, "inuse_", 6) == 0 ? COLUMN_OTHER : COLUMN_TOTAL;
}

// What the samples that `older` and `newer` share add to the covariance of the two. A block of rate r is seen
// at the older one's floor f with P(f), at the newer one's F with P(F), and there only if here; so the
// covariance of its two estimates is that at the finer of the two floors, 1/P - 1. Only blocks that the newer
// one sees can be summed up, each weighed with its own 1/P(F). At one floor that is the variance of the
// survivors.
static void settle_live(const struct ht_profile *older, struct ht_profile *newer, const enum column *columns)
{
    double floor = ht_profile_floor(newer), finer = ht_profile_floor(older);
    finer = finer < floor ? finer : floor;
    for (size_t i = 0; i < newer->sample_count; i++) {
        const struct ht_sample *sample = &newer->samples[i];
        const struct ht_birth *births = ht_profile_births(newer, sample);
        double shared[2] = {0, 0}; // objects, bytes
        for (uint32_t j = 0; j < sample->birth_count; j++) {
            if (births[j].ticks >= older->ticks_now)
                continue;
            double size = (double)births[j].size_bytes;
            double each =
                (1 / ht_birth_probability(&births[j], finer) - 1) / ht_birth_probability(&births[j], floor);
            shared[0] += each;
            shared[1] += size * size * each;
        }
        double *variances = ht_profile_variances(newer, i);
        for (size_t t = 0; t < newer->sample_type_count; t++)
            if (columns[t] == COLUMN_LIVE_COUNT || columns[t] == COLUMN_LIVE_AMOUNT)
                variances[t] -= 2 * shared[columns[t] == COLUMN_LIVE_AMOUNT];
    }
}

static bool is_newer(const struct ht_profile *a, const struct ht_profile *b)
{
    return a->tick_ns != 0 && a->ticks_now != b->ticks_now ? a->ticks_now > b->ticks_now
                                                           : ht_source_is_newer(a, b);
}

void ht_births_settle(struct ht_profile *a, struct ht_profile *b)
{
    if (a->variances == NULL || b->variances == NULL || !ht_source_is_series(a, b))
        return;
    struct ht_profile *newer = is_newer(a, b) ? a : b, *older = newer == a ? b : a;
    enum column *columns = ht_alloc_zero(newer->sample_type_count, sizeof *columns);
    for (size_t t = 0; t < newer->sample_type_count; t++)
        columns[t] = column_of(newer, t);
    if (newer->tick_ns != 0 && newer->tick_ns == older->tick_ns)
        settle_live(older, newer, columns);
    // What was ever counted until then is a part of the newer total: the rest alone has an error.
    for (size_t i = 0; i < older->sample_count; i++)
        for (size_t t = 0; t < older->sample_type_count; t++)
            if (columns[t] == COLUMN_TOTAL)
                ht_profile_variances(older, i)[t] *= -1;
    free(columns);
}
