// Rules: how to step from a frame to its caller, in 32 bytes, in a lock-free cache by return address.
//
// Invariants:
//  W1 a slot of the cache is used only if its sequence number was even and the same before and after it was
//     read: a rule is never a mixture of two.
//  W2 a rule holds for the contents of its object, not for an address: it is used only while that object is
//     where it was (permanent, or checked in this walk).
#ifndef HT_UNWIND_RULES_H
#define HT_UNWIND_RULES_H

#include "unwind/cfi.h"
#include "unwind/walk.h"

#include <string.h>

#define HT_CACHE_SETS 4096u // of two rules, one cache line; 256 KiB in all, backed where used
#define HT_CACHE_WAYS 2u

enum ht_rule_kind {
    HT_RULE_QUICK_SP,  // CFA = sp + offset, the return address below it, the frame pointer saved below it or
                       // the same
    HT_RULE_QUICK_FP,  // the same with CFA = fp + offset
    HT_RULE_REGISTER,  // CFA = register + offset
    HT_RULE_DEREF,     // CFA = *(register + offset)
    HT_RULE_GENERAL,   // anything else: interpreted each time
    HT_RULE_SIGNAL,    // the kernel's frame of a signal: all registers are in the ucontext
    HT_RULE_OUTERMOST, // there is no caller
    HT_RULE_NO_TABLE,  // code of an object that no table describes
    HT_RULE_UNKNOWN,   // code of no object, if it is code at all
    HT_RULE_NOT_CODE,
};

enum {
    HT_RULE_IS_CHECKED = 1, // the object may be unloaded: to be checked in each walk
    HT_RULE_IS_UNSURE =
        2, // no call instruction ends at pc + 1: a return address that points here may be garbage
    HT_RULE_IS_ENTRY =
        4, // pc + 1 begins a function: a return address that was made by hand, as makecontext does
    HT_RULE_AT_FP = 8, // saved registers lie relative to the frame pointer: word[saved + 1]
};

#define HT_SAVED_SAME 0    // else: at CFA + 8 * saved
#define HT_SAVED_LOST -128 // the value is not kept

struct ht_rule {
    uint64_t key; // ht_rule_key
    int32_t cfa_offset;
    uint8_t kind;    // enum ht_rule_kind
    uint8_t flags;   // HT_RULE_IS_*
    uint8_t cfa_reg; // DWARF number
    int8_t ra;       // the return address is at CFA + 8 * ra
    int8_t saved[HT_ARCH_SAVED_COUNT];
    uint16_t object;
    uint32_t generation; // of the object's slot
    uint32_t sequence;   // in the cache: odd while it is written
};
_Static_assert(sizeof(struct ht_rule) == 32, "two rules fill a cache line");

union ht_slot {
    struct ht_rule rule;
    uint64_t words[4];
};
extern union ht_slot ht_rules[HT_CACHE_SETS][HT_CACHE_WAYS] HT_HIDDEN;

// Return addresses are themselves (walk->pc is the byte before); an exact pc is marked, for what is known of
// the same place differs. Never 0.
static inline uint64_t ht_rule_key(const struct ht_walk *walk)
{
    return walk->exact ? walk->pc | UINT64_C(1) << 63 : walk->pc + 1;
}

static inline union ht_slot *ht_cache_set(uint64_t key)
{
    // Call sites lie some bytes apart and functions at multiples of 16: the low bits are the most random
    // ones.
    return ht_rules[(key ^ key >> 12) % HT_CACHE_SETS];
}

static inline bool ht_cache_read(const union ht_slot *slot, uint64_t key, struct ht_rule *ret_rule)
{
    uint32_t sequence = ht_load_acquire(&slot->rule.sequence); // pairs with the release in ht_cache_write
    if (ht_load_acquire(&slot->rule.key) != key) {
        return false;
    }
    uint64_t words[2] = {ht_load_acquire(&slot->words[1]), ht_load_acquire(&slot->words[2])};
    ret_rule->generation = ht_load_acquire(&slot->rule.generation);
    if (ht_unlikely(ht_load_relaxed(&slot->rule.sequence) != sequence || (sequence & 1))) {
        return false;
    }
    ret_rule->key = key;
    memcpy(&ret_rule->cfa_offset, words, sizeof words);
    return true;
}

static inline struct ht_cfi_tables ht_tables_of(uint32_t index)
{
    const struct ht_object *object = &ht_objects[index];
    return (struct ht_cfi_tables){object->table_lo, object->table_hi, object->table};
}

// Computes the rule for walk->pc. What is not known to be code is not cached. Hook context; about a
// microsecond.
void ht_make_rule(struct ht_walk *walk, struct ht_rule *ret_rule);

static inline void ht_find_rule(struct ht_walk *walk, struct ht_rule *ret_rule)
{
    uint64_t key = ht_rule_key(walk);
    const union ht_slot *set = ht_cache_set(key);
    if (ht_likely(ht_cache_read(&set[0], key, ret_rule) || ht_cache_read(&set[1], key, ret_rule))) {
        if (ht_likely(!(ret_rule->flags & HT_RULE_IS_CHECKED))) {
            return;
        }
        if (ret_rule->generation == ht_load_relaxed(&ht_objects[ret_rule->object].generation) &&
            ht_walk_check_object(walk, ret_rule->object)) {
            return;
        }
    }
    ht_make_rule(walk, ret_rule);
}

#endif
