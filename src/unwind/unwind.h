// Unwinding inside the profiled process: the stack of an allocation as profile addresses, without a lock or a
// fault.
#ifndef HT_UNWIND_UNWIND_H
#define HT_UNWIND_UNWIND_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
#include "unwind/arch_x86_64.h"
#elif defined(__aarch64__)
#include "unwind/arch_aarch64.h"
#else
#error "the unwinder knows x86-64 and aarch64; add an arch_*.h for this architecture"
#endif

#define HT_MAX_FRAMES 256u

// What HEAPTAP_UNWIND selects. AUTO: unwind tables, and a frame-pointer step where code has none. CFI: tables
// alone. FP: frame pointers alone. LIBUNWIND: unw_backtrace, the reference; it takes the loader's lock
// and 6.5 KiB of stack.
enum ht_unwind_mode { HT_UNWIND_AUTO, HT_UNWIND_CFI, HT_UNWIND_FP, HT_UNWIND_LIBUNWIND };

// Pages [lo, hi) of the stack that the thread was started on: known to be readable, and to stay so while it
// runs. (Other stacks, of coroutines and handlers, can be unmapped and replaced between two walks.) Per
// thread; all zero is a valid state.
struct ht_unwind_window {
    uintptr_t lo, hi;
};

// Where one row of unwind rules keeps a register of the caller.
struct ht_cfi_row {
    int64_t value[HT_ARCH_REG_COUNT]; // an offset, a register number or the address of an expression
    uint8_t kind[HT_ARCH_REG_COUNT];  // enum ht_cfi_kind
    uint8_t cfa_reg;
    int64_t cfa_offset;
    uintptr_t cfa_expression; // its address instead of register and offset; 0: none
};

#define HT_CFI_SAVED_ROWS 6u // nested DW_CFA_remember_state; compilers use one level

// Work memory of one walk, given by the caller so that the host's stack stays free. Contents need no
// preparation.
struct ht_unwind_scratch {
    uintptr_t pcs[HT_MAX_FRAMES]; // the result, leaf first
    uintptr_t regs[HT_ARCH_REG_COUNT];
    uint64_t known;        // bit for each register whose value is known
    uint32_t verified[32]; // bit for each object that was checked in this walk
    struct ht_cfi_row row, initial, saved_rows[HT_CFI_SAVED_ROWS];
};
_Static_assert(sizeof(struct ht_unwind_scratch) <= 8192, "the pool of the caller counts on it");

struct ht_unwind_result {
    unsigned frame_count;
    bool truncated; // more than HT_MAX_FRAMES frames
    bool failed;    // stopped before a proper end of the stack
    bool is_calm;   // reached it, by unwind tables, and met no signal handler
};

// Sets the mode (once, before the first walk). Any context; makes no call that could allocate.
void ht_unwind_start(enum ht_unwind_mode mode);

// Loads libunwind if the mode asks for it; until then, and where it is not there (false is returned),
// the mode is AUTO. Context: the shim's constructor only (dlopen, dlsym).
bool ht_unwind_load(void);

// Walks the stack from `start` (ht_unwind_capture in a function that has not returned). scratch->pcs holds
// profile addresses: return addresses minus one, exact where a signal interrupted, shifted by what the
// module's reporter said; frames of our own library at the leaf end are left out. Context: any thread at any
// moment, signal handlers included; takes no lock, allocates nothing, reads no unmapped memory; under 1 KiB
// of stack; system calls only to learn whether a page can be read (rt_sigprocmask with an argument that
// fails), none in a walk over known pages. errno untouched.
void ht_unwind(struct ht_unwind_scratch *scratch, struct ht_unwind_window *window,
               const struct ht_unwind_start *start, struct ht_unwind_result *ret_result);

#endif
