// Walking by call frame information: quick steps by cached rules, full ones by all registers.
#include "unwind/rules.h"

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
    if (rule->saved[0] == HT_SAVED_LOST) {
        return HT_STEP_FULL; // somebody may ask for it: the full walk knows what is not known
    }
    if (rule->saved[0] != HT_SAVED_SAME) {
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
        if (rule->saved[i] == HT_SAVED_SAME) {
            known |= s->known & ht_bit(reg);
        } else if (rule->saved[i] != HT_SAVED_LOST) {
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
    walk->in_handler = true;
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
        if (saved != HT_SAVED_SAME) {
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
