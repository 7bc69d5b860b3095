// DWARF expressions of unwind tables: the simple forms known at sight, and a bounded machine for the others.
#include "unwind/cfi.h"
#include "unwind/cursor.h"

static struct ht_cursor ht_expression_cursor(const struct ht_cfi_tables *tables, uintptr_t expression)
{
    struct ht_cursor c = ht_cursor_at(tables, expression, tables->hi);
    uint64_t length = ht_cursor_uleb(&c);
    if (c.bad || length > c.end - c.at) {
        c.bad = true;
        c.end = c.at;
    } else {
        c.end = c.at + length;
    }
    return c;
}

bool ht_cfi_is_simple(const struct ht_cfi_tables *tables, uintptr_t expression, bool deref, uint8_t *ret_reg,
                      int64_t *ret_offset)
{
    struct ht_cursor c = ht_expression_cursor(tables, expression);
    uint8_t op = (uint8_t)ht_cursor_get(&c, 1);
    int64_t offset = ht_cursor_sleb(&c);
    if (c.bad || op < 0x70 || op >= 0x70 + HT_ARCH_REG_COUNT || op > 0x8f ||
        (deref && ht_cursor_get(&c, 1) != 0x06) || c.bad || c.at != c.end) {
        return false;
    }
    *ret_reg = (uint8_t)(op - 0x70);
    *ret_offset = offset;
    return true;
}

// The machine of DWARF expressions (DWARF 5 section 2.5), bounded in depth and steps.
#define EVAL_DEPTH 16u
#define EVAL_STEPS 256u

struct ht_eval {
    struct ht_cursor c;
    uintptr_t begin;
    const struct ht_unwind_scratch *scratch;
    const struct ht_cfi_loader *loader;
    unsigned depth;
    bool bad;
    uintptr_t stack[EVAL_DEPTH];
};

static void ht_push(struct ht_eval *e, uintptr_t value)
{
    if (e->depth == EVAL_DEPTH) {
        e->bad = true;
        return;
    }
    e->stack[e->depth++] = value;
}

static uintptr_t ht_pop(struct ht_eval *e)
{
    if (e->depth == 0) {
        e->bad = true;
        return 0;
    }
    return e->stack[--e->depth];
}

// The value `index` below the top.
static uintptr_t ht_peek(struct ht_eval *e, uint64_t index)
{
    if (index >= e->depth) {
        e->bad = true;
        return 0;
    }
    return e->stack[e->depth - 1 - index];
}

static void ht_push_register(struct ht_eval *e, uint64_t reg, int64_t offset)
{
    if (reg >= HT_ARCH_REG_COUNT || !(e->scratch->known >> reg & 1)) {
        e->bad = true;
        return;
    }
    ht_push(e, e->scratch->regs[reg] + (uintptr_t)offset);
}

static void ht_jump(struct ht_eval *e, bool taken)
{
    int64_t distance = ht_cursor_signed(&e->c, 2);
    uintptr_t target = e->c.at + (uintptr_t)distance;
    if (taken) {
        e->bad |= target < e->begin || target > e->c.end;
        e->c.at = e->bad ? e->c.end : target;
    }
}

// Two operands: `a` was below `b`.
static bool ht_binary(uint8_t op, uintptr_t a, uintptr_t b, uintptr_t *ret_value)
{
    intptr_t sa = (intptr_t)a, sb = (intptr_t)b;
    switch (op) {
    case 0x1a:
        *ret_value = a & b;
        return true;
    case 0x1b:
        if (sb == 0 || (sb == -1 && sa == INTPTR_MIN)) {
            return false;
        }
        *ret_value = (uintptr_t)(sa / sb);
        return true;
    case 0x1c:
        *ret_value = a - b;
        return true;
    case 0x1d:
        if (b == 0) {
            return false;
        }
        *ret_value = a % b;
        return true;
    case 0x1e:
        *ret_value = a * b;
        return true;
    case 0x21:
        *ret_value = a | b;
        return true;
    case 0x22:
        *ret_value = a + b;
        return true;
    case 0x24:
        *ret_value = b < 64 ? a << b : 0;
        return true;
    case 0x25:
        *ret_value = b < 64 ? a >> b : 0;
        return true;
    case 0x26:
        *ret_value = (uintptr_t)(sa >> (b < 64 ? b : 63));
        return true;
    case 0x27:
        *ret_value = a ^ b;
        return true;
    case 0x29:
        *ret_value = sa == sb;
        return true;
    case 0x2a:
        *ret_value = sa >= sb;
        return true;
    case 0x2b:
        *ret_value = sa > sb;
        return true;
    case 0x2c:
        *ret_value = sa <= sb;
        return true;
    case 0x2d:
        *ret_value = sa < sb;
        return true;
    case 0x2e:
        *ret_value = sa != sb;
        return true;
    default:
        return false;
    }
}

