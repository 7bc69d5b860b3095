// The parser of call frame information: rows equal to readelf's for whole libraries, and bounded on any
// bytes.
#include "unwind/cfi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u

static struct ht_unwind_scratch scratch;

// A file's loadable segments, laid out in one private mapping as the loader would.
struct image {
    uint8_t *base;
    size_t size_bytes;
    struct ht_cfi_tables tables;
};

static bool image_open(const char *path, struct image *ret_image)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    Elf64_Ehdr head;
    assert_int_equal(fread(&head, sizeof head, 1, file), 1);
    Elf64_Phdr *phdrs = calloc(head.e_phnum, sizeof *phdrs);
    assert_int_equal(fseek(file, (long)head.e_phoff, SEEK_SET), 0);
    assert_int_equal(fread(phdrs, sizeof *phdrs, head.e_phnum, file), head.e_phnum);
    struct image image = {0};
    for (unsigned i = 0; i < head.e_phnum; i++) {
        size_t limit = phdrs[i].p_vaddr + phdrs[i].p_memsz;
        if (phdrs[i].p_type == PT_LOAD && limit > image.size_bytes) {
            image.size_bytes = limit;
        }
    }
    image.base = mmap(NULL, image.size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(image.base, MAP_FAILED);
    for (unsigned i = 0; i < head.e_phnum; i++) {
        if (phdrs[i].p_type == PT_LOAD) {
            assert_int_equal(fseek(file, (long)phdrs[i].p_offset, SEEK_SET), 0);
            assert_int_equal(fread(image.base + phdrs[i].p_vaddr, 1, phdrs[i].p_filesz, file),
                             phdrs[i].p_filesz);
        } else if (phdrs[i].p_type == PT_GNU_EH_FRAME) {
            image.tables.header = (uintptr_t)image.base + phdrs[i].p_vaddr;
        }
    }
    for (unsigned i = 0; i < head.e_phnum; i++) {
        uintptr_t start = (uintptr_t)image.base + phdrs[i].p_vaddr;
        if (phdrs[i].p_type == PT_LOAD && image.tables.header - start < phdrs[i].p_filesz) {
            image.tables.lo = start;
            image.tables.hi = start + phdrs[i].p_filesz;
        }
    }
    free(phdrs);
    fclose(file);
    *ret_image = image;
    return true;
}

static const char *const reg_names[17] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
                                          "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "ra"};

static int reg_number(const char *name, size_t length)
{
    for (int i = 0; i < 17; i++) {
        if (strlen(reg_names[i]) == length && memcmp(reg_names[i], name, length) == 0) {
            return i;
        }
    }
    return length == 3 && memcmp(name, "rip", 3) == 0 ? 16 : -1;
}

// What readelf would print for the CFA of the row in the scratch.
static void print_cfa(char *text, size_t size)
{
    const struct ht_cfi_row *row = &scratch.row;
    if (row->cfa_expression != 0) {
        snprintf(text, size, "exp");
    } else {
        snprintf(text, size, "%s%+ld", reg_names[row->cfa_reg], (long)row->cfa_offset);
    }
}

static void print_rule(unsigned reg, char *text, size_t size)
{
    long value = (long)scratch.row.value[reg];
    switch (scratch.row.kind[reg]) {
    case HT_CFI_UNSPECIFIED:
    case HT_CFI_UNDEFINED:
        snprintf(text, size, "u"); // readelf has one letter for both
        break;
    case HT_CFI_SAME:
        snprintf(text, size, "s");
        break;
    case HT_CFI_OFFSET:
        snprintf(text, size, "c%+ld", value);
        break;
    case HT_CFI_VAL_OFFSET:
        snprintf(text, size, "v%+ld", value);
        break;
    case HT_CFI_REGISTER:
        snprintf(text, size, "r%ld", value);
        break;
    case HT_CFI_EXPRESSION:
        snprintf(text, size, "exp");
        break;
    default:
        snprintf(text, size, "vexp");
        break;
    }
}

