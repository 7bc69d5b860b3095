// The hashes of stacks and entries, for whoever interns them and whoever checks what was interned.
#ifndef HT_RECORD_HASH_H
#define HT_RECORD_HASH_H

#include <stdint.h>

static inline uint64_t ht_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9FB21C651E98DF25);
    return hash ^ (hash >> 32);
}

static inline uint64_t ht_stack_hash(const uint64_t *frames, uint32_t frame_count, uint32_t flags)
{
    uint64_t hash = ht_mix(flags, frame_count);
    for (uint32_t i = 0; i < frame_count; i++) {
        hash = ht_mix(hash, frames[i]);
    }
    return hash;
}

static inline uint64_t ht_entry_hash(uint64_t stack_hash, uint32_t kind, uint32_t size_class,
                                     uint32_t label_ref)
{
    return ht_mix(ht_mix(stack_hash, (uint64_t)size_class << 32 | label_ref), kind);
}

static inline uint64_t ht_overflow_hash(uint32_t kind, uint32_t size_class)
{
    return ht_mix(UINT64_C(0x6F766572666C6F77) + kind, size_class);
}

// The place in a table of heads (a power of two).
static inline uint32_t ht_head_of(uint64_t hash, uint32_t head_count)
{
    return (uint32_t)(hash >> 20) & (head_count - 1);
}

#endif
