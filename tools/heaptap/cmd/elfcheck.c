// Says before a program is started whether a preloaded library can see its allocations, and what to do if
// not.
#include "cmd/elfcheck.h"

#include "base/memory.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#endif

// Bounds for foreign files: tables beyond these are damaged, or not worth reading before a start.
#define MAX_PROGRAM_HEADERS 4096u
#define MAX_TABLE_BYTES     (UINT64_C(256) << 20)
#define MAX_CHAIN           65536u
#define MAX_SCRIPT_DEPTH    5 // as the kernel

static const struct {
    const char *complaint, *remedy;
} verdicts[] = {
#define X(id, what, remedy) {what, remedy},
    HT_ELF_VERDICTS(X)
#undef X
};

const char *ht_elf_complaint(enum ht_elf_verdict verdict)
{
    return verdicts[verdict].complaint;
}

const char *ht_elf_remedy(enum ht_elf_verdict verdict)
{
    return verdicts[verdict].remedy;
}

struct image {
    int fd;
    uint64_t size_bytes;
    Elf64_Ehdr header;
    Elf64_Phdr *segments;
};

static bool read_at(const struct image *image, void *to, uint64_t bytes, uint64_t offset)
{
    if (offset > image->size_bytes || bytes > image->size_bytes - offset)
        return false;
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
static void *read_table(const struct image *image, uint64_t bytes, uint64_t offset)
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

static const Elf64_Phdr *find_segment(const struct image *image, uint32_t type)
{
    for (unsigned i = 0; i < image->header.e_phnum; i++)
        if (image->segments[i].p_type == type)
            return &image->segments[i];
    return NULL;
}

// Where the bytes of a virtual address are in the file; *ret_bytes says how many follow in its segment.
static bool file_offset_of(const struct image *image, uint64_t address, uint64_t *ret_offset,
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

static bool read_address(const struct image *image, void *to, uint64_t bytes, uint64_t address)
{
    uint64_t offset, available;
    return file_offset_of(image, address, &offset, &available) && bytes <= available &&
           read_at(image, to, bytes, offset);
}

// The dynamic section, digested. Addresses are 0 where an entry is missing.
struct dynamic {
    uint64_t symbols, strings, strings_bytes, hash, gnu_hash, soname;
    uint64_t *needed; // offsets into the strings
    size_t needed_count, needed_capacity;
    char *text; // the string table, with a NUL at the end
};

static bool read_dynamic(const struct image *image, const Elf64_Phdr *segment, struct dynamic *ret)
{
    Elf64_Dyn *entries = read_table(image, segment->p_filesz, segment->p_offset);
    if (entries == NULL)
        return false;
    for (uint64_t i = 0; i < segment->p_filesz / sizeof *entries && entries[i].d_tag != DT_NULL; i++) {
        uint64_t value = entries[i].d_un.d_val;
        switch (entries[i].d_tag) {
        case DT_SYMTAB:
            ret->symbols = value;
            break;
        case DT_STRTAB:
            ret->strings = value;
            break;
        case DT_STRSZ:
            ret->strings_bytes = value;
            break;
        case DT_HASH:
            ret->hash = value;
            break;
        case DT_GNU_HASH:
            ret->gnu_hash = value;
            break;
        case DT_SONAME:
            ret->soname = value;
            break;
        case DT_NEEDED:
            HT_RESERVE(ret->needed, ret->needed_capacity, ret->needed_count + 1);
            ret->needed[ret->needed_count++] = value;
            break;
        default:
            break;
        }
    }
    free(entries);
    uint64_t offset, available;
    if (ret->strings == 0)
        return true; // an executable without names: nothing can be asked
    if (!file_offset_of(image, ret->strings, &offset, &available) || ret->strings_bytes > available)
        return false;
    ret->text = read_table(image, ret->strings_bytes, offset);
    return ret->text != NULL;
}

static const char *dynamic_text(const struct dynamic *dynamic, uint64_t offset)
{
    return dynamic->text != NULL && offset < dynamic->strings_bytes ? dynamic->text + offset : "";
}

static bool symbol_defines(const struct image *image, const struct dynamic *dynamic, uint64_t index,
                           const char *name)
{
    Elf64_Sym symbol;
    return read_address(image, &symbol, sizeof symbol, dynamic->symbols + index * sizeof symbol) &&
           symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) != STT_TLS &&
           strcmp(dynamic_text(dynamic, symbol.st_name), name) == 0;
}

// The hash functions and the tables' layout: gABI "Hash Table", and binutils' DT_GNU_HASH as glibc's
// dl-lookup reads it.
static bool gnu_hash_defines(const struct image *image, const struct dynamic *dynamic, const char *name)
{
    uint32_t head[4]; // buckets, first symbol, Bloom words, shift
    if (!read_address(image, head, sizeof head, dynamic->gnu_hash) || head[0] == 0)
        return false;
    uint32_t hash = 5381;
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++)
        hash = hash * 33 + *at;
    uint64_t buckets = dynamic->gnu_hash + sizeof head + (uint64_t)head[2] * 8;
    uint64_t chains = buckets + (uint64_t)head[0] * 4;
    uint32_t index;
    if (!read_address(image, &index, sizeof index, buckets + (uint64_t)(hash % head[0]) * 4) ||
        index < head[1])
        return false;
    for (unsigned steps = 0; steps < MAX_CHAIN; steps++, index++) {
        uint32_t word;
        if (!read_address(image, &word, sizeof word, chains + (uint64_t)(index - head[1]) * 4))
            return false;
        if ((word | 1) == (hash | 1) && symbol_defines(image, dynamic, index, name))
            return true;
        if ((word & 1) != 0 || index == UINT32_MAX)
            return false;
    }
    return false;
}

