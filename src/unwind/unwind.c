// Unwinding: chooses the way, and what all ways share.
#include "unwind/unwind.h"

#include "unwind/walk.h"

#include <string.h>

#define FP_REACH_BYTES     (UINT64_C(1) << 20) // a frame pointer that points farther is none
#define WINDOW_REACH_BYTES (UINT64_C(1) << 20) // pages up to this far above are asked about one by one

static enum ht_unwind_mode ht_mode = HT_UNWIND_AUTO;
static bool ht_wants_libunwind;  // until it is loaded, other libraries' constructors are walked our own way
static uintptr_t ht_main_thread; // its thread pointer

extern void *__libc_stack_end
    __attribute__((weak)); // glibc: the main thread's stack pointer at its first instruction

void ht_unwind_start(enum ht_unwind_mode mode)
{
    ht_wants_libunwind = mode == HT_UNWIND_LIBUNWIND;
    ht_mode = ht_wants_libunwind ? HT_UNWIND_AUTO : mode;
    ht_main_thread = ht_arch_thread_pointer();
}

bool ht_unwind_load(void)
{
    if (ht_wants_libunwind) {
        if (!ht_libunwind_load()) {
            return false;
        }
        ht_mode = HT_UNWIND_LIBUNWIND;
    }
    return true;
}

void ht_walk_begin(struct ht_walk *walk, struct ht_unwind_scratch *scratch, struct ht_unwind_window *window,
                   const struct ht_unwind_start *start)
{
    walk->scratch = scratch;
    walk->window = window;
    walk->pc = start->pc;
    walk->sp = start->sp;
    walk->fp = start->saved[0];
    walk->exact = true;
    walk->is_home = true;
    walk->checked_any = false;
    walk->in_handler = false;
    walk->count = 0;
    walk->lo = window->lo;
    walk->hi = window->hi;
    if (ht_unlikely(start->sp - walk->lo >= walk->hi - walk->lo)) {
        // Another stack, or a deeper page of this one: begin with the page that is in use.
        walk->lo = start->sp & ~(uintptr_t)(HT_PAGE_BYTES - 1);
        walk->hi = walk->lo + HT_PAGE_BYTES;
    }
}

// The end of the pages that stay mapped above the stack which the thread was started on. 0: not known.
static uintptr_t ht_own_stack_top(void)
{
    uintptr_t top = ht_arch_thread_pointer();
    if (ht_main_thread == 0 || top == ht_main_thread) {
        top = &__libc_stack_end != NULL ? (uintptr_t)__libc_stack_end : 0;
    }
    return (top + HT_PAGE_BYTES - 1) & ~(uintptr_t)(HT_PAGE_BYTES - 1);
}

// Makes the walk's pages the thread's window if they are one piece with the top of its own stack.
static HT_COLD void ht_walk_adopt(const struct ht_walk *walk)
{
    uintptr_t top = ht_own_stack_top(), hi = walk->hi;
    if (hi > top || top - hi >= WINDOW_REACH_BYTES) {
        return;
    }
    for (; hi < top; hi += HT_PAGE_BYTES) {
        if (!ht_is_readable(hi)) {
            return;
        }
    }
    walk->window->lo = walk->lo;
    walk->window->hi = top;
}

void ht_walk_finish(struct ht_walk *walk)
{
    if (walk->is_home && ht_unlikely(walk->lo != walk->window->lo)) {
        ht_walk_adopt(walk);
    }
}

