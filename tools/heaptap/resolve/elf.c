// Opens an ELF file by libdwfl, translates addresses, and knows its symbol table.
#include "resolve/elf.h"

#include "base/error.h"
#include "resolve/gopclntab.h"
#include "resolve/inflate.h"
#include "resolve/plt.h"
#include "resolve/sections.h"

#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static void read_build_id(struct ht_elf *module)
{
    const unsigned char *bits;
    GElf_Addr address;
    char text[HT_BUILD_ID_TEXT_BYTES];
    int length = dwfl_module_build_id(module->module, &bits, &address);
    ht_elf_build_id_text(bits, length > 0 ? (size_t)length : 0, text);
    module->build_id = ht_strdup(text);
}

// Sections of separate debug files keep their headers but not their content.
static bool has_no_code(Elf *elf)
{
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_PROGBITS &&
            (header.sh_flags & SHF_EXECINSTR))
            return false;
    }
    size_t sections;
    return elf_getshdrnum(elf, &sections) == 0 && sections > 0; // stripped of all headers: it is a program
}

static void read_layout(struct ht_elf *module, Elf *elf)
{
    size_t headers = 0, count = 0;
    if (elf == NULL || elf_getphdrnum(elf, &headers) != 0)
        headers = 0;
    struct ht_segment *segments = ht_alloc_zero(headers, sizeof *segments);
    for (size_t i = 0; i < headers; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, (int)i, &header) != NULL && header.p_type == PT_LOAD)
            segments[count++] = (struct ht_segment){.address = header.p_vaddr,
                                                    .offset = header.p_offset,
                                                    .file_bytes = header.p_filesz,
                                                    .memory_bytes = header.p_memsz,
                                                    .flags = header.p_flags};
    }
    module->layout = (struct ht_layout){
        .segments = segments, .segment_count = count, .is_debug_only = elf != NULL && has_no_code(elf)};
}

static struct ht_elf *looking_for; // whose debug info libdwfl is looking for; the reader has one thread

// The checksum of .gnu_debuglink.
static uint32_t checksum_of(int fd)
{
    unsigned char piece[1 << 16];
    uLong sum = crc32(0, NULL, 0);
    off_t at = 0;
    for (ssize_t got; (got = pread(fd, piece, sizeof piece, at)) > 0; at += got)
        sum = crc32(sum, piece, (uInt)got);
    return (uint32_t)sum;
}

// Is it this module's? By the build id where the module has one, as elfutils does.
static bool is_debug_file_of(Dwfl_Module *module, int fd, GElf_Word debug_link_crc)
{
    const unsigned char *bits;
    const void *others;
    GElf_Addr address;
    int length = dwfl_module_build_id(module, &bits, &address);
    if (length <= 0)
        return checksum_of(fd) == debug_link_crc;
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    bool result = elf != NULL && dwelf_elf_gnu_build_id(elf, &others) == length &&
                  memcmp(bits, others, (size_t)length) == 0;
    elf_end(elf);
    return result;
}

// The separate file, for libdwfl, which keeps the descriptor; for us its sections without compression.
static int find_debuginfo(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
                          const char *file_name, const char *debug_link, GElf_Word debug_link_crc,
                          char **ret_file_name)
{
    struct ht_elf *owner = looking_for;
    struct ht_wish wish = {HT_WISH_DEBUG, 0, debug_link != NULL ? debug_link : "", "",
                           owner != NULL ? owner->build_id : ""};
    int fd = HT_WISH_END;
    (void)user;
    (void)name;
    (void)base;
    (void)file_name;
    *ret_file_name = NULL;
    for (; owner != NULL && (fd = ht_wish_grant(&owner->wishes, &wish)) != HT_WISH_END; wish.ordinal++) {
        if (fd >= 0 && is_debug_file_of(module, fd, debug_link_crc))
            break;
        if (fd >= 0)
            close(fd);
    }
    if (fd < 0)
        return -1;
    if (owner->expanded == NULL)
        owner->expanded = ht_inflate_sections(fd, &owner->expanded_bytes, &owner->is_too_large);
    if (owner->debug_fd < 0)
        owner->debug_fd = dup(fd);
    return fd;
}

