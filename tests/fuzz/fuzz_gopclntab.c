// Fuzzes the reader of the function table of Go programs: any ELF file gives ranges with a name, or nothing.
#include "base/memory.h"
#include "resolve/gopclntab.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t count, length;
};

static void note(void *context, uint64_t start, uint64_t end, const char *name)
{
    struct seen *seen = context;
    if (end <= start) {
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
        ht_gopclntab_each(elf, note, &seen);
    }
    if (seen.length > seen.count * size) {
        abort();
    }
    elf_end(elf);
    free(copy);
    return 0;
}
