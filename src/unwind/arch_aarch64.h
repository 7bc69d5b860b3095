// aarch64 for the unwinder: DWARF register numbers, register capture, signal frames, call instructions.
#ifndef HT_UNWIND_ARCH_AARCH64_H
#define HT_UNWIND_ARCH_AARCH64_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

// DWARF numbers (DWARF for the Arm 64-bit Architecture, section 4.1): 0 to 30 x0 to x30, 31 sp. The return
// address is column 30; the slot behind sp holds the pc of a signal frame.
#define HT_ARCH_REG_COUNT 33u
#define HT_ARCH_REG_FP    29u
#define HT_ARCH_REG_SP    31u
#define HT_ARCH_REG_RA    30u

// Registers that a called function keeps; the frame pointer is the first. No compiler computes a CFA from x25
// to x28.
#define HT_ARCH_SAVED_COUNT 6u
static const uint8_t ht_arch_saved[HT_ARCH_SAVED_COUNT] = {29, 19, 20, 21, 22, 23};

// A function that has saved nothing returns through x30.
#define HT_ARCH_RA_IN_REGISTER 1

// A frame record lies at the bottom of its frame: the stack pointer is not known after a frame-pointer step.
#define HT_ARCH_FP_GIVES_SP 0

// The register state at a pc, and all that a walk needs to begin there.
struct ht_unwind_start {
    uintptr_t pc; // exact, not a return address
    uintptr_t sp;
    uintptr_t saved[HT_ARCH_SAVED_COUNT];
};

// Inlined into the function whose frame is the first; valid until that function returns.
static inline __attribute__((always_inline)) void ht_unwind_capture(struct ht_unwind_start *ret_start)
{
    __asm__ volatile("adr x9, .\n\t"
                     "mov x10, sp\n\t"
                     "stp x9, x10, [%0]\n\t"
                     "stp x29, x19, [%0, 16]\n\t"
                     "stp x20, x21, [%0, 32]\n\t"
                     "stp x22, x23, [%0, 48]"
                     :
                     : "r"(ret_start)
                     : "x9", "x10", "x30", "memory"); // x30 as clobbered: the function saves it in its frame
}

// A word of the host's memory, which nobody writes while a walk reads it: no sanitizer looks at it, nothing
// is assumed about its type, and the compiler may keep other things in registers across it.
static inline uintptr_t ht_arch_load(uintptr_t address)
{
    uintptr_t value;
    __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address));
    return value;
}

// Where the thread's control block is; glibc puts it on top of the stack of every thread but the main one.
static inline uintptr_t ht_arch_thread_pointer(void)
{
    uintptr_t value;
    __asm__("mrs %0, tpidr_el0" : "=r"(value));
    return value;
}

// Takes a pointer authentication code off (XPACLRI, a hint: a no-op before Armv8.3).
static inline uintptr_t ht_arch_strip_ra(uintptr_t address)
{
    register uintptr_t x30 __asm__("x30") = address;
    __asm__("hint 7" : "+r"(x30));
    return x30;
}

// Byte offset, from the stack pointer at the return trampoline of a signal, of the saved copy of a register:
// the kernel leaves struct rt_sigframe { struct siginfo info; struct ucontext uc; } there.
static inline size_t ht_arch_signal_offset(unsigned reg)
{
    size_t base = 128 + offsetof(ucontext_t, uc_mcontext);
    if (reg < 31) {
        return base + offsetof(mcontext_t, regs) + reg * sizeof(uint64_t);
    }
    return base + (reg == HT_ARCH_REG_SP ? offsetof(mcontext_t, sp) : offsetof(mcontext_t, pc));
}

// Whether `code` (8 readable bytes) is `mov x8, #139; svc #0`.
#define HT_ARCH_TRAMPOLINE_BYTES 8u
static inline bool ht_arch_is_trampoline(const uint8_t *code)
{
    static const uint8_t sigreturn[HT_ARCH_TRAMPOLINE_BYTES] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4};
    unsigned differ = 0;
    for (unsigned i = 0; i < HT_ARCH_TRAMPOLINE_BYTES; i++) {
        differ |= (unsigned)(code[i] ^ sigreturn[i]);
    }
    return differ == 0;
}

// Whether the instruction before a return address is BL, BLR or an authenticated BLR.
#define HT_ARCH_CALL_BYTES 4u
static inline bool ht_arch_is_call(const uint8_t *before)
{
    uint32_t code = (uint32_t)before[0] | (uint32_t)before[1] << 8 | (uint32_t)before[2] << 16 |
                    (uint32_t)before[3] << 24;
    return (code & 0xfc000000u) == 0x94000000u || (code & 0xfefff000u) == 0xd63f0000u;
}

// Whether the 8 bytes at a return address take a stack pointer from the frame, as HotSpot's interpreter does
// where it goes on after a method that it jumped to: ldur x20, [x29, #-16]; stur xzr, [x29, #-16]. No call
// stands before those.
static inline bool ht_arch_is_resume(uint64_t code)
{
    return code == UINT64_C(0xf81f03bff85f03b4);
}

#endif
