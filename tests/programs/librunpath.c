// A plugin with a run path: opens a library of its own folder by name alone, which only the caller's run path
// can find.
//@ ldflags -Wl,--enable-new-dtags -Wl,-rpath,'$ORIGIN'
#include <dlfcn.h>

void *runpath_open(const char *name);

void *runpath_open(const char *name)
{
    void *handle = dlopen(name, RTLD_NOW);
    __asm__ volatile("" : "+r"(handle)); // no tail call: the loader looks at the caller
    return handle;
}
