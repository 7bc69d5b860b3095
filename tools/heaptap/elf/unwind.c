// How much of a foreign ELF file's code the unwinder has rows for.
#include "elf/read.h"

#include <stdlib.h>

// push %rbp; mov %rsp,%rbp, or stp x29,x30,[sp,#-n]!: what a function with a frame pointer begins with.
static uint64_t count_prologs(const uint8_t *code, uint64_t bytes)
{
    uint64_t count = 0;
#if defined(__x86_64__)
    static const uint8_t prolog[4] = {0x55, 0x48, 0x89, 0xe5};
    for (const uint8_t *at = code;
         (at = memmem(at, bytes - (uint64_t)(at - code), prolog, sizeof prolog)) != NULL; at += sizeof prolog)
        count++;
#elif defined(__aarch64__)
    for (uint64_t at = 0; at + 4 <= bytes; at += 4) {
        uint32_t word;
        memcpy(&word, code + at, sizeof word);
        count += (word & 0xffc07fff) == 0xa9807bfd;
    }
#endif
    return count;
}

static void look_at_part(const struct ht_elf_image *image, uint64_t offset, uint64_t bytes,
                         struct ht_elf_unwind *unwind)
{
    uint64_t most = 16 * HT_ELF_STEP_BYTES; // enough to tell how functions begin here
    if (bytes > image->size_bytes)
        return;
    unwind->code_bytes += bytes;
    uint8_t *code = ht_elf_read_table(image, bytes < most ? bytes : most, offset);
    if (code != NULL)
        unwind->frame_prologs += count_prologs(code, bytes < most ? bytes : most);
    free(code);
}

// By sections, since some linkers put constants into the executable segment; by segments where no sections
// are left.
static void look_at_code(const struct ht_elf_image *image, struct ht_elf_unwind *unwind)
{
    for (unsigned i = 0; image->sections != NULL && i < image->header.e_shnum; i++)
        if (image->sections[i].sh_type == SHT_PROGBITS && (image->sections[i].sh_flags & SHF_EXECINSTR) != 0)
            look_at_part(image, image->sections[i].sh_offset, image->sections[i].sh_size, unwind);
    for (unsigned i = 0; unwind->code_bytes == 0 && i < image->header.e_phnum; i++)
        if (image->segments[i].p_type == PT_LOAD && (image->segments[i].p_flags & PF_X) != 0)
            look_at_part(image, image->segments[i].p_offset, image->segments[i].p_filesz, unwind);
}

// Entries are read one after another and mostly lie so: a window of the file saves the system calls.
struct window {
    uint64_t offset, bytes;
    uint8_t content[64 * 1024];
};

static const uint8_t *look_through(const struct ht_elf_image *image, struct window *window, uint64_t offset,
                                   uint64_t bytes)
{
    if (offset < window->offset || offset - window->offset > window->bytes ||
        bytes > window->bytes - (offset - window->offset)) {
        if (offset > image->size_bytes || bytes > image->size_bytes - offset)
            return NULL;
        uint64_t left = image->size_bytes - offset;
        window->offset = offset;
        window->bytes = left < sizeof window->content ? left : sizeof window->content;
        if (!ht_elf_read(image, window->content, window->bytes, offset)) {
            window->bytes = 0;
            return NULL;
        }
    }
    return window->content + (offset - window->offset);
}

// The range of one function in bytes; 0 when the entry is not of the encoding that gcc and clang write
// (function relative to its own word, range beside it, 4 bytes each). Source: LSB, "Exception Frames".
static uint32_t range_of(const struct ht_elf_image *image, struct window *window, uint64_t entry,
                         uint64_t function)
{
    uint64_t offset, available;
    if (!ht_elf_file_offset(image, entry, &offset, &available) || available < 16)
        return 0;
    const uint8_t *at = look_through(image, window, offset, 16);
    int32_t relative;
    uint32_t range;
    if (at == NULL)
        return 0;
    memcpy(&relative, at + 8, sizeof relative);
    memcpy(&range, at + 12, sizeof range);
    return entry + 8 + (uint64_t)(int64_t)relative == function ? range : 0;
}

// Rows of the search table: function and entry, both relative to the table's start, sorted by function. What
// an entry does not say is taken to reach to the next function.
static uint64_t covered_bytes(const struct ht_elf_image *image, const Elf64_Phdr *segment,
                              const uint8_t *table, uint64_t rows)
{
    struct window *window = ht_alloc_zero(1, sizeof *window);
    uint64_t covered = 0;
    for (uint64_t i = 0; i < rows; i++) {
        int32_t row[2], next;
        memcpy(row, table + i * sizeof row, sizeof row);
        uint64_t function = segment->p_vaddr + (uint64_t)(int64_t)row[0];
        uint64_t range = range_of(image, window, segment->p_vaddr + (uint64_t)(int64_t)row[1], function);
        if (range == 0 && i + 1 < rows) {
            memcpy(&next, table + (i + 1) * sizeof row, sizeof next);
            range = next > row[0] ? (uint64_t)next - (uint64_t)row[0] : 0;
        }
        covered += range;
    }
    free(window);
    return covered;
}

void ht_elf_image_unwind(const struct ht_elf_image *image, struct ht_elf_unwind *ret_unwind)
{
    // version, encodings of the address of .eh_frame, of the count and of the rows: what ld, gold and lld
    // write
    static const uint8_t usual[4] = {1, 0x1b, 0x03, 0x3b};
    *ret_unwind = (struct ht_elf_unwind){0};
    look_at_code(image, ret_unwind);
    const Elf64_Phdr *segment = ht_elf_image_segment(image, PT_GNU_EH_FRAME);
    uint8_t *header = segment != NULL ? ht_elf_read_table(image, segment->p_filesz, segment->p_offset) : NULL;
    if (header != NULL && segment->p_filesz >= 12 && memcmp(header, usual, sizeof usual) == 0) {
        uint32_t rows;
        memcpy(&rows, header + 8, sizeof rows);
        uint64_t most = (segment->p_filesz - 12) / 8;
        ret_unwind->has_table = rows > 0 && rows <= most;
        if (ret_unwind->has_table)
            ret_unwind->covered_bytes = covered_bytes(image, segment, header + 12, rows);
    }
    free(header);
}
