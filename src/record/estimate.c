// Probabilities, weights and size classes.
#include "record/estimate.h"

#include <float.h>
#include <math.h>
#include <string.h>

// Eight classes for each power of two: class bounds 1..16, then m * 2^k with m in 9..16.
uint32_t ht_size_class(uint64_t size_bytes)
{
    if (size_bytes <= 16) {
        return (uint32_t)size_bytes;
    }
    unsigned top = 63u - (unsigned)__builtin_clzll(size_bytes - 1); // size - 1 in [2^top, 2^(top+1))
    unsigned shift = top - 3;
    return (uint32_t)(shift * 8 + ((size_bytes - 1) >> shift) + 1);
}

uint64_t ht_size_class_bound(uint32_t size_class)
{
    if (size_class <= 16) {
        return size_class;
    }
    unsigned shift = (size_class - 1) / 8 - 1;
    unsigned mantissa = (size_class - 1) % 8 + 8 + 1;
    if (shift >= 60 && ((uint64_t)mantissa > (UINT64_MAX >> shift))) {
        return UINT64_MAX;
    }
    return (uint64_t)mantissa << shift;
}

double ht_probability(uint64_t size_bytes, double rate_bytes)
{
    if (rate_bytes <= 1.0) {
        return 1.0;
    }
    double cost = size_bytes == 0 ? 1.0 : (double)size_bytes;
    return -expm1(-cost / rate_bytes);
}

double ht_live_weight(const struct ht_live_copy *live, double floor_bytes)
{
    double rate = (double)live->rate_bytes > floor_bytes ? (double)live->rate_bytes : floor_bytes;
    return 1.0 / ht_probability(live->size_bytes, rate);
}

#define CELL_LEAST (-600)

// 2^exponent, and the exponent of a number, by the bits of IEEE 754: libm's would touch errno.
static double ht_power(int exponent)
{
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

double ht_cell_bytes(int cell)
{
    static const float ht_roots[4] = {1.0f, 1.18920712f, 1.41421356f, 1.68179283f}; // 2^(1/4), ...
    return (double)ht_roots[(unsigned)cell & 3] * ht_power(cell >> 2);
}

int ht_cell_of(double bytes)
{
    if (!(bytes > ht_cell_bytes(CELL_LEAST))) {
        return CELL_LEAST;
    }
    uint64_t bits;
    bytes = bytes < (double)FLT_MAX ? bytes : (double)FLT_MAX;
    memcpy(&bits, &bytes, sizeof bits);
    int cell = ((int)(bits >> 52) - 1023) * 4 + 3; // below the next power of two
    while (!(bytes > ht_cell_bytes(cell))) {
        cell--;
    }
    return cell;
}
