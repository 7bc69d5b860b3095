// Atomics with the memory order in the name; the partner of each acquire or release stands in a comment at
// its use.
#ifndef HT_SYS_ATOMIC_H
#define HT_SYS_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

// The words are plain integers so that a region's layout is plain data, shared between processes.
#define ht_load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define ht_load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define ht_load_seqcst(p)      __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define ht_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define ht_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define ht_store_seqcst(p, v)  __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define ht_add_relaxed(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define ht_sub_relaxed(p, v)   __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define ht_add_acqrel(p, v)    __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define ht_swap_acqrel(p, v)   __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define ht_fence_acquire()     __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define ht_fence_release()     __atomic_thread_fence(__ATOMIC_RELEASE)
#define ht_fence_seqcst()      __atomic_thread_fence(__ATOMIC_SEQ_CST)

// On failure *expected holds what was found.
#define ht_cas_acqrel(p, expected, v)                                                                        \
    __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define ht_cas_seqcst(p, expected, v)                                                                        \
    __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

static inline void ht_max_relaxed(uint64_t *word, uint64_t value)
{
    uint64_t seen = ht_load_relaxed(word);
    while (seen < value &&
           !__atomic_compare_exchange_n(word, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static inline void ht_max_release(uint64_t *word, uint64_t value)
{
    uint64_t seen = ht_load_relaxed(word);
    while (seen < value &&
           !__atomic_compare_exchange_n(word, &seen, value, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
    }
}

#endif