static bool old_hash_defines(const struct image *image, const struct dynamic *dynamic, const char *name)
{
    uint32_t head[2]; // buckets, chains
    if (!read_address(image, head, sizeof head, dynamic->hash) || head[0] == 0)
        return false;
    uint32_t hash = 0;
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++) {
        hash = (hash << 4) + *at;
        hash = (hash ^ ((hash & 0xf0000000u) >> 24)) & 0x0fffffffu;
    }
    uint32_t index;
    uint64_t buckets = dynamic->hash + sizeof head;
    if (!read_address(image, &index, sizeof index, buckets + (uint64_t)(hash % head[0]) * 4))
        return false;
    uint64_t chains = buckets + (uint64_t)head[0] * 4;
    for (uint32_t steps = 0; index != 0 && steps < head[1] && steps < MAX_CHAIN; steps++) {
        if (symbol_defines(image, dynamic, index, name))
            return true;
        if (!read_address(image, &index, sizeof index, chains + (uint64_t)index * 4))
            return false;
    }
    return false;
}

// What the loader would find: the executable comes first in its search, before every preloaded library.
static bool exports(const struct image *image, const struct dynamic *dynamic, const char *name)
{
    if (dynamic->gnu_hash != 0)
        return gnu_hash_defines(image, dynamic, name);
    return dynamic->hash != 0 && old_hash_defines(image, dynamic, name);
}

static bool symbol_table_has_malloc(const struct image *image, const Elf64_Shdr *symbols,
                                    const Elf64_Shdr *strings)
{
    bool found = false;
    char *names = read_table(image, strings->sh_size, strings->sh_offset);
    Elf64_Sym *table = read_table(image, symbols->sh_size, symbols->sh_offset);
    if (names != NULL && table != NULL)
        for (uint64_t i = 0; i < symbols->sh_size / sizeof *table && !found; i++)
            found = ELF64_ST_TYPE(table[i].st_info) == STT_FUNC && table[i].st_shndx != SHN_UNDEF &&
                    table[i].st_name < strings->sh_size && strcmp(names + table[i].st_name, "malloc") == 0;
    free(names);
    free(table);
    return found;
}

// A function malloc in the full symbol table, for programs that hide theirs; stripped files keep the secret.
static bool has_private_malloc(const struct image *image)
{
    const Elf64_Ehdr *header = &image->header;
    if (header->e_shoff == 0 || header->e_shnum == 0 || header->e_shentsize != sizeof(Elf64_Shdr))
        return false;
    Elf64_Shdr *sections = read_table(image, (uint64_t)header->e_shnum * sizeof *sections, header->e_shoff);
    bool found = false;
    for (unsigned i = 0; sections != NULL && i < header->e_shnum && !found; i++)
        if (sections[i].sh_type == SHT_SYMTAB && sections[i].sh_link < header->e_shnum)
            found = symbol_table_has_malloc(image, &sections[i], &sections[sections[i].sh_link]);
    free(sections);
    return found;
}

static bool is_sanitized(const struct image *image, const struct dynamic *dynamic)
{
    // Only those with an allocator of their own; libubsan alone does no harm.
    static const char *const libraries[] = {"libasan.so",        "liblsan.so",       "libtsan.so",
                                            "libhwasan.so",      "libclang_rt.asan", "libclang_rt.tsan",
                                            "libclang_rt.hwasan"};
    static const char *const marks[] = {"__asan_init", "__lsan_init", "__tsan_init", "__msan_init",
                                        "__hwasan_init"};
    for (size_t i = 0; i < dynamic->needed_count; i++)
        for (size_t j = 0; j < sizeof libraries / sizeof *libraries; j++)
            if (strncmp(dynamic_text(dynamic, dynamic->needed[i]), libraries[j], strlen(libraries[j])) == 0)
                return true;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (exports(image, dynamic, marks[i]))
            return true;
    return false;
}