// A row as readelf printed it: "LOC CFA col col ..." with the columns of the header line before.
struct printed_row {
    uint64_t start;
    char cfa[24];
    unsigned count;
    char cells[20][16];
};

struct row_check {
    struct image image;
    int columns[20];
    unsigned column_count;
    struct printed_row row; // pending: its end is not known yet
    bool has_row;
    unsigned long compared, mismatches;
};

static void check_at(struct row_check *check, uint64_t vaddr)
{
    uintptr_t pc = (uintptr_t)check->image.base + vaddr;
    struct ht_cfi_function function;
    check->compared++;
    bool fine = ht_cfi_find(&check->image.tables, pc, &function) &&
                ht_cfi_row_at(&check->image.tables, &function, pc, &scratch);
    char text[32] = "no row";
    const char *expected = check->row.cfa;
    if (fine) {
        print_cfa(text, sizeof text);
        fine = strcmp(text, expected) == 0;
    }
    for (unsigned i = 0; fine && i < check->row.count && i < check->column_count; i++) {
        if (check->columns[i] >= 0) {
            expected = check->row.cells[i];
            print_rule((unsigned)check->columns[i], text, sizeof text);
            fine = strcmp(text, expected) == 0;
        }
    }
    if (!fine && check->mismatches++ < 5) {
        print_message("at %lx: ours %s, readelf's %s\n", (unsigned long)vaddr, text, expected);
    }
}

static void check_pending(struct row_check *check, uint64_t limit)
{
    if (check->has_row && limit > check->row.start) {
        check_at(check, check->row.start);
        check_at(check, limit - 1);
    }
    check->has_row = false;
}

static void check_line(struct row_check *check, char *line, uint64_t *limit)
{
    char *pc = strstr(line, " pc=");
    char *rest = NULL;
    if (strstr(line, " CIE ") != NULL || pc != NULL) {
        check_pending(check, *limit);
        *limit = pc != NULL ? strtoull(strstr(pc, "..") + 2, NULL, 16) : 0;
        return;
    }
    char *word = strtok_r(line, " \n", &rest);
    if (word != NULL && strcmp(word, "LOC") == 0) {
        strtok_r(NULL, " \n", &rest); // CFA
        check->column_count = 0;
        while ((word = strtok_r(NULL, " \n", &rest)) != NULL && check->column_count < 20) {
            check->columns[check->column_count++] = reg_number(word, strlen(word));
        }
    } else if (word != NULL && strlen(word) == 16 && *limit != 0) {
        uint64_t start = strtoull(word, NULL, 16);
        check_pending(check, start);
        check->row.start = start;
        char *cfa = strtok_r(NULL, " \n", &rest);
        snprintf(check->row.cfa, sizeof check->row.cfa, "%s", cfa != NULL ? cfa : "");
        check->row.count = 0;
        while ((word = strtok_r(NULL, " \n", &rest)) != NULL && check->row.count < 20) {
            if (word[0] != '(') { // "r5 (rdi)"
                snprintf(check->row.cells[check->row.count++], 16, "%s", word);
            }
        }
        check->has_row = true;
    }
}

// Compares the first and last address of every row that readelf prints. Skips a file that is not there.
static void check_file(const char *path)
{
    struct row_check check = {0};
    char command[512], line[1024];
    if (!image_open(path, &check.image) || check.image.tables.header == 0) {
        return;
    }
    snprintf(command, sizeof command, "readelf -wF '%s' 2>/dev/null", path);
    FILE *readelf = popen(command, "r");
    assert_non_null(readelf);
    uint64_t limit = 0;
    while (fgets(line, sizeof line, readelf) != NULL) {
        check_line(&check, line, &limit);
    }
    check_pending(&check, limit);
    pclose(readelf);
    munmap(check.image.base, check.image.size_bytes);
    print_message("%s: %lu addresses, %lu differ\n", path, check.compared, check.mismatches);
    assert_int_equal(check.mismatches, 0);
}

