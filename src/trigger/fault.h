// A region's file that somebody cuts off while it is mapped: touching it is a SIGBUS in the host.
#ifndef HT_TRIGGER_FAULT_H
#define HT_TRIGGER_FAULT_H

#include <stdint.h>

// Takes SIGBUS where nobody else has; `signal` 0 (HEAPTAP_SIGNAL=none): leaves it alone. Context: load.
void ht_fault_install(int signal);

// SIGBUS as a mask, where its handler is ours, else 0: a fault in a thread that blocks it ends the process.
// Any context.
uint64_t ht_fault_mask(void);

#endif
