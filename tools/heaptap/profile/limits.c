// Bounds for profiles from others.
#include "profile/decode.h"

#include "base/error.h"
#include "base/measure.h"

#include <sys/resource.h>
#include <unistd.h>

// In memory at most 4 GiB, and half of what the machine has or this process may have.
struct ht_profile_limits ht_profile_default_limits(void)
{
    uint64_t limit = 1ull << 32;
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page_bytes > 0 && (uint64_t)pages * (uint64_t)page_bytes / 2 < limit)
        limit = (uint64_t)pages * (uint64_t)page_bytes / 2;
    struct rlimit address_space;
    if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur / 2 < limit)
        limit = address_space.rlim_cur / 2;
    return (struct ht_profile_limits){.raw_bytes = 1ull << 32, .memory_bytes = limit};
}

static uint64_t memory_of(const struct ht_profile *profile)
{
    return profile->arena.total_bytes + profile->string_capacity * sizeof *profile->strings +
           profile->string_index.slot_count * sizeof *profile->string_index.slots +
           profile->sample_type_capacity * sizeof *profile->sample_types +
           profile->sample_capacity * sizeof *profile->samples +
           profile->value_capacity * sizeof *profile->values +
           profile->variance_capacity * sizeof *profile->variances +
           profile->birth_capacity * sizeof *profile->births +
           profile->frame_capacity * sizeof *profile->frames +
           profile->label_capacity * sizeof *profile->labels +
           profile->mapping_capacity * sizeof *profile->mappings +
           profile->location_capacity * sizeof *profile->locations +
           profile->line_capacity * sizeof *profile->lines +
           profile->function_capacity * sizeof *profile->functions +
           profile->comment_capacity * sizeof *profile->comments;
}

int ht_decode_check_memory(const struct ht_profile *profile, uint64_t more, uint64_t limit_bytes)
{
    if (memory_of(profile) + more <= limit_bytes)
        return 0;
    char limit[HT_MEASURE_TEXT_BYTES];
    ht_measure_bytes((int64_t)limit_bytes, 0, limit);
    return ht_fail("too large: needs more than %s of memory", limit);
}
