// One short-lived thread by the raw clone system call: runs a function beside the host and is gone.
#ifndef HT_TRIGGER_THREAD_H
#define HT_TRIGGER_THREAD_H

#include <stdbool.h>
#include <stdint.h>

// Context: load.
void ht_thread_start(void);

// Runs fn(arg) in a thread that libc does not know: own stack (HT_THREAD_STACK_BYTES), own small TLS block,
// all signals blocked, its own table of descriptors (nothing that the host opens, closes or reuses touches
// ours), the caller's credentials and seccomp filters, but not its fixed priority. fn may use raw system
// calls, memcpy and friends, zlib and protobuf-c with our allocators, and the functions of src/ that say
// "bare thread"; no __thread, no libc function with a lock, errno or TLS.
//
// False: not begun, because one is still running or the kernel refused (seccomp, RLIMIT_NPROC, no memory).
// Context: hook, signal handler, exit; async-signal-safe, errno untouched. Not in a vfork child (the caller
// checks).
bool ht_thread_run(void (*fn)(void *arg), void *arg);

// Runs fn(arg) in the calling thread instead, all signals blocked; no thread runs meanwhile. False: one is
// running, or fn in another caller. Context: as ht_thread_run, but for a signal handler.
bool ht_thread_here(void (*fn)(void *arg), void *arg);

// Waits until none of them runs or CLOCK_MONOTONIC reaches `deadline_ns`; true when none runs.
bool ht_thread_wait(uint64_t deadline_ns);

// True while one runs.
bool ht_thread_busy(void);

// In a forked child, where what its parent was running does not exist. What the child itself has begun since
// goes on.
void ht_thread_fork_child(void);

#define HT_THREAD_STACK_BYTES (192u * 1024u)

#endif
