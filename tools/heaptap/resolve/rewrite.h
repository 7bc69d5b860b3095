// Writing a profile with names where one without was.
#ifndef HT_RESOLVE_REWRITE_H
#define HT_RESOLVE_REWRITE_H

#include "profile/profile.h"

// Context: tool. Writes a profile to `path` by way of the file `temporary` beside it, so that nobody ever
// sees half of it. With `like` (the file that is replaced, or NULL) the new one keeps its rights, owner and
// time. Fails with ht_error(); there is no temporary file then.
int ht_rewrite_profile(const struct ht_profile *profile, const char *path, const char *temporary,
                       const char *like);

#endif
