// The bare thread: clone, its stack and TLS block, and the claim, the one word that says who is at it.
//
// Invariants:
//  T1 the claim is 0 or the number of the thread that does the work. One takes it by CAS with its own number;
//  if it starts a thread, the kernel puts that one's number there before it runs (CLONE_PARENT_SETTID), and 0
//  after its last instruction (CLONE_CHILD_CLEARTID). So nobody writes to its stack while it stands on it.
//  T2 all signals are blocked in whoever holds the claim, but for SIGBUS where its handler is ours: no
//  handler of the host's stands on top of it, to wait for it, fork or jump away. Who finds its own number
//  there has never taken it. T3 a copied process has no such thread, whatever its pid is: the first process
//  of a pid namespace may have the pid of its parent. The kernel wipes the claim there (MADV_WIPEONFORK);
//  where it does not, the number is none of this process's threads. The claim of a thread that the child
//  itself has started stands: a signal may have come, or a fork handler of the host's may have allocated,
//  before ours ran.
#include "trigger/thread.h"

#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/compiler.h"
#include "sys/fmt.h"
#include "sys/fpu.h"
#include "sys/io.h"
#include "sys/memory.h"
#include "sys/raw.h"
#include "trigger/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define HT_CLOSE_RANGE_UNSHARE 2 // linux/close_range.h, since 5.9

#define GUARD_BYTES     65536u // a page of any size that kernels have
#define TLS_WORDS_BELOW 1024u
#define TLS_WORDS_ABOVE 512u

// Lies at the top of the mapping; the stack grows down from it. x86-64 addresses thread-locals below the
// thread pointer, aarch64 above; glibc keeps its own descriptor on the other side. Nothing we call should
// touch either, but a stray errno must not hurt.
struct ht_thread_block {
    uint64_t tls_below[TLS_WORDS_BELOW];
    uint64_t tls[TLS_WORDS_ABOVE]; // the thread pointer points here
    void (*fn)(void *arg);
    void *arg;
} HT_ALIGNED(HT_CACHE_LINE);

#define AREA_BYTES (GUARD_BYTES + HT_THREAD_STACK_BYTES)

static struct ht_thread_block *ht_block; // set once, by CAS

// A page of its own, since that is what the kernel wipes.
static union {
    uint32_t holder;
    uint8_t page[4096];
} ht_claim __attribute__((aligned(4096)));

// What stands for the own number where a filter refuses to tell it: nobody takes such a claim over.
#define NO_TID UINT32_MAX

void ht_thread_start(void)
{
    ht_raw3(SYS_madvise, (long)&ht_claim, sizeof ht_claim, MADV_WIPEONFORK);
}

static uint32_t ht_own_tid(void)
{
    long tid = ht_raw0(SYS_gettid);
    return tid > 0 ? (uint32_t)tid : NO_TID;
}

// Whether this claim was copied from another process (T2, T3): no thread here has that number. An end of the
// holder cannot be mistaken for it, for its claim is gone before it is.
static bool ht_is_left_over(uint32_t holder)
{
    return holder != NO_TID &&
           (holder == ht_own_tid() || ht_raw3(SYS_tgkill, (long)ht_raw_pid(), (long)holder, 0) == -ESRCH);
}

static bool ht_claim_take(uint32_t tid)
{
    uint32_t seen = 0;
    while (!ht_cas_acqrel(&ht_claim.holder, &seen, tid)) { // pairs with the clearing: ours, or the kernel's
        if (seen != 0 && !ht_is_left_over(seen)) {
            return false;
        }
    }
    return true;
}

static void ht_wake_waiters(void)
{
    ht_raw3(SYS_futex, (long)&ht_claim.holder, FUTEX_WAKE, INT32_MAX);
}

static void ht_claim_release(void)
{
    ht_store_release(&ht_claim.holder, 0);
    ht_wake_waiters();
}

static struct ht_thread_block *ht_block_get(void)
{
    struct ht_thread_block *block = ht_load_acquire(&ht_block); // pairs with the CAS below
    if (block != NULL) {
        return block;
    }
    uint8_t *area = ht_memory_map(AREA_BYTES);
    if (area == NULL) {
        return NULL;
    }
    ht_raw3(SYS_mprotect, (long)area, GUARD_BYTES, PROT_NONE);
    block = (struct ht_thread_block *)(area + AREA_BYTES - sizeof *block);
    struct ht_thread_block *expected = NULL;
    if (!ht_cas_acqrel(&ht_block, &expected, block)) {
        ht_memory_unmap(area, AREA_BYTES);
        return expected;
    }
    return block;
}

