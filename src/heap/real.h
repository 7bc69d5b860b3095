// The host's own allocator below the shim, found once; and the few blocks handed out before it was known.
#ifndef HT_HEAP_REAL_H
#define HT_HEAP_REAL_H

#include "sys/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One table: name, result, parameters, arguments. Order is that of the exports.
#define HT_REAL_TABLE(X)                                                                                     \
    X(malloc, void *, (size_t size), (size))                                                                 \
    X(calloc, void *, (size_t count, size_t size), (count, size))                                            \
    X(realloc, void *, (void *block, size_t size), (block, size))                                            \
    X(reallocarray, void *, (void *block, size_t count, size_t size), (block, count, size))                  \
    X(posix_memalign, int, (void **ret_block, size_t align, size_t size), (ret_block, align, size))          \
    X(aligned_alloc, void *, (size_t align, size_t size), (align, size))                                     \
    X(memalign, void *, (size_t align, size_t size), (align, size))                                          \
    X(valloc, void *, (size_t size), (size))                                                                 \
    X(pvalloc, void *, (size_t size), (size))                                                                \
    X(malloc_usable_size, size_t, (void *block), (block))

// Pointers to the next definitions behind us. Before they are known they point to functions that look them
// up, and that serve from a small arena while the looking up itself allocates.
struct ht_real {
#define X(name, result, parameters, arguments) result(*name) parameters;
    HT_REAL_TABLE(X)
#undef X
    void (*free)(void *block);
    void (*free_sized)(void *block, size_t size);                       // or free
    void (*free_aligned_sized)(void *block, size_t align, size_t size); // or free
};
extern struct ht_real ht_real HT_HIDDEN;

// Code of the interposer behind us that may come back to our hooks; 0: there is none such.
extern uintptr_t ht_real_interposer HT_HIDDEN;

// Where code lies; all zero: nowhere.
struct ht_code_range {
    uintptr_t start, limit;
};

static inline bool ht_code_has(const struct ht_code_range *range, uintptr_t address)
{
    return address - range->start < range->limit - range->start;
}

// The library of the real malloc, unless it is libc. Set once, at load.
extern struct ht_code_range ht_real_code HT_HIDDEN;

// Looks everything up (dlsym RTLD_NEXT). Context: the first allocation or the constructor; keeps errno.
void ht_real_find(void);

// Settles the table by what `next` gives for each name; a member that it does not know (other libcs lack
// some) is made of others, or fails as without memory. Context: as ht_real_find, and tests.
void ht_real_take(void *(*next)(const char *name));

// From now on all members but malloc are called with our frame on the stack, also on the fast path: an
// allocator that goes on to a name of its own by a jump (mimalloc: memalign to mi_memalign) has then been
// called by us. Context: load.
void ht_real_keep_frames(void);

// Any function of the process by name, or NULL. Context: load.
void *ht_real_symbol(const char *name);

// Blocks of the arena are never given to the real allocator: they are pinned in the filter, so every free and
// realloc of one takes the slow path and asks here.
bool ht_arena_owns(const void *block);
size_t ht_arena_size(const void *block);

#endif
