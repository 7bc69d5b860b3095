// The exported prctl and syscall: pass everything on, and see coming what forbids or diverts our own calls.
#include "trigger/sandbox.h"

#include "core/guard.h"
#include "core/process.h"
#include "core/thread.h"
#include "record/region.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/compiler.h"
#include "sys/raw.h"
#include "trigger/request.h"
#include "unwind/memory.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define SEAL_WAIT_NS     UINT64_C(2000000000)
#define SEAL_ROOM_BYTES  (UINT64_C(2) << 20)
#define SEAL_STACK_PAGES 2048u
#define SEAL_BELOW_BYTES (UINT64_C(128) << 10)

// Learns now which stack pages can be read, since nobody can be asked later: those above the stack pointer,
// and on the main thread's stack, which grows without a hole, some below.
static void ht_seal_window(struct ht_unwind_window *window)
{
    uintptr_t lo = (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(HT_PAGE_BYTES - 1);
    uintptr_t hi = lo + HT_PAGE_BYTES;
    for (unsigned i = 0; i < SEAL_STACK_PAGES && ht_is_readable(hi); i++) {
        hi += HT_PAGE_BYTES;
    }
    uintptr_t top = (uintptr_t)getauxval(AT_EXECFN); // lies above the first frame of main
    struct rlimit limit;
    if (top >= lo && top < hi && ht_raw2(SYS_getrlimit, RLIMIT_STACK, (long)&limit) == 0 &&
        limit.rlim_cur >= 2 * SEAL_BELOW_BYTES + (top - lo)) {
        lo -= SEAL_BELOW_BYTES;
    }
    window->lo = lo;
    window->hi = hi;
}

static void ht_seal(void)
{
    struct ht_guard guard = ht_guard_enter(HT_SETUP);
    ht_request_refuse(ht_clock_raw_monotonic_ns() + SEAL_WAIT_NS);
    struct ht_region *region = ht_process_region_if_made();
    if (region != NULL) {
        ht_region_back_ahead(region, SEAL_ROOM_BYTES);
        ht_store_relaxed(&region->header->sealed, 1);
        ht_seal_window(&ht_thread.window);
    }
    ht_clock_seal();
    ht_store_release(&ht_raw_sealed, 1);
    ht_guard_leave(guard);
}

static void ht_unseal(void)
{
    ht_store_release(&ht_raw_sealed, 0);
    struct ht_region *region = ht_process_region_if_made();
    if (region != NULL) {
        ht_store_relaxed(&region->header->sealed, 0);
    }
    ht_request_allow();
}

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59 // since Linux 5.11
#define PR_SYS_DISPATCH_ON           1
#endif

// A seccomp filter; system calls that arrive as signals at the host, wherever they come from.
static bool ht_restricts(int option, long argument)
{
    return option == PR_SET_SECCOMP ||
           (option == PR_SET_SYSCALL_USER_DISPATCH && argument == PR_SYS_DISPATCH_ON);
}

static void ht_watch_clock(int option, long argument)
{
    if (option == PR_SET_TSC && argument == PR_TSC_SIGSEGV) {
        ht_clock_use_kernel();
    }
}

static long ht_result(long result)
{
    if (ht_unlikely(result < 0 && result >= -4095)) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

// Forwards a call that restricts the caller; what was given up comes back when the kernel refuses it.
static long ht_restrict(long nr, long a, long b, long c, long d, long e)
{
    int saved = errno;
    bool sealed = ht_settings.on && !ht_load_relaxed(&ht_raw_sealed);
    if (sealed) {
        ht_seal();
    }
    long result = ht_raw_open6(nr, a, b, c, d, e, 0);
    if (sealed && result < 0) {
        ht_unseal();
    }
    errno = saved;
    return ht_result(result);
}

HT_EXPORT int prctl(int option, ...)
{
    long arguments[4];
    va_list list;
    va_start(list, option);
    for (int i = 0; i < 4; i++) {
        arguments[i] = va_arg(list, long);
    }
    va_end(list);
    ht_watch_clock(option, arguments[0]);
    if (ht_restricts(option, arguments[0])) {
        return (int)ht_restrict(SYS_prctl, option, arguments[0], arguments[1], arguments[2], arguments[3]);
    }
    return (int)ht_result(
        ht_raw_open6(SYS_prctl, option, arguments[0], arguments[1], arguments[2], arguments[3], 0));
}

// Called by the exported syscall() below, with its arguments.
__attribute__((used)) HT_HIDDEN long ht_syscall_seccomp(long nr, long operation, long flags, long arguments);
long ht_syscall_seccomp(long nr, long operation, long flags, long arguments)
{
    if (operation == SECCOMP_SET_MODE_STRICT || operation == SECCOMP_SET_MODE_FILTER) {
        return ht_restrict(nr, operation, flags, arguments, 0, 0);
    }
    return ht_result(ht_raw_open6(nr, operation, flags, arguments, 0, 0, 0));
}

__attribute__((used)) HT_HIDDEN long ht_syscall_prctl(long nr, long option, long a, long b, long c, long d);
long ht_syscall_prctl(long nr, long option, long a, long b, long c, long d)
{
    ht_watch_clock((int)option, a);
    if (ht_restricts((int)option, a)) {
        return ht_restrict(nr, option, a, b, c, d);
    }
    return ht_result(ht_raw_open6(nr, option, a, b, c, d, 0));
}

__attribute__((used)) HT_HIDDEN long ht_syscall_failed(long result);
long ht_syscall_failed(long result)
{
    return ht_result(result);
}

// libc's syscall() has no frame of its own, and some callers depend on it (SYS_clone with a new stack):
// neither has this.
#if defined(__x86_64__)
_Static_assert(SYS_seccomp == 317 && SYS_prctl == 157, "numbers in the code below");
__asm__(".text\n"
        ".p2align 4\n"
        ".globl syscall\n"
        ".type syscall, @function\n"
        "syscall:\n"
        ".cfi_startproc\n"
        "endbr64\n"
        "cmpq $317, %rdi\n"
        "je ht_syscall_seccomp\n"
        "cmpq $157, %rdi\n"
        "je ht_syscall_prctl\n"
        "movq %rdi, %rax\n"
        "movq %rsi, %rdi\n"
        "movq %rdx, %rsi\n"
        "movq %rcx, %rdx\n"
        "movq %r8, %r10\n"
        "movq %r9, %r8\n"
        "movq 8(%rsp), %r9\n"
        "syscall\n"
        "cmpq $-4095, %rax\n"
        "jae 1f\n"
        "ret\n"
        "1: movq %rax, %rdi\n"
        "jmp ht_syscall_failed\n"
        ".cfi_endproc\n"
        ".size syscall, . - syscall\n");
#elif defined(__aarch64__)
_Static_assert(SYS_seccomp == 277 && SYS_prctl == 167, "numbers in the code below");
__asm__(".text\n"
        ".p2align 4\n"
        ".globl syscall\n"
        ".type syscall, %function\n"
        "syscall:\n"
        ".cfi_startproc\n"
        "hint #34\n" // bti c
        "cmp x0, #277\n"
        "b.eq ht_syscall_seccomp\n"
        "cmp x0, #167\n"
        "b.eq ht_syscall_prctl\n"
        "mov x8, x0\n"
        "mov x0, x1\n"
        "mov x1, x2\n"
        "mov x2, x3\n"
        "mov x3, x4\n"
        "mov x4, x5\n"
        "mov x5, x6\n"
        "svc 0\n"
        "cmn x0, #4095\n"
        "b.hs 1f\n"
        "ret\n"
        "1: b ht_syscall_failed\n"
        ".cfi_endproc\n"
        ".size syscall, . - syscall\n");
#endif
