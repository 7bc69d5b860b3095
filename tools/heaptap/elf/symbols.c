// Names in foreign ELF files: what the dynamic table gives and wants, functions, and texts among the
// constants.
#include "elf/read.h"

#include <stdlib.h>

#define MAX_CHAIN 65536u

static bool symbol_defines(const struct ht_elf_image *image, uint64_t index, const char *name)
{
    Elf64_Sym symbol;
    return ht_elf_read_address(image, &symbol, sizeof symbol, image->symbols + index * sizeof symbol) &&
           symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) != STT_TLS &&
           strcmp(ht_elf_dynamic_text(image, symbol.st_name), name) == 0;
}

// The hash functions and the tables' layout: gABI "Hash Table", and binutils' DT_GNU_HASH as glibc's
// dl-lookup reads it.
static bool gnu_hash_defines(const struct ht_elf_image *image, const char *name)
{
    uint32_t head[4]; // buckets, first symbol, Bloom words, shift
    if (!ht_elf_read_address(image, head, sizeof head, image->gnu_hash) || head[0] == 0)
        return false;
    uint32_t hash = 5381;
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++)
        hash = hash * 33 + *at;
    uint64_t buckets = image->gnu_hash + sizeof head + (uint64_t)head[2] * 8;
    uint64_t chains = buckets + (uint64_t)head[0] * 4;
    uint32_t index;
    if (!ht_elf_read_address(image, &index, sizeof index, buckets + (uint64_t)(hash % head[0]) * 4) ||
        index < head[1])
        return false;
    for (unsigned steps = 0; steps < MAX_CHAIN; steps++, index++) {
        uint32_t word;
        if (!ht_elf_read_address(image, &word, sizeof word, chains + (uint64_t)(index - head[1]) * 4))
            return false;
        if ((word | 1) == (hash | 1) && symbol_defines(image, index, name))
            return true;
        if ((word & 1) != 0 || index == UINT32_MAX)
            return false;
    }
    return false;
}

static bool old_hash_defines(const struct ht_elf_image *image, const char *name)
{
    uint32_t head[2]; // buckets, chains
    if (!ht_elf_read_address(image, head, sizeof head, image->hash) || head[0] == 0)
        return false;
    uint32_t hash = 0;
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++) {
        hash = (hash << 4) + *at;
        hash = (hash ^ ((hash & 0xf0000000u) >> 24)) & 0x0fffffffu;
    }
    uint32_t index;
    uint64_t buckets = image->hash + sizeof head;
    if (!ht_elf_read_address(image, &index, sizeof index, buckets + (uint64_t)(hash % head[0]) * 4))
        return false;
    uint64_t chains = buckets + (uint64_t)head[0] * 4;
    for (uint32_t steps = 0; index != 0 && steps < head[1] && steps < MAX_CHAIN; steps++) {
        if (symbol_defines(image, index, name))
            return true;
        if (!ht_elf_read_address(image, &index, sizeof index, chains + (uint64_t)index * 4))
            return false;
    }
    return false;
}

bool ht_elf_image_exports(const struct ht_elf_image *image, const char *name)
{
    if (image->gnu_hash != 0)
        return gnu_hash_defines(image, name);
    return image->hash != 0 && old_hash_defines(image, name);
}

static uint64_t match_names(const char *text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count && i < 64; i++)
        if (strcmp(text, names[i]) == 0)
            return UINT64_C(1) << i;
    return 0;
}