static void free_expanded(struct ht_elf *module)
{
    if (module->expanded != NULL)
        munmap(module->expanded, module->expanded_bytes);
    module->expanded = NULL;
}

// Needs a file that nothing was read of yet; the descriptor is libdwfl's if that succeeds.
static int report_file(struct ht_elf *module, const char *path, int fd)
{
    static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_build_id_find_elf, // never called: the file is there
        .find_debuginfo = find_debuginfo,
        .section_address = dwfl_offline_section_address,
    };
    struct stat stat_of;
    if (fstat(fd, &stat_of) != 0 || !S_ISREG(stat_of.st_mode))
        return ht_fail("not a file");
    module->expanded = ht_inflate_sections(fd, &module->expanded_bytes, &module->is_too_large);
    module->dwfl = dwfl_begin(&callbacks);
    if (module->dwfl == NULL)
        return ht_fail("libdwfl: %s", dwfl_errmsg(-1));
    dwfl_report_begin(module->dwfl);
    module->module = dwfl_report_elf(module->dwfl, path, path, fd, 0, true);
    if (module->module == NULL)
        return ht_fail("not an ELF file (%s)", dwfl_errmsg(-1));
    dwfl_report_end(module->dwfl, NULL, NULL);
    return 0;
}

int ht_elf_open(struct ht_elf *module, const char *path, int fd, const struct ht_wishes *wishes)
{
    *module = (struct ht_elf){.debug_fd = -1};
    if (report_file(module, path, fd) < 0) {
        close(fd);
        if (module->dwfl != NULL)
            dwfl_end(module->dwfl);
        free_expanded(module);
        return -1;
    }
    if (wishes != NULL)
        module->wishes = *wishes;
    GElf_Addr bias;
    Elf *elf = dwfl_module_getelf(module->module, &bias);
    read_layout(module, elf);
    read_build_id(module);
    return 0;
}

void ht_elf_close(struct ht_elf *module)
{
    ht_split_close(&module->split);
    if (module->dwarf_to_end != NULL)
        dwarf_end(module->dwarf_to_end);
    elf_end(module->expanded_elf);
    dwfl_end(module->dwfl);
    free_expanded(module);
    if (module->alternate != NULL) {
        dwarf_end(module->alternate);
        close(module->alternate_fd);
    }
    if (module->debug_fd >= 0)
        close(module->debug_fd);
    free(module->lost_alternate);
    free(module->build_id);
    free((void *)(uintptr_t)module->layout.segments);
    free(module->symbols);
    free(module->frames);
    ht_arena_free(&module->names);
    *module = (struct ht_elf){.debug_fd = -1};
}

static const uint64_t page_mask = 0xfff; // segments are mapped by pages of at least this size

// A debug file's executable segment that fits the mapping best.
static bool address_in_debug_file(const struct ht_layout *layout, uint64_t start, uint64_t limit,
                                  uint64_t address, uint64_t *ret_address)
{
    bool found = false;
    for (size_t i = 0; i < layout->segment_count; i++) {
        const struct ht_segment *segment = &layout->segments[i];
        if (!(segment->flags & PF_X))
            continue;
        uint64_t first = segment->address & ~page_mask;
        uint64_t size = ((segment->address + segment->memory_bytes + page_mask) & ~page_mask) - first;
        if (found && size != limit - start)
            continue;
        *ret_address = address - start + first;
        found = true;
        if (size == limit - start)
            break;
    }
    return found;
}

