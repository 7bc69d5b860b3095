// Walking by call frame information: one compact rule for each pc, computed once and then taken from a
// lock-free cache.
//
// Invariants:
//  W1 a slot of the cache is used only if its sequence number was even and the same before and after it was
//  read: a rule
//     is never a mixture of two.
//  W2 a rule holds for the contents of its object, not for an address: it is used only while that object is
//  where it was
//     (permanent, or checked in this walk).
#include "unwind/walk.h"
#include "unwind/cfi.h"

#include <string.h>

#define CACHE_SETS 4096u // of two rules, one cache line; 256 KiB in all, backed where used
#define CACHE_WAYS 2u

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

#define SAVED_SAME 0    // else: at CFA + 8 * saved
#define SAVED_LOST -128 // the value is not kept

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
static union ht_slot ht_cache[CACHE_SETS][CACHE_WAYS] HT_ALIGNED(HT_CACHE_LINE);

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
    return ht_cache[(key ^ key >> 12) % CACHE_SETS];
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

static HT_COLD void ht_cache_write(const struct ht_rule *rule)
{
    union ht_slot *set = ht_cache_set(rule->key);
    uint64_t first = ht_load_relaxed(&set[0].rule.key), second = ht_load_relaxed(&set[1].rule.key);
    unsigned way = first == rule->key || first == 0     ? 0
                   : second == rule->key || second == 0 ? 1
                                                        : ht_load_relaxed(&set[0].rule.sequence) >> 1 & 1;
    union ht_slot *slot = &set[way];
    uint32_t sequence = ht_load_relaxed(&slot->rule.sequence);
    if ((sequence & 1) || !ht_cas_acqrel(&slot->rule.sequence, &sequence, sequence + 1)) {
        return; // somebody else writes here: the rule is computed again next time
    }
    uint64_t words[2];
    memcpy(words, &rule->cfa_offset, sizeof words);
    // Releases, so that no reader sees one of them together with the even number from before; pair with its
    // acquires.
    ht_store_release(&slot->rule.key, rule->key);
    ht_store_release(&slot->words[1], words[0]);
    ht_store_release(&slot->words[2], words[1]);
    ht_store_release(&slot->rule.generation, rule->generation);
    ht_store_release(&slot->rule.sequence, sequence + 2);
}

// ---- from a row to a rule

static bool ht_in_words(int64_t offset_bytes, int8_t *ret_words)
{
    if (offset_bytes % 8 != 0 || offset_bytes < -127 * 8 || offset_bytes > 127 * 8) {
        return false;
    }
    *ret_words = (int8_t)(offset_bytes / 8);
    return true;
}

static bool ht_pack_cfa(const struct ht_cfi_tables *tables, const struct ht_cfi_row *row,
                        struct ht_rule *rule)
{
    int64_t offset = row->cfa_offset;
    rule->kind = HT_RULE_REGISTER;
    rule->cfa_reg = row->cfa_reg;
    if (row->cfa_expression != 0) {
        rule->kind = HT_RULE_DEREF;
        if (!ht_cfi_is_simple(tables, row->cfa_expression, true, &rule->cfa_reg, &offset)) {
            return false;
        }
    }
    rule->cfa_offset = (int32_t)offset;
    return offset == rule->cfa_offset;
}

// Saved registers of a function that aligns its stack lie relative to its frame pointer, all of them.
static bool ht_pack_saved_at_fp(const struct ht_cfi_tables *tables, const struct ht_cfi_row *row,
                                struct ht_rule *rule)
{
    for (unsigned i = 0; i < HT_ARCH_SAVED_COUNT; i++) {
        unsigned reg = ht_arch_saved[i];
        uint8_t base;
        int64_t offset;
        switch (row->kind[reg]) {
        case HT_CFI_UNSPECIFIED:
        case HT_CFI_SAME:
            rule->saved[i] = SAVED_SAME;
            break;
        case HT_CFI_EXPRESSION:
            if (!ht_cfi_is_simple(tables, (uintptr_t)row->value[reg], false, &base, &offset) ||
                base != HT_ARCH_REG_FP || offset > 0 || !ht_in_words(offset - 8, &rule->saved[i])) {
                return false;
            }
            break;
        default:
            return false;
        }
    }
    rule->flags |= HT_RULE_AT_FP;
    return true;
}

