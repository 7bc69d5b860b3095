// The sample types of several profiles: whether they fit together, one unit for each, and factors for values.
//
// What fits together follows google/pprof's profile/merge.go as Go 1.19 ships it; where the columns differ,
// those that all have are kept, as later versions do.
#include "profile/types.h"

#include "base/error.h"
#include "base/measure.h"
#include "profile/birth.h"

#include <math.h>
#include <stdlib.h>

static bool same_text(const struct ht_profile *a, uint32_t string_a, const struct ht_profile *b,
                      uint32_t string_b)
{
    return strcmp(ht_profile_text(a, string_a), ht_profile_text(b, string_b)) == 0;
}

// Types are compared without a final s: a minor mismatch that older writers had.
static bool compatible_types(const char *type_a, const char *unit_a, const char *type_b, const char *unit_b)
{
    size_t length_a = strlen(type_a), length_b = strlen(type_b);
    if (length_a > 0 && type_a[length_a - 1] == 's')
        length_a--;
    if (length_b > 0 && type_b[length_b - 1] == 's')
        length_b--;
    return length_a == length_b && memcmp(type_a, type_b, length_a) == 0 &&
           ht_measure_compatible(unit_a, unit_b);
}

static int fail_types(const struct ht_profile *a, const struct ht_value_type *type_a,
                      const struct ht_profile *b, const struct ht_value_type *type_b, const char *what)
{
    return ht_fail("the profiles do not fit together: %s %s/%s and %s/%s", what,
                   ht_profile_text(a, type_a->type), ht_profile_text(a, type_a->unit),
                   ht_profile_text(b, type_b->type), ht_profile_text(b, type_b->unit));
}

// The finest unit of one type column over all profiles.
static int finest_unit(struct ht_profile **profiles, size_t count,
                       const struct ht_value_type *(*column)(const struct ht_profile *, size_t),
                       size_t position, const char *what, const char **ret_unit)
{
    const struct ht_value_type *best = column(profiles[0], position);
    const struct ht_profile *owner = profiles[0];
    for (size_t i = 1; i < count; i++) {
        const struct ht_value_type *type = column(profiles[i], position);
        const char *unit = ht_profile_text(profiles[i], type->unit),
                   *best_unit = ht_profile_text(owner, best->unit);
        if (!compatible_types(ht_profile_text(owner, best->type), best_unit,
                              ht_profile_text(profiles[i], type->type), unit))
            return fail_types(owner, best, profiles[i], type, what);
        const char *ignored;
        if (ht_measure_scale(1, unit, best_unit, &ignored) < 1) {
            best = type;
            owner = profiles[i];
        }
    }
    *ret_unit = ht_profile_text(owner, best->unit);
    return 0;
}

static const struct ht_value_type *sample_type_of(const struct ht_profile *profile, size_t position)
{
    return &profile->sample_types[position];
}

static const struct ht_value_type *period_type_of(const struct ht_profile *profile, size_t position)
{
    (void)position;
    return &profile->period_type;
}

// Multiplies each column by its own factor; keeps the samples in which a multiplied column is not zero
// afterwards (all of them if every factor is 1).
static void scale_columns(struct ht_profile *profile, const double *factors)
{
    size_t types = profile->sample_type_count, kept = 0;
    bool all_ones = true;
    for (size_t t = 0; t < types; t++)
        all_ones = all_ones && factors[t] == 1;
    if (all_ones)
        return;
    profile->are_guessed = false;
    for (size_t i = 0; i < profile->sample_count; i++) {
        int64_t *values = ht_profile_values(profile, i);
        bool keep = false;
        for (size_t t = 0; t < types; t++) {
            if (factors[t] == 1)
                continue;
            values[t] = ht_int64_of_double(round((double)values[t] * factors[t]));
            keep = keep || values[t] != 0;
            if (profile->variances != NULL)
                ht_profile_variances(profile, i)[t] *= factors[t] * factors[t];
        }
        if (!keep)
            continue;
        profile->samples[kept] = profile->samples[i];
        memmove(ht_profile_values(profile, kept), values, types * sizeof *values);
        if (profile->variances != NULL)
            memmove(ht_profile_variances(profile, kept), ht_profile_variances(profile, i),
                    types * sizeof *profile->variances);
        kept++;
    }
    profile->sample_count = kept;
}

