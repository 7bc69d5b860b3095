// Readers of foreign files whose sections lie over each other, and whose tables make them go over the same
// bytes again and again: what they read stays within bounds.
#include "base/memory.h"
#include "resolve/gopclntab.h"
#include "resolve/plt.h"
#include "resolve/sections.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COPIES       2000u
#define STUB_BYTES   (512u << 10)
#define TABLE_BYTES  (8u << 20)
#define MOST_CALLS   (8u << 20)
#define PLACE        0x400000u
#define FIRST_NUMBER 2u // of the sections after the one without a name, and the names

static const char names[] = "\0.plt\0.rela.plt\0.dynsym\0.gopclntab";
enum { PLT = 1, RELA = 6, DYNSYM = 16, GOPCLNTAB = 24 };

static size_t calls;

static void count_call(void *context, uint64_t start, uint64_t end, const char *name)
{
    (void)context;
    assert_true(start < end && name != NULL);
    calls++;
}

// An ELF file in memory: header, section headers, names (also of symbols), content. free() *ret_bytes.
static Elf *file_of(Elf64_Shdr *sections, size_t count, const void *content, size_t content_bytes,
                    char **ret_bytes)
{
    size_t names_at = sizeof(Elf64_Ehdr) + count * sizeof *sections;
    size_t content_at = (names_at + sizeof names + 15) & ~(size_t)15;
    char *bytes = ht_alloc_zero(1, content_at + content_bytes);
    Elf64_Ehdr header = {.e_type = ET_DYN,
                         .e_machine = EM_X86_64,
                         .e_version = EV_CURRENT,
                         .e_shoff = sizeof header,
                         .e_ehsize = sizeof header,
                         .e_shentsize = sizeof *sections,
                         .e_shnum = (Elf64_Half)count,
                         .e_shstrndx = 1};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    sections[1] = (Elf64_Shdr){
        .sh_type = SHT_STRTAB, .sh_offset = names_at, .sh_size = sizeof names, .sh_addralign = 1};
    for (size_t i = FIRST_NUMBER; i < count; i++)
        sections[i].sh_offset += content_at;
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, sections, count * sizeof *sections);
    memcpy(bytes + names_at, names, sizeof names);
    memcpy(bytes + content_at, content, content_bytes);
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory(bytes, content_at + content_bytes);
    assert_non_null(elf);
    *ret_bytes = bytes;
    return elf;
}

// A symbol, relocations that lead to it, and stubs that push 0 for the first: both over and over.
static void test_stubs_over_each_other(void **state)
{
    (void)state;
    static uint8_t content[STUB_BYTES];
    static Elf64_Shdr sections[FIRST_NUMBER + 1 + 2 * COPIES];
    static const uint8_t push[] = {0x68, 0, 0, 0, 0};
    enum { SYMBOLS = 2 * sizeof(Elf64_Sym), RELOCATION = sizeof(Elf64_Rela), RELOCATIONS = 10000 };
    Elf64_Sym symbol = {.st_name = PLT};
    memcpy(content + sizeof symbol, &symbol, sizeof symbol);
    for (size_t at = SYMBOLS; at < SYMBOLS + RELOCATIONS * RELOCATION; at += RELOCATION) {
        Elf64_Rela entry = {.r_offset = PLACE + at, .r_info = ELF64_R_INFO(1, R_X86_64_JUMP_SLOT)};
        memcpy(content + at, &entry, sizeof entry);
    }
    for (size_t at = STUB_BYTES / 2; at < STUB_BYTES; at += 16)
        memcpy(content + at, push, sizeof push);
    sections[FIRST_NUMBER] = (Elf64_Shdr){.sh_name = DYNSYM,
                                          .sh_type = SHT_DYNSYM,
                                          .sh_size = SYMBOLS,
                                          .sh_link = 1,
                                          .sh_entsize = SYMBOLS / 2};
    for (size_t i = 0; i < COPIES; i++) {
        sections[FIRST_NUMBER + 1 + i] = (Elf64_Shdr){.sh_name = RELA,
                                                      .sh_type = SHT_RELA,
                                                      .sh_offset = SYMBOLS,
                                                      .sh_size = RELOCATIONS * RELOCATION,
                                                      .sh_link = FIRST_NUMBER,
                                                      .sh_entsize = RELOCATION};
        sections[FIRST_NUMBER + 1 + COPIES + i] = (Elf64_Shdr){.sh_name = PLT,
                                                               .sh_type = SHT_PROGBITS,
                                                               .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                                                               .sh_addr = PLACE,
                                                               .sh_offset = STUB_BYTES / 2,
                                                               .sh_size = STUB_BYTES / 2,
                                                               .sh_entsize = 16};
    }
    char *bytes;
    Elf *elf = file_of(sections, sizeof sections / sizeof *sections, content, sizeof content, &bytes);
    calls = 0;
    ht_plt_each(elf, count_call, NULL);
    assert_in_range(calls, STUB_BYTES / 32, MOST_CALLS);
    elf_end(elf);
    free(bytes);
}

// A table all of whose functions have their name where no end of a text is near.
static void test_names_without_end(void **state)
{
    (void)state;
    static uint8_t content[TABLE_BYTES];
    uint64_t count = TABLE_BYTES / 4 / 16;
    uint64_t head[] = {0x0801000000000000u | 0xfffffffau, count, 0, 0, 0, 0, 0, 8 * sizeof count};
    memset(content, 'x', sizeof content);
    memcpy(content, head, sizeof head);
    for (uint64_t i = 0; i <= count; i++) {
        uint64_t entry[] = {PLACE + i, 0};
        memcpy(content + sizeof head + i * sizeof entry, entry, sizeof entry);
    }
    uint32_t name = TABLE_BYTES / 2;
    memcpy(content + sizeof head + 8, &name, sizeof name);
    Elf64_Shdr sections[FIRST_NUMBER + 1] = {
        [FIRST_NUMBER] = {.sh_name = GOPCLNTAB, .sh_type = SHT_PROGBITS, .sh_size = TABLE_BYTES}};
    content[TABLE_BYTES - 1] = '\0';
    char *bytes;
    Elf *elf = file_of(sections, sizeof sections / sizeof *sections, content, sizeof content, &bytes);
    calls = 0;
    ht_gopclntab_each(elf, count_call, NULL);
    assert_int_equal(calls, 0);
    elf_end(elf);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stubs_over_each_other),
        cmocka_unit_test(test_names_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
