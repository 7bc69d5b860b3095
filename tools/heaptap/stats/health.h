// What a profile's writer counted as lost, estimated or given up, as warnings for whoever reads its figures.
#ifndef HT_STATS_HEALTH_H
#define HT_STATS_HEALTH_H

#include "profile/profile.h"

// Calls `warn` with one sentence (no newline) for each thing that matters; profiles without comments of
// heaptap give none. What matters: lost samples from 1 in 1,000, stacks that end early or are cut and frees
// that were not seen from 1 in 20, the recorder's own time from 5 % of the process's, waiting from 1 %;
// frees just before the exit from a quarter of what was held; thinning, gaps, a recorder that gave up and
// live heap far below resident memory always. Context: tool.
void ht_health_each(const struct ht_profile *profile, void (*warn)(void *arg, const char *text), void *arg);
// The same of what is missing from the figures alone.
void ht_health_each_loss(const struct ht_profile *profile, void (*warn)(void *arg, const char *text),
                         void *arg);

#endif
