// Any bytes as the unwind tables of an object (.eh_frame_hdr, .eh_frame): finding a function, its row and its
// expressions reads nothing outside of the tables and ends.
//
// An input is a byte that is added to the pcs that are looked for, one for where the header lies (in units of
// 4 bytes), and the tables.
#include "unwind/cfi.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE          4096u
#define TABLES_BYTES  (4 * PAGE)
#define TABLES_AT     UINT64_C(0x400000000000) // always the same, so that absolute addresses in inputs stay good
#define WALKED_STARTS 6u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ht_unwind_scratch scratch;

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// Memory of the host, as far as there is any: every address that ends in 1 to 7 is refused.
static bool load(void *arg, uintptr_t address, uintptr_t *ret_value)
{
    unsigned *loads = arg;
    *ret_value = address * 3 + ++*loads;
    return address % 8 == 0;
}

static void evaluate(const struct ht_cfi_tables *tables, uintptr_t expression, const uintptr_t *push)
{
    unsigned loads = 0;
    const struct ht_cfi_loader loader = {load, &loads};
    uintptr_t value;
    uint8_t reg = 0;
    int64_t offset;
    ht_cfi_evaluate(tables, expression, &scratch, push, &loader, &value);
    if (ht_cfi_is_simple(tables, expression, false, &reg, &offset) ||
        ht_cfi_is_simple(tables, expression, true, &reg, &offset)) {
        must(reg < HT_ARCH_REG_COUNT);
    }
}

static void look_up(const struct ht_cfi_tables *tables, uintptr_t pc)
{
    struct ht_cfi_function function;
    if (!ht_cfi_find(tables, pc, &function)) {
        return;
    }
    must(pc >= function.start && pc < function.limit && function.ra_column < HT_ARCH_REG_COUNT);
    if (!ht_cfi_row_at(tables, &function, pc, &scratch)) {
        return;
    }
    const struct ht_cfi_row *row = &scratch.row;
    must(row->cfa_expression != 0 || row->cfa_reg < HT_ARCH_REG_COUNT);
    for (unsigned i = 0; i < HT_ARCH_REG_COUNT; i++) {
        scratch.regs[i] = TABLES_AT + i * 64;
    }
    scratch.known = 0x3ff;
    const uintptr_t cfa = TABLES_AT + 4096;
    if (row->cfa_expression != 0) {
        evaluate(tables, row->cfa_expression, NULL);
    }
    for (unsigned i = 0; i < HT_ARCH_REG_COUNT; i++) {
        if (row->kind[i] == HT_CFI_EXPRESSION || row->kind[i] == HT_CFI_VAL_EXPRESSION) {
            evaluate(tables, (uintptr_t)row->value[i], &cfa);
        }
    }
}

// Pages that nothing is mapped before or behind, so that a read outside faults.
static uint8_t *table_pages(void)
{
    static uint8_t *pages;
    if (pages == NULL) {
        pages = mmap((void *)TABLES_AT, TABLES_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        must(pages == (uint8_t *)TABLES_AT);
    }
    return pages;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *pages = table_pages();
    if (size < 2 || size > TABLES_BYTES) {
        return 0;
    }
    size_t table_bytes = size - 2;
    // In front or at the end of the pages: one side is guarded at a time.
    uint8_t *at = data[0] & 1 ? pages : pages + TABLES_BYTES - table_bytes;
    memcpy(at, data + 2, table_bytes);
    struct ht_cfi_tables tables = {(uintptr_t)at, (uintptr_t)at + table_bytes, (uintptr_t)at + data[1] * 4u};
    look_up(&tables, tables.header - 0x1000 + data[0]);
    for (uintptr_t entry = tables.header + 12;
         entry < tables.header + 12 + 8 * WALKED_STARTS && entry + 4 <= tables.hi && entry >= tables.lo;
         entry += 8) {
        int32_t start;
        memcpy(&start, (const void *)entry, sizeof start);
        look_up(&tables, tables.header + (uintptr_t)(intptr_t)start + data[0] / 2);
    }
    return 0;
}
