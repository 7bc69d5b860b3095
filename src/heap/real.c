// Finding the real allocator, and the bootstrap arena that serves while it is being found.
#include "heap/real.h"

#include "core/thread.h"
#include "record/filter.h"
#include "sys/atomic.h"
#include "sys/compiler.h"
#include "sys/libdl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

#define ARENA_BYTES  65536u
#define ARENA_HEADER 16u

static uint8_t ht_arena[ARENA_BYTES] HT_ALIGNED(HT_CACHE_LINE);
static size_t ht_arena_used;
static uint32_t ht_finding; // 1 while dlsym runs

bool ht_arena_owns(const void *block)
{
    uintptr_t address = (uintptr_t)block;
    return address >= (uintptr_t)ht_arena && address < (uintptr_t)ht_arena + ARENA_BYTES;
}

size_t ht_arena_size(const void *block)
{
    size_t size;
    memcpy(&size, (const uint8_t *)block - ARENA_HEADER, sizeof size);
    return size;
}

// Running out gives NULL with ENOMEM, as any allocator may; dlsym copes.
static void *ht_arena_take(size_t align, size_t size)
{
    if (align < ARENA_HEADER) {
        align = ARENA_HEADER;
    }
    if (size > ARENA_BYTES || align > 4096) {
        errno = ENOMEM;
        return NULL;
    }
    size_t used = ht_load_relaxed(&ht_arena_used);
    size_t start;
    do {
        uintptr_t first = (uintptr_t)ht_arena + used + ARENA_HEADER;
        start = ((first + align - 1) & ~(uintptr_t)(align - 1)) - (uintptr_t)ht_arena;
        if (start + size > ARENA_BYTES) {
            errno = ENOMEM;
            return NULL;
        }
    } while (!ht_cas_acqrel(&ht_arena_used, &used, start + size));
    uint8_t *block = ht_arena + start;
    memcpy(block - ARENA_HEADER, &size, sizeof size);
    ht_filter_pin((uintptr_t)block);
    return block; // static memory: zero, and never given twice
}

static bool ht_ready(void)
{
    if (ht_load_acquire(&ht_finding)) {
        return false;
    }
    ht_real_find();
    return true;
}

static void *ht_first_malloc(size_t size)
{
    return ht_ready() ? ht_real.malloc(size) : ht_arena_take(ARENA_HEADER, size);
}

static void *ht_first_calloc(size_t count, size_t size)
{
    if (ht_ready()) {
        return ht_real.calloc(count, size);
    }
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return ht_arena_take(ARENA_HEADER, bytes);
}

static void *ht_first_realloc(void *block, size_t size)
{
    if (ht_ready()) {
        return ht_real.realloc(block, size);
    }
    void *fresh = ht_arena_take(ARENA_HEADER, size);
    if (fresh != NULL && block != NULL && ht_arena_owns(block)) {
        size_t old = ht_arena_size(block);
        memcpy(fresh, block, old < size ? old : size);
    }
    return fresh;
}

static void *ht_first_reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return ht_first_realloc(block, bytes);
}

static int ht_first_posix_memalign(void **ret_block, size_t align, size_t size)
{
    if (ht_ready()) {
        return ht_real.posix_memalign(ret_block, align, size);
    }
    void *block = ht_arena_take(align, size);
    if (block == NULL) {
        return ENOMEM;
    }
    *ret_block = block;
    return 0;
}

static void *ht_first_aligned_alloc(size_t align, size_t size)
{
    return ht_ready() ? ht_real.aligned_alloc(align, size) : ht_arena_take(align, size);
}

static void *ht_first_memalign(size_t align, size_t size)
{
    return ht_ready() ? ht_real.memalign(align, size) : ht_arena_take(align, size);
}

static void *ht_first_valloc(size_t size)
{
    return ht_ready() ? ht_real.valloc(size) : ht_arena_take(4096, size);
}

static void *ht_first_pvalloc(size_t size)
{
    return ht_ready() ? ht_real.pvalloc(size) : ht_arena_take(4096, (size + 4095) & ~(size_t)4095);
}

static size_t ht_first_malloc_usable_size(void *block)
{
    return ht_ready() ? ht_real.malloc_usable_size(block) : 0;
}

static void ht_first_free(void *block)
{
    if (ht_ready()) {
        ht_real.free(block);
    }
}

static void ht_first_free_sized(void *block, size_t size)
{
    (void)size;
    ht_first_free(block);
}

static void ht_first_free_aligned_sized(void *block, size_t align, size_t size)
{
    (void)align;
    (void)size;
    ht_first_free(block);
}

struct ht_real ht_real = {
#define X(name, result, parameters, arguments) .name = ht_first_##name,
    HT_REAL_TABLE(X)
#undef X
        .free = ht_first_free,
    .free_sized = ht_first_free_sized,
    .free_aligned_sized = ht_first_free_aligned_sized,
};

static void ht_free_ignoring_size(void *block, size_t size)
{
    (void)size;
    ht_real.free(block);
}

static void ht_free_ignoring_align(void *block, size_t align, size_t size)
{
    (void)align;
    (void)size;
    ht_real.free(block);
}

static void *ht_reallocarray_by_realloc(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return ht_real.realloc(block, bytes);
}

static void *ht_memalign_by_posix(size_t align, size_t size)
{
    void *block = NULL;
    int error = ht_real.posix_memalign(&block, align > sizeof(void *) ? align : sizeof(void *), size);
    if (error != 0) {
        errno = error;
    }
    return block;
}

static void *ht_valloc_by_posix(size_t size)
{
    return ht_memalign_by_posix(getauxval(AT_PAGESZ), size);
}

