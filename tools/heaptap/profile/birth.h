// Standard errors of a profile's values, and the births of its live samples.
#ifndef HT_PROFILE_BIRTH_H
#define HT_PROFILE_BIRTH_H

// The sampling law is that of the recorder: record/estimate.h, which has the grid of cells as well
// (ht_cell_of, ht_cell_bytes).

#include "profile/profile.h"
#include "record/estimate.h"

#include <math.h>

// A rank_cell of samples whose rank nobody needs: their rate is 1 at most, and there is no floor.
#define HT_RANK_UNKNOWN INT16_MAX

// Context: tool; pure but for memory.

// Probability with which the block was sampled and is still counted at this floor (0: none).
double ht_birth_probability(const struct ht_birth *birth, double floor_bytes);

// The profile's floor in bytes; 0: none.
static inline double ht_profile_floor(const struct ht_profile *profile)
{
    return profile->floor_cell != 0 ? ht_cell_bytes(profile->floor_cell) : 0;
}

static inline const struct ht_birth *ht_profile_births(const struct ht_profile *profile,
                                                       const struct ht_sample *sample)
{
    return profile->births + sample->births;
}

// The variances of a sample's values; NULL: the profile has none.
static inline double *ht_profile_variances(const struct ht_profile *profile, size_t sample)
{
    return profile->variances != NULL ? profile->variances + sample * profile->sample_type_count : NULL;
}

// The standard error of a sum of variances; NaN: unknown. A sum may be below 0 by rounding alone.
static inline double ht_error_of(double variance)
{
    return variance < 0 ? 0 : sqrt(variance);
}

// Where there are none yet: unknown ones for all samples, with room for as many more as values have.
void ht_profile_need_variances(struct ht_profile *profile);

void ht_profile_drop_births(struct ht_profile *profile);
// Whether the births of all tell of one clock at one floor, so that they can stand in one profile.
bool ht_births_fit(struct ht_profile *const *profiles, size_t count);

// Field 1000 of Profile (snapshot/births_form.h). Bytes may be foreign: what does not fit is left out as a
// whole, with a warning. Fails only beyond the limit of memory.
int ht_births_decode(struct ht_profile *profile, const uint8_t *bytes, size_t length, uint64_t memory_limit);
// Appends nothing where the profile has none.
void ht_births_encode(const struct ht_profile *profile, struct ht_buffer *out);

// Of profiles of other writers: errors by the rate and the mean size of each row, where the period is a mean
// distance in bytes, and the row has a count and bytes of one kind (alloc_* or inuse_*). None are made up
// where that is not so.
void ht_births_guess(struct ht_profile *profile);

// Before the values of `a` and `b` are subtracted from each other: afterwards the sum of a row's variances on
// both sides is that of the difference. Two snapshots of one process share what survived, and what was
// counted before the older one; of others nothing changes, since their errors are independent.
void ht_births_settle(struct ht_profile *a, struct ht_profile *b);

#endif
