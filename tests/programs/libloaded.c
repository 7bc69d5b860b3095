// The library that the plugins program loads and unloads: allocates in its constructor and destructor.
#include <stdlib.h>
#include <string.h>

void *loaded_make(size_t size);
static void *own;

__attribute__((constructor)) static void load(void)
{
    own = calloc(10, 1000);
}

__attribute__((destructor)) static void unload(void)
{
    free(own);
}

void *loaded_make(size_t size)
{
    void *p = malloc(size);
    if (p)
        memset(p, 4, size);
    return p;
}
