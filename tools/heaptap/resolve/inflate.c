// Debian ships debug info compressed (ELF's SHF_COMPRESSED): half a gigabyte comes out of a big program's.
#include "resolve/inflate.h"

#include "base/memory.h"

#include <elf.h>
#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HT_HAVE_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

enum { SECTION_LIMIT = 4096 };
static const uint64_t total_limit_bytes = UINT64_C(16) << 30;
// Debug info becomes 2 to 5 times as long, and no more than 1 GB of a small file.
enum { LARGEST_GROWTH = 8 };
static const uint64_t free_growth_bytes = UINT64_C(1) << 30;

struct image {
    const uint8_t *bytes; // of the file, which its owner may change while it is read
    size_t size;
    Elf64_Ehdr header;        // copies: what was checked stays so
    Elf64_Shdr *sections;     // free() it
    char *names;              // of sections, all inside; free() it
    Elf64_Chdr *compressions; // of the sections that are expanded; free() it
    uint64_t names_bytes;
    bool is_too_large;
    uint8_t *out;
    uint64_t out_bytes;
};

static bool is_inside(const struct image *image, uint64_t offset, uint64_t bytes)
{
    return offset <= image->size && bytes <= image->size - offset;
}

// A copy of bytes of the file, free() it; NULL: there are no such bytes.
static void *copy_of(const struct image *image, uint64_t offset, uint64_t bytes)
{
    if (bytes == 0 || !is_inside(image, offset, bytes))
        return NULL;
    void *copy = ht_alloc(bytes);
    memcpy(copy, image->bytes + offset, bytes);
    return copy;
}

// A 64-bit file of this machine's byte order whose section headers make sense.
static bool read_headers(struct image *image)
{
    Elf64_Ehdr *header = &image->header;
    unsigned char order = __BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;
    if (image->size < sizeof *header)
        return false;
    memcpy(header, image->bytes, sizeof *header);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
        header->e_ident[EI_DATA] != order || header->e_shentsize != sizeof(Elf64_Shdr) ||
        header->e_shnum == 0 || header->e_shnum > SECTION_LIMIT || header->e_shoff % 8 != 0 ||
        header->e_shstrndx >= header->e_shnum)
        return false;
    image->sections = copy_of(image, header->e_shoff, header->e_shnum * (uint64_t)sizeof(Elf64_Shdr));
    for (unsigned i = 0; image->sections != NULL && i < header->e_shnum; i++)
        if (image->sections[i].sh_type != SHT_NOBITS &&
            !is_inside(image, image->sections[i].sh_offset, image->sections[i].sh_size))
            return false;
    if (image->sections == NULL || image->sections[header->e_shstrndx].sh_type != SHT_STRTAB)
        return false;
    image->names_bytes = image->sections[header->e_shstrndx].sh_size;
    image->names = copy_of(image, image->sections[header->e_shstrndx].sh_offset, image->names_bytes);
    return image->names != NULL && image->names[image->names_bytes - 1] == '\0';
}

static const char *name_of(const struct image *image, const Elf64_Shdr *section)
{
    return section->sh_name < image->names_bytes ? image->names + section->sh_name : "";
}

static bool is_compressed(const struct image *image, const Elf64_Shdr *section)
{
    return (section->sh_flags & SHF_COMPRESSED) && section->sh_type != SHT_NOBITS &&
           section->sh_size >= sizeof(Elf64_Chdr) && strncmp(name_of(image, section), ".debug_", 7) == 0;
}

// What names and lines are made of; whatever else is there stays unread.
static bool is_read(const struct image *image, const Elf64_Shdr *section)
{
    static const char *const names[] = {".debug_info",  ".debug_abbrev",      ".debug_line",
                                        ".debug_str",   ".debug_line_str",    ".debug_ranges",
                                        ".debug_addr",  ".debug_str_offsets", ".debug_rnglists",
                                        ".debug_types", ".debug_aranges"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name_of(image, section), names[i]) == 0)
            return true;
    return false;
}

static uint64_t page_up(uint64_t bytes)
{
    return (bytes + 4095) & ~UINT64_C(4095);
}

// libdw looks for the other half of such debug info (dwz) beside the file, and ours has no place.
static bool has_other_half(const struct image *image, const Elf64_Shdr *section)
{
    return strcmp(name_of(image, section), ".gnu_debugaltlink") == 0;
}

