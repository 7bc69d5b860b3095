// An empty forwarding shim: the same hooks as heaptap, a tail call to the real allocator and nothing else. It
// is the floor that the bench holds heaptap against: what any LD_PRELOAD interposer costs before it does
// anything.
#include <dlfcn.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// Blocks handed out before the real functions are known are never given back.
static _Alignas(16) char early[16384];
static size_t early_used;

static void *early_alloc(size_t size)
{
    size_t at = (early_used + 15) & ~(size_t)15;
    if (size > sizeof(early) - at)
        return NULL;
    early_used = at + size;
    return early + at;
}

static void *early_malloc(size_t size)
{
    return early_alloc(size);
}

static void *early_calloc(size_t n, size_t size)
{
    return early_alloc(n * size);
}

static void *early_realloc(void *p, size_t size)
{
    void *moved = early_alloc(size);
    if (p && moved)
        memcpy(moved, p, size);
    return moved;
}

static void early_free(void *p)
{
    (void)p;
}

// Before the constructor ran, calls go to the arena above; afterwards to the next allocator in line.
static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void *(*reallocarray)(void *, size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*malloc_usable_size)(void *);
} real = {.malloc = early_malloc, .calloc = early_calloc, .realloc = early_realloc, .free = early_free};

#define RESOLVE(name) (real.name = (__typeof__(real.name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void)
{
    RESOLVE(reallocarray);
    RESOLVE(posix_memalign);
    RESOLVE(aligned_alloc);
    RESOLVE(memalign);
    RESOLVE(valloc);
    RESOLVE(pvalloc);
    RESOLVE(malloc_usable_size);
    RESOLVE(calloc);
    RESOLVE(realloc);
    RESOLVE(free);
    RESOLVE(malloc);
}

void *malloc(size_t size)
{
    return real.malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return real.calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return real.realloc(p, size);
}

void free(void *p)
{
    real.free(p);
}

void *reallocarray(void *p, size_t n, size_t size)
{
    return real.reallocarray(p, n, size);
}

int posix_memalign(void **ret_p, size_t alignment, size_t size)
{
    return real.posix_memalign(ret_p, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return real.aligned_alloc(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    return real.memalign(alignment, size);
}

void *valloc(size_t size)
{
    return real.valloc(size);
}

void *pvalloc(size_t size)
{
    return real.pvalloc(size);
}

size_t malloc_usable_size(void *p)
{
    return real.malloc_usable_size(p);
}