static enum ht_elf_verdict judge_dynamic(const struct image *image, const Elf64_Phdr *segment)
{
    struct dynamic dynamic = {0};
    enum ht_elf_verdict verdict = HT_ELF_OK;
    if (!read_dynamic(image, segment, &dynamic))
        verdict = HT_ELF_BROKEN;
    else if (find_segment(image, PT_INTERP) == NULL &&
             strncmp(dynamic_text(&dynamic, dynamic.soname), "ld-", 3) != 0)
        verdict = HT_ELF_STATIC; // static-pie; the loader itself, started by hand, has a name
    else if (is_sanitized(image, &dynamic))
        verdict = HT_ELF_SANITIZER;
    else if (exports(image, &dynamic, "malloc"))
        verdict = HT_ELF_OWN_MALLOC;
    else if (find_segment(image, PT_INTERP) != NULL && has_private_malloc(image))
        verdict = HT_ELF_PRIVATE_MALLOC;
    free(dynamic.needed);
    free(dynamic.text);
    return verdict;
}

static enum ht_elf_verdict judge_image(struct image *image)
{
    const Elf64_Ehdr *header = &image->header;
    if (!read_at(image, &image->header, EI_NIDENT, 0) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return HT_ELF_UNKNOWN;
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
        return header->e_ident[EI_CLASS] == ELFCLASSNONE ? HT_ELF_BROKEN : HT_ELF_FOREIGN;
    if (!read_at(image, &image->header, sizeof image->header, 0))
        return HT_ELF_BROKEN;
    if (header->e_machine != OUR_MACHINE)
        return HT_ELF_FOREIGN;
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
        header->e_phnum > MAX_PROGRAM_HEADERS || (header->e_type != ET_EXEC && header->e_type != ET_DYN))
        return HT_ELF_BROKEN;
    image->segments = read_table(image, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr), header->e_phoff);
    if (image->segments == NULL)
        return HT_ELF_BROKEN;
    const Elf64_Phdr *dynamic = find_segment(image, PT_DYNAMIC);
    if (dynamic == NULL)
        return HT_ELF_STATIC;
    return judge_dynamic(image, dynamic);
}

