// x86-64 for the unwinder: DWARF register numbers, register capture, signal frames, call instructions.
#ifndef HT_UNWIND_ARCH_X86_64_H
#define HT_UNWIND_ARCH_X86_64_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

// DWARF numbers (System V psABI for AMD64, figure 3.36): 0 rax, 1 rdx, 2 rcx, 3 rbx, 4 rsi, 5 rdi, 6 rbp, 7
// rsp, 8 to 15 r8 to r15, 16 the return address.
#define HT_ARCH_REG_COUNT 17u
#define HT_ARCH_REG_FP    6u
#define HT_ARCH_REG_SP    7u
#define HT_ARCH_REG_RA    16u

// Registers that a called function keeps; the frame pointer is the first.
#define HT_ARCH_SAVED_COUNT 6u
static const uint8_t ht_arch_saved[HT_ARCH_SAVED_COUNT] = {6, 3, 12, 13, 14, 15};

// Nothing but [CFA - 8] holds a return address when the tables do not say otherwise.
#define HT_ARCH_RA_IN_REGISTER 0

// A frame record (saved frame pointer, return address) ends at the CFA: a frame-pointer step gives the stack
// pointer.
#define HT_ARCH_FP_GIVES_SP 1

// The register state at a pc, and all that a walk needs to begin there.
struct ht_unwind_start {
    uintptr_t pc; // exact, not a return address
    uintptr_t sp;
    uintptr_t saved[HT_ARCH_SAVED_COUNT];
};

// Inlined into the function whose frame is the first; valid until that function returns.
static inline __attribute__((always_inline)) void ht_unwind_capture(struct ht_unwind_start *ret_start)
{
    __asm__ volatile("leaq 0(%%rip), %%rax\n\t"
                     "movq %%rax, 0(%0)\n\t"
                     "movq %%rsp, 8(%0)\n\t"
                     "movq %%rbp, 16(%0)\n\t"
                     "movq %%rbx, 24(%0)\n\t"
                     "movq %%r12, 32(%0)\n\t"
                     "movq %%r13, 40(%0)\n\t"
                     "movq %%r14, 48(%0)\n\t"
                     "movq %%r15, 56(%0)"
                     :
                     : "D"(ret_start)
                     : "rax", "memory");
}

// A word of the host's memory, which nobody writes while a walk reads it: no sanitizer looks at it, nothing
// is assumed about its type, and the compiler may keep other things in registers across it.
static inline uintptr_t ht_arch_load(uintptr_t address)
{
    uintptr_t value;
    __asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(address));
    return value;
}

// Where the thread's control block is; glibc puts it on top of the stack of every thread but the main one.
static inline uintptr_t ht_arch_thread_pointer(void)
{
    uintptr_t value;
    __asm__("movq %%fs:0, %0" : "=r"(value));
    return value;
}

static inline uintptr_t ht_arch_strip_ra(uintptr_t address)
{
    return address;
}

// Byte offset, from the stack pointer at the return trampoline of a signal, of the saved copy of a register:
// the kernel pushes struct rt_sigframe { char *pretcode; struct ucontext uc; ... } and the return has popped
// the first word.
static inline size_t ht_arch_signal_offset(unsigned reg)
{
    static const uint8_t greg[HT_ARCH_REG_COUNT] = {
        REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
        REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
    };
    return offsetof(ucontext_t, uc_mcontext.gregs) + greg[reg] * sizeof(greg_t);
}

// Whether `code` (9 readable bytes) is `mov $__NR_rt_sigreturn, %rax; syscall`.
#define HT_ARCH_TRAMPOLINE_BYTES 9u
static inline bool ht_arch_is_trampoline(const uint8_t *code)
{
    static const uint8_t sigreturn[HT_ARCH_TRAMPOLINE_BYTES] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    unsigned differ = 0;
    for (unsigned i = 0; i < HT_ARCH_TRAMPOLINE_BYTES; i++) {
        differ |= (unsigned)(code[i] ^ sigreturn[i]);
    }
    return differ == 0;
}

// Whether the bytes before a return address (`before` holds the HT_ARCH_CALL_BYTES that precede it) can be a
// call instruction: E8 rel32, or FF /2 with every form of operand (2 to 7 bytes, prefixes left out).
#define HT_ARCH_CALL_BYTES 7u
static inline bool ht_arch_is_call(const uint8_t *before)
{
    const uint8_t *end = before + HT_ARCH_CALL_BYTES;
    if (end[-5] == 0xe8) {
        return true;
    }
    for (unsigned length = 2; length <= HT_ARCH_CALL_BYTES; length++) {
        const uint8_t *at = end - length;
        if (at[0] != 0xff || (at[1] & 0x38) != 0x10) {
            continue;
        }
        unsigned mod = at[1] >> 6, rm = at[1] & 7;
        unsigned need = 2;
        if (mod == 3) {
            need = 2;
        } else {
            bool sib = rm == 4;
            need += sib ? 1 : 0;
            if (mod == 1) {
                need += 1;
            } else if (mod == 2 || (mod == 0 && rm == 5) ||
                       (sib && length >= 3 && mod == 0 && (at[2] & 7) == 5)) {
                need += 4;
            }
        }
        if (need == length) {
            return true;
        }
    }
    return false;
}

// Whether the 8 bytes at a return address take the stack pointer from the frame, as HotSpot's interpreter
// does where it goes on after a method that it jumped to: mov disp(%rbp), %rsp; movq $0, disp(%rbp), or (JDK
// 21) mov disp(%rbp), %rcx; lea (%rbp, %rcx, 8), %rsp. No call stands before those.
static inline bool ht_arch_is_resume(uint64_t code)
{
    uint64_t same = (code >> 24 & 0xff) ^ (code >> 56);
    return ((code & UINT64_C(0x00ffffff00ffffff)) == UINT64_C(0x0045c74800658b48) && same == 0) ||
           (code & UINT64_C(0xffffffff00ffffff)) == UINT64_C(0xcd648d48004d8b48);
}

#endif