static bool ht_pack_saved(const struct ht_cfi_row *row, struct ht_rule *rule)
{
    for (unsigned i = 0; i < HT_ARCH_SAVED_COUNT; i++) {
        unsigned reg = ht_arch_saved[i];
        switch (row->kind[reg]) {
        case HT_CFI_UNSPECIFIED:
        case HT_CFI_SAME:
            rule->saved[i] = SAVED_SAME;
            break;
        case HT_CFI_UNDEFINED:
            rule->saved[i] = SAVED_LOST;
            break;
        case HT_CFI_OFFSET:
            if (row->value[reg] == 0 || !ht_in_words(row->value[reg], &rule->saved[i])) {
                return false;
            }
            break;
        default:
            return false;
        }
    }
    return true;
}

static void ht_pack(const struct ht_cfi_tables *tables, const struct ht_cfi_function *function,
                    const struct ht_cfi_row *row, struct ht_rule *rule)
{
    if (function->is_signal_frame) {
        rule->kind = HT_RULE_SIGNAL;
    } else if (row->kind[function->ra_column] == HT_CFI_UNDEFINED) {
        rule->kind = HT_RULE_OUTERMOST;
    } else if (row->kind[function->ra_column] != HT_CFI_OFFSET || function->ra_column != HT_ARCH_REG_RA ||
               !ht_in_words(row->value[function->ra_column], &rule->ra) || !ht_pack_cfa(tables, row, rule) ||
               (!ht_pack_saved(row, rule) && !ht_pack_saved_at_fp(tables, row, rule))) {
        rule->kind = HT_RULE_GENERAL;
    } else if (rule->kind == HT_RULE_REGISTER && rule->ra == -1 && !(rule->flags & HT_RULE_AT_FP) &&
               rule->saved[0] <= 0 && rule->saved[0] != SAVED_LOST &&
               (rule->cfa_reg == HT_ARCH_REG_SP || rule->cfa_reg == HT_ARCH_REG_FP)) {
        rule->kind = rule->cfa_reg == HT_ARCH_REG_SP ? HT_RULE_QUICK_SP : HT_RULE_QUICK_FP;
    }
}

static struct ht_cfi_tables ht_tables_of(uint32_t index)
{
    const struct ht_object *object = &ht_objects[index];
    return (struct ht_cfi_tables){object->table_lo, object->table_hi, object->table};
}

// Whether `size_bytes` at `address` are in one executable segment, which makes them readable.
static bool ht_is_code_range(uint32_t object, uintptr_t address, size_t size_bytes)
{
    return ht_objects_is_code(object, address) && ht_objects_is_code(object, address + size_bytes - 1);
}

// Whether the frame is where a signal handler returns to, by its instructions: not every libc's has tables,
// and some kernels' and emulators' lies in a page of no object.
static bool ht_is_trampoline(const struct ht_walk *walk, uint32_t object)
{
    uintptr_t at = walk->exact ? walk->pc : walk->pc + 1;
    bool readable = object != HT_OBJECT_NONE ? ht_is_code_range(object, at, 2 * sizeof(uintptr_t))
                                             : ht_is_range_readable(at, 2 * sizeof(uintptr_t));
    if (!readable) {
        return false;
    }
    uintptr_t words[2] = {ht_arch_load(at), ht_arch_load(at + sizeof(uintptr_t))};
    return ht_arch_is_trampoline((const uint8_t *)words);
}

static bool ht_follows_call(uint32_t object, uintptr_t pc)
{
    uintptr_t before = pc + 1 - HT_ARCH_CALL_BYTES;
    return ht_is_code_range(object, before, HT_ARCH_CALL_BYTES) && ht_arch_is_call((const uint8_t *)before);
}

