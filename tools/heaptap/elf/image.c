// Reads foreign ELF files; layouts are those of the gABI and of <elf.h>.
#include "elf/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#endif

#define MAX_PROGRAM_HEADERS 4096u
#define MAX_TABLE_BYTES     (UINT64_C(256) << 20)
#define MAX_CHAIN           65536u
#define MAX_NEEDED          4096u
#define STEP_BYTES          (UINT64_C(1) << 20)

static bool read_at(const struct ht_elf_image *image, void *to, uint64_t bytes, uint64_t offset)
{
    if (offset > image->size_bytes || bytes > image->size_bytes - offset)
        return false;
    if (image->fd < 0) {
        if (bytes > 0)
            memcpy(to, image->bytes + offset, bytes);
        return true;
    }
    for (uint64_t done = 0; done < bytes;) {
        ssize_t got = pread(image->fd, (char *)to + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (uint64_t)got;
    }
    return true;
}

// A copy of [offset, offset + bytes) with a NUL behind it; NULL when the file has no such bytes. free() it.
static void *read_table(const struct ht_elf_image *image, uint64_t bytes, uint64_t offset)
{
    if (bytes > MAX_TABLE_BYTES || offset > image->size_bytes || bytes > image->size_bytes - offset)
        return NULL;
    char *table = ht_alloc(bytes + 1);
    if (!read_at(image, table, bytes, offset)) {
        free(table);
        return NULL;
    }
    table[bytes] = '\0';
    return table;
}

const Elf64_Phdr *ht_elf_image_segment(const struct ht_elf_image *image, uint32_t type)
{
    for (unsigned i = 0; image->segments != NULL && i < image->header.e_phnum; i++)
        if (image->segments[i].p_type == type)
            return &image->segments[i];
    return NULL;
}

// Where the bytes of a virtual address are in the file; *ret_bytes says how many follow in its segment.
static bool file_offset_of(const struct ht_elf_image *image, uint64_t address, uint64_t *ret_offset,
                           uint64_t *ret_bytes)
{
    for (unsigned i = 0; i < image->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
            address - segment->p_vaddr < segment->p_filesz) {
            uint64_t inside = address - segment->p_vaddr;
            if (__builtin_add_overflow(segment->p_offset, inside, ret_offset))
                return false;
            *ret_bytes = segment->p_filesz - inside;
            return true;
        }
    }
    return false;
}

static bool read_address(const struct ht_elf_image *image, void *to, uint64_t bytes, uint64_t address)
{
    uint64_t offset, available;
    return file_offset_of(image, address, &offset, &available) && bytes <= available &&
           read_at(image, to, bytes, offset);
}

static const char *dynamic_text(const struct ht_elf_image *image, uint64_t offset)
{
    return image->strings != NULL && offset < image->strings_bytes ? image->strings + offset : "";
}

// Texts can be looked up when the string table is known, which may come last: two passes.
static bool digest_dynamic(struct ht_elf_image *image, const Elf64_Dyn *entries, uint64_t count)
{
    uint64_t strings = 0, offset, available;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t value = entries[i].d_un.d_val;
        if (entries[i].d_tag == DT_SYMTAB)
            image->symbols = value;
        else if (entries[i].d_tag == DT_STRTAB)
            strings = value;
        else if (entries[i].d_tag == DT_STRSZ)
            image->strings_bytes = value;
        else if (entries[i].d_tag == DT_HASH)
            image->hash = value;
        else if (entries[i].d_tag == DT_GNU_HASH)
            image->gnu_hash = value;
        else if (entries[i].d_tag == DT_SYMBOLIC ||
                 (entries[i].d_tag == DT_FLAGS && (value & DF_SYMBOLIC) != 0))
            image->is_symbolic = true;
    }
    image->strings_address = strings;
    if (strings == 0)
        return true; // an executable without names: nothing can be asked
    if (!file_offset_of(image, strings, &offset, &available) || image->strings_bytes > available)
        return false;
    image->strings = read_table(image, image->strings_bytes, offset);
    for (uint64_t i = 0; image->strings != NULL && i < count; i++) {
        const char *text = dynamic_text(image, entries[i].d_un.d_val);
        if (entries[i].d_tag == DT_SONAME)
            image->soname = text;
        else if (entries[i].d_tag == DT_RPATH)
            image->rpath = text;
        else if (entries[i].d_tag == DT_RUNPATH)
            image->runpath = text;
        else if (entries[i].d_tag == DT_NEEDED && image->needed_count < MAX_NEEDED) {
            HT_RESERVE(image->needed, image->needed_capacity, image->needed_count + 1);
            image->needed[image->needed_count++] = text;
        }
    }
    return image->strings != NULL;
}

