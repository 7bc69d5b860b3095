// What the readers of the forms of a profile share: the bounds, and profile.proto's reader on open bytes.
#ifndef HT_PROFILE_DECODE_H
#define HT_PROFILE_DECODE_H

#include "profile/bytes.h"
#include "profile/profile.h"

// Context: tool.

// Fails when the profile and `more` bytes beside it take more memory than the limit.
int ht_decode_check_memory(const struct ht_profile *profile, uint64_t more, uint64_t limit_bytes);

// profile.proto. The bytes stay the caller's.
int ht_decode_bytes(struct ht_bytes *bytes, uint64_t memory_limit, struct ht_profile **ret_profile);

#endif
