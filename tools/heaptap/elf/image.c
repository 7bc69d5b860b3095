// Reads headers, tables and notes of foreign ELF files; layouts are those of the gABI and of <elf.h>.
#include "base/foreign.h"
#include "elf/read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#endif

#ifndef EM_LOONGARCH // <elf.h> has it since glibc 2.36
#define EM_LOONGARCH 258
#endif

#define MAX_PROGRAM_HEADERS 4096u
#define MAX_NEEDED          4096u

bool ht_elf_read(const struct ht_elf_image *image, void *to, uint64_t bytes, uint64_t offset)
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

void *ht_elf_read_table(const struct ht_elf_image *image, uint64_t bytes, uint64_t offset)
{
    if (bytes > HT_ELF_TABLE_BYTES || offset > image->size_bytes || bytes > image->size_bytes - offset)
        return NULL;
    char *table = ht_alloc(bytes + 1);
    if (!ht_elf_read(image, table, bytes, offset)) {
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

bool ht_elf_file_offset(const struct ht_elf_image *image, uint64_t address, uint64_t *ret_offset,
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

bool ht_elf_read_address(const struct ht_elf_image *image, void *to, uint64_t bytes, uint64_t address)
{
    uint64_t offset, available;
    return ht_elf_file_offset(image, address, &offset, &available) && bytes <= available &&
           ht_elf_read(image, to, bytes, offset);
}

const char *ht_elf_dynamic_text(const struct ht_elf_image *image, uint64_t offset)
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
    if (!ht_elf_file_offset(image, strings, &offset, &available) || image->strings_bytes > available)
        return false;
    image->strings = ht_elf_read_table(image, image->strings_bytes, offset);
    for (uint64_t i = 0; image->strings != NULL && i < count; i++) {
        const char *text = ht_elf_dynamic_text(image, entries[i].d_un.d_val);
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
    Elf64_Dyn *entries = ht_elf_read_table(image, segment->p_filesz, segment->p_offset);
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
    image->sections =
        ht_elf_read_table(image, (uint64_t)header->e_shnum * sizeof *image->sections, header->e_shoff);
    if (image->sections == NULL || header->e_shstrndx >= header->e_shnum)
        return;
    const Elf64_Shdr *names = &image->sections[header->e_shstrndx];
    if (names->sh_type != SHT_STRTAB)
        return;
    image->section_names = ht_elf_read_table(image, names->sh_size, names->sh_offset);
    image->section_names_bytes = image->section_names != NULL ? names->sh_size : 0;
}

static enum ht_elf_form read_image(struct ht_elf_image *image)
{
    const Elf64_Ehdr *header = &image->header;
    if (!ht_elf_read(image, &image->header, EI_NIDENT, 0) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return HT_ELF_NOT;
    bool is_64 = header->e_ident[EI_CLASS] == ELFCLASS64;
    // e_machine lies at the same place in both classes.
    if (!ht_elf_read(image, &image->header, is_64 ? sizeof image->header : sizeof(Elf32_Ehdr), 0) ||
        header->e_ident[EI_CLASS] == ELFCLASSNONE)
        return HT_ELF_BAD;
    if (!is_64 || header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != OUR_MACHINE)
        return HT_ELF_OTHER_CLASS;
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
        header->e_phnum > MAX_PROGRAM_HEADERS || (header->e_type != ET_EXEC && header->e_type != ET_DYN))
        return HT_ELF_BAD;
    image->segments =
        ht_elf_read_table(image, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr), header->e_phoff);
    read_sections(image); // first: a separate debug file has sections, but no bytes of its dynamic segment
    return image->segments != NULL && read_dynamic(image) ? HT_ELF_WHOLE : HT_ELF_BAD;
}

enum ht_elf_form ht_elf_image_open(struct ht_elf_image *image, const char *path)
{
    const struct ht_owner ours = {0, 0}; // what is said of a file are facts, not content
    struct stat stat;
    *image = (struct ht_elf_image){.fd = ht_foreign_open(ours, NULL, path, &stat)};
    if (image->fd < 0)
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
    return ht_elf_read(image, content, length, section->sh_offset) ? length : 0;
}

bool ht_elf_image_interpreter(const struct ht_elf_image *image, char *text, size_t text_bytes)
{
    const Elf64_Phdr *segment = ht_elf_image_segment(image, PT_INTERP);
    char *name = segment != NULL && segment->p_filesz <= 4096
                     ? ht_elf_read_table(image, segment->p_filesz, segment->p_offset)
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
    uint8_t *notes = bytes <= HT_ELF_STEP_BYTES ? ht_elf_read_table(image, bytes, offset) : NULL;
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

void ht_elf_build_id_text(const void *bits, size_t bytes, char text[HT_BUILD_ID_TEXT_BYTES])
{
    text[0] = '\0';
    for (size_t i = 0; i < bytes && 2 * i + 2 < HT_BUILD_ID_TEXT_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", ((const uint8_t *)bits)[i]);
}

void ht_elf_build_id_given(const char *given, char text[HT_BUILD_ID_TEXT_BYTES])
{
    size_t length = 0;
    for (; given[length] != '\0' && length + 1 < HT_BUILD_ID_TEXT_BYTES; length++)
        text[length] =
            given[length] >= 'A' && given[length] <= 'F' ? (char)(given[length] - 'A' + 'a') : given[length];
    text[length] = '\0';
}

bool ht_elf_image_build_id(const struct ht_elf_image *image, char text[HT_BUILD_ID_TEXT_BYTES])
{
    uint8_t bits[(HT_BUILD_ID_TEXT_BYTES - 1) / 2];
    size_t bytes = ht_elf_image_note(image, "GNU", NT_GNU_BUILD_ID, bits, sizeof bits);
    ht_elf_build_id_text(bits, bytes, text);
    return bytes > 0;
}

char *ht_elf_debug_name(const char *folder, size_t folder_length, const char *build_id)
{
    if (strlen(build_id) < 3 || strspn(build_id, "0123456789abcdef") != strlen(build_id))
        return NULL;
    return ht_format("%.*s/.build-id/%.2s/%s.debug", (int)folder_length, folder, build_id, build_id + 2);
}

bool ht_elf_is_file(const char *path)
{
    struct ht_elf_image image;
    bool is_elf = ht_elf_image_open(&image, path) != HT_ELF_NOT;
    ht_elf_image_close(&image);
    return is_elf;
}