#if defined(__x86_64__)
// What code may expect of its thread pointer: a pointer to itself (psABI), and glibc's stack protector and
// pointer guard, which are the same in every thread.
static void ht_tls_fill(uint64_t *tls)
{
    tls[0] = tls[2] = (uint64_t)(uintptr_t)tls;
    __asm__("movq %%fs:0x28, %0" : "=r"(tls[5]));
    __asm__("movq %%fs:0x30, %0" : "=r"(tls[6]));
}

// Returns in the caller only. The kernel keeps the thread's number in *tid while there is one.
static long ht_clone(unsigned long flags, uint64_t *stack, uint32_t *tid, void *tls)
{
    long ret;
    register long r10 __asm__("r10") = (long)tid;
    register long r8 __asm__("r8") = (long)tls;
    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xorl %%ebp, %%ebp\n\t"
                     "popq %%rax\n\t"
                     "popq %%rdi\n\t"
                     "callq *%%rax\n\t"
                     "movl %%eax, %%edi\n\t"
                     "movl %[exit], %%eax\n\t"
                     "syscall\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(ret)
                     : "a"(SYS_clone), "D"(flags), "S"(stack), "d"(tid), "r"(r10),
                       "r"(r8), [exit] "i"(SYS_exit)
                     : "rcx", "r11", "memory", "cc");
    return ret;
}

// A host may have unmasked floating-point exceptions or changed the rounding; the new thread inherits that.
static void ht_float_defaults(void)
{
    uint32_t control = 0x1f80; // all exceptions masked, round to nearest
    __asm__ volatile("ldmxcsr %0\n\tfninit" : : "m"(control));
}
#elif defined(__aarch64__)
// Thread-locals begin 16 bytes above the thread pointer; the stack protector's value is global.
static void ht_tls_fill(uint64_t *tls)
{
    tls[0] = 0;
}

static long ht_clone(unsigned long flags, uint64_t *stack, uint32_t *tid, void *tls)
{
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = (long)flags;
    register long x1 __asm__("x1") = (long)stack;
    register long x2 __asm__("x2") = (long)tid;
    register long x3 __asm__("x3") = (long)tls;
    register long x4 __asm__("x4") = (long)tid;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x30, xzr\n\t"
                     "ldp x1, x0, [sp], #16\n\t"
                     "blr x1\n\t"
                     "mov x8, %[exit]\n\t"
                     "svc 0\n\t"
                     "brk 0\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [exit] "i"(SYS_exit)
                     : "memory", "cc");
    return x0;
}

static void ht_float_defaults(void)
{
    __asm__ volatile("msr fpcr, xzr");
}
#endif

// Kernels since 5.18 give a process the exit status of the thread that leaves last. A main thread that has
// left by the plain exit system call meanwhile (libc's clone() does so behind its function) has decided on
// another one.
static int ht_exit_status(void)
{
    char stat[1024];
    if (ht_io_read_file("/proc/self/stat", stat, sizeof stat) <= 0) {
        return 0;
    }
    const char *state = ht_text_stat_field(stat, 3);
    const char *code = ht_text_stat_field(stat, 52);
    uint64_t value = 0;
    if (state == NULL || *state != 'Z' || code == NULL || !ht_text_parse_u64(code, &value)) {
        return 0;
    }
    return (int)(value >> 8 & 0xff);
}

// Source: proc(5), field 18 of stat is below 0 for SCHED_FIFO and SCHED_RR.
static bool ht_has_fixed_priority(void)
{
    char stat[1024];
    const char *priority = ht_io_read_file("/proc/thread-self/stat", stat, sizeof stat) > 0
                               ? ht_text_stat_field(stat, 18)
                               : NULL;
    return priority != NULL && *priority == '-';
}

// Source: proc(5), the line Seccomp of status; a kernel without it knows no filters. In doubt there is one.
static bool ht_is_filtered(void)
{
    static const char none[] = "\nSeccomp:\t0";
    char status[4096];
    return ht_io_read_file("/proc/thread-self/status", status, sizeof status) <= 0 ||
           (strstr(status, "\nSeccomp:") != NULL && strstr(status, none) == NULL);
}

// A host's thread of fixed priority passes it on to ours, which would then hold up the host's other such
// threads for a whole snapshot. A seccomp filter may end the process for the call that gives it back.
static void ht_give_fixed_priority_back(void)
{
    if (ht_has_fixed_priority() && !ht_is_filtered()) {
        struct sched_param none = {0};
        ht_raw3(SYS_sched_setscheduler, 0, SCHED_OTHER, (long)&none);
    }
}