// What some writers have in place of the kernel's mappings: addresses of the file itself, in one mapping of
// everything (0 to 0 or to the end), or one mapping for the whole program in memory. True if so; *ret_address
// is then in an executable part, or the answer is that it is in none.
static bool address_in_whole_file(const struct ht_layout *layout, uint64_t start, uint64_t limit,
                                  uint64_t address, uint64_t *ret_address, bool *ret_found)
{
    uint64_t first = UINT64_MAX, end = 0;
    for (size_t i = 0; i < layout->segment_count; i++) {
        const struct ht_segment *segment = &layout->segments[i];
        uint64_t segment_end = (segment->address + segment->memory_bytes + page_mask) & ~page_mask;
        first = (segment->address & ~page_mask) < first ? segment->address & ~page_mask : first;
        end = segment_end > end ? segment_end : end;
    }
    bool is_own = start == 0 && (limit == 0 || limit >= INT64_MAX);
    if (!is_own && (layout->segment_count < 2 || limit <= start || limit - start < end - first))
        return false;
    uint64_t own = is_own ? address : address - start + first;
    *ret_found = false;
    for (size_t i = 0; i < layout->segment_count; i++) {
        const struct ht_segment *segment = &layout->segments[i];
        if ((segment->flags & PF_X) && own >= segment->address &&
            own - segment->address < segment->memory_bytes)
            *ret_found = true;
    }
    if (*ret_found)
        *ret_address = own;
    return true;
}

bool ht_layout_address(const struct ht_layout *layout, uint64_t start, uint64_t limit, uint64_t offset,
                       uint64_t address, uint64_t *ret_address)
{
    bool is_found;
    if (address < start || (limit != 0 && address >= limit))
        return false;
    if (offset == 0 && address_in_whole_file(layout, start, limit, address, ret_address, &is_found))
        return is_found;
    if (layout->is_debug_only)
        return address_in_debug_file(layout, start, limit, address, ret_address);
    uint64_t in_file = address - start + offset;
    bool found = false;
    for (size_t i = 0; i < layout->segment_count; i++) {
        const struct ht_segment *segment = &layout->segments[i];
        uint64_t first = segment->offset & ~page_mask;
        uint64_t end = (segment->offset + segment->file_bytes + page_mask) & ~page_mask;
        if (in_file < first || in_file >= end || (found && !(segment->flags & PF_X)))
            continue;
        *ret_address = in_file - segment->offset + segment->address; // wraps right below the offset, too
        found = true;
        if (segment->flags & PF_X)
            break;
    }
    return found;
}

static int compare_symbols(const void *left, const void *right)
{
    const struct ht_symbol *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    size_t length_a = strlen(a->name), length_b = strlen(b->name);
    if (length_a != length_b)
        return length_a > length_b ? -1 : 1; // the shortest is the last, and wins
    return -strcmp(a->name, b->name);
}

// Of several names at one address (malloc, __libc_malloc): sized, global, with few underscores in front.
static int rank_of(const GElf_Sym *symbol, const char *name)
{
    int binding = GELF_ST_BIND(symbol->st_info) == STB_GLOBAL ? 2
                  : GELF_ST_BIND(symbol->st_info) == STB_WEAK ? 1
                                                              : 0;
    int underscores = (int)strspn(name, "_");
    bool is_mangled = strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0;
    return (symbol->st_size > 0) * 100 + binding * 20 - (is_mangled ? 0 : underscores > 9 ? 9 : underscores);
}

static void add_symbol(struct ht_elf *module, const struct ht_symbol *symbol)
{
    HT_RESERVE(module->symbols, module->symbol_capacity, module->symbol_count + 1);
    module->symbols[module->symbol_count++] = *symbol;
}

// Where the section of a symbol ends: one without a size reaches no further.
static uint64_t limit_of(Elf *elf, GElf_Word section, const GElf_Sym *symbol, GElf_Addr address)
{
    GElf_Shdr header;
    Elf_Scn *found = elf != NULL && section < SHN_LORESERVE ? elf_getscn(elf, section) : NULL;
    if (symbol->st_size > 0)
        return address + symbol->st_size;
    if (found == NULL || gelf_getshdr(found, &header) == NULL)
        return UINT64_MAX;
    return header.sh_addr + header.sh_size + (address - symbol->st_value);
}

