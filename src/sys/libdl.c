// Binds dlopen and its kin to their oldest versions. Compiled without link-time optimisation, which loses
// .symver.
#include "sys/libdl.h"

// They moved from libdl into libc with 2.34 and got that version; an unmet version would keep every preloaded
// process from starting. Older libcs find the old version in libdl, which the shim needs for that reason.
#if defined(__x86_64__)
__asm__(".symver dladdr, dladdr@GLIBC_2.2.5");
__asm__(".symver dlclose, dlclose@GLIBC_2.2.5");
__asm__(".symver dlopen, dlopen@GLIBC_2.2.5");
__asm__(".symver dlsym, dlsym@GLIBC_2.2.5");
#elif defined(__aarch64__)
__asm__(".symver dladdr, dladdr@GLIBC_2.17");
__asm__(".symver dlclose, dlclose@GLIBC_2.17");
__asm__(".symver dlopen, dlopen@GLIBC_2.17");
__asm__(".symver dlsym, dlsym@GLIBC_2.17");
#endif

void *ht_dlopen(const char *path, int flags)
{
    return dlopen(path, flags);
}

void *ht_dlsym(void *handle, const char *name)
{
    return dlsym(handle, name);
}

void ht_dlclose(void *handle)
{
    dlclose(handle);
}

// It takes the loader's lock: what uses it (companion/find.c, trigger/allocator.c) does so once, at load or
// at the program's first call.
int ht_dladdr(const void *address, Dl_info *ret_info)
{
    return dladdr(address, ret_info);
}
