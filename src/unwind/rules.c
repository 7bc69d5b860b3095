// From the tables' row at a pc to a rule, and into the cache.
#include "unwind/rules.h"

union ht_slot ht_rules[HT_CACHE_SETS][HT_CACHE_WAYS] HT_ALIGNED(HT_CACHE_LINE);

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
            rule->saved[i] = HT_SAVED_SAME;
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
            rule->saved[i] = HT_SAVED_SAME;
            break;
        case HT_CFI_UNDEFINED:
            rule->saved[i] = HT_SAVED_LOST;
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
               rule->saved[0] <= 0 && rule->saved[0] != HT_SAVED_LOST &&
               (rule->cfa_reg == HT_ARCH_REG_SP || rule->cfa_reg == HT_ARCH_REG_FP)) {
        rule->kind = rule->cfa_reg == HT_ARCH_REG_SP ? HT_RULE_QUICK_SP : HT_RULE_QUICK_FP;
    }
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

HT_COLD void ht_make_rule(struct ht_walk *walk, struct ht_rule *ret_rule)
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
