// What a process may still do that reads foreign bytes with libraries: read what it was given, take memory,
// answer.
#ifndef HT_RESOLVE_SANDBOX_H
#define HT_RESOLVE_SANDBOX_H

#include "base/rights.h"

#include <stdint.h>

// Context: the reader's process, once, before it reads anything. Gives up rights and capabilities for good,
// forbids new ones, core dumps, debuggers and every system call that opens, starts, signals or maps code
// (they fail with EPERM; on a kernel without seccomp the rest must do), and begins with the least memory.
// Fails with ht_error() if rights are left.
int ht_sandbox_enter(struct ht_owner owner);

// Raises the limits of memory and processor time for one more file of so many bytes: ten times as much, a
// second for each two megabytes.
void ht_sandbox_allow(uint64_t bytes);

#endif
