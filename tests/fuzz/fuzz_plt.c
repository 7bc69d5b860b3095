// Fuzzes the reader of stubs (PLT): any ELF file gives ranges with a name, or nothing.
#include "resolve/plt.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t count, length;
};

static void note(void *context, uint64_t start, uint64_t end, const char *name)
{
    struct seen *seen = context;
    if (end <= start || name[0] == '\0') {
        abort();
    }
    seen->count++;
    seen->length += strlen(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen = {0};
    char *copy = ht_alloc(size); // libelf writes to it
    memcpy(copy, data, size);
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory(copy, size);
    if (elf != NULL) {
        ht_plt_each(elf, note, &seen);
    }
    if (seen.length > seen.count * size) {
        abort();
    }
    elf_end(elf);
    free(copy);
    return 0;
}