static bool read_dynamic(struct ht_elf_image *image)
{
    const Elf64_Phdr *segment = ht_elf_image_segment(image, PT_DYNAMIC);
    image->soname = image->rpath = image->runpath = "";
    if (segment == NULL)
        return true;
    image->is_dynamic = true;
    Elf64_Dyn *entries = read_table(image, segment->p_filesz, segment->p_offset);
    if (entries == NULL)
        return false;
    uint64_t count = 0;
    while (count < segment->p_filesz / sizeof *entries && entries[count].d_tag != DT_NULL)
        count++;
    bool good = digest_dynamic(image, entries, count);
    free(entries);
    return good;
}

// Section headers are not needed to run: damaged ones count as missing.
static void read_sections(struct ht_elf_image *image)
{
    const Elf64_Ehdr *header = &image->header;
    if (header->e_shoff == 0 || header->e_shnum == 0 || header->e_shentsize != sizeof(Elf64_Shdr))
        return;
    image->sections = read_table(image, (uint64_t)header->e_shnum * sizeof *image->sections, header->e_shoff);
    if (image->sections == NULL || header->e_shstrndx >= header->e_shnum)
        return;
    const Elf64_Shdr *names = &image->sections[header->e_shstrndx];
    if (names->sh_type != SHT_STRTAB)
        return;
    image->section_names = read_table(image, names->sh_size, names->sh_offset);
    image->section_names_bytes = image->section_names != NULL ? names->sh_size : 0;
}

static enum ht_elf_form read_image(struct ht_elf_image *image)
{
    const Elf64_Ehdr *header = &image->header;
    if (!read_at(image, &image->header, EI_NIDENT, 0) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return HT_ELF_NOT;
    bool is_64 = header->e_ident[EI_CLASS] == ELFCLASS64;
    // e_machine lies at the same place in both classes.
    if (!read_at(image, &image->header, is_64 ? sizeof image->header : sizeof(Elf32_Ehdr), 0) ||
        header->e_ident[EI_CLASS] == ELFCLASSNONE)
        return HT_ELF_BAD;
    if (!is_64 || header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != OUR_MACHINE)
        return HT_ELF_OTHER_CLASS;
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
        header->e_phnum > MAX_PROGRAM_HEADERS || (header->e_type != ET_EXEC && header->e_type != ET_DYN))
        return HT_ELF_BAD;
    image->segments = read_table(image, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr), header->e_phoff);
    read_sections(image); // first: a separate debug file has sections, but no bytes of its dynamic segment
    return image->segments != NULL && read_dynamic(image) ? HT_ELF_WHOLE : HT_ELF_BAD;
}

