// What the fuzzers of readers of ELF sections have in common: any file gives ranges with names, or nothing,
// and the names are no longer than the file.
#ifndef HT_TESTS_FUZZ_RANGES_H
#define HT_TESTS_FUZZ_RANGES_H

#include "base/memory.h"

#include <libelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct ranges {
    size_t count, length;
    bool are_named; // each must have a name
};

static void ranges_note(void *context, uint64_t start, uint64_t end, const char *name)
{
    struct ranges *ranges = context;
    if (end <= start || (ranges->are_named && name[0] == '\0')) {
        abort();
    }
    ranges->count++;
    ranges->length += strlen(name);
}

static int ranges_of(const uint8_t *data, size_t size, bool are_named,
                     void (*each)(Elf *elf, void (*note)(void *, uint64_t, uint64_t, const char *), void *))
{
    struct ranges ranges = {.are_named = are_named};
    char *copy = ht_alloc(size); // libelf writes to it
    memcpy(copy, data, size);
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory(copy, size);
    if (elf != NULL) {
        each(elf, ranges_note, &ranges);
    }
    if (ranges.length > ranges.count * size) {
        abort();
    }
    elf_end(elf);
    free(copy);
    return 0;
}

#endif