// The row of walk->pc into the scratch. Without a call before it, a return address may be the beginning of a
// function.
static bool ht_find_row(struct ht_walk *walk, const struct ht_cfi_tables *tables,
                        struct ht_cfi_function *ret_function, uint8_t *flags)
{
    uintptr_t pc = walk->pc;
    if ((*flags & HT_RULE_IS_UNSURE) && ht_cfi_find(tables, pc + 1, ret_function) &&
        ret_function->start == pc + 1 && !ret_function->is_signal_frame) {
        pc++;
        *flags |= HT_RULE_IS_ENTRY;
        return ht_cfi_row_at(tables, ret_function, pc, walk->scratch);
    }
    return ht_cfi_find(tables, pc, ret_function) && ht_cfi_row_at(tables, ret_function, pc, walk->scratch);
}

// Computes the rule for walk->pc. What is not known to be code is not cached.
static HT_COLD void ht_make_rule(struct ht_walk *walk, struct ht_rule *ret_rule)
{
    struct ht_rule rule = {.key = ht_rule_key(walk), .object = UINT16_MAX, .kind = HT_RULE_UNKNOWN};
    uint32_t object = ht_walk_object(walk);
    if (object == HT_OBJECT_NONE) {
        rule.kind = ht_is_trampoline(walk, object) ? HT_RULE_SIGNAL : HT_RULE_UNKNOWN;
        *ret_rule = rule;
        return;
    }
    rule.object = (uint16_t)object;
    rule.generation = ht_load_relaxed(&ht_objects[object].generation);
    rule.flags = ht_objects[object].permanent ? 0 : HT_RULE_IS_CHECKED;
    rule.kind = HT_RULE_NOT_CODE;
    if (ht_objects_is_code(object, walk->pc)) {
        struct ht_cfi_tables tables = ht_tables_of(object);
        struct ht_cfi_function function;
        if (!walk->exact && !ht_follows_call(object, walk->pc)) {
            rule.flags |= HT_RULE_IS_UNSURE;
        }
        if (tables.header != 0 && ht_find_row(walk, &tables, &function, &rule.flags)) {
            ht_pack(&tables, &function, &walk->scratch->row, &rule);
        } else {
            rule.kind = ht_is_trampoline(walk, object) ? HT_RULE_SIGNAL : HT_RULE_NO_TABLE;
        }
        ht_cache_write(&rule);
    }
    *ret_rule = rule;
}

static void ht_find_rule(struct ht_walk *walk, struct ht_rule *ret_rule)
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

// ---- steps

static inline uint64_t ht_bit(unsigned reg)
{
    return UINT64_C(1) << reg;
}

// A CFA that a rule gave: aligned, and above the stack pointer of the frame.
static inline bool ht_is_cfa(const struct ht_walk *walk, uintptr_t cfa)
{
    return (cfa & 7) == 0 && cfa > walk->sp;
}

// The quick step follows sp and fp alone.
static enum ht_step ht_step_quickly(struct ht_walk *walk, const struct ht_rule *rule)
{
    uintptr_t base, return_address;
    if (rule->cfa_reg == HT_ARCH_REG_SP) {
        base = walk->sp;
    } else if (rule->cfa_reg == HT_ARCH_REG_FP) {
        base = walk->fp;
    } else {
        return HT_STEP_FULL;
    }
    uintptr_t cfa = base + (uintptr_t)(intptr_t)rule->cfa_offset;
    if (ht_unlikely(rule->kind == HT_RULE_DEREF) && ((cfa & 7) != 0 || !ht_walk_load(walk, cfa, &cfa))) {
        return HT_STEP_FAILED;
    }
    if (ht_unlikely(!ht_is_cfa(walk, cfa)) ||
        ht_unlikely(!ht_walk_load(walk, cfa + (uintptr_t)((intptr_t)rule->ra * 8), &return_address))) {
        return HT_STEP_FAILED;
    }
    if (rule->saved[0] == SAVED_LOST) {
        return HT_STEP_FULL; // somebody may ask for it: the full walk knows what is not known
    }
    if (rule->saved[0] != SAVED_SAME) {
        uintptr_t at = cfa + (uintptr_t)((intptr_t)rule->saved[0] * 8);
        if (ht_unlikely(rule->flags & HT_RULE_AT_FP)) {
            at = walk->fp + (uintptr_t)((intptr_t)rule->saved[0] * 8 + 8);
        }
        if ((at & 7) != 0 || !ht_walk_load(walk, at, &walk->fp)) {
            return HT_STEP_FAILED;
        }
    }
    walk->sp = cfa;
    return ht_walk_return_to(walk, return_address);
}

