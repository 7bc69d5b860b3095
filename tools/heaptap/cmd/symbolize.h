// Profiles with names: what `heaptap symbolize` does, for a file and for the end of `heaptap run`.
#ifndef HT_CMD_SYMBOLIZE_H
#define HT_CMD_SYMBOLIZE_H

#include "resolve/resolve.h"

#include <stdint.h>
#include <time.h>

// Context: tool.

// Writes a profile to `path` by way of the file `temporary` beside it, so that nobody ever sees half of it.
// With `like` (the file that is replaced, or NULL) the new one keeps its rights, owner and time. Fails with
// ht_error(); there is no temporary file then.
int ht_symbolize_write(const struct ht_profile *profile, const char *path, const char *temporary,
                       const char *like);

// At the end of `heaptap run`: puts names into the profiles in this directory that processes of the run wrote
// since it started, newest first, in a process of its own. Whatever goes wrong there, a profile stays as it
// was. Says so when it takes longer than 3 seconds, gives up after 60 or at Ctrl-C. The signals that could
// interrupt are blocked.
void ht_run_symbolize(const char *directory, uint64_t run_id, struct timespec started);

#endif
