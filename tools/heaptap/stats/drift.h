// Tests for drift in a series of increments: is there more up than down than chance explains?
#ifndef HT_STATS_DRIFT_H
#define HT_STATS_DRIFT_H

#include <stddef.h>

// Context: tool; pure but for memory. README.md has the formulas.

// Upper tail of Student's t; source: the regularised incomplete beta function by its continued fraction
// (Lentz's way).
double ht_student_tail(double t, double degrees);

// P(X <= k) and P(X >= k) for a Poisson variable.
double ht_poisson_below(double k, double mean);
double ht_poisson_above(double k, double mean);

// Limits for the mean of a Poisson variable of which k were counted (score interval, z standard errors).
void ht_poisson_limits(double k, double z, double *ret_low, double *ret_high);

// A slope by least squares with its error from the series itself (increments' autocovariances, Bartlett's
// window), which also holds where the series is a random walk.
struct ht_slope {
    double per_s, error; // error: of the fluctuation that is seen, sampling included
    double p_up;         // that a series without drift has such a slope, or a larger one
};
struct ht_slope ht_slope_of(const double *values, const double *times, size_t count);

// The weights c with slope = sum c[k] values[k].
void ht_slope_weights(double *c, const double *times, size_t count);

// The probability of a sum as large as that of d[], if each element were as likely to have the other sign
// (the sign-flip test by its saddle point; exact where all have one sign, and never above Chernoff's bound).
double ht_flip_p(const double *d, size_t count);

// How many increments are worth one, because they go together: 1 + 2 * sum of the autocorrelations that stand
// out.
double ht_correlated(const double *d, size_t count);

#endif
