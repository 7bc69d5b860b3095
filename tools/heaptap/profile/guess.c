// The errors of profiles whose writers say the mean distance of sampling and, of each row, a count and bytes.
//
// The writers estimate each row at once, by the mean size of its blocks (Go's runtime/pprof, pprof's reader
// of gperftools' and jemalloc's forms): count = n/P with P = 1 - exp(-size/rate), whose variance is estimated
// by n (1-P)/P^2 = count (1-P)/P.
#include "profile/birth.h"

static size_t find_column(const struct ht_profile *profile, const char *type, const char *unit)
{
    size_t t = 0;
    while (t < profile->sample_type_count &&
           (strcmp(ht_profile_text(profile, profile->sample_types[t].type), type) != 0 ||
            strcmp(ht_profile_text(profile, profile->sample_types[t].unit), unit) != 0))
        t++;
    return t;
}

static void guess_pair(struct ht_profile *profile, size_t objects, size_t bytes)
{
    if (objects == profile->sample_type_count || bytes == profile->sample_type_count)
        return;
    ht_profile_need_variances(profile);
    profile->are_guessed = true;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const int64_t *values = ht_profile_values(profile, i);
        double *variances = ht_profile_variances(profile, i);
        double count = (double)values[objects], size = count > 0 ? (double)values[bytes] / count : 0;
        if (values[objects] == 0 && values[bytes] == 0) {
            variances[objects] = variances[bytes] = 0;
        } else if (count > 0 && size > 0) {
            double rate = (double)profile->period;
            double odds = rate <= 1 ? 0 : 1 / expm1(size / rate); // (1-P)/P
            variances[objects] = count * odds;
            variances[bytes] = count * size * size * odds;
        }
    }
}

void ht_births_guess(struct ht_profile *profile)
{
    // Our own say how exact they are, or are from before they could; their rate may have changed.
    if (profile->variances != NULL || profile->period <= 0 ||
        ht_profile_comment_value(profile, "version") != NULL ||
        strcmp(ht_profile_text(profile, profile->period_type.type), "space") != 0 ||
        strcmp(ht_profile_text(profile, profile->period_type.unit), "bytes") != 0)
        return;
    guess_pair(profile, find_column(profile, "alloc_objects", "count"),
               find_column(profile, "alloc_space", "bytes"));
    guess_pair(profile, find_column(profile, "inuse_objects", "count"),
               find_column(profile, "inuse_space", "bytes"));
    guess_pair(profile, find_column(profile, "objects", "count"), find_column(profile, "space", "bytes"));
}