// Whether the columns are of the same types, one by one.
static bool same_columns(const struct ht_profile *a, const struct ht_profile *b)
{
    if (a->sample_type_count != b->sample_type_count)
        return false;
    for (size_t t = 0; t < a->sample_type_count; t++) {
        const struct ht_value_type *type_a = &a->sample_types[t], *type_b = &b->sample_types[t];
        if (!compatible_types(ht_profile_text(a, type_a->type), ht_profile_text(a, type_a->unit),
                              ht_profile_text(b, type_b->type), ht_profile_text(b, type_b->unit)))
            return false;
    }
    return true;
}

static size_t find_type(const struct ht_profile *profile, const char *type)
{
    size_t t = 0;
    while (t < profile->sample_type_count &&
           strcmp(ht_profile_text(profile, profile->sample_types[t].type), type) != 0)
        t++;
    return t;
}

static bool all_have(struct ht_profile **profiles, size_t count, const char *type)
{
    for (size_t i = 0; i < count; i++)
        if (find_type(profiles[i], type) == profiles[i]->sample_type_count)
            return false;
    return true;
}

// Keeps the columns that are named, in this order.
static void keep_columns(struct ht_profile *profile, const char *const *types, size_t count)
{
    size_t before = profile->sample_type_count;
    size_t *from = ht_alloc_zero(count, sizeof *from);
    int64_t *row = ht_alloc_zero(count, sizeof *row);
    double *variances = ht_alloc_zero(count, sizeof *variances);
    struct ht_value_type *kept = ht_alloc_zero(count, sizeof *kept);
    bool has_default = false;
    for (size_t t = 0; t < count; t++) {
        from[t] = find_type(profile, types[t]);
        kept[t] = profile->sample_types[from[t]];
        has_default = has_default || kept[t].type == profile->default_sample_type;
    }
    for (size_t i = 0; i < profile->sample_count; i++) {
        for (size_t t = 0; t < count; t++)
            row[t] = profile->values[i * before + from[t]];
        memcpy(profile->values + i * count, row, count * sizeof *row);
        if (profile->variances == NULL)
            continue;
        for (size_t t = 0; t < count; t++)
            variances[t] = profile->variances[i * before + from[t]];
        memcpy(profile->variances + i * count, variances, count * sizeof *variances);
    }
    memcpy(profile->sample_types, kept, count * sizeof *kept);
    profile->sample_type_count = count;
    if (!has_default)
        profile->default_sample_type = 0;
    free(from);
    free(row);
    free(variances);
    free(kept);
}

static void warn_left_out(struct ht_profile **profiles, size_t count)
{
    struct ht_buffer names = {0};
    for (size_t i = 0; i < count; i++)
        for (size_t t = 0; t < profiles[i]->sample_type_count; t++) {
            const char *type = ht_profile_text(profiles[i], profiles[i]->sample_types[t].type);
            bool told = all_have(profiles, count, type) || find_type(profiles[i], type) < t;
            for (size_t j = 0; j < i && !told; j++)
                told = find_type(profiles[j], type) < profiles[j]->sample_type_count;
            if (!told)
                ht_buffer_printf(&names, "%s%s", names.length > 0 ? ", " : "", type);
        }
    if (names.length > 0)
        ht_warn("left out, as not every profile has it: %s", names.data);
    ht_buffer_free(&names);
}