static void add_stub(void *context, uint64_t start, uint64_t end, const char *name)
{
    struct ht_elf *module = context;
    char *text = ht_format("%s@plt", name);
    add_symbol(module,
               &(struct ht_symbol){start, end, end, ht_arena_copy(&module->names, text, strlen(text)), 0});
    free(text);
}

// Below all symbols of the same place.
static void add_go_function(void *context, uint64_t start, uint64_t end, const char *name)
{
    add_symbol(context, &(struct ht_symbol){start, end, end, name, INT32_MIN});
}

static void load_symbols(struct ht_elf *module)
{
    module->symbols_loaded = true;
    int count = dwfl_module_getsymtab(module->module);
    for (int i = 1; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr address, bias;
        GElf_Word section;
        Elf *elf;
        const char *name =
            dwfl_module_getsym_info(module->module, i, &symbol, &address, &section, &elf, &bias);
        int type = GELF_ST_TYPE(symbol.st_info);
        if (name == NULL || name[0] == '\0' || name[0] == '$' || section == SHN_UNDEF || section == SHN_ABS ||
            (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE))
            continue;
        add_symbol(module, &(struct ht_symbol){address, address + symbol.st_size,
                                               limit_of(elf, section, &symbol, address), name,
                                               rank_of(&symbol, name)});
    }
    GElf_Addr bias;
    Elf *elf = dwfl_module_getelf(module->module, &bias);
    if (elf != NULL) {
        ht_plt_each(elf, add_stub, module);
        ht_gopclntab_each(elf, add_go_function, module);
    }
    if (module->symbol_count > 0)
        qsort(module->symbols, module->symbol_count, sizeof *module->symbols, compare_symbols);
}

