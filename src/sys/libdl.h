// dlopen and its kin by the oldest symbol version that a libc has them under.
//
// Context: at load, or where the host may call them; they may allocate, and take the loader's lock.
#ifndef HT_SYS_LIBDL_H
#define HT_SYS_LIBDL_H

#include <dlfcn.h>

void *ht_dlopen(const char *path, int flags);
void ht_dlclose(void *handle);
int ht_dladdr(const void *address, Dl_info *ret_info);

// RTLD_NEXT is the next object behind the one that this function is linked into.
void *ht_dlsym(void *handle, const char *name);

#endif