static void rows_equal_readelf(void **state)
{
    (void)state;
    if (system("readelf --version >/dev/null 2>&1") != 0) {
        skip();
    }
    static const char *const files[] = {
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
        "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "/usr/bin/python3.11",
        "/usr/bin/redis-server",
        "/usr/bin/redis-check-rdb",
        "/lib/x86_64-linux-gnu/libcrypto.so.3",
        "/lib/x86_64-linux-gnu/libgcc_s.so.1",
        "/lib/x86_64-linux-gnu/libm.so.6",
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        check_file(files[i]);
    }
}

// ---- hand-made tables

// Bytes of .eh_frame_hdr without a search table, then .eh_frame; in memory of the exact size, so that ASan
// sees a step beyond either end.
struct made {
    uint8_t *bytes;
    size_t size_bytes;
    struct ht_cfi_tables tables;
    uintptr_t pc; // where the function begins
};

static void put(struct made *made, const void *bytes, size_t size)
{
    made->bytes = realloc(made->bytes, made->size_bytes + size);
    assert_non_null(made->bytes);
    memcpy(made->bytes + made->size_bytes, bytes, size);
    made->size_bytes += size;
}

static void put32(struct made *made, uint32_t value)
{
    put(made, &value, sizeof value);
}

// One CIE ("zR", absolute addresses, CFA = rsp + 8, ra at CFA - 8) and one FDE of 256 bytes of code at
// 0x10000.
static struct made make(const void *code, size_t code_size)
{
    struct made made = {.pc = 0x10000};
    static const uint8_t header[] = {1, 0x1b, 0xff, 0xff,
                                     4, 0,    0,    0}; // .eh_frame begins 4 bytes behind the pointer
    static const uint8_t cie[] = {0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x00, 0x0c, 7, 8, 0x90, 1};
    put(&made, header, 8);
    size_t frames = made.size_bytes;
    put32(&made, sizeof cie);
    put(&made, cie, sizeof cie);
    put32(&made, (uint32_t)(4 + 16 + 1 + code_size));
    put32(&made, (uint32_t)(made.size_bytes - frames));
    uint64_t range[2] = {made.pc, 256};
    put(&made, range, sizeof range);
    put(&made, "", 1);
    put(&made, code, code_size);
    put32(&made, 0);
    // The field counts from itself: 4 bytes on.
    made.tables.lo = (uintptr_t)made.bytes;
    made.tables.hi = made.tables.lo + made.size_bytes;
    made.tables.header = made.tables.lo;
    return made;
}

static bool row_at(struct made *made, uintptr_t offset)
{
    struct ht_cfi_function function;
    return ht_cfi_find(&made->tables, made->pc + offset, &function) &&
           ht_cfi_row_at(&made->tables, &function, made->pc + offset, &scratch);
}