// Constants. False: not one of them.
static bool ht_step_constant(struct ht_eval *e, uint8_t op)
{
    struct ht_cursor *c = &e->c;
    if (op >= 0x30 && op <= 0x4f) { // lit0 to lit31
        ht_push(e, op - 0x30u);
        return true;
    }
    switch (op) {
    case 0x03: // addr
        ht_push(e, ht_cursor_get(c, 8));
        return true;
    case 0x08: // const1u to const8s: two of each size
    case 0x0a:
    case 0x0c:
    case 0x0e:
        ht_push(e, ht_cursor_get(c, 1u << ((op - 0x08) / 2)));
        return true;
    case 0x09:
    case 0x0b:
    case 0x0d:
    case 0x0f:
        ht_push(e, (uintptr_t)ht_cursor_signed(c, 1u << ((op - 0x09) / 2)));
        return true;
    case 0x10: // constu
        ht_push(e, ht_cursor_uleb(c));
        return true;
    case 0x11: // consts
        ht_push(e, (uintptr_t)ht_cursor_sleb(c));
        return true;
    default:
        return false;
    }
}

// Stack shuffling, one-operand arithmetic and jumps. False: not one of them.
static bool ht_step_stack(struct ht_eval *e, uint8_t op)
{
    uintptr_t a, b, top;
    switch (op) {
    case 0x12: // dup
        ht_push(e, ht_peek(e, 0));
        return true;
    case 0x13: // drop
        ht_pop(e);
        return true;
    case 0x14: // over
        ht_push(e, ht_peek(e, 1));
        return true;
    case 0x15: // pick
        ht_push(e, ht_peek(e, ht_cursor_get(&e->c, 1)));
        return true;
    case 0x16: // swap
        b = ht_pop(e);
        a = ht_pop(e);
        ht_push(e, b);
        ht_push(e, a);
        return true;
    case 0x17: // rot
        top = ht_pop(e);
        b = ht_pop(e);
        a = ht_pop(e);
        ht_push(e, top);
        ht_push(e, a);
        ht_push(e, b);
        return true;
    case 0x19: // abs
        a = ht_pop(e);
        ht_push(e, (intptr_t)a < 0 ? 0 - a : a);
        return true;
    case 0x1f: // neg
        ht_push(e, 0 - ht_pop(e));
        return true;
    case 0x20: // not
        ht_push(e, ~ht_pop(e));
        return true;
    case 0x23: // plus_uconst
        a = ht_pop(e);
        ht_push(e, a + ht_cursor_uleb(&e->c));
        return true;
    case 0x28: // bra
        ht_jump(e, ht_pop(e) != 0);
        return true;
    case 0x2f: // skip
        ht_jump(e, true);
        return true;
    case 0x96: // nop
        return true;
    default:
        return false;
    }
}

static void ht_step_deref(struct ht_eval *e, unsigned size_bytes)
{
    uintptr_t address = ht_pop(e), value = 0;
    if (e->bad || size_bytes == 0 || size_bytes > 8 || e->loader == NULL ||
        !e->loader->load(e->loader->arg, address, &value)) {
        e->bad = true;
        return;
    }
    ht_push(e, size_bytes == 8 ? value : value & ((UINT64_C(1) << (8 * size_bytes)) - 1));
}

static void ht_step(struct ht_eval *e)
{
    uint8_t op = (uint8_t)ht_cursor_get(&e->c, 1);
    if (ht_step_constant(e, op) || ht_step_stack(e, op)) {
        return;
    }
    if (op >= 0x70 && op <= 0x8f) { // breg0 to breg31
        ht_push_register(e, op - 0x70u, ht_cursor_sleb(&e->c));
    } else if (op == 0x92) { // bregx
        uint64_t reg = ht_cursor_uleb(&e->c);
        ht_push_register(e, reg, ht_cursor_sleb(&e->c));
    } else if (op == 0x06) { // deref
        ht_step_deref(e, 8);
    } else if (op == 0x94) { // deref_size
        ht_step_deref(e, (unsigned)ht_cursor_get(&e->c, 1));
    } else {
        uintptr_t b = ht_pop(e), a = ht_pop(e), value = 0;
        if (e->bad || !ht_binary(op, a, b, &value)) {
            e->bad = true;
            return;
        }
        ht_push(e, value);
    }
}

bool ht_cfi_evaluate(const struct ht_cfi_tables *tables, uintptr_t expression,
                     const struct ht_unwind_scratch *scratch, const uintptr_t *push,
                     const struct ht_cfi_loader *loader, uintptr_t *ret_value)
{
    struct ht_eval e;
    e.c = ht_expression_cursor(tables, expression);
    e.begin = e.c.at;
    e.scratch = scratch;
    e.loader = loader;
    e.depth = 0;
    e.bad = e.c.bad;
    if (push != NULL) {
        ht_push(&e, *push);
    }
    for (unsigned steps = 0; !e.bad && !e.c.bad && e.c.at < e.c.end; steps++) {
        if (steps == EVAL_STEPS) {
            return false;
        }
        ht_step(&e);
    }
    if (e.bad || e.c.bad || e.depth == 0) {
        return false;
    }
    *ret_value = e.stack[e.depth - 1];
    return true;
}
