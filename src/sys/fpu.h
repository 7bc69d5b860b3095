// The host's floating-point state, set aside while we calculate: its rounding, its traps and its sticky flags
// stay its own.
#ifndef HT_SYS_FPU_H
#define HT_SYS_FPU_H

#include <stdint.h>

// A host that has called feenableexcept would get a SIGFPE from our inexact results; one that reads
// fetestexcept would see our flags. Context: any; a few cycles.
struct ht_fpu {
    uint64_t control, status;
};

static inline struct ht_fpu ht_fpu_enter(void)
{
    struct ht_fpu saved = {0, 0};
#if defined(__x86_64__)
    saved.control = __builtin_ia32_stmxcsr();
    if (saved.control != 0x1F80) { // all exceptions masked, none raised, round to nearest
        __builtin_ia32_ldmxcsr(0x1F80);
    }
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(saved.control), "=r"(saved.status));
    __asm__ volatile("msr fpcr, xzr\n\tmsr fpsr, xzr");
#endif
    return saved;
}

static inline void ht_fpu_leave(struct ht_fpu saved)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((unsigned)saved.control);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(saved.control), "r"(saved.status));
#endif
}

#endif
