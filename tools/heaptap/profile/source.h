// Whose snapshot a profile is, by the comments that heaptap writes.
#ifndef HT_PROFILE_SOURCE_H
#define HT_PROFILE_SOURCE_H

#include "profile/profile.h"

// Texts of the profile's, NULL: unknown. The pid, its namespace, the boot and the start name the process.
struct ht_source {
    const char *program, *pid, *start, *pid_namespace, *boot_id;
    const char *inherited_pid, *inherited_start; // a forked child's: the process whose region it inherited
    uint64_t seq;
    int64_t time_ns;
};

// Context: tool; pure. False: another writer's, or made of several snapshots.
bool ht_source_of(const struct ht_profile *profile, struct ht_source *ret_origin);

bool ht_source_is_same(const struct ht_source *a, const struct ht_source *b);
// Whether `child` is a forked one that took blocks over from `parent`, or from the same process as the other.
bool ht_source_is_parent(const struct ht_source *parent, const struct ht_source *child);
bool ht_source_is_sibling(const struct ht_source *a, const struct ht_source *b);

// Two snapshots of the same kind (sample types) of one process: adding them up gives what no machine ever
// held.
bool ht_source_is_series(const struct ht_profile *a, const struct ht_profile *b);
// Whether `a` is the newer one of them.
bool ht_source_is_newer(const struct ht_profile *a, const struct ht_profile *b);

#endif
