// A library whose constructor opens another one and allocates through it, and whose destructor closes it.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

int nested_works(void);
static void *inner, *block;

__attribute__((constructor)) static void load(void)
{
    char path[5000];
    Dl_info info;
    if (!dladdr((void *)&inner, &info) || strlen(info.dli_fname) + 20 > sizeof(path))
        return;
    strcpy(path, info.dli_fname);
    char *slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, "libplace_a.so");
    inner = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *(*make)(size_t) = inner ? (void *(*)(size_t))dlsym(inner, "place_make") : NULL;
    block = make ? make(3000) : NULL;
}

int nested_works(void)
{
    return block != NULL;
}

__attribute__((destructor)) static void unload(void)
{
    free(block);
    if (inner)
        dlclose(inner);
}
