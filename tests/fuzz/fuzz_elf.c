// Fuzzes the reader of foreign ELF files and the verdicts on them: any bytes give an answer within bounds.
#include "elf/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void ask_everything(const struct ht_elf_image *image)
{
    static const char *const names[] = {"malloc", "free", "_Znwm", "main", "", "no_such_name"};
    static const char *const sections[] = {".text", ".debug_info", ".gnu_debuglink", ""};
    enum { NAMES = sizeof names / sizeof *names };
    char text[256];
    uint8_t bytes[64];
    for (size_t i = 0; i < NAMES; i++) {
        ht_elf_image_exports(image, names[i]);
    }
    const uint64_t all = (UINT64_C(1) << NAMES) - 1;
    must((ht_elf_image_imports(image, names, NAMES) & ~all) == 0);
    must((ht_elf_image_functions(image, names, NAMES) & ~all) == 0);
    must((ht_elf_image_texts(image, names, 4) & ~all) == 0);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const Elf64_Shdr *section = ht_elf_image_section(image, sections[i]);
        must(section == NULL || ht_elf_image_content(image, section, bytes, sizeof bytes) <= sizeof bytes);
    }
    if (ht_elf_image_interpreter(image, text, sizeof text)) {
        must(strlen(text) < sizeof text);
    }
    must(ht_elf_image_note(image, "GNU", NT_GNU_BUILD_ID, bytes, sizeof bytes) <= sizeof bytes);
    must(ht_elf_image_note(image, "Go", 4, bytes, 1) <= 1);
    struct ht_elf_unwind unwind;
    ht_elf_image_unwind(image, &unwind);
    must(unwind.has_table || unwind.covered_bytes == 0);
    size_t length = strlen(image->soname) + strlen(image->rpath) + strlen(image->runpath);
    for (size_t i = 0; i < image->needed_count; i++) {
        length += strlen(image->needed[i]);
    }
    must(length <= (image->needed_count + 3) * (image->strings_bytes + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ht_elf_image image;
    char machine[64];
    enum ht_elf_form form = ht_elf_image_memory(&image, data, size);
    enum ht_elf_verdict verdict = ht_elf_check_image(&image, form);
    must(verdict < HT_ELF_VERDICT_COUNT);
    must((form == HT_ELF_NOT) == (verdict == HT_ELF_UNKNOWN));
    ht_elf_image_machine(&image, machine, sizeof machine);
    if (form == HT_ELF_WHOLE) {
        ask_everything(&image);
    }
    ht_elf_image_close(&image);
    return 0;
}