static void *ht_pvalloc_by_posix(size_t size)
{
    size_t page = getauxval(AT_PAGESZ), rounded = (size + page - 1) & ~(page - 1);
    if (rounded < size) {
        errno = ENOMEM;
        return NULL;
    }
    return ht_memalign_by_posix(page, rounded != 0 ? rounded : page);
}

// As if there were no memory; without these, what POSIX has would call itself for ever.
static void *ht_lacking_malloc(size_t size)
{
    (void)size;
    errno = ENOMEM;
    return NULL;
}

static void *ht_lacking_calloc(size_t count, size_t size)
{
    (void)count;
    return ht_lacking_malloc(size);
}

static void *ht_lacking_realloc(void *block, size_t size)
{
    (void)block;
    return ht_lacking_malloc(size);
}

static int ht_lacking_posix_memalign(void **ret_block, size_t align, size_t size)
{
    (void)ret_block;
    (void)align;
    (void)size;
    return ENOMEM;
}

static size_t ht_lacking_usable_size(void *block)
{
    (void)block;
    return 0;
}

static void ht_lacking_free(void *block)
{
    (void)block;
}

// What stands for members that the libc or allocator behind us does not have.
static const struct ht_real ht_lacking = {
    .malloc = ht_lacking_malloc,
    .calloc = ht_lacking_calloc,
    .realloc = ht_lacking_realloc,
    .reallocarray = ht_reallocarray_by_realloc,
    .posix_memalign = ht_lacking_posix_memalign,
    .aligned_alloc = ht_memalign_by_posix,
    .memalign = ht_memalign_by_posix,
    .valloc = ht_valloc_by_posix,
    .pvalloc = ht_pvalloc_by_posix,
    .malloc_usable_size = ht_lacking_usable_size,
    .free = ht_lacking_free,
    .free_sized = ht_free_ignoring_size,
    .free_aligned_sized = ht_free_ignoring_align,
};

// An interposer behind us may come back to our hooks by the family's names, as a calloc that calls malloc
// does. What it allocates on its way is a part of the same call: ht_sample_record throws it away, for its
// caller is the interposer. (Charging it biases nothing; a signal handler that allocates meanwhile has
// another caller, and is recorded.)
static struct ht_real ht_interposed;
uintptr_t ht_real_interposer;
static bool ht_keeps_frames;
struct ht_code_range ht_real_code;

#define X(name, result, parameters, arguments)                                                               \
    static result ht_whole_##name parameters                                                                 \
    {                                                                                                        \
        ht_thread.passing++;                                                                                 \
        result value = ht_interposed.name arguments;                                                         \
        ht_thread.passing--;                                                                                 \
        return value;                                                                                        \
    }
HT_REAL_TABLE(X)
#undef X

// Functions that allocators have beside the family. Weak references, not dlsym: a name that it does not find
// makes it allocate a message for dlerror, in the host's account.
extern char ht_mallocx[] __asm__("mallocx") __attribute__((weak));
extern char ht_tc_malloc[] __asm__("tc_malloc") __attribute__((weak));
extern char ht_mi_malloc[] __asm__("mi_malloc") __attribute__((weak));
extern char ht_libc_calloc[] __asm__("__libc_calloc") __attribute__((weak));

// Known not to come back: libc, and the allocators that have such functions.
static bool ht_may_come_back(const struct ht_real *found)
{
    uintptr_t next_calloc;
    memcpy(&next_calloc, &found->calloc, sizeof next_calloc);
    return next_calloc != (uintptr_t)ht_libc_calloc && ht_mallocx == NULL && ht_tc_malloc == NULL &&
           ht_mi_malloc == NULL;
}

static void *ht_next(const char *name)
{
    return ht_dlsym(RTLD_NEXT, name);
}

void *ht_real_symbol(const char *name)
{
    return ht_dlsym(RTLD_DEFAULT, name);
}

static void ht_take(void *(*next)(const char *), const char *name, void *ret_function)
{
    void *at = next(name);
    if (at != NULL) {
        memcpy(ret_function, &at,
               sizeof at); // POSIX makes an object pointer a function pointer by copying it
    }
}

void ht_real_take(void *(*next)(const char *name))
{
    struct ht_real found = ht_lacking;
#define X(name, result, parameters, arguments) ht_take(next, #name, &found.name);
    HT_REAL_TABLE(X)
#undef X
    ht_take(next, "free", &found.free);
    ht_take(next, "free_sized", &found.free_sized);
    ht_take(next, "free_aligned_sized", &found.free_aligned_sized);
    bool may_come_back = ht_may_come_back(&found);
    if (may_come_back) {
        memcpy(&ht_real_interposer, &found.calloc, sizeof ht_real_interposer);
    }
    if (may_come_back || ht_keeps_frames) {
        ht_interposed = found;
#define X(name, result, parameters, arguments) found.name = ht_whole_##name;
        HT_REAL_TABLE(X)
#undef X
        found.malloc = ht_interposed.malloc; // what all others are made of
    }
    ht_real = found;
}

void ht_real_find(void)
{
    uint32_t idle = 0;
    if (!ht_cas_acqrel(&ht_finding, &idle, 1)) {
        return;
    }
    int saved = errno;
    // What dlsym allocates (and keeps, for dlerror) is none of the host's.
    uint32_t inside = ht_thread.inside;
    ht_thread.inside = HT_SETUP;
    ht_real_take(ht_next);
    ht_store_release(&ht_finding, 0);
    ht_thread.inside = inside;
    errno = saved;
}

void ht_real_keep_frames(void)
{
    ht_keeps_frames = true;
    ht_real_find();
}
