// The hooks of a companion library: one line for each function that an allocator has beside the malloc
// family.
//
// Contract of every hook: that of heap/hooks.c, and besides: the function behind may throw, longjmp away or
// end the process (operator new calls the host's new handler), so nothing of ours is held across the call,
// and our frames have unwind tables. A hook stays on the stack while the function behind it runs: if that
// goes on to another hook by a jump, the shim finds us as the caller, and knows that the call has been seen.
#ifndef HT_COMPANION_HOOK_H
#define HT_COMPANION_HOOK_H

#include "heap/link.h"
#include "record/filter.h"
#include "sys/atomic.h"
#include "sys/compiler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"
// Hooks have the allocators' names and no prototypes of ours.
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#define HT_HOOK   HT_EXPORT HT_ALIGNED(HT_CACHE_LINE)
#define HT_CALLER __builtin_return_address(0)

// What the fast paths look at. Before it is known what there is, and where there is no shim, every call goes
// the slow way.
struct ht_fast {
    intptr_t countdown_offset; // 0: not linked (release, last)
    const uint8_t *filter_bytes;
    const uint32_t *filter_mask;
};
extern struct ht_fast ht_fast HT_HIDDEN;
extern const struct ht_link *ht_link HT_HIDDEN; // NULL: nothing is recorded

// A function that may stand behind us: dlsym by name, at load.
struct ht_row {
    const char *name;
    void *next;            // address of the pointer to call by
    void (*without)(void); // what the pointer is where there is none
    bool is_operator;      // of C++; it may be libc++'s or libstdc++'s, above malloc
};
#define HT_ROW(row_name, row_is_operator)                                                                    \
    __attribute__((used, section("ht_rows"))) static const struct ht_row ht_row_##row_name = {               \
        #row_name, &ht_next_##row_name, (void (*)(void))ht_without_##row_name, row_is_operator}

// The first object in the loader's order that has a function of this name, whatever scope it was loaded into;
// ours aside. NULL: there is none. Takes the loader's lock and may allocate: for what bare would end here.
void *ht_search(const char *name);

// A sample that is due; `link` is NULL where nothing is to be recorded.
struct ht_draw {
    const struct ht_link *link;
    float rate_bytes;
};

// The slow path: looks everything up, if that has not been done.
struct ht_draw ht_draw(bool is_operator, size_t size_bytes, const void *caller);
// Takes the record of a block that is being freed or moved out. True: there was one.
bool ht_take(const void *block, struct ht_live_copy *ret_live);
void ht_put_back(const struct ht_live_copy *live);
void ht_is_gone(void);

static inline bool ht_charge_linked(size_t size_bytes)
{
    intptr_t offset = ht_load_acquire(&ht_fast.countdown_offset); // pairs with the release in ht_look_up
    uint64_t *countdown = (uint64_t *)(ht_arch_thread_pointer() + (uintptr_t)offset), left;
    if (ht_unlikely(offset == 0) || ht_unlikely(size_bytes == 0) ||
        ht_unlikely(__builtin_sub_overflow(*countdown, size_bytes, &left))) {
        return true;
    }
    *countdown = left;
    return false;
}

static inline bool ht_hit_linked(const void *block)
{
    return ht_fast.filter_bytes[ht_filter_hash((uintptr_t)block) & *ht_fast.filter_mask] != 0;
}

// The stack begins in the caller of the slow path that this is a part of.
static inline __attribute__((always_inline)) void ht_record_draw(const struct ht_draw *draw,
                                                                 const void *block, size_t size_bytes)
{
    if (draw->link != NULL && block != NULL) {
        struct ht_unwind_start start;
        ht_unwind_capture(&start);
        draw->link->record(block, size_bytes, draw->rate_bytes, &start);
    }
}

// Sizes that do not fit make the call fail; charging for what fails biases nothing.
static inline size_t ht_product(size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}

#define HT_OPEN(...) __VA_ARGS__
// Keeps the call before it from becoming a jump.
#define HT_STAY(value) __asm__ volatile("" : "+r"(value))

