// Tests for drift in a series of increments.
#include "stats/drift.h"

#include "base/memory.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

// The continued fraction of the incomplete beta function; source: Abramowitz and Stegun 26.5.8.
static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < DBL_MIN ? DBL_MIN : d);
    double value = d;
    for (int m = 1; m < 300; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double before = value;
        d = 1 / (1 + even * d);
        c = 1 + even / c;
        value *= d * c;
        d = 1 / (1 + odd * d);
        c = 1 + odd / c;
        value *= d * c;
        if (fabs(value - before) < 1e-14 * fabs(value))
            break;
    }
    return value;
}

static double incomplete_beta(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double ht_student_tail(double t, double degrees)
{
    double half = incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t)) / 2;
    return t >= 0 ? half : 1 - half;
}

double ht_poisson_below(double k, double mean)
{
    double term = exp(-mean), sum = term;
    for (long i = 1; (double)i <= k; i++)
        sum += term *= mean / (double)i;
    return sum < 1 ? sum : 1;
}

double ht_poisson_above(double k, double mean)
{
    return k <= 0 ? 1 : 1 - ht_poisson_below(k - 1, mean);
}

void ht_poisson_limits(double k, double z, double *ret_low, double *ret_high)
{
    double middle = k + z * z / 2, half = z * sqrt(k + z * z / 4);
    *ret_low = middle - half;
    *ret_high = middle + half;
}

void ht_slope_weights(double *c, const double *times, size_t count)
{
    double mean = 0, squares = 0;
    for (size_t k = 0; k < count; k++)
        mean += times[k] / (double)count;
    for (size_t k = 0; k < count; k++)
        squares += (times[k] - mean) * (times[k] - mean);
    for (size_t k = 0; k < count; k++)
        c[k] = squares > 0 ? (times[k] - mean) / squares : 0;
}

// Newey and West's variance of a weighted sum of increments, from what is left of them without the slope.
static double long_run_variance(const double *u, size_t count, size_t lags)
{
    double sum = 0;
    for (size_t h = 0; h <= lags && h < count; h++) {
        double product = 0;
        for (size_t j = 0; j + h < count; j++)
            product += u[j] * u[j + h];
        sum += (h == 0 ? 1 : 2 * (1 - (double)h / (double)(lags + 1))) * product;
    }
    return sum > 0 ? sum : 0;
}

struct ht_slope ht_slope_of(const double *values, const double *times, size_t count)
{
    struct ht_slope slope = {.p_up = 1};
    if (count < 3)
        return slope;
    size_t n = count - 1, lags = n / 8 > 1 ? n / 8 : 1;
    double *c = ht_realloc_array(NULL, count, sizeof *c), *u = ht_realloc_array(NULL, n, sizeof *u);
    ht_slope_weights(c, times, count);
    for (size_t k = 0; k < count; k++)
        slope.per_s += c[k] * values[k];
    double weight = 0; // of an increment: the sum of the weights behind it
    for (size_t j = n; j-- > 0;) {
        weight += c[j + 1];
        u[j] = weight * (values[j + 1] - values[j] - slope.per_s * (times[j + 1] - times[j]));
    }
    double variance = long_run_variance(u, n, lags) * (double)n / ((double)n - 1);
    slope.error = sqrt(variance);
    double degrees = 1.5 * (double)n / (double)(lags + 1);
    if (slope.error > fabs(slope.per_s) * 1e-9)
        slope.p_up = ht_student_tail(slope.per_s / slope.error, degrees);
    else
        slope.p_up = slope.per_s > 0 ? pow(0.5, (double)n) : 1;
    free(c);
    free(u);
    return slope;
}

static double log_cosh(double x)
{
    return x < 20 ? log(cosh(x)) : x - log(2);
}

static double flip_exponent(const double *d, size_t count, double sum, double angle)
{
    double exponent = -angle * sum;
    for (size_t i = 0; i < count; i++)
        if (d[i] != 0)
            exponent += log_cosh(fabs(angle * d[i]));
    return exponent;
}

// Lugannani and Rice's approximation of a tail with Daniels's correction for a lattice, here of twice the
// mean step: where the steps differ it errs to the careful side.
static double saddle_point(const double *d, size_t count, double angle, double exponent)
{
    double curvature = 0, steps = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        double sech = 1 / cosh(fmin(fabs(angle * d[i]), 300));
        curvature += d[i] * d[i] * sech * sech;
        size += fabs(d[i]);
        steps += d[i] != 0;
    }
    double span = 2 * size / steps, r = sqrt(-2 * exponent),
           u = -expm1(-angle * span) / span * sqrt(curvature);
    if (!(r > 0.3) || !(u > 0))
        return 1;
    return erfc(r / sqrt(2)) / 2 + exp(exponent) / sqrt(2 * M_PI) * (1 / u - 1 / r);
}

double ht_flip_p(const double *d, size_t count)
{
    double sum = 0, squares = 0;
    size_t ups = 0, downs = 0;
    for (size_t i = 0; i < count; i++) {
        sum += d[i];
        squares += d[i] * d[i];
        ups += d[i] > 0;
        downs += d[i] < 0;
    }
    if (sum <= 0 || downs == 0)
        return ups > 0 && sum > 0 ? exp(-(double)ups * log(2)) : 1;
    // The exponent is convex in the angle: its least by golden section, on a logarithmic scale around the
    // angle that a normal sum would have.
    double angle, low = log(0.1 * sum / squares), high = log(1e3 * sum / squares), best = 0;
    for (int i = 0; i < 40; i++) {
        double a = high - (high - low) * 0.6180339887, b = low + (high - low) * 0.6180339887;
        double at_a = flip_exponent(d, count, sum, exp(a)), at_b = flip_exponent(d, count, sum, exp(b));
        if (at_a <= at_b)
            high = b;
        else
            low = a;
        best = fmin(best, fmin(at_a, at_b));
    }
    angle = exp((low + high) / 2);
    return fmin(exp(best), saddle_point(d, count, angle, best));
}

double ht_correlated(const double *d, size_t count)
{
    double mean = 0, squares = 0, sum = 1, limit = 2 / sqrt((double)count);
    for (size_t i = 0; i < count; i++)
        mean += d[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (d[i] - mean) * (d[i] - mean);
    for (size_t h = 1; h < count / 3 && squares > 0; h++) {
        double product = 0;
        for (size_t i = 0; i + h < count; i++)
            product += (d[i] - mean) * (d[i + h] - mean);
        if (product / squares < limit)
            break;
        sum += 2 * product / squares;
    }
    return sum;
}