enum ht_elf_form ht_elf_image_open(struct ht_elf_image *image, const char *path)
{
    *image = (struct ht_elf_image){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    struct stat stat;
    if (image->fd < 0 || fstat(image->fd, &stat) != 0 || !S_ISREG(stat.st_mode))
        return HT_ELF_NOT;
    image->size_bytes = (uint64_t)stat.st_size;
    return read_image(image);
}

enum ht_elf_form ht_elf_image_memory(struct ht_elf_image *image, const void *bytes, size_t size_bytes)
{
    *image = (struct ht_elf_image){.fd = -1, .bytes = bytes, .size_bytes = size_bytes};
    return read_image(image);
}

void ht_elf_image_close(struct ht_elf_image *image)
{
    if (image->fd >= 0)
        close(image->fd);
    free(image->segments);
    free(image->sections);
    free(image->section_names);
    free(image->strings);
    free(image->needed);
    *image = (struct ht_elf_image){.fd = -1};
}

void ht_elf_image_machine(const struct ht_elf_image *image, char *text, size_t text_bytes)
{
    static const struct {
        unsigned machine;
        const char *name;
    } machines[] = {
        {EM_386, "x86"},       {EM_X86_64, "x86-64"},      {EM_ARM, "ARM"},   {EM_AARCH64, "aarch64"},
        {EM_RISCV, "RISC-V"},  {EM_PPC64, "PowerPC"},      {EM_S390, "s390"}, {EM_MIPS, "MIPS"},
        {EM_SPARCV9, "SPARC"}, {EM_LOONGARCH, "LoongArch"}};
    const Elf64_Ehdr *header = &image->header;
    const char *name = "unknown";
    unsigned machine = header->e_machine;
    if (header->e_ident[EI_DATA] == ELFDATA2MSB)
        machine = (machine >> 8 | machine << 8) & 0xffff;
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
        if (machines[i].machine == machine)
            name = machines[i].name;
    snprintf(text, text_bytes, "%s-bit %s%s", header->e_ident[EI_CLASS] == ELFCLASS64 ? "64" : "32", name,
             header->e_ident[EI_DATA] == ELFDATA2MSB ? ", big-endian" : "");
}

const Elf64_Shdr *ht_elf_image_section(const struct ht_elf_image *image, const char *name)
{
    for (unsigned i = 0; image->section_names != NULL && i < image->header.e_shnum; i++) {
        const Elf64_Shdr *section = &image->sections[i];
        if (section->sh_type != SHT_NOBITS && section->sh_size > 0 &&
            section->sh_name < image->section_names_bytes &&
            strcmp(image->section_names + section->sh_name, name) == 0)
            return section;
    }
    return NULL;
}

size_t ht_elf_image_content(const struct ht_elf_image *image, const Elf64_Shdr *section, void *content,
                            size_t bytes)
{
    size_t length = section->sh_size < bytes ? section->sh_size : bytes;
    return read_at(image, content, length, section->sh_offset) ? length : 0;
}

bool ht_elf_image_interpreter(const struct ht_elf_image *image, char *text, size_t text_bytes)
{
    const Elf64_Phdr *segment = ht_elf_image_segment(image, PT_INTERP);
    char *name = segment != NULL && segment->p_filesz <= 4096
                     ? read_table(image, segment->p_filesz, segment->p_offset)
                     : NULL;
    if (name != NULL)
        snprintf(text, text_bytes, "%s", name);
    free(name);
    return name != NULL;
}

// Looks through one area of notes; the layout is that of the gABI, padded to 4 bytes as GNU's and Go's notes
// are.
static size_t find_note(const struct ht_elf_image *image, uint64_t offset, uint64_t bytes, const char *owner,
                        uint32_t type, uint8_t *content, size_t content_bytes)
{
    size_t owner_bytes = strlen(owner) + 1;
    uint8_t *notes = bytes <= STEP_BYTES ? read_table(image, bytes, offset) : NULL;
    size_t found = 0;
    for (uint64_t at = 0; notes != NULL && found == 0 && bytes - at >= sizeof(Elf64_Nhdr);) {
        Elf64_Nhdr head;
        memcpy(&head, notes + at, sizeof head);
        uint64_t name = at + sizeof head;
        uint64_t body = name + ((uint64_t)head.n_namesz + 3) / 4 * 4;
        uint64_t next = body + ((uint64_t)head.n_descsz + 3) / 4 * 4;
        if (body > bytes || head.n_descsz > bytes - body)
            break;
        if (head.n_type == type && head.n_namesz == owner_bytes &&
            memcmp(notes + name, owner, owner_bytes) == 0 && head.n_descsz > 0) {
            found = head.n_descsz < content_bytes ? head.n_descsz : content_bytes;
            memcpy(content, notes + body, found);
        }
        if (next > bytes)
            break;
        at = next;
    }
    free(notes);
    return found;
}

size_t ht_elf_image_note(const struct ht_elf_image *image, const char *owner, uint32_t type, uint8_t *content,
                         size_t bytes)
{
    size_t found = 0;
    // Sections first: the segments of a separate debug file point to what it does not have.
    for (unsigned i = 0; image->sections != NULL && i < image->header.e_shnum && found == 0; i++)
        if (image->sections[i].sh_type == SHT_NOTE)
            found = find_note(image, image->sections[i].sh_offset, image->sections[i].sh_size, owner, type,
                              content, bytes);
    for (unsigned i = 0; i < image->header.e_phnum && found == 0; i++)
        if (image->segments[i].p_type == PT_NOTE)
            found = find_note(image, image->segments[i].p_offset, image->segments[i].p_filesz, owner, type,
                              content, bytes);
    return found;
}

static bool symbol_defines(const struct ht_elf_image *image, uint64_t index, const char *name)
{
    Elf64_Sym symbol;
    return read_address(image, &symbol, sizeof symbol, image->symbols + index * sizeof symbol) &&
           symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) != STT_TLS &&
           strcmp(dynamic_text(image, symbol.st_name), name) == 0;
}

