// How well sampling tells a change.
#include "stats/evidence.h"

#include "profile/birth.h"
#include "stats/drift.h"

#include <math.h>

enum { FLIPS_MOST = 400 };
#define WIDE 1.959964

void ht_evidence_total(struct ht_evidence *evidence, double value, double variance, bool old)
{
    if (isnan(variance))
        evidence->is_unknown = evidence->is_unknown || value != 0;
    double *sum = old ? &evidence->down : &evidence->up;
    double *sum_variance = old ? &evidence->down_variance : &evidence->up_variance;
    *sum += value;
    *sum_variance += isnan(variance) ? 0 : variance;
}

void ht_evidence_births(struct ht_evidence *evidence, const struct ht_profile *profile, size_t sample,
                        bool old, int64_t old_ticks, bool in_bytes)
{
    const struct ht_sample *of = &profile->samples[sample];
    const struct ht_birth *births = ht_profile_births(profile, of);
    double floor_bytes = ht_profile_floor(profile);
    for (uint32_t i = 0; i < of->birth_count; i++) {
        double p = ht_birth_probability(&births[i], floor_bytes);
        double size = in_bytes ? (double)births[i].size_bytes : 1, variance = size * size * (1 - p) / p / p;
        if (!old && births[i].ticks >= old_ticks) {
            evidence->up += size / p;
            evidence->up_variance += variance;
            evidence->up_count++;
        } else { // what survived is taken off what was there
            double sign = old ? 1 : -1;
            evidence->down += sign * size / p;
            evidence->down_variance += sign * variance;
            evidence->down_count += sign;
        }
    }
}

// Score limits of a sum of samples by the weight that they have on average: variance / sum, the mean weight
// of a sample less what is known for certain of it.
static void limits(double sum, double variance, double other_weight, double *ret_low, double *ret_high)
{
    double weight = sum > 0 ? variance / sum : other_weight, low, high;
    *ret_low = *ret_high = sum;
    if (!(weight > 0))
        return;
    ht_poisson_limits(sum / weight, WIDE, &low, &high);
    *ret_low = low * weight;
    *ret_high = high * weight;
}

// Whether as much came as went: each sample, or what is worth one, may as well have been on the other side.
static double chance_of(const struct ht_evidence *evidence, double error)
{
    double difference = fabs(evidence->up - evidence->down);
    double ups = evidence->up_count, downs = evidence->down_count, d[FLIPS_MOST];
    if (ups + downs == 0) { // not counted: what they are worth in samples
        ups = evidence->up_variance > 0 ? floor(evidence->up * evidence->up / evidence->up_variance) : 0;
        downs = evidence->down_variance > 0 ? floor(evidence->down * evidence->down / evidence->down_variance)
                                            : 0;
    }
    if (difference < 1e-9 * (evidence->up + evidence->down))
        return 1;
    if (!(error > 0))
        return 0; // exact
    if (ups + downs < 1 || ups + downs > (double)FLIPS_MOST || ups < 0 || downs < 0)
        return erfc(difference / error / sqrt(2));
    size_t count = 0;
    double sign = evidence->up > evidence->down ? 1 : -1;
    for (int i = 0; i < ups; i++)
        d[count++] = sign * evidence->up / ups;
    for (int i = 0; i < downs; i++)
        d[count++] = -sign * evidence->down / downs;
    return fmin(1, 2 * ht_flip_p(d, count));
}

void ht_evidence_judge(const struct ht_evidence *evidence, struct ht_change *change)
{
    // What went is a difference of two sums; what is left of rounding is nothing.
    struct ht_evidence of = *evidence;
    of.down = of.down < 1e-6 * (of.up + fabs(of.down)) || of.down_count < 0 ? fmax(of.down, 0) : of.down;
    of.down_variance = fmax(of.down_variance, 0);
    change->error = change->low = change->high = (double)NAN;
    change->p_value = 1;
    if (of.is_unknown)
        return;
    double weight =
        fmax(of.up > 0 ? of.up_variance / of.up : 0, of.down > 0 ? of.down_variance / of.down : 0);
    double up_low, up_high, down_low, down_high, d = (double)change->change;
    limits(of.up, of.up_variance, weight, &up_low, &up_high);
    limits(of.down, of.down_variance, weight, &down_low, &down_high);
    change->error = sqrt(of.up_variance + of.down_variance);
    // Source: Zou and Donner 2008 (MOVER): the limits of a difference from those of its two parts.
    change->low = d - hypot(of.up - up_low, down_high - of.down);
    change->high = d + hypot(up_high - of.up, of.down - down_low);
    change->p_value = chance_of(&of, change->error);
    change->verdict = change->p_value > 0.01 || change->change == 0 ? HT_CHANGE_NOISE
                      : change->change > 0                          ? HT_CHANGE_GROWS
                                                                    : HT_CHANGE_SHRINKS;
}
