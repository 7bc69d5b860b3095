// The start of everything, once in a process.
#ifndef HT_TRIGGER_START_H
#define HT_TRIGGER_START_H

#include <stdbool.h>

// As `start` of core/callbacks.h. The caller keeps errno (core/guard.h).
bool ht_start(void);

#endif