static void every_instruction(void **state)
{
    (void)state;
    static const uint8_t code[] = {
        0x42, 0x0e, 16,                                 // 2: CFA = rsp + 16
        0x02, 2,    0x86, 2,                            // 4: rbp at CFA - 16
        0x03, 2,    0,    0x0d, 6,                      // 6: CFA = rbp + 16
        0x04, 2,    0,    0,    0,    0x0a,             // 8: remember
        0x0c, 3,    24,                                 //    CFA = rbx + 24
        0x05, 12,   3,    0x07, 13,                     //    r12 at CFA - 24, r13 undefined
        0x08, 14,   0x09, 15,   0,                      //    r14 same, r15 in rax
        0x42, 0x0b,                                     // 10: restore
        0x42, 0xc6,                                     // 12: rbp as in the CIE
        0x42, 0x11, 12,   0x7e,                         // 14: r12 at CFA + 16
        0x12, 7,    0x7e,                               //     CFA = rsp + 16
        0x42, 0x13, 0x7d,                               // 16: offset 24
        0x14, 3,    2,    0x15, 13,   0x7f,             //     rbx = CFA - 16, r13 = CFA + 8
        0x42, 0x2e, 8,                                  // 18: size of arguments
        0x2f, 14,   2,                                  //     r14 at CFA + 16
        0x06, 12,                                       //     r12 as in the CIE
        0x42, 0x0f, 3,    0x76, 0x78, 0x06,             // 20: CFA = *(rbp - 8)
        0x10, 3,    2,    0x76, 0x70,                   //      rbx at rbp - 16
        0x16, 12,   2,    0x76, 0x08,                   //      r12 = rbp + 8
        0x42, 0x01, 0x40, 0,    1,    0,    0, 0, 0, 0, // 22, then to 0x10040
        0x0c, 7,    8,
    };
    struct made made = make(code, sizeof code);
    assert_true(row_at(&made, 0));
    assert_int_equal(scratch.row.cfa_reg, 7);
    assert_int_equal(scratch.row.cfa_offset, 8);
    assert_int_equal(scratch.row.value[16], -8);
    assert_true(row_at(&made, 3));
    assert_int_equal(scratch.row.cfa_offset, 16);
    assert_int_equal(scratch.row.kind[6], HT_CFI_UNSPECIFIED);
    assert_true(row_at(&made, 4));
    assert_int_equal(scratch.row.value[6], -16);
    assert_true(row_at(&made, 6));
    assert_int_equal(scratch.row.cfa_reg, 6);
    assert_true(row_at(&made, 8));
    assert_int_equal(scratch.row.cfa_reg, 3);
    assert_int_equal(scratch.row.cfa_offset, 24);
    assert_int_equal(scratch.row.value[12], -24);
    assert_int_equal(scratch.row.kind[13], HT_CFI_UNDEFINED);
    assert_int_equal(scratch.row.kind[14], HT_CFI_SAME);
    assert_int_equal(scratch.row.kind[15], HT_CFI_REGISTER);
    assert_true(row_at(&made, 10));
    assert_int_equal(scratch.row.cfa_reg, 6);
    assert_int_equal(scratch.row.kind[12], HT_CFI_UNSPECIFIED);
    assert_int_equal(scratch.row.kind[6], HT_CFI_OFFSET);
    assert_true(row_at(&made, 12));
    assert_int_equal(scratch.row.kind[6], HT_CFI_UNSPECIFIED);
    assert_true(row_at(&made, 14));
    assert_int_equal(scratch.row.value[12], 16);
    assert_int_equal(scratch.row.cfa_offset, 16);
    assert_true(row_at(&made, 17));
    assert_int_equal(scratch.row.cfa_offset, 24);
    assert_int_equal(scratch.row.kind[3], HT_CFI_VAL_OFFSET);
    assert_int_equal(scratch.row.value[13], 8);
    assert_true(row_at(&made, 18));
    assert_int_equal(scratch.row.value[14], 16);
    assert_int_equal(scratch.row.kind[12], HT_CFI_UNSPECIFIED);
    assert_true(row_at(&made, 20));
    uint8_t reg;
    int64_t offset;
    assert_true(ht_cfi_is_simple(&made.tables, scratch.row.cfa_expression, true, &reg, &offset));
    assert_int_equal(reg, 6);
    assert_int_equal(offset, -8);
    assert_int_equal(scratch.row.kind[3], HT_CFI_EXPRESSION);
    assert_int_equal(scratch.row.kind[12], HT_CFI_VAL_EXPRESSION);
    assert_true(row_at(&made, 0x40));
    assert_int_equal(scratch.row.cfa_expression, 0);
    assert_false(row_at(&made, 256));
    free(made.bytes);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t code[8];
        size_t size;
    } cases[] = {
        {{0x0b}, 1},                                           // restore without remember
        {{0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a}, 8}, // too deep
        {{0x3f}, 1},                                           // unknown
        {{0x0c, 99, 8}, 3},                                    // a CFA register that is none of ours
        {{0x0f, 0x7f, 0}, 3},                                  // an expression longer than its entry
        {{0x0e, 0x80, 0x80, 0x80}, 4},                         // a number that does not end
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct made made = make(cases[i].code, cases[i].size);
        assert_false(row_at(&made, 0));
        free(made.bytes);
    }
}