const struct ht_symbol *ht_elf_symbol(struct ht_elf *module, uint64_t address)
{
    enum {
        LOOK_BACK = 16
    }; // a symbol inside another one (a label in assembly) may end before the outer does
    if (!module->symbols_loaded)
        load_symbols(module);
    size_t low = 0, high = module->symbol_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (module->symbols[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t back = 1; back <= LOOK_BACK && back <= low; back++) {
        const struct ht_symbol *symbol = &module->symbols[low - back];
        if (address < symbol->end)
            return symbol;
        if (symbol->start == symbol->end && back == 1 && address < symbol->limit)
            return symbol;
    }
    return NULL;
}

// Answers without debug info: the symbol alone.
static void resolve_by_symbol(struct ht_elf *module, struct ht_query *query)
{
    const struct ht_symbol *symbol = ht_elf_symbol(module, query->address);
    if (symbol == NULL)
        return;
    HT_RESERVE(module->frames, module->frame_capacity, module->frame_count + 1);
    query->first_frame = (uint32_t)module->frame_count++;
    query->frame_count = 1;
    module->frames[query->first_frame] = (struct ht_frame){.symbol = symbol->name};
}

// Debug sections that libelf and libdw left as they are: compressed in a way that they do not know (zstd
// before elfutils 0.190).
static bool has_compressed(Elf *elf)
{
    GElf_Shdr header;
    const char *name;
    Elf_Scn *section = NULL;
    while (elf != NULL && (section = ht_section_next(elf, section, &header, &name)) != NULL) {
        GElf_Chdr compression;
        if (strncmp(name, ".debug_", 7) == 0 && (header.sh_flags & SHF_COMPRESSED) &&
            gelf_getchdr(section, &compression) != NULL && compression.ch_type != ELFCOMPRESS_ZLIB &&
            elf_compress(section, 0, 0) < 0)
            return true;
    }
    return false;
}

// The separate file has them, or the program itself.
static bool has_unreadable(struct ht_elf *module)
{
    GElf_Addr bias;
    if (module->dwarf != NULL)
        return has_compressed(dwarf_getelf(module->dwarf));
    if (has_compressed(dwfl_module_getelf(module->module, &bias)))
        return true;
    Elf *elf = module->debug_fd >= 0 ? elf_begin(module->debug_fd, ELF_C_READ, NULL) : NULL;
    bool result = has_compressed(elf);
    elf_end(elf);
    return result;
}

static bool has_build_id(Dwarf *dwarf, const void *bits, ssize_t length)
{
    const void *others;
    return dwarf != NULL && dwelf_elf_gnu_build_id(dwarf_getelf(dwarf), &others) == length &&
           memcmp(bits, others, (size_t)length) == 0;
}

// What dwz moved out of the debug info into a file for several. libdw would take whatever is at its name.
static void find_alternate(struct ht_elf *module)
{
    char build_id[HT_BUILD_ID_TEXT_BYTES];
    const void *bits;
    const char *name;
    ssize_t length = dwelf_dwarf_gnu_debugaltlink(module->dwarf, &name, &bits);
    if (length <= 0 || length > (HT_BUILD_ID_TEXT_BYTES - 1) / 2)
        return;
    ht_elf_build_id_text(bits, (size_t)length, build_id);
    struct ht_wish wish = {HT_WISH_ALTERNATE, 0, name, "", build_id};
    for (int fd; (fd = ht_wish_grant(&module->wishes, &wish)) != HT_WISH_END; wish.ordinal++) {
        Dwarf *alternate = fd >= 0 ? dwarf_begin(fd, DWARF_C_READ) : NULL;
        if (has_build_id(alternate, bits, length)) {
            module->alternate = alternate;
            module->alternate_fd = fd;
            dwarf_setalt(module->dwarf, alternate);
            return;
        }
        dwarf_end(alternate);
        if (fd >= 0)
            close(fd);
    }
    module->lost_alternate = ht_format("%s (build id %.16s...)", name, build_id);
    module->dwarf = NULL; // without it half of the names would be unknown
}

static void load_dwarf(struct ht_elf *module)
{
    dwfl_module_getsymtab(module->module); // in a stripped file this finds the separate one
    if (module->expanded != NULL)
        module->expanded_elf = elf_memory(module->expanded, module->expanded_bytes);
    if (module->expanded_elf != NULL)
        module->dwarf = module->dwarf_to_end = dwarf_begin_elf(module->expanded_elf, DWARF_C_READ, NULL);
    if (module->dwarf == NULL && !module->is_too_large) {
        Dwarf_Addr bias;
        module->dwarf = dwfl_module_getdwarf(module->module, &bias); // libdwfl ends it
        module->dwarf_bias = module->dwarf != NULL ? bias : 0;
    }
}

Dwarf *ht_elf_dwarf(struct ht_elf *module)
{
    if (module->dwarf_tried)
        return module->dwarf;
    module->dwarf_tried = true;
    looking_for = module;
    load_dwarf(module);
    looking_for = NULL;
    module->has_zstd = has_unreadable(module);
    if (module->has_zstd) // with a part of it, an inlined function could pass for another
        module->dwarf = NULL;
    if (module->dwarf != NULL)
        find_alternate(module);
    return module->dwarf;
}

char *ht_elf_lacks(struct ht_elf *module)
{
    const struct ht_split *split = &module->split;
    if (module->is_too_large)
        return ht_strdup("compressed sections that would become larger than a file of its size may");
    if (module->has_zstd)
        return ht_strdup(
            "sections compressed with zstd ('objcopy --decompress-debug-sections FILE' expands them)");
    if (!ht_elf_may_step(module, 0))
        return ht_strdup("more ranges of addresses than are looked at");
    if (module->lost_alternate != NULL)
        return ht_strdup(module->lost_alternate);
    if (split->missing_count > 1)
        return ht_format("%s and %zu more files (or a .dwp of them)", split->missing,
                         split->missing_count - 1);
    return split->missing_count > 0 ? ht_format("%s (or a .dwp of it)", split->missing) : NULL;
}

void ht_elf_resolve(struct ht_elf *module, struct ht_query *queries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        queries[i].frame_count = 0;
    ht_elf_resolve_dwarf(module, queries, count);
    for (size_t i = 0; i < count; i++)
        if (queries[i].frame_count == 0)
            resolve_by_symbol(module, &queries[i]);
}
