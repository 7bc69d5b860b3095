// The exported malloc family: the fast path, and the slow path of each member.
//
// Contract of every hook: the result, and errno, are those of the real allocator; pointers are passed through
// as they are; safe before constructors, after destructors, in signal handlers as far as the real allocator
// is.
#include "heap/real.h"
#include "heap/sample.h"
#include "record/filter.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

// C23; not in every stdlib.h.
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t align, size_t size);

// A fast path fits into one cache line, and is fetched as one.
#define HT_HOOK HT_EXPORT HT_ALIGNED(HT_CACHE_LINE)

#define HT_SLOW static HT_COLD

// Who has called the hook that this stands in.
#define HT_CALLER __builtin_return_address(0)

// The stack begins in the caller: the registers are those of the slow path that this is a part of.
static inline __attribute__((always_inline)) void ht_record(const void *block, size_t size, float rate)
{
    struct ht_unwind_start start;
    ht_unwind_capture(&start);
    ht_sample_record(block, size, rate, &start);
}

HT_SLOW void *ht_malloc_slow(size_t size, const void *caller)
{
    float rate;
    bool due = ht_sample_due(size, caller, &rate);
    void *block = ht_real.malloc(size);
    if (due && block != NULL) {
        ht_record(block, size, rate);
    }
    return block;
}

HT_HOOK void *malloc(size_t size)
{
    if (ht_unlikely(ht_charge(size))) {
        return ht_malloc_slow(size, HT_CALLER);
    }
    return ht_real.malloc(size);
}

HT_SLOW void *ht_calloc_slow(size_t count, size_t size, const void *caller)
{
    float rate;
    size_t bytes;
    bool due = !__builtin_mul_overflow(count, size, &bytes) && ht_sample_due(bytes, caller, &rate);
    void *block = ht_real.calloc(count, size);
    if (due && block != NULL) {
        ht_record(block, bytes, rate);
    }
    return block;
}

HT_HOOK void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (ht_unlikely(__builtin_mul_overflow(count, size, &bytes) || ht_charge(bytes))) {
        return ht_calloc_slow(count, size, HT_CALLER);
    }
    return ht_real.calloc(count, size);
}

// The slow path of the three aligned allocations that return the block.
HT_SLOW void *ht_aligned_slow(void *(*real)(size_t, size_t), size_t align, size_t size, const void *caller)
{
    float rate;
    bool due = ht_sample_due(size, caller, &rate);
    void *block = real(align, size);
    if (due && block != NULL) {
        ht_record(block, size, rate);
    }
    return block;
}

HT_HOOK void *aligned_alloc(size_t align, size_t size)
{
    if (ht_unlikely(ht_charge(size))) {
        return ht_aligned_slow(ht_real.aligned_alloc, align, size, HT_CALLER);
    }
    return ht_real.aligned_alloc(align, size);
}

HT_HOOK void *memalign(size_t align, size_t size)
{
    if (ht_unlikely(ht_charge(size))) {
        return ht_aligned_slow(ht_real.memalign, align, size, HT_CALLER);
    }
    return ht_real.memalign(align, size);
}

HT_SLOW int ht_posix_memalign_slow(void **ret_block, size_t align, size_t size, const void *caller)
{
    float rate;
    bool due = ht_sample_due(size, caller, &rate);
    int result = ht_real.posix_memalign(ret_block, align, size);
    if (due && result == 0 && *ret_block != NULL) {
        ht_record(*ret_block, size, rate);
    }
    return result;
}

HT_HOOK int posix_memalign(void **ret_block, size_t align, size_t size)
{
    if (ht_unlikely(ht_charge(size))) {
        return ht_posix_memalign_slow(ret_block, align, size, HT_CALLER);
    }
    return ht_real.posix_memalign(ret_block, align, size);
}

HT_SLOW void *ht_valloc_slow(void *(*real)(size_t), size_t size, const void *caller)
{
    float rate;
    bool due = ht_sample_due(size, caller, &rate);
    void *block = real(size);
    if (due && block != NULL) {
        ht_record(block, size, rate);
    }
    return block;
}

