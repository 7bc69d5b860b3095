// What jemalloc has beside malloc. nallocx and sallocx only ask; arenas that are reset or destroyed by
// mallctl take their blocks along unseen.
//
// Programs ask by these names, as weak symbols, whether they run with jemalloc; one that was started by a
// program with it finds ours, and nothing behind them. It gets what libc has.
#include "companion/hook.h"

#include <malloc.h>

// NOLINTBEGIN(misc-unused-parameters): rows name all parameters, whatever their form needs of them

// Source: jemalloc's man page: the low bits of the flags are the logarithm of the alignment.
#define ALIGN_BITS 0x3f
#define ZERO       0x40

static void *ht_plain_mallocx(size_t size, int flags)
{
    size_t align = (size_t)1 << (flags & ALIGN_BITS);
    void *block = align <= 16 ? malloc(size) : aligned_alloc(align, (size + align - 1) & ~(align - 1));
    return block != NULL && (flags & ZERO) != 0 ? memset(block, 0, size) : block;
}

static void *(*ht_next_mallocx)(size_t size, int flags);
HT_WITHOUT(mallocx, void *, (size_t size, int flags), (size, flags), ht_plain_mallocx(size, flags))
HT_ALLOCATES_AS(mallocx, (size_t size, int flags), (size, flags), size, false)

static void *(*ht_next_rallocx)(void *block, size_t size, int flags);
HT_WITHOUT(rallocx, void *, (void *block, size_t size, int flags), (block, size, flags), realloc(block, size))
HT_REALLOCATES_AS(rallocx, (void *block, size_t size, int flags), (block, size, flags), block, size, false)

static size_t (*ht_next_xallocx)(void *block, size_t size, size_t extra, int flags);
HT_WITHOUT(xallocx, size_t, (void *block, size_t size, size_t extra, int flags), (block, size, extra, flags),
           malloc_usable_size(block))
HT_RESIZES_AS(xallocx, size_t, (void *block, size_t size, size_t extra, int flags),
              (block, size, extra, flags), block, size, made >= size)

static void (*ht_next_dallocx)(void *block, int flags);
HT_WITHOUT(dallocx, void, (void *block, int flags), (block, flags), free(block))
HT_FREES_AS(dallocx, (void *block, int flags), (block, flags), block, false)

static void (*ht_next_sdallocx)(void *block, size_t size, int flags);
HT_WITHOUT(sdallocx, void, (void *block, size_t size, int flags), (block, size, flags), free(block))
HT_FREES_AS(sdallocx, (void *block, size_t size, int flags), (block, size, flags), block, false)
// NOLINTEND(misc-unused-parameters)