enum ht_elf_verdict ht_elf_check_file(const char *path)
{
    struct image image = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (image.fd < 0)
        return HT_ELF_UNKNOWN;
    enum ht_elf_verdict verdict = HT_ELF_UNKNOWN;
    struct stat stat;
    if (fstat(image.fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
        image.size_bytes = (uint64_t)stat.st_size;
        verdict = judge_image(&image);
    }
    free(image.segments);
    close(image.fd);
    return verdict;
}

struct ht_elf_caller ht_elf_this_caller(void)
{
    return (struct ht_elf_caller){
        .real_uid = getuid(),
        .effective_uid = geteuid(),
        .real_gid = getgid(),
        .effective_gid = getegid(),
        .no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
    };
}

// The effective bit or any permitted capability; source: capabilities(7), "File capability extended
// attribute".
static bool has_capabilities(const char *path)
{
    struct vfs_ns_cap_data data;
    ssize_t got = getxattr(path, "security.capability", &data, sizeof data);
    if (got < (ssize_t)XATTR_CAPS_SZ_1)
        return false;
    if ((data.magic_etc & VFS_CAP_FLAGS_EFFECTIVE) != 0 || data.data[0].permitted != 0)
        return true;
    return got >= (ssize_t)XATTR_CAPS_SZ_2 && data.data[1].permitted != 0;
}

// The kernel's rule (security/commoncap.c): secure when the new effective ids differ from the caller's real
// ones, or when capabilities are gained and the real user is not root.
enum ht_elf_verdict ht_elf_check_rights(const char *path, const struct ht_elf_caller *caller)
{
    struct stat stat_of;
    struct statvfs mount;
    if (stat(path, &stat_of) != 0)
        return HT_ELF_UNKNOWN;
    bool honoured = !caller->no_new_privs && !(statvfs(path, &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0);
    uid_t new_uid = caller->effective_uid;
    gid_t new_gid = caller->effective_gid;
    if (honoured && (stat_of.st_mode & S_ISUID) != 0)
        new_uid = stat_of.st_uid;
    if (honoured && (stat_of.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        new_gid = stat_of.st_gid;
    if (new_uid != caller->real_uid)
        return HT_ELF_SETUID;
    if (new_gid != caller->real_gid)
        return HT_ELF_SETGID;
    if (honoured && caller->real_uid != 0 && has_capabilities(path))
        return HT_ELF_CAPABILITIES;
    return HT_ELF_OK;
}

// The words of a #! line (line 1 of a file); source: execve(2). *ret_argument is "" or all that follows the
// interpreter.
static bool read_script(const char *path, char line[256], char **ret_interpreter, char **ret_argument)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    ssize_t got = pread(fd, line, 255, 0);
    close(fd);
    if (got < 3 || line[0] != '#' || line[1] != '!')
        return false;
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    char *at = line + 2 + strspn(line + 2, " \t");
    *ret_interpreter = at;
    at += strcspn(at, " \t");
    if (*at != '\0')
        *at++ = '\0';
    at += strspn(at, " \t");
    for (size_t length = strlen(at); length > 0 && (at[length - 1] == ' ' || at[length - 1] == '\t');
         length--)
        at[length - 1] = '\0';
    *ret_argument = at;
    return **ret_interpreter != '\0';
}

// "env NAME" and "env -S NAME ...": the program that env will look for; false when it cannot be told.
static bool follow_env(char *interpreter, char *argument, char ret_path[PATH_MAX])
{
    const char *base = strrchr(interpreter, '/');
    if (strcmp(base != NULL ? base + 1 : interpreter, "env") != 0)
        return false;
    if (strncmp(argument, "-S", 2) == 0)
        argument += 2 + strspn(argument + 2, " \t");
    argument[strcspn(argument, " \t")] = '\0';
    if (*argument == '\0' || *argument == '-' || strchr(argument, '=') != NULL)
        return false;
    return ht_program_find(argument, getenv("PATH"), ret_path) == 0;
}

enum ht_elf_verdict ht_elf_check_program(const char *path, const struct ht_elf_caller *caller,
                                         char ret_path[PATH_MAX])
{
    char current[PATH_MAX];
    snprintf(current, sizeof current, "%s", path);
    for (int depth = 0; depth < MAX_SCRIPT_DEPTH; depth++) {
        char line[256], *interpreter, *argument;
        if (!read_script(current, line, &interpreter, &argument))
            break;
        // Scripts never get rights from their own mode; env's target matters more than env.
        if (!follow_env(interpreter, argument, current))
            snprintf(current, sizeof current, "%s", interpreter);
    }
    snprintf(ret_path, PATH_MAX, "%s", current);
    enum ht_elf_verdict rights = ht_elf_check_rights(current, caller);
    enum ht_elf_verdict bytes = ht_elf_check_file(current);
    bool bytes_matter_more = bytes != HT_ELF_OK && bytes != HT_ELF_PRIVATE_MALLOC && bytes != HT_ELF_UNKNOWN;
    if (bytes_matter_more || rights == HT_ELF_OK || rights == HT_ELF_UNKNOWN)
        return bytes;
    return rights;
}

// 0, 126 or 127 for one candidate.
static int judge_candidate(const char *path)
{
    struct stat stat_of;
    if (stat(path, &stat_of) != 0)
        return errno == EACCES ? 126 : 127;
    if (!S_ISREG(stat_of.st_mode) || access(path, X_OK) != 0)
        return 126;
    return 0;
}

int ht_program_find(const char *program, const char *search, char ret_path[PATH_MAX])
{
    if (*program == '\0')
        return 127;
    if (strchr(program, '/') != NULL) {
        snprintf(ret_path, PATH_MAX, "%s", program);
        return judge_candidate(program);
    }
    int worst = 127;
    const char *at = search != NULL ? search : "/usr/local/bin:/bin:/usr/bin";
    for (;;) {
        size_t length = strcspn(at, ":");
        char candidate[PATH_MAX];
        int written = length == 0
                          ? snprintf(candidate, sizeof candidate, "./%s", program)
                          : snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, at, program);
        if (written > 0 && written < PATH_MAX) {
            int status = judge_candidate(candidate);
            struct stat stat_of;
            bool is_directory = stat(candidate, &stat_of) == 0 && S_ISDIR(stat_of.st_mode);
            if (status == 0 || (status == 126 && worst == 127 && !is_directory)) {
                memcpy(ret_path, candidate, (size_t)written + 1);
                worst = status;
            }
            if (status == 0)
                return 0;
        }
        if (at[length] == '\0')
            return worst;
        at += length + 1;
    }
}
