// Whose memory this is: that of the process that made the region, of one that shares it, or a copy of it.
#ifndef HT_CORE_OWNER_H
#define HT_CORE_OWNER_H

#include "sys/compiler.h"

#include <stdbool.h>
#include <stdint.h>

enum ht_owner_state {
    HT_OWNER_NONE = 0, // no region of this memory's own; so it begins in every copied process
    HT_OWNER_MAKING = 1,
    HT_OWNER_READY = 2,
    HT_OWNER_FAILED = 3, // none can be had; or it cannot be told whose memory this is
};

// Before the first sample. False: no memory; recording stays off. Context: load.
bool ht_owner_start(void);

// Of the memory that the calling process has: in one that shares its maker's memory, the maker's. Any
// context.
enum ht_owner_state ht_owner_state(void);

// The pid of the process that this memory belongs to: in a vfork child (or another one that shares memory)
// its parent's. Any context.
uint32_t ht_owner_pid(void);

// NONE becomes MAKING. False: it is something else by now, or another thread is making. Context: hook.
bool ht_owner_begin(void);

// By the one for whom ht_owner_begin was true.
void ht_owner_finish(enum ht_owner_state state);

// In the child of a fork, by its handler: this is a copy, and its own pid is known.
void ht_owner_fork_child(void);

#endif
