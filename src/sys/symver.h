// The oldest versions of the few libc functions whose default version is newer than the GLIBC_2.17 that we
// promise.
#ifndef HT_SYS_SYMVER_H
#define HT_SYS_SYMVER_H

// dlopen and dlsym moved into libc with 2.34; an unmet version would keep every preloaded process from
// starting.
#if defined(__x86_64__)
__asm__(".symver dlsym, dlsym@GLIBC_2.2.5");
__asm__(".symver dlopen, dlopen@GLIBC_2.2.5");
#elif defined(__aarch64__)
__asm__(".symver dlsym, dlsym@GLIBC_2.17");
__asm__(".symver dlopen, dlopen@GLIBC_2.17");
#endif

#endif
