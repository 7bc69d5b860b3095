// A plugin that is opened with RTLD_DEEPBIND or in a namespace of its own, where malloc is libc's and not the
// host's.
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *deep_make(size_t size);
void *deep_resize(void *block, size_t size);
void deep_free(void *block);
int deep_works(void);

void *deep_make(size_t size)
{
    void *p = malloc(size);
    if (p)
        memset(p, 6, size);
    return p;
}

void *deep_resize(void *block, size_t size)
{
    return realloc(block, size);
}

void deep_free(void *block)
{
    free(block);
}

int deep_works(void)
{
    for (size_t i = 1; i < 2000; i++) {
        char *p = i % 2 ? malloc(i) : calloc(1, i), *q = strdup("copied");
        if (!p || !q || malloc_usable_size(p) < i)
            return 0;
        p = realloc(p, i * 3);
        free(q);
        free(p);
    }
    return 1;
}