static bool ht_load_for_expression(void *arg, uintptr_t address, uintptr_t *ret_value)
{
    return (address & 7) == 0 && ht_walk_load(arg, address, ret_value);
}

// Restores one register by its rule in the row; `cfa` is known. False: unreadable. `ret_value` untouched when
// not kept.
static bool ht_restore_register(struct ht_walk *walk, const struct ht_cfi_tables *tables, unsigned reg,
                                uintptr_t cfa, uintptr_t *ret_value, bool *ret_known)
{
    const struct ht_unwind_scratch *s = walk->scratch;
    struct ht_cfi_loader loader = {ht_load_for_expression, walk};
    int64_t value = s->row.value[reg];
    uintptr_t address = cfa + (uintptr_t)value;
    *ret_known = true;
    switch (s->row.kind[reg]) {
    case HT_CFI_UNSPECIFIED:
    case HT_CFI_SAME:
        *ret_value = s->regs[reg];
        *ret_known = s->known >> reg & 1;
        return true;
    case HT_CFI_VAL_OFFSET:
        *ret_value = address;
        return true;
    case HT_CFI_REGISTER:
        *ret_known = (uint64_t)value < HT_ARCH_REG_COUNT && (s->known >> value & 1);
        if (*ret_known) {
            *ret_value = s->regs[value];
        }
        return true;
    case HT_CFI_EXPRESSION:
        if (!ht_cfi_evaluate(tables, (uintptr_t)value, s, &cfa, &loader, &address)) {
            *ret_known = false;
            return true;
        }
        return (address & 7) == 0 && ht_walk_load(walk, address, ret_value);
    case HT_CFI_VAL_EXPRESSION:
        *ret_known = ht_cfi_evaluate(tables, (uintptr_t)value, s, &cfa, &loader, ret_value);
        return true;
    case HT_CFI_OFFSET:
        return (address & 7) == 0 && ht_walk_load(walk, address, ret_value);
    default:
        *ret_known = false;
        return true;
    }
}

static bool ht_general_cfa(struct ht_walk *walk, const struct ht_cfi_tables *tables, uintptr_t *ret_cfa)
{
    const struct ht_unwind_scratch *s = walk->scratch;
    struct ht_cfi_loader loader = {ht_load_for_expression, walk};
    if (s->row.cfa_expression != 0) {
        return ht_cfi_evaluate(tables, s->row.cfa_expression, s, NULL, &loader, ret_cfa);
    }
    if (!(s->known >> s->row.cfa_reg & 1)) {
        return false;
    }
    *ret_cfa = s->regs[s->row.cfa_reg] + (uintptr_t)s->row.cfa_offset;
    return true;
}

// Interprets the tables anew: every kind of rule.
static HT_COLD enum ht_step ht_step_generally(struct ht_walk *walk, const struct ht_rule *rule)
{
    struct ht_unwind_scratch *s = walk->scratch;
    struct ht_cfi_tables tables = ht_tables_of(rule->object);
    struct ht_cfi_function function;
    uintptr_t pc = walk->pc + (rule->flags & HT_RULE_IS_ENTRY ? 1 : 0);
    uintptr_t cfa, return_address = 0, saved[HT_ARCH_SAVED_COUNT];
    bool known[HT_ARCH_SAVED_COUNT], ra_known;
    if (!ht_cfi_find(&tables, pc, &function) || !ht_cfi_row_at(&tables, &function, pc, s) ||
        !ht_general_cfa(walk, &tables, &cfa) || (cfa & 7) != 0 || cfa == 0 ||
        !ht_restore_register(walk, &tables, function.ra_column, cfa, &return_address, &ra_known) ||
        !ra_known) {
        return HT_STEP_FAILED;
    }
    for (unsigned i = 0; i < HT_ARCH_SAVED_COUNT; i++) {
        if (!ht_restore_register(walk, &tables, ht_arch_saved[i], cfa, &saved[i], &known[i])) {
            return HT_STEP_FAILED;
        }
    }
    s->known = ht_bit(HT_ARCH_REG_SP);
    for (unsigned i = 0; i < HT_ARCH_SAVED_COUNT; i++) {
        if (known[i]) {
            s->regs[ht_arch_saved[i]] = saved[i];
            s->known |= ht_bit(ht_arch_saved[i]);
        }
    }
    s->regs[HT_ARCH_REG_SP] = cfa;
    return ht_walk_return_to(walk, return_address);
}

