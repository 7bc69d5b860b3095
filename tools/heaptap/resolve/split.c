// Makes of what belongs to one unit, wherever it lies, a file in memory that libdw reads as if it were not
// split: the unit's own sections, its strings, and the addresses that the program has for it.
//
// DWARF 5, 7.3.5 says what a package (.dwp) looks like; GNU's for DWARF 4 is its ancestor.
#include "resolve/split.h"

#include "base/error.h"
#include "resolve/elf.h"
#include "resolve/sections.h"

#include <dwarf.h>
#include <gelf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, MAP_FROM_BYTES = 64 << 10, PIECES = 8 };

struct ht_split_unit {
    char *image;
    size_t bytes;
    Elf *elf;
    Dwarf *dwarf;
};

// The sections of the file to be made.
struct pieces {
    struct ht_split_section items[PIECES];
    size_t count;
};

static void add_piece(struct pieces *pieces, const char *name, int fd, uint64_t offset, uint64_t bytes)
{
    if (bytes > 0 && pieces->count < PIECES)
        pieces->items[pieces->count++] = (struct ht_split_section){name, fd, offset, bytes};
}

// Appends to the module's file in memory; returns where.
static uint64_t remember(struct ht_split *split, const void *bytes, uint64_t length)
{
    uint64_t at = split->memory_bytes;
    if (split->memory_fd <= 0)
        split->memory_fd = memfd_create("heaptap-split", MFD_CLOEXEC);
    for (uint64_t done = 0; done < length;) {
        ssize_t wrote =
            pwrite(split->memory_fd, (const char *)bytes + done, length - done, (off_t)(at + done));
        if (wrote <= 0)
            return at; // reads as zeros, or not at all
        done += (uint64_t)wrote;
    }
    split->memory_bytes = (at + length + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    return at;
}

// The next section of this name with content, from the start for NULL.
static Elf_Scn *next_section(Elf *elf, Elf_Scn *section, const char *name, GElf_Shdr *ret_header)
{
    const char *own;
    while ((section = ht_section_next(elf, section, ret_header, &own)) != NULL)
        if (strcmp(own, name) == 0 && ret_header->sh_type != SHT_NOBITS)
            return section;
    return NULL;
}

// A section's content, expanded.
static Elf_Data *content_of(Elf_Scn *section, const GElf_Shdr *header)
{
    if ((header->sh_flags & SHF_COMPRESSED) && elf_compress(section, 0, 0) < 0)
        return NULL;
    Elf_Data *data = elf_getdata(section, NULL);
    return data != NULL && data->d_buf != NULL ? data : NULL;
}

// A section's bytes: where they are in the file itself, or copied when they are compressed there or in
// several sections of the name (gcc parts units of types so). False: there are none.
static bool find_bytes(struct ht_split *split, Elf *elf, int fd, const char *name,
                       struct ht_split_section *ret_piece)
{
    GElf_Shdr header, other;
    Elf_Scn *section = next_section(elf, NULL, name, &header);
    if (section == NULL)
        return false;
    *ret_piece = (struct ht_split_section){name, fd, header.sh_offset, header.sh_size};
    if (!(header.sh_flags & SHF_COMPRESSED) && next_section(elf, section, name, &other) == NULL)
        return true;
    struct ht_buffer all = {0};
    for (; section != NULL; section = next_section(elf, section, name, &header)) {
        Elf_Data *data = content_of(section, &header);
        if (data != NULL)
            ht_buffer_add(&all, data->d_buf, data->d_size);
    }
    uint64_t at = remember(split, all.data, all.length);
    *ret_piece = (struct ht_split_section){name, split->memory_fd, at, all.length};
    ht_buffer_free(&all);
    return true;
}

static const struct {
    const char *from, *name;
    unsigned column, older_column; // in the index of a package of DWARF 5, of DWARF 4; 0: not parted by unit
} sections[HT_SPLIT_SECTIONS] = {
    {".debug_info.dwo", ".debug_info", 1, 1},
    {".debug_abbrev.dwo", ".debug_abbrev", 3, 3},
    {".debug_line.dwo", ".debug_line", 4, 4},
    {".debug_str_offsets.dwo", ".debug_str_offsets", 6, 6},
    {".debug_rnglists.dwo", ".debug_rnglists", 8, UINT32_MAX},
    {".debug_str.dwo", ".debug_str", 0, 0},
};

// The index of a package: a hash table of units, and for each what it has of which section.
struct package_index {
    const uint8_t *bytes;
    uint64_t size;
    uint32_t version, columns, units, slots;
};

static uint64_t index_number(const struct package_index *index, uint64_t offset, unsigned bytes)
{
    uint64_t value = 0;
    if (offset <= index->size && bytes <= index->size - offset)
        memcpy(&value, index->bytes + offset, bytes);
    return value;
}

// The row of a unit from 1 on, 0: it is not there.
static uint32_t row_of(const struct package_index *index, uint64_t id)
{
    uint64_t mask = index->slots - 1, slot = id & mask, step = (id >> 32 & mask) | 1;
    for (uint32_t tries = 0; tries < index->slots; tries++, slot = (slot + step) & mask) {
        uint64_t row = index_number(index, 16 + (uint64_t)index->slots * 8 + slot * 4, 4);
        if (row == 0 || row > index->units)
            return 0;
        if (index_number(index, 16 + slot * 8, 8) == id)
            return (uint32_t)row;
    }
    return 0;
}

static bool read_index(Elf *dwp, struct package_index *index)
{
    GElf_Shdr header;
    Elf_Scn *section = next_section(dwp, NULL, ".debug_cu_index", &header);
    Elf_Data *data = section != NULL ? content_of(section, &header) : NULL;
    if (data == NULL)
        return false;
    *index = (struct package_index){.bytes = data->d_buf, .size = data->d_size};
    index->version = (uint32_t)index_number(index, 0, 2);
    index->columns = (uint32_t)index_number(index, 4, 4);
    index->units = (uint32_t)index_number(index, 8, 4);
    index->slots = (uint32_t)index_number(index, 12, 4);
    return index->slots > 0 && (index->slots & (index->slots - 1)) == 0 && index->columns <= 16;
}

// What the package has for a unit.
static bool pieces_of_package(struct ht_split *split, uint64_t id, struct pieces *pieces)
{
    struct package_index index;
    if (split->dwp == NULL || !read_index(split->dwp, &index))
        return false;
    uint32_t row = row_of(&index, id);
    uint64_t names = 16 + (uint64_t)index.slots * 12, row_bytes = (uint64_t)index.columns * 4;
    uint64_t offsets = names + row_bytes * row, sizes = offsets + row_bytes * index.units;
    for (size_t i = 0; i < HT_SPLIT_SECTIONS && row > 0; i++) {
        const struct ht_split_section piece = split->package[i];
        uint32_t wanted = index.version >= 5 ? sections[i].column : sections[i].older_column;
        if (wanted == 0)
            add_piece(pieces, sections[i].name, piece.fd, piece.offset, piece.bytes);
        for (uint32_t column = 0; column < index.columns && wanted != 0; column++) {
            uint64_t offset = index_number(&index, offsets + column * UINT64_C(4), 4);
            uint64_t bytes = index_number(&index, sizes + column * UINT64_C(4), 4);
            if (index_number(&index, names + column * UINT64_C(4), 4) == wanted && offset <= piece.bytes &&
                bytes <= piece.bytes - offset)
                add_piece(pieces, sections[i].name, piece.fd, piece.offset + offset, bytes);
        }
    }
    return row > 0;
}

// What a .dwo file has.
static void pieces_of_file(struct ht_split *split, Elf *elf, int fd, struct pieces *pieces)
{
    for (size_t i = 0; i < HT_SPLIT_SECTIONS; i++) {
        struct ht_split_section piece;
        if (find_bytes(split, elf, fd, sections[i].from, &piece))
            add_piece(pieces, sections[i].name, piece.fd, piece.offset, piece.bytes);
    }
}

static uint64_t base_of(Dwarf_Die *skeleton, unsigned name, unsigned gnu_name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value;
    if ((dwarf_attr(skeleton, name, &attribute) == NULL &&
         dwarf_attr(skeleton, gnu_name, &attribute) == NULL) ||
        dwarf_formudata(&attribute, &value) != 0)
        return 0;
    return value;
}

// The unit's addresses as they count from `base`, copied: its lists of ranges do so, and libdw cannot know
// the base, which is in the program. Each address that the unit uses takes it a byte to name, at least.
static void add_relative(struct ht_split *split, uint64_t at, uint64_t bytes, uint64_t base,
                         struct pieces *pieces)
{
    uint64_t limit = pieces->count > 0 ? pieces->items[0].bytes * sizeof base : 0;
    bytes = bytes < limit ? bytes : limit;
    uint64_t *addresses = ht_alloc(bytes);
    ssize_t got = pread(split->memory_fd, addresses, bytes, (off_t)at);
    size_t count = got > 0 ? (size_t)got / sizeof base : 0;
    for (size_t i = 0; i < count; i++)
        addresses[i] -= base;
    uint64_t copy = remember(split, addresses, count * sizeof base);
    add_piece(pieces, ".debug_addr", split->memory_fd, copy, count * sizeof base);
    free(addresses);
}

// The program's part: from the unit's first address on, and its ranges. Behind what the unit itself has.
static void pieces_of_program(struct ht_split *split, Dwarf_Die *skeleton, struct pieces *pieces)
{
    uint64_t address = base_of(skeleton, DW_AT_addr_base, DW_AT_GNU_addr_base);
    uint64_t ranges = base_of(skeleton, DW_AT_GNU_ranges_base, DW_AT_GNU_ranges_base);
    Dwarf_Addr base;
    if (dwarf_lowpc(skeleton, &base) != 0)
        base = 0;
    if (address < split->address_bytes && base != 0)
        add_relative(split, split->address_at + address, split->address_bytes - address, base, pieces);
    else if (address < split->address_bytes)
        add_piece(pieces, ".debug_addr", split->memory_fd, split->address_at + address,
                  split->address_bytes - address);
    if (ranges < split->ranges_bytes)
        add_piece(pieces, ".debug_ranges", split->memory_fd, split->ranges_at + ranges,
                  split->ranges_bytes - ranges);
}

// Fills [at, at + bytes) of the image, where `at` has the offset's place in its page.
static bool fill(char *image, uint64_t at, const struct ht_split_section *piece)
{
    struct stat stat_of;
    if (fstat(piece->fd, &stat_of) != 0 || piece->offset > (uint64_t)stat_of.st_size ||
        piece->bytes > (uint64_t)stat_of.st_size - piece->offset)
        return false;
    uint64_t before = piece->offset % PAGE;
    if (piece->bytes >= MAP_FROM_BYTES)
        return mmap(image + at - before, piece->bytes + before, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_FIXED, piece->fd, (off_t)(piece->offset - before)) != MAP_FAILED;
    for (uint64_t done = 0; done < piece->bytes;) {
        ssize_t got = pread(piece->fd, image + at + done, piece->bytes - done, (off_t)(piece->offset + done));
        if (got <= 0)
            return false;
        done += (uint64_t)got;
    }
    return true;
}

// Makes the file: header, section headers and their names on the first page, then each section on its own.
static bool make_image(const struct pieces *pieces, unsigned machine, struct ht_split_unit *unit)
{
    uint64_t at[PIECES], end = PAGE;
    for (size_t i = 0; i < pieces->count; i++) {
        at[i] = end + pieces->items[i].offset % PAGE;
        if (__builtin_add_overflow(at[i] + PAGE - 1, pieces->items[i].bytes, &end))
            return false;
        end &= ~(uint64_t)(PAGE - 1);
    }
    char *image = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (image == MAP_FAILED)
        return false;
    unit->image = image;
    unit->bytes = end;
    Elf64_Ehdr *header = (void *)image;
    Elf64_Shdr *headers = (void *)(image + sizeof *header);
    size_t count = pieces->count + 2, names = sizeof *header + count * sizeof *headers, length = 1;
    for (size_t i = 0; i < pieces->count; i++) {
        const struct ht_split_section *piece = &pieces->items[i];
        headers[i + 1] = (Elf64_Shdr){.sh_name = (Elf64_Word)length,
                                      .sh_type = SHT_PROGBITS,
                                      .sh_offset = at[i],
                                      .sh_size = piece->bytes,
                                      .sh_addralign = 1};
        strcpy(image + names + length, piece->name);
        length += strlen(piece->name) + 1;
        if (!fill(image, at[i], piece))
            return false;
    }
    strcpy(image + names + length, ".shstrtab");
    headers[count - 1] = (Elf64_Shdr){.sh_name = (Elf64_Word)length,
                                      .sh_type = SHT_STRTAB,
                                      .sh_offset = names,
                                      .sh_size = length + sizeof ".shstrtab",
                                      .sh_addralign = 1};
    *header = (Elf64_Ehdr){.e_type = ET_EXEC,
                           .e_machine = (Elf64_Half)machine,
                           .e_version = EV_CURRENT,
                           .e_shoff = sizeof *header,
                           .e_ehsize = sizeof *header,
                           .e_shentsize = sizeof *headers,
                           .e_shnum = (Elf64_Half)count,
                           .e_shstrndx = (Elf64_Half)(count - 1)};
    memcpy(header->e_ident, ELFMAG, SELFMAG);
    header->e_ident[EI_CLASS] = ELFCLASS64;
    header->e_ident[EI_DATA] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
    header->e_ident[EI_VERSION] = EV_CURRENT;
    return true;
}

static void close_unit(struct ht_split_unit *unit)
{
    dwarf_end(unit->dwarf);
    elf_end(unit->elf);
    if (unit->image != NULL)
        munmap(unit->image, unit->bytes);
}

// Opens what was put together and finds the unit of this id in it.
static bool open_unit(struct ht_elf *module, const struct pieces *pieces, uint64_t id, Dwarf_Die *ret_unit)
{
    struct ht_split *split = &module->split;
    struct ht_split_unit unit = {0};
    GElf_Ehdr header;
    bool is_made = gelf_getehdr(dwarf_getelf(module->dwarf), &header) != NULL &&
                   header.e_ident[EI_CLASS] == ELFCLASS64 && make_image(pieces, header.e_machine, &unit);
    if (is_made)
        unit.elf = elf_memory(unit.image, unit.bytes);
    if (unit.elf != NULL)
        unit.dwarf = dwarf_begin_elf(unit.elf, DWARF_C_READ, NULL);
    Dwarf_CU *cu = NULL;
    Dwarf_Die die;
    uint8_t type;
    while (unit.dwarf != NULL && dwarf_get_units(unit.dwarf, cu, &cu, NULL, &type, &die, NULL) == 0) {
        uint64_t own;
        if (type != DW_UT_split_compile || dwarf_cu_info(cu, NULL, NULL, NULL, NULL, &own, NULL, NULL) != 0 ||
            own != id)
            continue;
        HT_RESERVE(split->units, split->unit_capacity, split->unit_count + 1);
        split->units[split->unit_count++] = unit;
        *ret_unit = die;
        return true;
    }
    close_unit(&unit);
    return false;
}

// fd is taken over.
static bool open_file(struct ht_elf *module, int fd, Dwarf_Die *skeleton, uint64_t id, Dwarf_Die *ret_unit)
{
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    struct pieces pieces = {0};
    if (elf != NULL) {
        pieces_of_file(&module->split, elf, fd, &pieces);
        pieces_of_program(&module->split, skeleton, &pieces);
    }
    bool found = pieces.count > 0 && open_unit(module, &pieces, id, ret_unit);
    elf_end(elf);
    close(fd);
    return found;
}

// A .dwo file by its name.
static bool find_file(struct ht_elf *module, Dwarf_Die *skeleton, const char *name, uint64_t id,
                      Dwarf_Die *ret_unit)
{
    Dwarf_Attribute attribute;
    const char *folder = dwarf_formstring(dwarf_attr(skeleton, DW_AT_comp_dir, &attribute));
    struct ht_wish wish = {HT_WISH_UNIT, 0, name, folder != NULL ? folder : "", ""};
    for (int fd; (fd = ht_wish_grant(&module->wishes, &wish)) != HT_WISH_END; wish.ordinal++)
        if (fd >= 0 && open_file(module, fd, skeleton, id, ret_unit))
            return true;
    return false;
}

static void open_package(struct ht_elf *module)
{
    struct ht_split *split = &module->split;
    struct ht_wish wish = {HT_WISH_PACKAGE, 0, "", "", module->build_id};
    do
        split->dwp_fd = ht_wish_grant(&module->wishes, &wish);
    while (wish.ordinal++, split->dwp_fd == HT_WISH_NOTHING);
    if (split->dwp_fd >= 0)
        split->dwp = elf_begin(split->dwp_fd, ELF_C_READ, NULL);
    for (size_t i = 0; i < HT_SPLIT_SECTIONS && split->dwp != NULL; i++)
        find_bytes(split, split->dwp, split->dwp_fd, sections[i].from, &split->package[i]);
}

static void remember_section(struct ht_elf *module, const char *name, uint64_t *ret_at, uint64_t *ret_bytes)
{
    GElf_Shdr header;
    Elf_Scn *section = next_section(dwarf_getelf(module->dwarf), NULL, name, &header);
    Elf_Data *data = section != NULL ? content_of(section, &header) : NULL;
    if (data == NULL)
        return;
    *ret_at = remember(&module->split, data->d_buf, data->d_size);
    *ret_bytes = data->d_size;
}

static const char *name_of(Dwarf_Die *skeleton)
{
    Dwarf_Attribute attribute;
    if (dwarf_attr(skeleton, DW_AT_dwo_name, &attribute) == NULL &&
        dwarf_attr(skeleton, DW_AT_GNU_dwo_name, &attribute) == NULL)
        return NULL;
    return dwarf_formstring(&attribute);
}

int ht_split_open(struct ht_elf *module, Dwarf_Die *skeleton, Dwarf_Die *ret_unit)
{
    struct ht_split *split = &module->split;
    const char *name = name_of(skeleton);
    uint64_t id;
    if (!split->is_ready) {
        split->is_ready = true;
        open_package(module);
        remember_section(module, ".debug_addr", &split->address_at, &split->address_bytes);
        remember_section(module, ".debug_ranges", &split->ranges_at, &split->ranges_bytes);
    }
    if (name == NULL || dwarf_cu_info(skeleton->cu, NULL, NULL, NULL, NULL, &id, NULL, NULL) != 0)
        return ht_fail("no split unit");
    struct pieces pieces = {0};
    if (pieces_of_package(split, id, &pieces)) {
        pieces_of_program(split, skeleton, &pieces);
        if (open_unit(module, &pieces, id, ret_unit))
            return 0;
    }
    if (find_file(module, skeleton, name, id, ret_unit))
        return 0;
    if (split->missing_count++ == 0)
        split->missing = ht_strdup(name);
    return ht_fail("%s is missing", name);
}

void ht_split_close(struct ht_split *split)
{
    for (size_t i = 0; i < split->unit_count; i++)
        close_unit(&split->units[i]);
    free(split->units);
    free(split->missing);
    elf_end(split->dwp);
    if (split->is_ready && split->dwp_fd >= 0)
        close(split->dwp_fd);
    if (split->memory_fd > 0)
        close(split->memory_fd);
}
