// The report `proto`: what the filters left of the profile, as a .pb.gz of its own.
#include "profile/birth.h"
#include "view/reports.h"
#include "view/text/raw.h"

// As pprof does: each value is divided and truncated; samples that become zero stay until they are merged.
static void divide(struct ht_profile *profile, double divisor)
{
    double ratio = 1 / divisor;
    if (ratio <= 0 || ratio == 1)
        return;
    for (size_t i = 0; i < profile->sample_count * profile->sample_type_count; i++)
        profile->values[i] = ht_int64_of_double((double)profile->values[i] * ratio);
    for (size_t i = 0; i < profile->sample_count * profile->sample_type_count && profile->variances != NULL;
         i++)
        profile->variances[i] *= ratio * ratio;
    profile->are_guessed = false;
    ht_profile_drop_births(profile); // so much does not live
}

int ht_write_proto(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_profile *profile = report->profile;
    divide(profile, report->options.divide_by);
    if (ht_profile_merge(&profile, 1) < 0) // what nothing refers to any more goes
        return -1;
    if (!form->json)
        return ht_profile_compress(profile, out);
    ht_raw_json(report, form->name, out);
    return 0;
}
