// Call frame information: from an .eh_frame_hdr and a pc to the row of rules that restores the caller's
// registers.
#ifndef HT_UNWIND_CFI_H
#define HT_UNWIND_CFI_H

#include "unwind/unwind.h"

// Format: DWARF 5 section 6.4 with the changes of the Linux Standard Base core specification, chapter 10.6
// (.eh_frame). Context of everything here: hook; pure functions of readable bytes. Nothing outside the given
// bounds is read, whatever the bytes are.

enum ht_cfi_kind {
    HT_CFI_UNSPECIFIED, // the ABI's default: callee-saved registers keep their value
    HT_CFI_SAME,
    HT_CFI_UNDEFINED,
    HT_CFI_OFFSET,         // at CFA + value
    HT_CFI_VAL_OFFSET,     // is CFA + value
    HT_CFI_REGISTER,       // in register `value`
    HT_CFI_EXPRESSION,     // at the address that the expression gives
    HT_CFI_VAL_EXPRESSION, // is what the expression gives
};

// Tables of one object: addresses inside [lo, hi) are readable.
struct ht_cfi_tables {
    uintptr_t lo, hi;
    uintptr_t header; // .eh_frame_hdr
};

// One function: its range of addresses, and where its instructions and those of its CIE are.
struct ht_cfi_function {
    uintptr_t start, limit;
    uintptr_t cie_code, cie_code_end;
    uintptr_t code, code_end;
    uint64_t code_align;
    int64_t data_align;
    uint8_t encoding;
    bool is_signal_frame;
    bool has_augmentation; // the CIE's string begins with z
    unsigned ra_column;
};

// Finds the function that contains `pc`. False: none, or tables that make no sense.
bool ht_cfi_find(const struct ht_cfi_tables *tables, uintptr_t pc, struct ht_cfi_function *ret_function);

// Computes the row at `pc` into scratch->row. False: nonsense, or an instruction that is not known.
bool ht_cfi_row_at(const struct ht_cfi_tables *tables, const struct ht_cfi_function *function, uintptr_t pc,
                   struct ht_unwind_scratch *scratch);

// How an expression reads a word of the host's memory. False: not readable.
struct ht_cfi_loader {
    bool (*load)(void *arg, uintptr_t address, uintptr_t *ret_value);
    void *arg;
};

// Evaluates the expression at `expression` (a ULEB128 length and its bytes) with the registers of the
// scratch. `push` is the first value on the stack (the CFA for register rules), NULL: none. False: an unknown
// register or operation.
bool ht_cfi_evaluate(const struct ht_cfi_tables *tables, uintptr_t expression,
                     const struct ht_unwind_scratch *scratch, const uintptr_t *push,
                     const struct ht_cfi_loader *loader, uintptr_t *ret_value);

// Whether the expression is exactly "reg + offset", or with `deref` "*(reg + offset)".
bool ht_cfi_is_simple(const struct ht_cfi_tables *tables, uintptr_t expression, bool deref, uint8_t *ret_reg,
                      int64_t *ret_offset);

#endif
