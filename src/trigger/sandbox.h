// What the shim does when the host locks itself into a seccomp sandbox.
#ifndef HT_TRIGGER_SANDBOX_H
#define HT_TRIGGER_SANDBOX_H

// The exported prctl and syscall stand in trigger/sandbox.c. They pass every call on; the ones that install a
// seccomp filter, or strict mode, first make the recorder ready to live without the kernel (ht_raw_sealed):
//
//  - no snapshot thread runs any more, and none will be started; profiles come from outside (`heaptap snap
//  PID`);
//  - the region keeps what memory it has, and some more that is backed now; beyond that it thins;
//  - at exit nothing is written and the region stays behind, as after a kill: `heaptap top FILE.live`.
//
// PR_SET_SYSCALL_USER_DISPATCH is the same to us: our calls would arrive at the host as its own. And where
// the host forbids itself the time stamp counter (PR_SET_TSC), clocks are read by system call (sys/clock.h).
//
// Without this the first of our system calls that the filter does not know kills the host: at a sample that
// needs memory, at a snapshot, or at exit. A filter inherited from the parent (containers, systemd) was in
// force when the loader mapped this library, so it allows files and memory; it is not looked at.

#endif