// How large the file becomes; 0: nothing is to be expanded, or not by us.
static uint64_t plan(struct image *image)
{
    uint64_t total = page_up(image->size);
    bool any = false;
    image->compressions = ht_alloc_zero(image->header.e_shnum, sizeof *image->compressions);
    for (unsigned i = 0; i < image->header.e_shnum; i++) {
        const Elf64_Shdr *section = &image->sections[i];
        if (has_other_half(image, section))
            return 0;
        if (!is_compressed(image, section) || !is_read(image, section))
            continue;
        Elf64_Chdr *header = &image->compressions[i];
        memcpy(header, image->bytes + section->sh_offset, sizeof *header);
        // zlib's best is 1 to 1032.
        if (header->ch_type != ELFCOMPRESS_ZLIB || header->ch_size / 1100 > section->sh_size)
            return 0;
        image->is_too_large = header->ch_size > total_limit_bytes - total ||
                              total + header->ch_size > free_growth_bytes + LARGEST_GROWTH * image->size;
        if (image->is_too_large)
            return 0;
        total = page_up(total + header->ch_size);
        any = true;
    }
    return any ? total : 0;
}

static bool expand(const uint8_t *from, size_t from_bytes, uint8_t *to, size_t to_bytes)
{
#ifdef HT_HAVE_LIBDEFLATE
    struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
    bool done = inflater != NULL && libdeflate_zlib_decompress(inflater, from, from_bytes, to, to_bytes,
                                                               NULL) == LIBDEFLATE_SUCCESS;
    libdeflate_free_decompressor(inflater);
    return done;
#else
    uLongf length = to_bytes;
    return uncompress(to, &length, from, from_bytes) == Z_OK && length == to_bytes;
#endif
}

// Fills the new file: plain sections that are read where they were, expanded ones behind them, and of all
// others nothing but their headers.
static bool fill(const struct image *image)
{
    uint64_t end = page_up(image->size);
    const Elf64_Ehdr *header = &image->header;
    memcpy(image->out, header, sizeof *header);
    for (unsigned i = 0; i < header->e_shnum; i++) {
        Elf64_Shdr *section = &image->sections[i];
        bool is_kept = i == header->e_shstrndx || is_read(image, section);
        if (section->sh_type == SHT_NOBITS || (is_kept && is_compressed(image, section)))
            continue;
        if (is_kept)
            memcpy(image->out + section->sh_offset, image->bytes + section->sh_offset, section->sh_size);
        else
            section->sh_type = SHT_NOBITS;
        section->sh_flags &= ~(Elf64_Xword)SHF_COMPRESSED;
    }
    for (unsigned i = 0; i < header->e_shnum; i++) {
        Elf64_Shdr *section = &image->sections[i];
        const Elf64_Chdr *compression = &image->compressions[i];
        if (!is_compressed(image, section))
            continue;
        if (!expand(image->bytes + section->sh_offset + sizeof *compression,
                    section->sh_size - sizeof *compression, image->out + end, compression->ch_size))
            return false;
        section->sh_flags &= ~(Elf64_Xword)SHF_COMPRESSED;
        section->sh_offset = end;
        section->sh_size = compression->ch_size;
        section->sh_addralign = compression->ch_addralign;
        end = page_up(end + compression->ch_size);
    }
    // Last: nothing may lie over them.
    memcpy(image->out + header->e_shoff, image->sections, header->e_shnum * sizeof *image->sections);
    Elf64_Ehdr *out = (void *)image->out;
    out->e_phnum = 0;
    return true;
}

// The new file, NULL if it cannot be made.
static char *make_file(struct image *image)
{
    image->out_bytes = plan(image);
    if (image->out_bytes == 0)
        return NULL;
    void *out = mmap(NULL, image->out_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (out == MAP_FAILED)
        return NULL;
    image->out = out;
    if (fill(image))
        return out;
    munmap(out, image->out_bytes);
    return NULL;
}

char *ht_inflate_sections(int fd, size_t *ret_bytes, bool *ret_too_large)
{
    struct stat stat_of;
    if (fstat(fd, &stat_of) != 0 || !S_ISREG(stat_of.st_mode) || stat_of.st_size <= 0 ||
        (uint64_t)stat_of.st_size > total_limit_bytes)
        return NULL;
    struct image image = {.size = (size_t)stat_of.st_size};
    void *bytes = mmap(NULL, image.size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return NULL;
    image.bytes = bytes;
    char *expanded = read_headers(&image) ? make_file(&image) : NULL;
    munmap(bytes, image.size);
    free(image.sections);
    free(image.names);
    free(image.compressions);
    *ret_too_large = *ret_too_large || image.is_too_large;
    if (expanded != NULL)
        *ret_bytes = image.out_bytes;
    return expanded;
}
