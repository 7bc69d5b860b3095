// Unwind tables that lie: frames that point nowhere, at themselves or at guard pages, and expressions that
// never end. No walk goes in circles.
//@ absent truncated_stacks
#include "check.h"

#include <link.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#ifdef __x86_64__
// name(function, size, value): calls function(size) with value in rbp and rbx, below what its table says.
#define HOSTILE(name, table)                                                                                 \
    void *name(void *(*function)(size_t), size_t size, uintptr_t value);                                     \
    __asm__(".text\n\t.globl " #name "\n\t.type " #name ", @function\n" #name ":\n\t.cfi_startproc\n\t"      \
            "push %rbp\n\tpush %rbx\n\tsub $8, %rsp\n\t" table "\n\t"                                        \
            "mov %rdx, %rbp\n\tmov %rdx, %rbx\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n\tcall *%rax\n\t"         \
            "add $8, %rsp\n\tpop %rbx\n\tpop %rbp\n\tret\n\t.cfi_endproc\n\t.size " #name ", . - " #name     \
            "\n")

// The CFA: from a wild register, far away, not moving, going down, odd.
HOSTILE(cfa_rbp, ".cfi_def_cfa %rbp, 16\n\t.cfi_offset %rbp, -16");
HOSTILE(cfa_rbx, ".cfi_def_cfa %rbx, 16\n\t.cfi_offset %rbx, -16");
HOSTILE(cfa_rcx, ".cfi_def_cfa %rcx, 16");
HOSTILE(cfa_far, ".cfi_def_cfa_offset 0x7ffffff8");
HOSTILE(cfa_beyond, ".cfi_def_cfa_offset 0x40000");
HOSTILE(cfa_same, ".cfi_def_cfa_offset 0");
HOSTILE(cfa_down, ".cfi_def_cfa_offset -64");
HOSTILE(cfa_odd, ".cfi_def_cfa_offset 13");
HOSTILE(cfa_huge, ".cfi_escape 0x0e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01");
// The return address and saved registers: elsewhere, in registers, not there.
HOSTILE(ra_far, ".cfi_def_cfa_offset 32\n\t.cfi_offset %rip, -0x100000");
HOSTILE(ra_is_frame, ".cfi_def_cfa_offset 32\n\t.cfi_offset %rip, -24");
HOSTILE(ra_in_register, ".cfi_def_cfa_offset 32\n\t.cfi_register %rip, %rbx");
HOSTILE(ra_undefined, ".cfi_def_cfa_offset 32\n\t.cfi_undefined %rip");
HOSTILE(ra_same, ".cfi_def_cfa_offset 32\n\t.cfi_same_value %rip");
HOSTILE(saved_far, ".cfi_def_cfa_offset 32\n\t.cfi_offset %rbp, 0x7ffffff8\n\t.cfi_offset %rbx, -0x7ffffff8");
HOSTILE(saved_undefined, ".cfi_def_cfa_offset 32\n\t.cfi_undefined %rbp\n\t.cfi_undefined %rbx");
HOSTILE(signal_frame, ".cfi_signal_frame\n\t.cfi_def_cfa_offset 32");
// Programs that are not well-formed. (The linker makes no search table when it meets worse: see
// tables_scribbled.)
HOSTILE(restore_nothing, ".cfi_escape 0x0b, 0x0b, 0x0b, 0x0b");
HOSTILE(remember_often, ".rept 100\n\t.cfi_remember_state\n\t.endr");
HOSTILE(no_register, ".cfi_escape 0x0c, 0xff, 0xff, 0x7f, 0x10\n\t.cfi_escape 0x05, 0xff, 0x7f, 0x10");
HOSTILE(advance_back, ".cfi_escape 0x04, 0xf0, 0xff, 0xff, 0xff");
HOSTILE(set_location, ".cfi_escape 0x01, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08");
// Expressions: rbp's word and the word that points to, loops, no operands, too many, division by nothing.
HOSTILE(deref_rbp, ".cfi_escape 0x0f, 0x03, 0x76, 0x00, 0x06");
HOSTILE(deref_twice, ".cfi_escape 0x0f, 0x04, 0x76, 0x00, 0x06, 0x06");
HOSTILE(saved_by_deref, ".cfi_def_cfa_offset 32\n\t.cfi_escape 0x10, 0x06, 0x03, 0x76, 0x00, 0x06");
HOSTILE(ra_by_value, ".cfi_def_cfa_offset 32\n\t.cfi_escape 0x16, 0x10, 0x02, 0x76, 0x00");
HOSTILE(for_ever, ".cfi_escape 0x0f, 0x03, 0x2f, 0xfd, 0xff");
HOSTILE(grow_for_ever, ".cfi_escape 0x0f, 0x05, 0x77, 0x00, 0x2f, 0xfb, 0xff");
HOSTILE(jump_out, ".cfi_escape 0x0f, 0x05, 0x77, 0x00, 0x2f, 0xff, 0x7f");
HOSTILE(branch_back, ".cfi_escape 0x0f, 0x04, 0x31, 0x28, 0xfc, 0xff");
HOSTILE(no_operands, ".cfi_escape 0x0f, 0x02, 0x22, 0x06");
HOSTILE(pick_far, ".cfi_escape 0x0f, 0x03, 0x30, 0x15, 0xff");
HOSTILE(divide, ".cfi_escape 0x0f, 0x03, 0x31, 0x30, 0x1b");
HOSTILE(modulo, ".cfi_escape 0x0f, 0x03, 0x31, 0x30, 0x1d");
HOSTILE(least_by_minus_one, ".cfi_escape 0x0f, 0x0c, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b");
HOSTILE(shift_far, ".cfi_escape 0x0f, 0x04, 0x31, 0x08, 0xff, 0x24");
HOSTILE(empty, ".cfi_escape 0x0f, 0x00");
HOSTILE(cut_operand, ".cfi_escape 0x0f, 0x02, 0x0e, 0x01");
HOSTILE(odd_deref_size, ".cfi_escape 0x0f, 0x04, 0x76, 0x00, 0x94, 0x10");

