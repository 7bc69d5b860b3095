// The one way for a lower room to call a higher one: a table, filled in by src/trigger at link time.
//
// At link time, because the first allocation of a process can come before any constructor, ours included; the
// table lies in memory that is read-only once the loader has moved us.
#ifndef HT_CORE_CALLBACKS_H
#define HT_CORE_CALLBACKS_H

#include "record/region.h"
#include "sys/compiler.h"

#include <stdbool.h>

struct ht_callbacks {
    // Reads the environment and settles everything, once. False: too early (before libc has an environment)
    // or another thread is at it. Context: the first allocation of a thread, or the constructor; `inside`
    // set.
    bool (*start)(void);
    // After each sample and each free of a sampled block (interval, growth, requests). `is_calm`: the thread
    // is in no signal handler and not in the allocator, for certain. Context: hook, `inside` set.
    void (*after_event)(struct ht_region *region, bool is_calm);
    // Once in each process, when it has made its region (cleaning up behind dead processes). Context: hook,
    // `inside` set.
    void (*after_create)(struct ht_region *region);
};
extern const struct ht_callbacks ht_callbacks HT_HIDDEN;

#endif