// ---- expressions

static bool load_word(void *arg, uintptr_t address, uintptr_t *ret_value)
{
    (void)arg;
    *ret_value = address * 3;
    return address != 0;
}

static bool evaluate(const void *expression, size_t size, uintptr_t *ret_value)
{
    uint8_t *bytes = malloc(size + 1); // exact, for ASan
    assert_non_null(bytes);
    bytes[0] = (uint8_t)size;
    memcpy(bytes + 1, expression, size);
    struct ht_cfi_tables tables = {(uintptr_t)bytes, (uintptr_t)bytes + size + 1, (uintptr_t)bytes};
    struct ht_cfi_loader loader = {load_word, NULL};
    bool fine = ht_cfi_evaluate(&tables, (uintptr_t)bytes, &scratch, NULL, &loader, ret_value);
    free(bytes);
    return fine;
}

#define assert_value(expected, ...)                                                                          \
    do {                                                                                                     \
        static const uint8_t expression[] = {__VA_ARGS__};                                                   \
        assert_true(evaluate(expression, sizeof expression, &value));                                        \
        assert_int_equal(value, (uintptr_t)(expected));                                                      \
    } while (0)

static void expressions(void **state)
{
    (void)state;
    uintptr_t value;
    scratch.known = 1u << 7 | 1u << 16;
    scratch.regs[7] = 1000;
    // The expression of the procedure linkage table: 8 more once the entry has pushed its index.
    for (unsigned low = 0; low < 16; low++) {
        static const uint8_t plt[] = {0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22};
        scratch.regs[16] = 0x4000 + low;
        assert_true(evaluate(plt, sizeof plt, &value));
        assert_int_equal(value, 1008 + (low >= 11 ? 8 : 0));
    }
    assert_value(992, 0x77, 0x78);
    assert_value(3000, 0x77, 0x00, 0x06);
    assert_value(3000 & 0xff, 0x77, 0x00, 0x94, 1);
    assert_value(-2, 0x09, 0xfe);
    assert_value(0xfffe, 0x0a, 0xfe, 0xff);
    assert_value(-3, 0x11, 0x7d);
    assert_value(300, 0x10, 0xac, 0x02);
    assert_value(5, 0x35, 0x37, 0x13);
    assert_value(7, 0x35, 0x37, 0x16, 0x13, 0x12, 0x13);
    assert_value(3, 0x35, 0x32, 0x1c);
    assert_value(-1, 0x37, 0x38, 0x1c);
    assert_value(2, 0x35, 0x32, 0x1b);
    assert_value(1, 0x35, 0x32, 0x1d);
    assert_value(10, 0x35, 0x32, 0x1e);
    assert_value(-1, 0x31, 0x1f, 0x31, 0x26);
    assert_value(4, 0x31, 0x23, 3);
    assert_value(9, 0x31, 0x28, 1, 0, 0x34, 0x39);             // a branch over one instruction
    assert_value(2, 0x31, 0x32, 0x33, 0x17, 0x13, 0x1c, 0x19); // 1 2 3 rotated: 3 1 2; drop; |3 - 1|
    static const uint8_t bad[][6] = {{1, 0x22},    {2, 0x31, 0x22},       {3, 0x31, 0x30, 0x1b},
                                     {2, 0x70, 0}, {3, 0x2f, 0xfd, 0xff}, {2, 0x30, 0x06},
                                     {1, 0xff}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(evaluate(bad[i] + 1, bad[i][0], &value));
    }
}

// ---- any bytes

static uint64_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33);
}

