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

struct image {
    const uint8_t *bytes; // of the file
    size_t size;
    const Elf64_Ehdr *header;
    const Elf64_Shdr *sections;
    const char *names; // of sections, all inside
    uint64_t names_bytes;
    uint8_t *out;
    uint64_t out_bytes;
};

static bool is_inside(const struct image *image, uint64_t offset, uint64_t bytes)
{
    return offset <= image->size && bytes <= image->size - offset;
}

// A 64-bit file of this machine's byte order whose section headers make sense.
static bool read_headers(struct image *image)
{
    const Elf64_Ehdr *header = (const void *)image->bytes;
    unsigned char order = __BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;
    if (image->size < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != order ||
        header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shnum == 0 ||
        header->e_shnum > SECTION_LIMIT || header->e_shoff % 8 != 0 ||
        header->e_shstrndx >= header->e_shnum ||
        !is_inside(image, header->e_shoff, header->e_shnum * (uint64_t)sizeof(Elf64_Shdr)))
        return false;
    image->header = header;
    image->sections = (const void *)(image->bytes + header->e_shoff);
    for (unsigned i = 0; i < header->e_shnum; i++)
        if (image->sections[i].sh_type != SHT_NOBITS &&
            !is_inside(image, image->sections[i].sh_offset, image->sections[i].sh_size))
            return false;
    image->names = (const char *)image->bytes + image->sections[header->e_shstrndx].sh_offset;
    image->names_bytes = image->sections[header->e_shstrndx].sh_size;
    return image->sections[header->e_shstrndx].sh_type == SHT_STRTAB && image->names_bytes > 0 &&
           image->names[image->names_bytes - 1] == '\0';
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

static bool is_for_debuggers(const struct image *image, const Elf64_Shdr *section)
{
    static const char *const names[] = {".debug_loclists",     ".debug_loc",      ".debug_gnu_pubnames",
                                        ".debug_gnu_pubtypes", ".debug_pubnames", ".debug_pubtypes",
                                        ".debug_frame",        ".debug_macro"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name_of(image, section), names[i]) == 0)
            return true;
    return false;
}

static Elf64_Chdr compression_of(const struct image *image, const Elf64_Shdr *section)
{
    Elf64_Chdr header;
    memcpy(&header, image->bytes + section->sh_offset, sizeof header);
    return header;
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
static uint64_t plan(const struct image *image)
{
    uint64_t total = page_up(image->size);
    bool any = false;
    for (unsigned i = 0; i < image->header->e_shnum; i++) {
        const Elf64_Shdr *section = &image->sections[i];
        if (has_other_half(image, section))
            return 0;
        if (!is_compressed(image, section) || is_for_debuggers(image, section))
            continue;
        Elf64_Chdr header = compression_of(image, section);
        // zlib's best is 1 to 1032.
        if (header.ch_type != ELFCOMPRESS_ZLIB || header.ch_size / 1100 > section->sh_size ||
            header.ch_size > total_limit_bytes - total)
            return 0;
        total = page_up(total + header.ch_size);
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

// Fills the new file: headers and plain sections where they were, expanded ones behind them.
static bool fill(const struct image *image)
{
    uint64_t end = page_up(image->size);
    const Elf64_Ehdr *header = image->header;
    memcpy(image->out, header, sizeof *header);
    if (header->e_phentsize == sizeof(Elf64_Phdr) &&
        is_inside(image, header->e_phoff, header->e_phnum * (uint64_t)sizeof(Elf64_Phdr)))
        memcpy(image->out + header->e_phoff, image->bytes + header->e_phoff,
               header->e_phnum * sizeof(Elf64_Phdr));
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *section = &image->sections[i];
        if (section->sh_type != SHT_NOBITS && !is_compressed(image, section))
            memcpy(image->out + section->sh_offset, image->bytes + section->sh_offset, section->sh_size);
    }
    Elf64_Shdr *sections = (void *)(image->out + header->e_shoff); // last: nothing may lie over them
    memcpy(sections, image->sections, header->e_shnum * sizeof *sections);
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *section = &image->sections[i];
        if (!is_compressed(image, section))
            continue;
        Elf64_Chdr compression = compression_of(image, section);
        sections[i].sh_flags &= ~(Elf64_Xword)SHF_COMPRESSED;
        if (is_for_debuggers(image, section)) {
            sections[i].sh_type = SHT_NOBITS;
            continue;
        }
        if (!expand(image->bytes + section->sh_offset + sizeof compression,
                    section->sh_size - sizeof compression, image->out + end, compression.ch_size))
            return false;
        sections[i].sh_offset = end;
        sections[i].sh_size = compression.ch_size;
        sections[i].sh_addralign = compression.ch_addralign;
        end = page_up(end + compression.ch_size);
    }
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

char *ht_inflate_sections(int fd, size_t *ret_bytes)
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
    if (expanded != NULL)
        *ret_bytes = image.out_bytes;
    return expanded;
}
