// Per-thread state and the fast path: one subtraction and one branch for each allocation.
#ifndef HT_CORE_THREAD_H
#define HT_CORE_THREAD_H

#include "sys/compiler.h"
#include "unwind/unwind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Where a thread is. Allocations under RECORDING come from a signal handler that interrupted us, and are
// counted as lost; those under SETUP are our own (libc's, on our behalf) and none of the host's.
enum ht_inside { HT_OUTSIDE = 0, HT_RECORDING = 1, HT_SETUP = 2 };

// Initial-exec TLS, all-zero is a valid state (the first allocation takes the slow path and starts the
// thread), no destructor: nothing is to be torn down, so allocations in other libraries' destructors are
// served as any.
struct ht_thread {
    uint64_t countdown_bytes; // an allocation that costs more is a sample
    uint64_t random;          // state of this thread's stream
    float rate_bytes;         // with which countdown_bytes was drawn
    uint32_t generation;      // of the process (fork) in which `random` was seeded; 0 = not started
    uint32_t inside;          // enum ht_inside: while not 0, what happens below is only forwarded
    uint32_t passing;   // calls of an interposer behind us that this thread is in; left above 0 by a longjmp
    uint32_t label_ref; // HEAPTAP_LABELS=thread: the name last seen, in the region of `generation`
    char label_name[16];
    struct ht_unwind_window window;
    // Between the prepare handler of fork and the handler after it:
    void *fork_copy;       // struct ht_fork_copy
    const void *fork_held; // struct ht_held that was current in the prepare handler; NULL: outside of fork
    uint64_t fork_ordinal; // which child of this process it will be
};

extern __thread struct ht_thread ht_thread __attribute__((tls_model("initial-exec"))) HT_HIDDEN;

// Charges an allocation of this size. False: not sampled, and that was all. True: take the slow path, nothing
// charged. The distance X to the next sample is exponential with mean rate and countdown = floor(X), so an
// allocation of cost n (>= 1) is sampled when n > floor(X), which is X < n: P = 1 - exp(-n/rate) exactly.
// Being memoryless, the rest of the distance behind an allocation that was not sampled is exponential again.
// Size 0 costs 1 byte; it always takes the slow path (ht_charge_slow), which keeps the common one short.
static inline bool ht_charge(size_t size_bytes)
{
    uint64_t left;
    if (ht_unlikely(size_bytes == 0) ||
        ht_unlikely(__builtin_sub_overflow(ht_thread.countdown_bytes, size_bytes, &left))) {
        return true;
    }
    ht_thread.countdown_bytes = left;
    return false;
}

// The same for every size.
static inline bool ht_charge_slow(size_t size_bytes)
{
    return ht_charge(size_bytes + (size_bytes == 0));
}

#endif
