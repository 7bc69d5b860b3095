// The snapshot signal.
#ifndef HT_TRIGGER_SIGNAL_H
#define HT_TRIGGER_SIGNAL_H

#include <stdbool.h>

// Installs the handler where the disposition is the default; 0: none. Context: load.
void ht_signal_install(int signal);

// Writes whose the signal is into the region, if somebody asks or nobody has said it yet. Context: hook.
struct ht_region;
void ht_signal_tell(struct ht_region *region);

// Whether the program has no signal handler: none but ours and libc's own. Context: hook; 60 system calls.
bool ht_signal_none_of_host(void);

#endif
