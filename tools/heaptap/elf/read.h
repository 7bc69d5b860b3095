// How the files of elf/ take bytes of an image.
#ifndef HT_ELF_READ_H
#define HT_ELF_READ_H

#include "elf/image.h"

#define HT_ELF_TABLE_BYTES (UINT64_C(256) << 20) // the longest that is taken whole
#define HT_ELF_STEP_BYTES  (UINT64_C(1) << 20)

// Context: tool. False or NULL: the file has no such bytes.
bool ht_elf_read(const struct ht_elf_image *image, void *to, uint64_t bytes, uint64_t offset);

// A copy of [offset, offset + bytes) with a NUL behind it. free() it.
void *ht_elf_read_table(const struct ht_elf_image *image, uint64_t bytes, uint64_t offset);

// Where the bytes of a virtual address are in the file; *ret_bytes says how many follow in its segment.
bool ht_elf_file_offset(const struct ht_elf_image *image, uint64_t address, uint64_t *ret_offset,
                        uint64_t *ret_bytes);
bool ht_elf_read_address(const struct ht_elf_image *image, void *to, uint64_t bytes, uint64_t address);

// A text of the dynamic section, "" where there is none.
const char *ht_elf_dynamic_text(const struct ht_elf_image *image, uint64_t offset);

#endif