void ht_types_share(struct ht_profile **profiles, size_t count)
{
    enum { TYPES_LIMIT = 64 }; // more is nonsense, and the search takes the square of it
    const char *shared[TYPES_LIMIT];
    size_t shared_count = 0, fitting = 1;
    for (size_t i = 0; i < count; i++) {
        if (profiles[i]->sample_type_count > TYPES_LIMIT)
            return;
        fitting += i > 0 && same_columns(profiles[0], profiles[i]);
    }
    if (fitting == count)
        return;
    const struct ht_profile *first = profiles[0];
    for (size_t t = 0; t < first->sample_type_count; t++) {
        const char *type = ht_profile_text(first, first->sample_types[t].type);
        if (find_type(first, type) == t && all_have(profiles, count, type))
            shared[shared_count++] = type;
    }
    if (shared_count == 0)
        return;
    warn_left_out(profiles, count);
    for (size_t i = 0; i < count; i++)
        keep_columns(profiles[i], shared, shared_count);
}

int ht_types_unify(struct ht_profile **profiles, size_t count)
{
    size_t types = profiles[0]->sample_type_count;
    const char *period_unit;
    if (finest_unit(profiles, count, period_type_of, 0, "period types", &period_unit) < 0)
        return -1;
    for (size_t i = 1; i < count; i++)
        if (profiles[i]->sample_type_count != types)
            return ht_fail("the profiles do not fit together: %zu and %zu sample types", types,
                           profiles[i]->sample_type_count);
    const char **units = ht_alloc_zero(types, sizeof *units);
    double *factors = ht_alloc_zero(types, sizeof *factors);
    int result = 0;
    for (size_t t = 0; t < types && result == 0; t++)
        result = finest_unit(profiles, count, sample_type_of, t, "sample types", &units[t]);
    for (size_t i = 0; i < count && result == 0; i++) {
        struct ht_profile *profile = profiles[i];
        const char *ignored, *unit = ht_profile_text(profile, profile->period_type.unit);
        profile->period = ht_int64_of_double(ht_measure_scale(profile->period, unit, period_unit, &ignored));
        profile->period_type.unit = ht_profile_intern_text(profile, period_unit);
        for (size_t t = 0; t < types; t++) {
            unit = ht_profile_text(profile, profile->sample_types[t].unit);
            factors[t] = ht_measure_scale(1, unit, units[t], &ignored);
            profile->sample_types[t].unit = ht_profile_intern_text(profile, units[t]);
        }
        scale_columns(profile, factors);
    }
    free(units);
    free(factors);
    return result;
}

int ht_types_check(const struct ht_profile *a, const struct ht_profile *b)
{
    if (!same_text(a, a->period_type.type, b, b->period_type.type) ||
        !same_text(a, a->period_type.unit, b, b->period_type.unit))
        return fail_types(a, &a->period_type, b, &b->period_type, "period types");
    if (a->sample_type_count != b->sample_type_count)
        return ht_fail("the profiles do not fit together: %zu and %zu sample types", a->sample_type_count,
                       b->sample_type_count);
    for (size_t i = 0; i < a->sample_type_count; i++)
        if (!same_text(a, a->sample_types[i].type, b, b->sample_types[i].type) ||
            !same_text(a, a->sample_types[i].unit, b, b->sample_types[i].unit))
            return fail_types(a, &a->sample_types[i], b, &b->sample_types[i], "sample types");
    return 0;
}

void ht_profile_scale(struct ht_profile *profile, double factor)
{
    double *factors = ht_alloc_zero(profile->sample_type_count, sizeof *factors);
    for (size_t t = 0; t < profile->sample_type_count; t++)
        factors[t] = factor;
    scale_columns(profile, factors);
    free(factors);
}

static int64_t column_sum(const struct ht_profile *profile, size_t type)
{
    int64_t sum = 0;
    for (size_t i = 0; i < profile->sample_count; i++)
        sum = ht_wrap_add(sum, ht_profile_values(profile, i)[type]);
    return sum;
}

int ht_profile_normalize(struct ht_profile *profile, const struct ht_profile *base)
{
    if (ht_types_check(profile, base) < 0)
        return -1;
    double *factors = ht_alloc_zero(profile->sample_type_count, sizeof *factors);
    for (size_t t = 0; t < profile->sample_type_count; t++) {
        int64_t sum = column_sum(profile, t);
        factors[t] = sum == 0 ? 0 : (double)column_sum(base, t) / (double)sum;
    }
    scale_columns(profile, factors);
    free(factors);
    return 0;
}