// What calls go to where no function of the name stands behind us. The caller may still have one: it lies in
// a library that was loaded later, with a scope of its own. Nowhere: `instead`.
#define HT_WITHOUT(name, result, parameters, arguments, instead)                                             \
    static result ht_none_##name parameters                                                                  \
    {                                                                                                        \
        return instead;                                                                                      \
    }                                                                                                        \
    static result ht_without_##name parameters                                                               \
    {                                                                                                        \
        void *found = ht_search(#name);                                                                      \
        ht_next_##name = ht_none_##name;                                                                     \
        if (found != NULL) {                                                                                 \
            memcpy(&ht_next_##name, &found, sizeof found);                                                   \
        }                                                                                                    \
        return ht_next_##name arguments;                                                                     \
    }

// Returns a block of `bytes`.
#define HT_ALLOCATES_AS(name, parameters, arguments, bytes, is_operator)                                     \
    HT_ROW(name, is_operator);                                                                               \
    static HT_COLD void *ht_slow_##name(HT_OPEN parameters, const void *caller)                              \
    {                                                                                                        \
        size_t size_bytes = (bytes);                                                                         \
        struct ht_draw draw = ht_draw(is_operator, size_bytes, caller);                                      \
        if (ht_link == NULL) {                                                                               \
            return ht_next_##name arguments; /* without a frame of ours */                                   \
        }                                                                                                    \
        void *made = ht_next_##name arguments;                                                               \
        ht_record_draw(&draw, made, size_bytes);                                                             \
        return made;                                                                                         \
    }                                                                                                        \
    HT_HOOK void *name parameters                                                                            \
    {                                                                                                        \
        if (ht_unlikely(ht_charge_linked(bytes))) {                                                          \
            return ht_slow_##name(HT_OPEN arguments, HT_CALLER);                                             \
        }                                                                                                    \
        void *made = ht_next_##name arguments;                                                               \
        HT_STAY(made);                                                                                       \
        return made;                                                                                         \
    }
#define HT_ALLOCATES(name, parameters, arguments, bytes)                                                     \
    static void *(*ht_next_##name)parameters;                                                                \
    HT_WITHOUT(name, void *, parameters, arguments, (errno = ENOMEM, NULL))                                  \
    HT_ALLOCATES_AS(name, parameters, arguments, bytes, false)

// Stores a block of `bytes` in *ret and returns 0, or an error number.
#define HT_ALLOCATES_INTO(name, parameters, arguments, ret, bytes)                                           \
    static int(*ht_next_##name) parameters;                                                                  \
    HT_WITHOUT(name, int, parameters, arguments, ENOMEM)                                                     \
    HT_ROW(name, false);                                                                                     \
    static HT_COLD int ht_slow_##name(HT_OPEN parameters, const void *caller)                                \
    {                                                                                                        \
        size_t size_bytes = (bytes);                                                                         \
        struct ht_draw draw = ht_draw(false, size_bytes, caller);                                            \
        int made = ht_next_##name arguments;                                                                 \
        ht_record_draw(&draw, made == 0 ? *(ret) : NULL, size_bytes);                                        \
        return made;                                                                                         \
    }                                                                                                        \
    HT_HOOK int name parameters                                                                              \
    {                                                                                                        \
        if (ht_unlikely(ht_charge_linked(bytes))) {                                                          \
            return ht_slow_##name(HT_OPEN arguments, HT_CALLER);                                             \
        }                                                                                                    \
        int made = ht_next_##name arguments;                                                                 \
        HT_STAY(made);                                                                                       \
        return made;                                                                                         \
    }

// Takes the place of `block` by one of `bytes`; NULL: nothing has changed (or, `frees`: it is freed).
#define HT_REALLOCATES_AS(name, parameters, arguments, block, bytes, frees)                                  \
    HT_ROW(name, false);                                                                                     \
    static HT_COLD void *ht_slow_##name(HT_OPEN parameters, const void *caller)                              \
    {                                                                                                        \
        size_t size_bytes = (bytes);                                                                         \
        struct ht_live_copy old;                                                                             \
        bool had = ht_take(block, &old);                                                                     \
        struct ht_draw draw = {0};                                                                           \
        if (ht_charge_linked(size_bytes)) {                                                                  \
            draw = ht_draw(false, size_bytes, caller);                                                       \
        }                                                                                                    \
        void *made = ht_next_##name arguments;                                                               \
        ht_record_draw(&draw, made, size_bytes);                                                             \
        ht_settle(had, &old, made == NULL && size_bytes != 0 && !(frees), draw.link == NULL);                \
        return made;                                                                                         \
    }                                                                                                        \
    HT_HOOK void *name parameters                                                                            \
    {                                                                                                        \
        if (ht_unlikely(ht_hit_linked(block) || ht_charge_linked(bytes))) {                                  \
            return ht_slow_##name(HT_OPEN arguments, HT_CALLER);                                             \
        }                                                                                                    \
        void *made = ht_next_##name arguments;                                                               \
        HT_STAY(made);                                                                                       \
        return made;                                                                                         \
    }

#define HT_REALLOCATES(name, parameters, arguments, block, bytes, frees)                                     \
    static void *(*ht_next_##name)parameters;                                                                \
    HT_WITHOUT(name, void *, parameters, arguments, (errno = ENOMEM, NULL))                                  \
    HT_REALLOCATES_AS(name, parameters, arguments, block, bytes, frees)

// Gives `block` another size where it is, if `did` says so of what is returned (`made`). The record of the
// block stays until then: the address cannot be another's meanwhile.
#define HT_RESIZES_AS(name, result, parameters, arguments, block, bytes, did)                                \
    HT_ROW(name, false);                                                                                     \
    static HT_COLD void ht_slow_##name(const void *resized, size_t size_bytes, const void *caller)           \
    {                                                                                                        \
        struct ht_live_copy old;                                                                             \
        bool had = ht_take(resized, &old);                                                                   \
        struct ht_draw draw = {0};                                                                           \
        if (ht_charge_linked(size_bytes)) {                                                                  \
            draw = ht_draw(false, size_bytes, caller);                                                       \
        }                                                                                                    \
        ht_record_draw(&draw, resized, size_bytes);                                                          \
        ht_settle(had, &old, false, draw.link == NULL);                                                      \
    }                                                                                                        \
    HT_HOOK result name parameters                                                                           \
    {                                                                                                        \
        ht_find();                                                                                           \
        result made = ht_next_##name arguments;                                                              \
        if ((did) && ht_unlikely(ht_hit_linked(block) || ht_charge_linked(bytes))) {                         \
            ht_slow_##name(block, bytes, HT_CALLER);                                                         \
        }                                                                                                    \
        return made;                                                                                         \
    }

#define HT_RESIZES(name, result, parameters, arguments, block, bytes, did)                                   \
    static result(*ht_next_##name) parameters;                                                               \
    HT_WITHOUT(name, result, parameters, arguments, 0)                                                       \
    HT_RESIZES_AS(name, result, parameters, arguments, block, bytes, did)

// Frees `block`.
#define HT_FREES_AS(name, parameters, arguments, block, is_operator)                                         \
    HT_ROW(name, is_operator);                                                                               \
    static HT_COLD void ht_slow_##name parameters                                                            \
    {                                                                                                        \
        struct ht_live_copy old;                                                                             \
        if (ht_take(block, &old)) {                                                                          \
            ht_is_gone();                                                                                    \
        }                                                                                                    \
        ht_next_##name arguments;                                                                            \
    }                                                                                                        \
    HT_HOOK void name parameters                                                                             \
    {                                                                                                        \
        if (ht_unlikely(ht_hit_linked(block))) {                                                             \
            ht_slow_##name arguments;                                                                        \
            return;                                                                                          \
        }                                                                                                    \
        ht_next_##name arguments;                                                                            \
    }
#define HT_FREES(name, parameters, arguments, block)                                                         \
    static void(*ht_next_##name) parameters;                                                                 \
    HT_WITHOUT(name, void, parameters, arguments, (void)0)                                                   \
    HT_FREES_AS(name, parameters, arguments, block, false)

// Looks up what stands behind us, once. Context: load, or the first call.
void ht_find(void);

// What becomes of the old record, now that a block was to be moved or resized.
static inline void ht_settle(bool had, const struct ht_live_copy *old, bool is_unchanged, bool is_silent)
{
    if (had && is_unchanged) {
        ht_put_back(old);
    } else if (had && is_silent) {
        ht_is_gone(); // a sample has told already
    }
}

#endif
