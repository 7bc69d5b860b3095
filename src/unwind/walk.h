// The state of one walk, and what the ways to walk share: reading the stack, delivering frames, frame-pointer
// steps.
#ifndef HT_UNWIND_WALK_H
#define HT_UNWIND_WALK_H

#include "sys/compiler.h"
#include "unwind/memory.h"
#include "unwind/objects.h"
#include "unwind/unwind.h"

// Context of everything here: hook.

enum ht_step {
    HT_STEP_ON,        // there is a caller
    HT_STEP_END,       // this was the outermost frame
    HT_STEP_FAILED,    // there must be a caller, but it cannot be found
    HT_STEP_TRUNCATED, // no room for more frames
    HT_STEP_FULL,      // a register is needed that the quick walk does not follow
};

struct ht_walk {
    struct ht_unwind_scratch *scratch;
    struct ht_unwind_window *window;
    uintptr_t lo, hi; // readable pages
    bool is_home;     // lo to hi is one piece with the stack pointer that the walk began with
    bool exact;       // `pc` is where the frame was interrupted, not the byte before a return address
    bool checked_any; // scratch->verified has been cleared
    bool in_handler;  // a signal frame was met
    uintptr_t pc;     // inside the frame's current instruction
    uintptr_t sp, fp; // of the frame
    unsigned count;   // frames delivered
};

void ht_walk_begin(struct ht_walk *walk, struct ht_unwind_scratch *scratch, struct ht_unwind_window *window,
                   const struct ht_unwind_start *start);
void ht_walk_finish(struct ht_walk *walk);

// Makes the page of a word outside of [lo, hi) readable to the walk, if it is.
bool ht_walk_probe(struct ht_walk *walk, uintptr_t address);

// From here on no page counts as readable that has not been asked about in this walk: what led here may be
// garbage.
void ht_walk_distrust(struct ht_walk *walk);

// One word of the stack; address aligned to 8.
static inline bool ht_walk_load(struct ht_walk *walk, uintptr_t address, uintptr_t *ret_value)
{
    if (ht_unlikely(address - walk->lo >= walk->hi - walk->lo) && !ht_walk_probe(walk, address)) {
        return false;
    }
    *ret_value = ht_arch_load(address);
    return true;
}

// Appends the current frame as profile address `pc`, unless it is one of our own: the first ones are, and
// those that the allocation comes through when a signal handler or an interposer behind us allocates within
// one. False: no room.
static inline bool ht_walk_deliver(struct ht_walk *walk, uintptr_t pc, uint32_t object)
{
    if (pc - ht_objects_own_start < ht_objects_own_limit - ht_objects_own_start) {
        return true;
    }
    if (ht_unlikely(walk->count == HT_MAX_FRAMES)) {
        return false;
    }
    if (object != HT_OBJECT_NONE &&
        ht_unlikely(ht_load_relaxed(&ht_objects_seen[object]) != ht_load_relaxed(&ht_objects_seen_now))) {
        pc += (uintptr_t)ht_objects_report(object, pc);
    }
    walk->scratch->pcs[walk->count++] = pc;
    return true;
}

// Goes to the caller whose return address this is. END: there is none. No code lies in the first page, so
// that a pc is never 0.
static inline enum ht_step ht_walk_return_to(struct ht_walk *walk, uintptr_t return_address)
{
    return_address = ht_arch_strip_ra(return_address);
    walk->pc = return_address - 1;
    walk->exact = false;
    if (ht_unlikely(return_address <= HT_PAGE_BYTES)) {
        return return_address == 0 ? HT_STEP_END : HT_STEP_FAILED;
    }
    return HT_STEP_ON;
}

// Whether code that belongs to no object may be at the return address pc + 1: the page is readable, and a
// call instruction ends there or an interpreter's frame is taken up again. At most four system calls.
bool ht_walk_is_call(uintptr_t pc);

// Steps by the frame pointer if that looks like one: aligned, at or above sp and within 1 MiB of it, pointing
// to a return address that follows a call or lies in an object's code. END: the frame pointer is 0, as at the
// outermost frame.
enum ht_step ht_walk_step_fp(struct ht_walk *walk);

// The object of walk->pc, checked once in a walk; HT_OBJECT_NONE: none.
uint32_t ht_walk_object(struct ht_walk *walk);
bool ht_walk_check_object(struct ht_walk *walk, uint32_t object);

// The object of the frame (HT_OBJECT_NONE: code of none) and the pc to deliver. False: walk->pc is not in
// code.
bool ht_walk_frame(struct ht_walk *walk, uint32_t *ret_object, uintptr_t *ret_pc);

// The ways: each delivers frames until a reason to stop.
enum ht_step ht_walk_cfi(struct ht_walk *walk, const struct ht_unwind_start *start, bool fp_fallback);
enum ht_step ht_walk_fp(struct ht_walk *walk);
enum ht_step ht_walk_libunwind(struct ht_walk *walk);
bool ht_libunwind_load(void);

#endif