static HT_COLD enum ht_step ht_step_fully(struct ht_walk *walk, const struct ht_rule *rule)
{
    struct ht_unwind_scratch *s = walk->scratch;
    uintptr_t return_address;
    if (rule->kind == HT_RULE_GENERAL) {
        return ht_step_generally(walk, rule);
    }
    if (!(s->known >> rule->cfa_reg & 1)) {
        return HT_STEP_FAILED;
    }
    uintptr_t cfa = s->regs[rule->cfa_reg] + (uintptr_t)(intptr_t)rule->cfa_offset;
    if (rule->kind == HT_RULE_DEREF && ((cfa & 7) != 0 || !ht_walk_load(walk, cfa, &cfa))) {
        return HT_STEP_FAILED;
    }
    if (!ht_is_cfa(walk, cfa) ||
        !ht_walk_load(walk, cfa + (uintptr_t)((intptr_t)rule->ra * 8), &return_address)) {
        return HT_STEP_FAILED;
    }
    uint64_t known = ht_bit(HT_ARCH_REG_SP);
    uintptr_t base = rule->flags & HT_RULE_AT_FP ? s->regs[HT_ARCH_REG_FP] + 8 : cfa;
    for (unsigned i = 0; i < HT_ARCH_SAVED_COUNT; i++) {
        unsigned reg = ht_arch_saved[i];
        if (rule->saved[i] == SAVED_SAME) {
            known |= s->known & ht_bit(reg);
        } else if (rule->saved[i] != SAVED_LOST) {
            uintptr_t at = base + (uintptr_t)((intptr_t)rule->saved[i] * 8);
            if ((at & 7) != 0 || !ht_walk_load(walk, at, &s->regs[reg])) {
                return HT_STEP_FAILED;
            }
            known |= ht_bit(reg);
        }
    }
    s->known = known;
    s->regs[HT_ARCH_REG_SP] = cfa;
    return ht_walk_return_to(walk, return_address);
}

// The kernel's signal frame lies at sp.
static HT_COLD enum ht_step ht_step_signal(struct ht_walk *walk)
{
    struct ht_unwind_scratch *s = walk->scratch;
    uintptr_t sp = walk->sp;
    if ((sp & 7) != 0) {
        return HT_STEP_FAILED;
    }
    for (unsigned reg = 0; reg < HT_ARCH_REG_COUNT; reg++) {
        if (!ht_walk_load(walk, sp + ht_arch_signal_offset(reg), &s->regs[reg])) {
            return HT_STEP_FAILED;
        }
    }
    s->known = (UINT64_C(1) << HT_ARCH_REG_COUNT) - 1;
    walk->pc = s->regs[HT_ARCH_REG_COUNT - 1];
    walk->exact = true;
    return walk->pc < HT_PAGE_BYTES ? HT_STEP_FAILED : HT_STEP_ON; // a call through a null pointer
}

static HT_COLD enum ht_step ht_step_without_table(struct ht_walk *walk, bool fp_fallback)
{
    if (!fp_fallback) {
        return HT_STEP_FAILED;
    }
    enum ht_step step = ht_walk_step_fp(walk);
    walk->scratch->regs[HT_ARCH_REG_SP] = walk->sp;
    walk->scratch->regs[HT_ARCH_REG_FP] = walk->fp;
    walk->scratch->known = ht_bit(HT_ARCH_REG_FP) | (HT_ARCH_FP_GIVES_SP ? ht_bit(HT_ARCH_REG_SP) : 0);
    return step;
}