// How many symbols the dynamic table has. Nothing that the loader needs says so where only DT_GNU_HASH is
// given, and without exported symbols that says nothing: then the section does, or else what lies behind the
// table in memory.
static uint64_t count_symbols(const struct ht_elf_image *image)
{
    uint32_t head[2]; // of DT_HASH: buckets, symbols
    if (image->hash != 0 && ht_elf_read_address(image, head, sizeof head, image->hash))
        return head[1];
    for (unsigned i = 0; image->sections != NULL && i < image->header.e_shnum; i++)
        if (image->sections[i].sh_type == SHT_DYNSYM && image->sections[i].sh_addr == image->symbols)
            return image->sections[i].sh_size / sizeof(Elf64_Sym);
    uint64_t end = image->strings_address > image->symbols ? image->strings_address : image->symbols;
    if (image->gnu_hash > image->symbols && image->gnu_hash < end)
        end = image->gnu_hash;
    return (end - image->symbols) / sizeof(Elf64_Sym);
}

uint64_t ht_elf_image_imports(const struct ht_elf_image *image, const char *const *names, size_t count)
{
    uint64_t found = 0, offset, available, symbols = count_symbols(image);
    if (image->symbols == 0 || !ht_elf_file_offset(image, image->symbols, &offset, &available))
        return 0;
    if (symbols > available / sizeof(Elf64_Sym))
        symbols = available / sizeof(Elf64_Sym);
    Elf64_Sym *table = ht_elf_read_table(image, symbols * sizeof *table, offset);
    for (uint64_t i = 0; table != NULL && i < symbols; i++)
        if (table[i].st_shndx == SHN_UNDEF)
            found |= match_names(ht_elf_dynamic_text(image, table[i].st_name), names, count);
    free(table);
    return found;
}

static uint64_t functions_of_table(const struct ht_elf_image *image, const Elf64_Shdr *symbols,
                                   const Elf64_Shdr *strings, const char *const *names, size_t count)
{
    uint64_t found = 0;
    char *texts = ht_elf_read_table(image, strings->sh_size, strings->sh_offset);
    Elf64_Sym *table = ht_elf_read_table(image, symbols->sh_size, symbols->sh_offset);
    if (texts != NULL && table != NULL)
        for (uint64_t i = 0; i < symbols->sh_size / sizeof *table; i++)
            if (ELF64_ST_TYPE(table[i].st_info) == STT_FUNC && table[i].st_shndx != SHN_UNDEF &&
                table[i].st_name < strings->sh_size)
                found |= match_names(texts + table[i].st_name, names, count);
    free(texts);
    free(table);
    return found;
}

uint64_t ht_elf_image_functions(const struct ht_elf_image *image, const char *const *names, size_t count)
{
    for (unsigned i = 0; image->sections != NULL && i < image->header.e_shnum; i++)
        if (image->sections[i].sh_type == SHT_SYMTAB && image->sections[i].sh_link < image->header.e_shnum)
            return functions_of_table(image, &image->sections[i],
                                      &image->sections[image->sections[i].sh_link], names, count);
    return 0;
}

uint64_t ht_elf_image_texts(const struct ht_elf_image *image, const char *const *texts, size_t count)
{
    enum { OVERLAP_BYTES = 64 }; // longer than every text that is asked for
    uint64_t found = 0, left = HT_ELF_TABLE_BYTES;
    uint8_t *window = ht_alloc(HT_ELF_STEP_BYTES + OVERLAP_BYTES);
    for (unsigned i = 0; i < image->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_X) != 0)
            continue;
        for (uint64_t at = 0; at < segment->p_filesz && left > 0; at += HT_ELF_STEP_BYTES) {
            uint64_t bytes = segment->p_filesz - at;
            if (bytes > HT_ELF_STEP_BYTES + OVERLAP_BYTES)
                bytes = HT_ELF_STEP_BYTES + OVERLAP_BYTES;
            if (segment->p_offset > UINT64_MAX - at ||
                !ht_elf_read(image, window, bytes, segment->p_offset + at))
                break;
            left -= left > HT_ELF_STEP_BYTES ? HT_ELF_STEP_BYTES : left;
            for (size_t j = 0; j < count && j < 64; j++)
                if ((found >> j & 1) == 0 && memmem(window, bytes, texts[j], strlen(texts[j])) != NULL)
                    found |= UINT64_C(1) << j;
        }
    }
    free(window);
    return found;
}