// Closes what is open above 2. Without /proc it stays open for as long as the thread runs.
static void ht_close_all(void)
{
    _Alignas(struct ht_io_entry) char buffer[1024];
    int directory = ht_io_open(HT_IO_CWD, "/proc/thread-self/fd", O_RDONLY | O_DIRECTORY, 0);
    long got = 0;
    while (directory >= 0 && (got = ht_raw3(SYS_getdents64, directory, (long)buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < got;) {
            const struct ht_io_entry *entry = (const struct ht_io_entry *)(buffer + at);
            uint64_t fd = 0;
            if (ht_text_parse_u64(entry->name, &fd) && fd > 2 && fd != (uint64_t)directory) {
                ht_io_close((int)fd);
            }
            at += entry->length;
        }
    }
    if (directory >= 0) {
        ht_io_close(directory);
    }
}

// A table of descriptors of our own, empty above 2: what we open, the host cannot close and reuse under us,
// and its children do not inherit; what it has open, we do not keep open. Where the kernel refuses both ways,
// the table stays shared.
static void ht_own_descriptors(void)
{
    if (ht_raw3(SYS_close_range, 3, (long)UINT32_MAX, HT_CLOSE_RANGE_UNSHARE) != 0 &&
        ht_raw1(SYS_unshare, CLONE_FILES) == 0) {
        ht_close_all();
    }
}

// Runs in the new thread; returns its exit status.
static int ht_thread_main(void *arg)
{
    const struct ht_thread_block *block = arg;
    ht_float_defaults();
    ht_own_descriptors();
    ht_give_fixed_priority_back();
    block->fn(block->arg);
    return ht_exit_status();
}

// The claim is the caller's; the thread's, or free again, when this returns.
static bool ht_thread_begin(struct ht_thread_block *block, void (*fn)(void *arg), void *arg)
{
    block->fn = fn;
    block->arg = arg;
    ht_tls_fill(block->tls);
    uint64_t *stack = (uint64_t *)((uintptr_t)block & ~(uintptr_t)63) - 2;
    stack[0] = (uint64_t)(uintptr_t)ht_thread_main;
    stack[1] = (uint64_t)(uintptr_t)block;
    long result = ht_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                               CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
                           stack, &ht_claim.holder, block->tls);
    if (result < 0) {
        ht_claim_release();
    }
    return result >= 0;
}

// A fault in a region that was cut off is ours to survive (trigger/fault.h), if the host lets it come.
static uint64_t ht_block_signals(void)
{
    uint64_t old_mask = ht_signal_mask(~UINT64_C(0));
    uint64_t fault = ht_fault_mask() & ~old_mask;
    if (fault != 0) {
        ht_signal_mask(~fault);
    }
    return old_mask;
}

bool ht_thread_run(void (*fn)(void *arg), void *arg)
{
    struct ht_thread_block *block = ht_block_get();
    if (block == NULL) {
        return false;
    }
    // The new thread inherits the mask, so it never runs a handler of the host.
    uint64_t eflags = ht_eflags_calm();
    uint64_t old_mask = ht_block_signals();
    bool begun = ht_claim_take(ht_own_tid()) && ht_thread_begin(block, fn, arg);
    ht_signal_mask(old_mask);
    ht_eflags_restore(eflags);
    return begun;
}

bool ht_thread_here(void (*fn)(void *arg), void *arg)
{
    uint64_t eflags = ht_eflags_calm();
    uint64_t old_mask = ht_block_signals();
    bool taken = ht_claim_take(ht_own_tid());
    if (taken) {
        fn(arg);
        ht_claim_release();
    }
    ht_signal_mask(old_mask);
    ht_eflags_restore(eflags);
    return taken;
}

static uint32_t ht_holder(void)
{
    uint32_t holder = ht_load_acquire(&ht_claim.holder); // pairs with the clearing: ours, or the kernel's
    return holder != 0 && !ht_is_left_over(holder) ? holder : 0;
}

bool ht_thread_busy(void)
{
    return ht_holder() != 0;
}

bool ht_thread_wait(uint64_t deadline_ns)
{
    struct timespec deadline = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)};
    uint32_t holder;
    while ((holder = ht_holder()) != 0) {
        // The kernel wakes without FUTEX_PRIVATE_FLAG when it clears the word.
        long result = ht_raw6(SYS_futex, (long)&ht_claim.holder, FUTEX_WAIT_BITSET, holder, (long)&deadline,
                              0, FUTEX_BITSET_MATCH_ANY);
        if (result == 0) {
            ht_wake_waiters(); // the kernel has woken one of those who wait
        }
        if (ht_clock_raw_monotonic_ns() >= deadline_ns) {
            return !ht_thread_busy();
        }
        if (result != 0 && result != -EAGAIN && result != -EINTR) {
            ht_raw0(SYS_sched_yield); // futexes are forbidden here, or the kernel's clock is not ours
        }
    }
    return true;
}

void ht_thread_fork_child(void)
{
    uint32_t seen = ht_load_acquire(&ht_claim.holder);
    if (seen != 0 && ht_is_left_over(seen)) {
        ht_cas_acqrel(&ht_claim.holder, &seen, 0);
    }
}
