// Two neighbouring words that grow together in one step, so that nobody ever sees one of them without the
// other.
#ifndef HT_SYS_PAIR_H
#define HT_SYS_PAIR_H

#include "sys/atomic.h"

// Contract: any context, lock-free. A process that is killed leaves both words grown or neither. The words
// are aligned to 16 bytes and only ever grow; `first` grows with every addition.

// Instructions: CMPXCHG16B (Intel SDM vol. 2A) and LDXP/STXP (Arm ARM, C6.2); the compilers' own 16-byte
// atomics would call libatomic.
static inline void ht_add_pair(uint64_t *pair, uint64_t first, uint64_t second)
{
#if defined(__x86_64__)
    uint64_t low = ht_load_relaxed(&pair[0]), high = ht_load_relaxed(&pair[1]);
    for (;;) {
        bool done;
        // A pair that was torn by the two loads above fails here and comes back whole.
        __asm__ volatile("lock cmpxchg16b %[pair]"
                         : [pair] "+m"(*(uint64_t(*)[2])pair), "+a"(low), "+d"(high), "=@ccz"(done)
                         : "b"(low + first), "c"(high + second)
                         : "memory");
        if (done) {
            break;
        }
    }
#elif defined(__aarch64__)
    uint64_t low, high;
    uint32_t failed;
    do {
        __asm__ volatile(
            "ldxp %[low], %[high], %[pair]\n\t"
            "add %[low], %[low], %[first]\n\t"
            "add %[high], %[high], %[second]\n\t"
            "stxp %w[failed], %[low], %[high], %[pair]"
            : [low] "=&r"(low), [high] "=&r"(high), [failed] "=&r"(failed), [pair] "+Q"(*(uint64_t(*)[2])pair)
            : [first] "r"(first), [second] "r"(second)
            : "memory");
    } while (failed != 0);
#else
#error "two words at once: not written for this architecture"
#endif
}

// Reads both as they were at one moment; with writers that never rest, after a few attempts, as they are.
static inline void ht_load_pair(const uint64_t *pair, uint64_t *ret_first, uint64_t *ret_second)
{
    uint64_t first = ht_load_acquire(&pair[0]), second = 0;
    for (unsigned attempt = 0; attempt < 16; attempt++) {
        second = ht_load_acquire(&pair[1]);
        uint64_t again = ht_load_acquire(&pair[0]);
        if (again == first) {
            break;
        }
        first = again;
    }
    *ret_first = first;
    *ret_second = second;
}

#endif
