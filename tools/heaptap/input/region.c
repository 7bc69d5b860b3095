// A live region as input of a report: a PID or a *.live file becomes a profile in memory.
#include "input/region.h"

#include "base/memory.h"
#include "profile/profile.h"
#include "region/snap.h"

int ht_region_input_load(const char *argument, struct ht_profile **ret_profile)
{
    struct ht_buffer bytes = {0};
    struct ht_owner owner;
    int result = ht_snap_encode(argument, &bytes, &owner);
    if (result == 0)
        result = ht_profile_decode((const uint8_t *)bytes.data, bytes.length, NULL, ret_profile);
    if (result == 0)
        (*ret_profile)->owner = owner;
    ht_buffer_free(&bytes);
    return result;
}