bool HT_COLD ht_walk_probe(struct ht_walk *walk, uintptr_t address)
{
    uintptr_t page = address & ~(uintptr_t)(HT_PAGE_BYTES - 1);
    if ((address & 7) != 0 || page == 0 || page > UINTPTR_MAX / 2) {
        return false;
    }
    if (page >= walk->hi && page - walk->hi < WINDOW_REACH_BYTES && walk->hi != 0) {
        while (walk->hi <= page) {
            if (walk->hi == walk->window->lo && walk->is_home) {
                walk->hi = walk->window->hi; // a deeper part of the thread's own stack
                continue;
            }
            if (!ht_is_readable(walk->hi)) {
                return false;
            }
            walk->hi += HT_PAGE_BYTES;
        }
        return true;
    }
    // Another stack (that of an interrupted frame), or beyond a very large frame: forgotten after this walk.
    if (!ht_is_readable(page)) {
        return false;
    }
    ht_walk_finish(walk);
    walk->is_home = false;
    walk->lo = page;
    walk->hi = page + HT_PAGE_BYTES;
    return true;
}

void HT_COLD ht_walk_distrust(struct ht_walk *walk)
{
    if (walk->is_home) {
        ht_walk_finish(walk);
        walk->is_home = false;
        walk->lo = walk->hi = 0;
    }
}

bool HT_COLD ht_walk_is_call(uintptr_t pc)
{
    uintptr_t last = pc + 1 - sizeof(uintptr_t);
    if (pc <= HT_PAGE_BYTES || pc >= UINTPTR_MAX / 2 || !ht_is_range_readable(last, sizeof(uintptr_t))) {
        return false;
    }
    uintptr_t word = ht_arch_load(last);
    return ht_arch_is_call((const uint8_t *)(&word + 1) - HT_ARCH_CALL_BYTES) ||
           (ht_is_range_readable(pc + 1, sizeof(uint64_t)) && ht_arch_is_resume(ht_arch_load(pc + 1)));
}

bool HT_COLD ht_walk_check_object(struct ht_walk *walk, uint32_t object)
{
    uint32_t *verified = walk->scratch->verified;
    if (!walk->checked_any) {
        memset(verified, 0, sizeof walk->scratch->verified);
        walk->checked_any = true;
    }
    uint32_t bit = UINT32_C(1) << (object % 32);
    if (verified[object / 32] & bit) {
        return true;
    }
    if (!ht_objects_check(object, walk->pc)) {
        return false;
    }
    verified[object / 32] |= bit;
    return true;
}

uint32_t ht_walk_object(struct ht_walk *walk)
{
    uint32_t object = ht_objects_resolve(walk->pc);
    if (object != HT_OBJECT_NONE && !ht_objects[object].permanent) {
        ht_walk_check_object(walk, object);
    }
    return object;
}

enum ht_step HT_COLD ht_walk_step_fp(struct ht_walk *walk)
{
    uintptr_t fp = walk->fp, next, return_address;
    if (fp == 0) {
        return HT_STEP_END;
    }
    ht_walk_distrust(walk);
    if ((fp & 7) != 0 || fp - walk->sp >= FP_REACH_BYTES || !ht_walk_load(walk, fp, &next) ||
        !ht_walk_load(walk, fp + sizeof(uintptr_t), &return_address)) {
        return HT_STEP_FAILED;
    }
    walk->fp = next;
    walk->sp = fp + 2 * sizeof(uintptr_t);
    return ht_walk_return_to(walk, return_address);
}

void ht_unwind(struct ht_unwind_scratch *scratch, struct ht_unwind_window *window,
               const struct ht_unwind_start *start, struct ht_unwind_result *ret_result)
{
    struct ht_walk walk;
    ht_walk_begin(&walk, scratch, window, start);
    enum ht_step step;
    switch (ht_mode) {
    case HT_UNWIND_FP:
        step = ht_walk_fp(&walk);
        break;
    case HT_UNWIND_LIBUNWIND:
        step = ht_walk_libunwind(&walk);
        break;
    default:
        step = ht_walk_cfi(&walk, start, ht_mode == HT_UNWIND_AUTO);
        break;
    }
    ht_walk_finish(&walk);
    ret_result->frame_count = walk.count;
    ret_result->truncated = step == HT_STEP_TRUNCATED;
    ret_result->failed = step == HT_STEP_FAILED;
    ret_result->is_calm = step == HT_STEP_END && !walk.in_handler && ht_mode <= HT_UNWIND_CFI;
}