HT_HOOK void *valloc(size_t size)
{
    if (ht_unlikely(ht_charge(size))) {
        return ht_valloc_slow(ht_real.valloc, size, HT_CALLER);
    }
    return ht_real.valloc(size);
}

HT_HOOK void *pvalloc(size_t size)
{
    if (ht_unlikely(ht_charge(size))) {
        return ht_valloc_slow(ht_real.pvalloc, size, HT_CALLER);
    }
    return ht_real.pvalloc(size);
}

// realloc of a bootstrap block: its contents move to the real heap, the old bytes stay unused for ever.
static void *ht_realloc_arena(void *block, size_t size)
{
    void *fresh = ht_real.malloc(size);
    if (fresh != NULL) {
        size_t old = ht_arena_size(block);
        memcpy(fresh, block, old < size ? old : size);
    }
    return fresh;
}

// A realloc is a free and an allocation. The old record is out before the real call, for the address may be
// another thread's as soon as that returns; it is put back when the call fails.
HT_SLOW void *ht_realloc_slow(void *block, size_t size, const void *caller)
{
    struct ht_live_copy old;
    bool had =
        block != NULL && ht_filter_hit(block) && !ht_arena_owns(block) && ht_sample_forget(block, &old);
    float rate;
    bool due = ht_charge(size) && ht_sample_due(size, caller, &rate);
    void *fresh =
        block != NULL && ht_arena_owns(block) ? ht_realloc_arena(block, size) : ht_real.realloc(block, size);
    if (fresh == NULL) {
        // glibc's realloc(block, 0) frees and returns NULL; with a size, NULL means that nothing has changed.
        if (had && size != 0) {
            ht_sample_restore(&old);
        }
    } else if (due) {
        ht_record(fresh, size, rate);
    } else if (had) {
        ht_sample_freed();
    }
    return fresh;
}

HT_HOOK void *realloc(void *block, size_t size)
{
    if (ht_unlikely(ht_filter_hit(block) || ht_charge(size))) {
        return ht_realloc_slow(block, size, HT_CALLER);
    }
    return ht_real.realloc(block, size);
}

HT_HOOK void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (ht_unlikely(__builtin_mul_overflow(count, size, &bytes))) {
        return ht_real.reallocarray(block, count, size); // fails as it should
    }
    if (ht_unlikely(ht_filter_hit(block) || ht_charge(bytes))) {
        return ht_realloc_slow(block, bytes, HT_CALLER);
    }
    return ht_real.realloc(block, bytes);
}

// True: the block was ours to handle (bootstrap arena) and must not reach the real free.
HT_SLOW bool ht_free_slow(void *block)
{
    if (block == NULL) {
        return false;
    }
    if (ht_arena_owns(block)) {
        return true;
    }
    struct ht_live_copy gone;
    if (ht_sample_forget(block, &gone)) {
        ht_sample_freed();
    }
    return false;
}

HT_HOOK void free(void *block)
{
    if (ht_unlikely(ht_filter_hit(block)) && ht_free_slow(block)) {
        return;
    }
    ht_real.free(block);
}

HT_HOOK void free_sized(void *block, size_t size)
{
    if (ht_unlikely(ht_filter_hit(block)) && ht_free_slow(block)) {
        return;
    }
    ht_real.free_sized(block, size);
}

HT_HOOK void free_aligned_sized(void *block, size_t align, size_t size)
{
    if (ht_unlikely(ht_filter_hit(block)) && ht_free_slow(block)) {
        return;
    }
    ht_real.free_aligned_sized(block, align, size);
}

HT_HOOK size_t malloc_usable_size(void *block)
{
    if (ht_unlikely(block != NULL && ht_arena_owns(block))) {
        return ht_arena_size(block);
    }
    return ht_real.malloc_usable_size(block);
}
