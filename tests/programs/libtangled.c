// An interposer whose calloc, realloc and posix_memalign call malloc, memalign and free by name, and so come
// back to whoever is preloaded in front of it.
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *(*next_malloc)(size_t);

__attribute__((constructor)) static void load(void)
{
    next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
}

void *malloc(size_t size)
{
    static char early[8192] __attribute__((aligned(16)));
    static size_t used;
    if (next_malloc)
        return next_malloc(size);
    size_t at = used;
    used += (size + 31) & ~(size_t)15;
    return used < sizeof(early) ? early + at : NULL;
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    void *(*volatile make)(size_t) = malloc;
    void *block = make(bytes);
    return block ? memset(block, 0, bytes) : NULL;
}

void *realloc(void *block, size_t size)
{
    void *fresh = malloc(size);
    if (fresh && block) {
        size_t old = malloc_usable_size(block);
        memcpy(fresh, block, old < size ? old : size);
        free(block);
    }
    return fresh;
}

int posix_memalign(void **ret_block, size_t align, size_t size)
{
    void *block = memalign(align, size);
    if (!block)
        return ENOMEM;
    *ret_block = block;
    return 0;
}