// Whether the current frame may be delivered: its pc is in code.
static bool ht_is_code_frame(const struct ht_walk *walk, const struct ht_rule *rule)
{
    return rule->kind != HT_RULE_NOT_CODE &&
           (rule->kind != HT_RULE_UNKNOWN || walk->exact || ht_walk_is_call(walk->pc));
}

// What is reported of the frame: a pc inside the call, or where the frame will go on when that was not a
// call.
static inline uintptr_t ht_frame_pc(const struct ht_walk *walk, const struct ht_rule *rule)
{
    return walk->pc + (!walk->exact && (rule->kind == HT_RULE_SIGNAL || (rule->flags & HT_RULE_IS_ENTRY)));
}

bool ht_walk_frame(struct ht_walk *walk, uint32_t *ret_object, uintptr_t *ret_pc)
{
    struct ht_rule rule;
    ht_find_rule(walk, &rule);
    if (!ht_is_code_frame(walk, &rule)) {
        return false;
    }
    *ret_object = rule.object == UINT16_MAX ? HT_OBJECT_NONE : rule.object;
    *ret_pc = ht_frame_pc(walk, &rule);
    return true;
}

// With all registers that calls preserve, from a state that is in the scratch and in `walk`.
static HT_COLD enum ht_step ht_walk_fully(struct ht_walk *walk, bool fp_fallback)
{
    struct ht_unwind_scratch *s = walk->scratch;
    enum ht_step step = HT_STEP_ON;
    bool after_entry = false; // the frame before was where a context made by hand begins: it has no caller
    while (step == HT_STEP_ON) {
        walk->sp = s->regs[HT_ARCH_REG_SP];
        walk->fp = s->known >> HT_ARCH_REG_FP & 1 ? s->regs[HT_ARCH_REG_FP] : 1;
        struct ht_rule rule;
        ht_find_rule(walk, &rule);
        uint32_t object = rule.object == UINT16_MAX ? HT_OBJECT_NONE : rule.object;
        if (!ht_is_code_frame(walk, &rule)) {
            return after_entry ? HT_STEP_END : HT_STEP_FAILED;
        }
        after_entry = rule.flags & HT_RULE_IS_ENTRY;
        if (!ht_walk_deliver(walk, ht_frame_pc(walk, &rule), object)) {
            return HT_STEP_TRUNCATED;
        }
        if ((rule.flags & HT_RULE_IS_UNSURE) && rule.kind != HT_RULE_SIGNAL) {
            ht_walk_distrust(walk);
        }
        switch (rule.kind) {
        case HT_RULE_SIGNAL:
            step = ht_step_signal(walk);
            break;
        case HT_RULE_OUTERMOST:
            return HT_STEP_END;
        case HT_RULE_NO_TABLE:
        case HT_RULE_UNKNOWN:
            step = ht_step_without_table(walk, fp_fallback);
            break;
        default:
            step = ht_step_fully(walk, &rule);
            break;
        }
    }
    return step;
}

static inline bool ht_is_checked(const struct ht_walk *walk, uint32_t object)
{
    return walk->checked_any && (walk->scratch->verified[object / 32] >> (object % 32) & 1);
}