static bool no_load(void *arg, uintptr_t address, uintptr_t *ret_value)
{
    (void)arg;
    *ret_value = address;
    return true;
}

static void try_tables(const struct ht_cfi_tables *tables, uintptr_t pc)
{
    struct ht_cfi_function function;
    struct ht_cfi_loader loader = {no_load, NULL};
    uintptr_t value;
    if (ht_cfi_find(tables, pc, &function) && ht_cfi_row_at(tables, &function, pc, &scratch)) {
        scratch.known = next_random();
        if (scratch.row.cfa_expression != 0) {
            ht_cfi_evaluate(tables, scratch.row.cfa_expression, &scratch, NULL, &loader, &value);
        }
        for (unsigned reg = 0; reg < HT_ARCH_REG_COUNT; reg++) {
            if (scratch.row.kind[reg] == HT_CFI_EXPRESSION ||
                scratch.row.kind[reg] == HT_CFI_VAL_EXPRESSION) {
                ht_cfi_evaluate(tables, (uintptr_t)scratch.row.value[reg], &scratch, &pc, &loader, &value);
            }
        }
    }
}

// Random instructions in a proper frame, and random changes anywhere. A read outside of the bytes is ASan's
// to find; without it the bytes end at a page that cannot be read.
static void any_bytes(void **state)
{
    (void)state;
    uint8_t *pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(mprotect(pages, PAGE, PROT_NONE), 0);
    assert_int_equal(mprotect(pages + 2 * PAGE, PAGE, PROT_NONE), 0);
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t code[64];
        size_t code_size = 1 + next_random() % sizeof code;
        for (size_t i = 0; i < code_size; i++) {
            code[i] = (uint8_t)next_random();
        }
        struct made made = make(code, code_size);
        for (unsigned changes = next_random() % 4; changes > 0; changes--) {
            made.bytes[next_random() % made.size_bytes] = (uint8_t)next_random();
        }
        uintptr_t pc = made.pc + next_random() % 300;
        try_tables(&made.tables, pc);
        uint8_t *copy = pages + 2 * PAGE - made.size_bytes;
        memcpy(copy, made.bytes, made.size_bytes);
        try_tables(
            &(struct ht_cfi_tables){(uintptr_t)copy, (uintptr_t)copy + made.size_bytes, (uintptr_t)copy}, pc);
        memcpy(pages + PAGE, made.bytes, made.size_bytes);
        uintptr_t low = (uintptr_t)pages + PAGE;
        try_tables(&(struct ht_cfi_tables){low, low + made.size_bytes, low}, pc);
        free(made.bytes);
    }
    munmap(pages, 3 * PAGE);
}

// Real tables with random changes.
static void changed_tables(void **state)
{
    (void)state;
    struct image image;
    if (!image_open("/lib/x86_64-linux-gnu/libgcc_s.so.1", &image)) {
        skip();
    }
    size_t size = image.tables.hi - image.tables.lo;
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    struct ht_cfi_tables tables = {(uintptr_t)bytes, (uintptr_t)bytes + size,
                                   (uintptr_t)bytes + (image.tables.header - image.tables.lo)};
    uintptr_t moved =
        (uintptr_t)bytes - image.tables.lo; // addresses in the tables are relative to the tables
    for (unsigned round = 0; round < 2000; round++) {
        memcpy(bytes, (const void *)image.tables.lo, size);
        for (unsigned changes = 200; changes > 0; changes--) {
            bytes[next_random() % size] = (uint8_t)next_random();
        }
        for (unsigned i = 0; i < 50; i++) {
            try_tables(&tables, (uintptr_t)image.base + next_random() % image.size_bytes + moved);
        }
    }
    free(bytes);
    munmap(image.base, image.size_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_equal_readelf),  cmocka_unit_test(every_instruction),
        cmocka_unit_test(nonsense_is_refused), cmocka_unit_test(expressions),
        cmocka_unit_test(any_bytes),           cmocka_unit_test(changed_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