// The hash functions and the tables' layout: gABI "Hash Table", and binutils' DT_GNU_HASH as glibc's
// dl-lookup reads it.
static bool gnu_hash_defines(const struct ht_elf_image *image, const char *name)
{
    uint32_t head[4]; // buckets, first symbol, Bloom words, shift
    if (!read_address(image, head, sizeof head, image->gnu_hash) || head[0] == 0)
        return false;
    uint32_t hash = 5381;
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++)
        hash = hash * 33 + *at;
    uint64_t buckets = image->gnu_hash + sizeof head + (uint64_t)head[2] * 8;
    uint64_t chains = buckets + (uint64_t)head[0] * 4;
    uint32_t index;
    if (!read_address(image, &index, sizeof index, buckets + (uint64_t)(hash % head[0]) * 4) ||
        index < head[1])
        return false;
    for (unsigned steps = 0; steps < MAX_CHAIN; steps++, index++) {
        uint32_t word;
        if (!read_address(image, &word, sizeof word, chains + (uint64_t)(index - head[1]) * 4))
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
    if (!read_address(image, head, sizeof head, image->hash) || head[0] == 0)
        return false;
    uint32_t hash = 0;
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++) {
        hash = (hash << 4) + *at;
        hash = (hash ^ ((hash & 0xf0000000u) >> 24)) & 0x0fffffffu;
    }
    uint32_t index;
    uint64_t buckets = image->hash + sizeof head;
    if (!read_address(image, &index, sizeof index, buckets + (uint64_t)(hash % head[0]) * 4))
        return false;
    uint64_t chains = buckets + (uint64_t)head[0] * 4;
    for (uint32_t steps = 0; index != 0 && steps < head[1] && steps < MAX_CHAIN; steps++) {
        if (symbol_defines(image, index, name))
            return true;
        if (!read_address(image, &index, sizeof index, chains + (uint64_t)index * 4))
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
    if (image->hash != 0 && read_address(image, head, sizeof head, image->hash))
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
    if (image->symbols == 0 || !file_offset_of(image, image->symbols, &offset, &available))
        return 0;
    if (symbols > available / sizeof(Elf64_Sym))
        symbols = available / sizeof(Elf64_Sym);
    Elf64_Sym *table = read_table(image, symbols * sizeof *table, offset);
    for (uint64_t i = 0; table != NULL && i < symbols; i++)
        if (table[i].st_shndx == SHN_UNDEF)
            found |= match_names(dynamic_text(image, table[i].st_name), names, count);
    free(table);
    return found;
}

static uint64_t functions_of_table(const struct ht_elf_image *image, const Elf64_Shdr *symbols,
                                   const Elf64_Shdr *strings, const char *const *names, size_t count)
{
    uint64_t found = 0;
    char *texts = read_table(image, strings->sh_size, strings->sh_offset);
    Elf64_Sym *table = read_table(image, symbols->sh_size, symbols->sh_offset);
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
    uint64_t found = 0, left = MAX_TABLE_BYTES;
    uint8_t *window = ht_alloc(STEP_BYTES + OVERLAP_BYTES);
    for (unsigned i = 0; i < image->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_X) != 0)
            continue;
        for (uint64_t at = 0; at < segment->p_filesz && left > 0; at += STEP_BYTES) {
            uint64_t bytes = segment->p_filesz - at;
            if (bytes > STEP_BYTES + OVERLAP_BYTES)
                bytes = STEP_BYTES + OVERLAP_BYTES;
            if (segment->p_offset > UINT64_MAX - at || !read_at(image, window, bytes, segment->p_offset + at))
                break;
            left -= left > STEP_BYTES ? STEP_BYTES : left;
            for (size_t j = 0; j < count && j < 64; j++)
                if ((found >> j & 1) == 0 && memmem(window, bytes, texts[j], strlen(texts[j])) != NULL)
                    found |= UINT64_C(1) << j;
        }
    }
    free(window);
    return found;
}

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
    uint64_t most = 16 * STEP_BYTES; // enough to tell how functions begin here
    if (bytes > image->size_bytes)
        return;
    unwind->code_bytes += bytes;
    uint8_t *code = read_table(image, bytes < most ? bytes : most, offset);
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
        if (!read_at(image, window->content, window->bytes, offset)) {
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
    if (!file_offset_of(image, entry, &offset, &available) || available < 16)
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
    uint8_t *header = segment != NULL ? read_table(image, segment->p_filesz, segment->p_offset) : NULL;
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