// As many frames as go by quick rules from the cache, with everything at hand; stops before the first that
// does not.
static HT_NOINLINE void ht_walk_cached(struct ht_walk *walk)
{
    const uintptr_t lo = walk->lo, span = walk->hi - walk->lo;
    const uint32_t seen_now = ht_load_relaxed(&ht_objects_seen_now);
    const uintptr_t own = ht_objects_own_start, own_bytes = ht_objects_own_limit - ht_objects_own_start;
    uintptr_t *pcs = walk->scratch->pcs;
    uintptr_t pc = walk->pc, sp = walk->sp, fp = walk->fp;
    unsigned count = walk->count;
    uint64_t key = ht_rule_key(walk);
    while (count < HT_MAX_FRAMES) {
        const struct ht_rule *rule = &ht_cache_set(key)->rule;
        if (ht_load_relaxed(&rule->key) != key) {
            rule = &((const union ht_slot *)rule)[1].rule;
        }
        uint32_t sequence = ht_load_acquire(&rule->sequence); // pairs with the release in ht_cache_write
        bool is_key = ht_load_acquire(&rule->key) == key;
        int32_t offset = ht_load_acquire(&rule->cfa_offset);
        uint8_t kind = ht_load_acquire(&rule->kind), flags = ht_load_acquire(&rule->flags);
        int8_t saved = ht_load_acquire(&rule->saved[0]);
        uint16_t object = ht_load_acquire(&rule->object);
        if (ht_unlikely(!is_key || (sequence & 1) || ht_load_relaxed(&rule->sequence) != sequence ||
                        kind > HT_RULE_QUICK_FP || flags > HT_RULE_IS_CHECKED) ||
            (flags != 0 && !ht_is_checked(walk, object)) ||
            ht_unlikely(ht_load_relaxed(&ht_objects_seen[object]) != seen_now)) {
            break;
        }
        uintptr_t cfa = sp;
        if (kind == HT_RULE_QUICK_FP) {
            cfa = fp;
        }
        cfa += (uintptr_t)(intptr_t)offset;
        uintptr_t fp_at = cfa + (uintptr_t)((intptr_t)saved * 8);
        // The return address is at cfa - 8; fp_at is there or below, or it is cfa and not read.
        if (ht_unlikely((cfa & 7) != 0 || cfa <= sp || cfa - 8 - lo >= span ||
                        (fp_at != cfa && fp_at < lo))) {
            break;
        }
        uintptr_t return_address = ht_arch_strip_ra(ht_arch_load(cfa - 8));
        if (ht_unlikely(return_address <= HT_PAGE_BYTES)) {
            break;
        }
        if (saved != SAVED_SAME) {
            fp = ht_arch_load(fp_at);
        }
        if (pc - own >= own_bytes) {
            pcs[count++] = pc;
        }
        sp = cfa;
        pc = return_address - 1;
        key = return_address;
    }
    walk->pc = pc;
    walk->sp = sp;
    walk->fp = fp;
    walk->count = count;
    walk->exact = key >> 63;
}

// Until something out of the ordinary: then FULL, the frame not delivered.
static enum ht_step ht_walk_quickly(struct ht_walk *walk)
{
    for (;;) {
        ht_walk_cached(walk);
        struct ht_rule rule;
        ht_find_rule(walk, &rule);
        if (ht_unlikely(rule.kind > HT_RULE_DEREF || (rule.flags & HT_RULE_IS_UNSURE))) {
            if (rule.kind == HT_RULE_OUTERMOST) {
                return ht_walk_deliver(walk, ht_frame_pc(walk, &rule), rule.object) ? HT_STEP_END
                                                                                    : HT_STEP_TRUNCATED;
            }
            return HT_STEP_FULL;
        }
        if (!ht_walk_deliver(walk, walk->pc, rule.object)) {
            return HT_STEP_TRUNCATED;
        }
        enum ht_step step = ht_step_quickly(walk, &rule);
        if (ht_unlikely(step != HT_STEP_ON)) {
            return step;
        }
    }
}

enum ht_step ht_walk_cfi(struct ht_walk *walk, const struct ht_unwind_start *start, bool fp_fallback)
{
    struct ht_unwind_scratch *s = walk->scratch;
    enum ht_step step = ht_walk_quickly(walk);
    if (ht_likely(step != HT_STEP_FULL)) {
        return step;
    }
    // Once more from the start, with all registers; what has been learned about pages and objects stays.
    struct ht_walk learned = *walk;
    ht_walk_begin(walk, s, walk->window, start);
    walk->checked_any = learned.checked_any;
    if (learned.is_home) {
        walk->lo = learned.lo;
        walk->hi = learned.hi;
    }
    s->regs[HT_ARCH_REG_SP] = start->sp;
    s->known = ht_bit(HT_ARCH_REG_SP);
    for (unsigned i = 0; i < HT_ARCH_SAVED_COUNT; i++) {
        s->regs[ht_arch_saved[i]] = start->saved[i];
        s->known |= ht_bit(ht_arch_saved[i]);
    }
    return ht_walk_fully(walk, fp_fallback);
}
