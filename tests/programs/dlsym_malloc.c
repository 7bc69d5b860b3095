// A host that looks malloc up by itself (RTLD_DEFAULT, RTLD_NEXT, libc's handle, __libc_malloc) and mixes
// what it gets with free by name.
//@ skip jemalloc: blocks of two allocators meet in free, with and without us
#include "self.h"

#include <dlfcn.h>
#include <malloc.h>

#define WAYS 5

extern void *__libc_malloc(size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void __libc_free(void *block);

struct family {
    void *(*make)(size_t);
    void *(*resize)(void *, size_t);
    void (*release)(void *);
};

static struct family find(void *handle)
{
    struct family family = {(void *(*)(size_t))dlsym(handle, "malloc"),
                            (void *(*)(void *, size_t))dlsym(handle, "realloc"),
                            (void (*)(void *))dlsym(handle, "free")};
    CHECK(family.make && family.resize && family.release);
    return family;
}

int main(void)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    CHECK(libc);
    const struct family ways[WAYS] = {{malloc, realloc, free},
                                      find(RTLD_DEFAULT),
                                      find(RTLD_NEXT),
                                      find(libc),
                                      {__libc_malloc, __libc_realloc, __libc_free}};
    for (size_t from = 0; from < WAYS; from++)
        for (size_t through = 0; through < WAYS; through++)
            for (size_t to = 0; to < WAYS; to++)
                for (size_t i = 0; i < 40; i++) {
                    size_t size = i * i + 1;
                    void *p = ways[from].make(size);
                    CHECK(p && malloc_usable_size(p) >= size);
                    fill(p, size, (unsigned char)i);
                    p = ways[through].resize(p, size * 3);
                    CHECK(p && filled(p, size, (unsigned char)i));
                    ways[to].release(p);
                }
    record_some();
    puts("ok");
    return 0;
}