static void *(*const hostile[])(void *(*)(size_t), size_t, uintptr_t) = {
    cfa_rbp,         cfa_rbx,
    cfa_rcx,         cfa_far,
    cfa_beyond,      cfa_same,
    cfa_down,        cfa_odd,
    cfa_huge,        ra_far,
    ra_is_frame,     ra_in_register,
    ra_undefined,    ra_same,
    saved_far,       signal_frame,
    restore_nothing, no_register,
    advance_back,    set_location,
    remember_often,  saved_undefined,
    deref_rbp,       deref_twice,
    saved_by_deref,  ra_by_value,
    for_ever,        grow_for_ever,
    jump_out,        branch_back,
    no_operands,     pick_far,
    divide,          modulo,
    empty,           cut_operand,
    shift_far,       least_by_minus_one,
    odd_deref_size,
};

static void *torture(void *unused)
{
    static uintptr_t loop[4], other[4];
    // Frames that are each other's callers, with a return address that is one.
    loop[0] = (uintptr_t)other;
    loop[1] = other[1] = (uintptr_t)__builtin_return_address(0);
    other[0] = (uintptr_t)loop;
    char *pages = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && !mprotect(pages + 4096, 4096, PROT_READ | PROT_WRITE));
    const uintptr_t values[] = {0,
                                1,
                                8,
                                UINTPTR_MAX,
                                UINTPTR_MAX - 7,
                                UINTPTR_MAX - 15,
                                (uintptr_t)1 << 47,
                                (uintptr_t)1 << 63,
                                (uintptr_t)pages,
                                (uintptr_t)pages + 4096 - 8,
                                (uintptr_t)pages + 8192 - 8,
                                (uintptr_t)pages + 8192 - 16,
                                (uintptr_t)pages + 8192 - 4,
                                (uintptr_t)loop,
                                (uintptr_t)other + 3,
                                (uintptr_t)&values,
                                (uintptr_t)__builtin_frame_address(0),
                                (uintptr_t)torture};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        for (size_t j = 0; j < sizeof(hostile) / sizeof(*hostile); j++) {
            char *p = hostile[j](malloc, i * 10 + j, values[i]);
            CHECK(p);
            *p = 1;
            free(p);
        }
    munmap(pages, 3 * 4096);
    return unused;
}

// The linker gives up on tables that it cannot read, and nobody would look at the rest.
static int has_search_table(void)
{
    const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
    int found = 0;
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
        found |= headers[i].p_type == PT_GNU_EH_FRAME;
    return found;
}

int main(void)
{
    pthread_t thread;
    CHECK(has_search_table());
    for (int i = 0; i < 5; i++) {
        torture(NULL);
        CHECK(!pthread_create(&thread, NULL, torture, NULL));
        pthread_join(thread, NULL);
    }
    puts("ok");
    return 0;
}
#else
int main(void)
{
    puts("the tables are x86-64's");
    return 77;
}
#endif
