// Raw system calls: no errno, no cancellation point, no libc lock; safe in hooks, signal handlers and bare
// threads.
#ifndef HT_SYS_RAW_H
#define HT_SYS_RAW_H

#include "sys/compiler.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

// Not 0 once the host has put a seccomp filter on itself (trigger/sandbox.c): from then on none of our calls
// reaches the kernel, for a filter may kill. They fail with EPERM, as under a filter that only refuses.
extern uint32_t ht_raw_sealed HT_HIDDEN;

// Results are the kernel's: a value >= 0, or a negative errno. ht_raw_open6 is for the host's own calls:
// never refused.
#if defined(__x86_64__)
static inline long ht_raw_open6(long nr, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
#elif defined(__aarch64__)
static inline long ht_raw_open6(long nr, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
}
#else
#error "heaptap knows x86-64 and aarch64; add this architecture's system call here"
#endif

static inline long ht_raw6(long nr, long a, long b, long c, long d, long e, long f)
{
    if (ht_unlikely(__atomic_load_n(&ht_raw_sealed, __ATOMIC_RELAXED) != 0)) {
        return -EPERM;
    }
    return ht_raw_open6(nr, a, b, c, d, e, f);
}

static inline long ht_raw0(long nr)
{
    return ht_raw6(nr, 0, 0, 0, 0, 0, 0);
}
static inline long ht_raw1(long nr, long a)
{
    return ht_raw6(nr, a, 0, 0, 0, 0, 0);
}
static inline long ht_raw2(long nr, long a, long b)
{
    return ht_raw6(nr, a, b, 0, 0, 0, 0);
}
static inline long ht_raw3(long nr, long a, long b, long c)
{
    return ht_raw6(nr, a, b, c, 0, 0, 0);
}
static inline long ht_raw4(long nr, long a, long b, long c, long d)
{
    return ht_raw6(nr, a, b, c, d, 0, 0);
}
static inline long ht_raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
    return ht_raw6(nr, a, b, c, d, e, f);
}

// The calling process's number. Where a filter refuses it, /proc says; 0: nobody does (sealed). Any context.
uint32_t ht_raw_pid(void);

// A number that hardly anybody else has: the kernel's randomness, or what else there is. Any context.
uint64_t ht_unique_number(void);

#endif
