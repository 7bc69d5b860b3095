// Fuzzes the readers of older forms of a profile: any bytes give a profile that is whole or one line of what
// is wrong, within bounded memory; what was read can be merged and written.
#include "base/error.h"
#include "profile/filter.h"
#include "profile/legacy/legacy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ht_profile_limits limits = {.raw_bytes = 16u << 20, .memory_bytes = 64u << 20};
    struct ht_profile *profile = NULL, *again = NULL;
    struct ht_buffer bytes = {0};
    if (ht_legacy_decode(data, size, &limits, &profile) != 0) {
        must(profile == NULL && ht_error()[0] != '\0' && strchr(ht_error(), '\n') == NULL);
        return 0;
    }
    must(ht_profile_check(profile) == 0);
    must(ht_profile_merge(&profile, 1) == 0 && ht_profile_check(profile) == 0);
    ht_filter_drop_frames(profile);
    must(ht_profile_check(profile) == 0);
    ht_profile_encode(profile, &bytes);
    if (profile->sample_count > 0) {
        must(ht_legacy_decode((const uint8_t *)bytes.data, bytes.length, NULL, &again) == 0);
        must(again->sample_count == profile->sample_count);
    }
    ht_buffer_free(&bytes);
    ht_profile_free(again);
    ht_profile_free(profile);
    return 0;
}
