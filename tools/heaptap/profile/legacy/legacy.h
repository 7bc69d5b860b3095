// A profile in any form that `go tool pprof` reads: profile.proto, the formats before it, and jemalloc's.
#ifndef HT_PROFILE_LEGACY_LEGACY_H
#define HT_PROFILE_LEGACY_LEGACY_H

#include "profile/profile.h"

// Context: tool. What it is, is seen by its content; gzip or plain. These are read besides profile.proto:
// the heap, growth, fragmentation, contention, thread and CPU profiles of gperftools, tcmalloc and Java
// agents, the text of Go's /debug/pprof?debug=1, jemalloc's heap profiles, each also behind the names that
// `pprof --raw` and `jeprof --raw` put in front. Bounds as for ht_profile_decode(). Fails with what is wrong.
int ht_legacy_read(int fd, const struct ht_profile_limits *limits, struct ht_profile **ret_profile);
int ht_legacy_decode(const uint8_t *bytes, size_t length, const struct ht_profile_limits *limits,
                     struct ht_profile **ret_profile);

// The program that unpacks bytes that begin so ("zstd"), other than gzip, which is read by the above; NULL:
// they are not packed.
const char *ht_legacy_packer(const uint8_t *start, size_t length);

#endif
