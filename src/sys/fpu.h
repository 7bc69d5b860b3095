// The host's processor state, set aside while we work: its rounding, its traps and its sticky flags stay its
// own.
#ifndef HT_SYS_FPU_H
#define HT_SYS_FPU_H

#include <stdint.h>

// A host that has called feenableexcept would get a SIGFPE from our inexact results; one that reads
// fetestexcept would see our flags. One that has alignment checked would get a SIGBUS from our reads of
// unwind tables. Context: any; a few cycles.
struct ht_fpu {
    uint64_t control, status;
};

#define HT_EFLAGS_TRACE UINT64_C(0x100)   // a SIGTRAP behind each instruction
#define HT_EFLAGS_ALIGN UINT64_C(0x40000) // a SIGBUS for each unaligned access

// For the time that all signals are blocked, and for a new thread, which inherits both: a host that steps
// through itself would be killed by the next SIGTRAP. Returns what ht_eflags_restore takes.
static inline uint64_t ht_eflags_calm(void)
{
#if defined(__x86_64__)
    uint64_t eflags = __builtin_ia32_readeflags_u64();
    if (__builtin_expect((eflags & (HT_EFLAGS_TRACE | HT_EFLAGS_ALIGN)) != 0, 0)) {
        __builtin_ia32_writeeflags_u64(eflags & ~(HT_EFLAGS_TRACE | HT_EFLAGS_ALIGN));
        return eflags;
    }
#endif
    return 0;
}

static inline void ht_eflags_restore(uint64_t eflags)
{
#if defined(__x86_64__)
    if (__builtin_expect(eflags != 0, 0)) {
        __builtin_ia32_writeeflags_u64(eflags);
    }
#else
    (void)eflags;
#endif
}

static inline struct ht_fpu ht_fpu_enter(void)
{
    struct ht_fpu saved = {0, 0};
#if defined(__x86_64__)
    saved.control = __builtin_ia32_stmxcsr();
    if (saved.control != 0x1F80) { // all exceptions masked, none raised, round to nearest
        __builtin_ia32_ldmxcsr(0x1F80);
    }
    saved.status = __builtin_ia32_readeflags_u64() & HT_EFLAGS_ALIGN;
    if (__builtin_expect(saved.status != 0, 0)) {
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~HT_EFLAGS_ALIGN);
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
    if (__builtin_expect(saved.status != 0, 0)) {
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | HT_EFLAGS_ALIGN);
    }
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(saved.control), "r"(saved.status));
#endif
}

#endif
