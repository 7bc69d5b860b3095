// Objects: a table of loaded ELF objects that is only ever appended to, checked against the loader where it
// can change.
//
// Invariants:
//  O1 a slot's plain fields are written between FREE or DEAD -> FILLING and the release of READY, by the
//  thread that made
//     that step; readers look at them only after an acquire of READY.
//  O2 a permanent object is READY for ever. Any other may have been unloaded since, and is trusted only in
//  the walk that
//     has checked it: a frame of that walk lies in it, so it stays loaded while the walk lasts.
//  O3 the same contents at the same place are one object, however often they are loaded: what is remembered
//  about its
//     code stays true.
#include "unwind/objects.h"

#include "sys/clock.h"
#include "sys/compiler.h"
#include "sys/io.h"
#include "sys/maps.h"
#include "unwind/memory.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define MAPS_BUFFER_BYTES 8192u
#define MAPS_EVERY_NS     UINT64_C(100000000) // looking for unknown code in /proc/self/maps is that rare
#define NAMES_BYTES       16384u

struct ht_object ht_objects[HT_OBJECT_MAX];
uint32_t ht_objects_seen[HT_OBJECT_MAX];
uint32_t ht_objects_seen_now = 2;
uintptr_t ht_objects_own_start, ht_objects_own_limit;

static struct {
    uintptr_t start, limit;
} ht_ranges[HT_OBJECT_MAX]; // copies, close together for the search
static uint32_t ht_object_count;
static bool (*ht_seen)(const struct ht_module_desc *desc, int64_t *ret_delta);
static char ht_program_path[4096];
static char
    ht_names[NAMES_BYTES]; // absolute paths of permanent objects that the loader knows by a relative one
static size_t ht_names_used_bytes;

// _dl_find_object of glibc 2.35 and later: lock-free, async-signal-safe; its structure has been fixed since.
struct ht_dl_found {
    unsigned long long flags;
    uintptr_t map_start, map_end;
    const struct link_map *map;
    uintptr_t table;
#if !defined(__x86_64__)
    uintptr_t unused_base;
#endif
    unsigned long long reserved[7];
};
static int (*ht_dl_find)(uintptr_t pc, struct ht_dl_found *ret_found);

static uintptr_t ht_page_down(uintptr_t address)
{
    static uintptr_t page_bytes;
    if (ht_unlikely(page_bytes == 0)) {
        page_bytes = getauxval(AT_PAGESZ);
        page_bytes = page_bytes != 0 ? page_bytes : HT_PAGE_BYTES;
    }
    return address & ~(page_bytes - 1);
}

static uintptr_t ht_page_up(uintptr_t address)
{
    uintptr_t down = ht_page_down(address);
    return down == address ? address : down + (ht_page_down(UINTPTR_MAX) ^ UINTPTR_MAX) + 1;
}

// ---- /proc/self/maps

// One reader at a time; a second one (another thread, a signal handler) goes without instead of waiting.
static struct {
    uint32_t busy;
    int fd;
    struct ht_maps_window window;
    uint64_t last_ns;
    char buffer[MAPS_BUFFER_BYTES];
} ht_maps;

static bool ht_maps_open(void)
{
    uint32_t idle = 0;
    if (!ht_cas_acqrel(&ht_maps.busy, &idle, 1)) {
        return false;
    }
    ht_maps.fd = ht_io_open(HT_IO_CWD, "/proc/self/maps", O_RDONLY, 0);
    ht_maps.window = ht_maps_window(ht_maps.buffer, sizeof ht_maps.buffer);
    if (ht_maps.fd < 0) {
        ht_store_release(&ht_maps.busy, 0);
        return false;
    }
    return true;
}

// The path of the last line stays readable until the next ht_maps_open of anybody: copy it before `busy` is
// released.
static void ht_maps_close(void)
{
    ht_io_close(ht_maps.fd);
    ht_store_release(&ht_maps.busy, 0);
}

static bool ht_maps_next(struct ht_maps_line *ret_line)
{
    while (!ht_maps_take(&ht_maps.window, ret_line)) {
        size_t room_bytes;
        char *at = ht_maps_room(&ht_maps.window, &room_bytes);
        long got = ht_io_read(ht_maps.fd, at, room_bytes);
        if (got <= 0) {
            return false;
        }
        ht_maps.window.end += (size_t)got;
    }
    return true;
}

// The mapping that contains `address` (its path lies in the buffer), and where the mapping of the beginning
// of the same file lies. The caller has the maps open.
static bool ht_maps_find(uintptr_t address, struct ht_maps_line *ret_line, uintptr_t *ret_image)
{
    struct ht_maps_line line;
    uintptr_t image = 0;
    uint64_t inode = 0;
    while (ht_maps_next(&line)) {
        if (line.file_offset == 0 && line.readable && line.path[0] != '\0') {
            image = line.start;
            inode = line.inode;
        }
        if (address >= line.start && address < line.limit) {
            *ret_line = line;
            *ret_image = line.path[0] != '\0' && line.inode == inode ? image : 0;
            return true;
        }
    }
    return false;
}

// ---- describing an object

static uint64_t ht_mix_bytes(uint64_t hash, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size_bytes; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3); // FNV-1a
    }
    return hash;
}

// Looks for NT_GNU_BUILD_ID in one PT_NOTE segment.
static void ht_find_build_id(struct ht_object *object, uintptr_t note, size_t size_bytes, size_t align_bytes)
{
    size_t align = align_bytes == 8 ? 7 : 3;
    size_t at = 0;
    while (size_bytes - at >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) head;
        memcpy(&head, (const void *)(note + at), sizeof head);
        size_t name = at + sizeof head;
        size_t desc = (name + head.n_namesz + align) & ~align;
        if (head.n_namesz > 4096 || head.n_descsz > 65536 || desc + head.n_descsz > size_bytes) {
            return;
        }
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && head.n_descsz > 0 &&
            head.n_descsz <= 64 && memcmp((const void *)(note + name), "GNU", 4) == 0) {
            object->build_id = note + desc;
            object->build_id_bytes = head.n_descsz;
            return;
        }
        at = (desc + head.n_descsz + align) & ~align;
        if (at > size_bytes) {
            return;
        }
    }
}

static void ht_add_segment(struct ht_object *object, uintptr_t bias, const ElfW(Phdr) * load)
{
    if (object->segment_count == HT_OBJECT_SEGMENTS) {
        return;
    }
    uint32_t i = object->segment_count++;
    uintptr_t start = ht_page_down(load->p_vaddr);
    object->segments[i].start = bias + start;
    object->segments[i].limit = bias + ht_page_up(load->p_vaddr + load->p_memsz);
    object->segments[i].file_offset = load->p_offset - (load->p_vaddr - start);
    object->segments[i].delta = 0;
}

// Fills in everything that program headers say. Context: hook; the headers and what they name as loaded are
// readable.
static void ht_fill_from_headers(struct ht_object *object, uintptr_t bias, const ElfW(Phdr) * headers,
                                 size_t count)
{
    memset(object, 0, sizeof *object);
    object->start = UINTPTR_MAX;
    for (size_t i = 0; i < count; i++) {
        const ElfW(Phdr) *h = &headers[i];
        if (h->p_type == PT_LOAD) {
            uintptr_t start = bias + ht_page_down(h->p_vaddr),
                      limit = bias + ht_page_up(h->p_vaddr + h->p_memsz);
            object->start = start < object->start ? start : object->start;
            object->limit = limit > object->limit ? limit : object->limit;
            if (h->p_flags & PF_X) {
                ht_add_segment(object, bias, h);
            }
        } else if (h->p_type == PT_GNU_EH_FRAME) {
            object->table = bias + h->p_vaddr;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const ElfW(Phdr) *h = &headers[i];
        uintptr_t start = bias + h->p_vaddr, limit = start + h->p_filesz;
        if (h->p_type == PT_LOAD && (h->p_flags & PF_R) && object->table >= start && object->table < limit) {
            object->table_lo = start;
            object->table_hi = limit;
        }
        bool mapped = start >= object->start && limit <= object->limit;
        if (h->p_type == PT_NOTE && object->build_id == 0 && mapped) {
            ht_find_build_id(object, start, h->p_filesz, h->p_align);
        }
    }
    if (object->table_hi == 0) {
        object->table = 0;
    }
    uintptr_t program = getauxval(AT_PHDR);
    object->is_program = program >= object->start && program < object->limit;
}

// The object whose file begins in memory at `image`, a readable page. False: that is no ELF image.
static bool ht_describe(uintptr_t image, const char *name, struct ht_object *ret_object)
{
    ElfW(Ehdr) head;
    memcpy(&head, (const void *)image, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
        head.e_phentsize != sizeof(ElfW(Phdr)) || head.e_phoff > HT_PAGE_BYTES || head.e_phoff % 8 != 0 ||
        head.e_phnum > (HT_PAGE_BYTES - head.e_phoff) / sizeof(ElfW(Phdr))) {
        return false;
    }
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(image + head.e_phoff);
    size_t first = 0;
    while (first < head.e_phnum && headers[first].p_type != PT_LOAD) {
        first++;
    }
    if (first == head.e_phnum) {
        return false;
    }
    ht_fill_from_headers(ret_object, image - ht_page_down(headers[first].p_vaddr), headers, head.e_phnum);
    uint64_t hash = ht_mix_bytes(UINT64_C(0xcbf29ce484222325), &head, sizeof head);
    hash = ht_mix_bytes(hash, &ret_object->start, 3 * sizeof(uintptr_t)); // start, limit, table
    if (ret_object->build_id != 0) {
        hash = ht_mix_bytes(hash, (const void *)ret_object->build_id, ret_object->build_id_bytes);
    } else {
        hash = ht_mix_bytes(hash, headers, head.e_phnum * sizeof *headers);
        size_t room = ret_object->table_hi - ret_object->table;
        if (ret_object->table != 0) {
            hash = ht_mix_bytes(hash, (const void *)ret_object->table, room < 256 ? room : 256);
        }
        hash = ht_mix_bytes(hash, name, strlen(name));
    }
    ret_object->identity = hash;
    return true;
}

// ---- the table

static uint32_t ht_search(uintptr_t pc)
{
    uint32_t count = ht_load_acquire(&ht_object_count); // pairs with the CAS in ht_take_slot
    for (uint32_t i = 0; i < count; i++) {
        if (pc >= ht_load_relaxed(&ht_ranges[i].start) && pc < ht_load_relaxed(&ht_ranges[i].limit) &&
            ht_load_acquire(&ht_objects[i].state) ==
                HT_OBJECT_READY) { // pairs with the release in ht_publish
            return i;
        }
    }
    return HT_OBJECT_NONE;
}

static void ht_mark_dead(uint32_t index)
{
    uint32_t ready = HT_OBJECT_READY;
    ht_cas_acqrel(&ht_objects[index].state, &ready, HT_OBJECT_DEAD);
}

// A slot in state FILLING: the next fresh one, else one whose object is gone.
static uint32_t ht_take_slot(void)
{
    uint32_t count = ht_load_relaxed(&ht_object_count);
    while (count < HT_OBJECT_MAX) {
        uint32_t empty = HT_OBJECT_FREE;
        if (ht_cas_acqrel(&ht_objects[count].state, &empty, HT_OBJECT_FILLING)) {
            uint32_t expected = count;
            ht_cas_acqrel(&ht_object_count, &expected, count + 1);
            return count;
        }
        // Somebody has taken it and not yet counted it: count for them.
        uint32_t expected = count;
        ht_cas_acqrel(&ht_object_count, &expected, count + 1);
        count = ht_load_relaxed(&ht_object_count);
    }
    for (uint32_t i = 0; i < HT_OBJECT_MAX; i++) {
        uint32_t dead = HT_OBJECT_DEAD;
        if (ht_cas_acqrel(&ht_objects[i].state, &dead, HT_OBJECT_FILLING)) {
            ht_add_relaxed(&ht_objects[i].generation, 1);
            ht_store_relaxed(&ht_objects_seen[i], 0);
            return i;
        }
    }
    return HT_OBJECT_NONE;
}

static void ht_publish(uint32_t index, const struct ht_object *object)
{
    struct ht_object *slot = &ht_objects[index];
    uint32_t generation = slot->generation;
    memcpy(slot, object, offsetof(struct ht_object, state));
    ht_store_relaxed(&slot->generation, generation);
    ht_store_relaxed(&ht_ranges[index].start, object->start);
    ht_store_relaxed(&ht_ranges[index].limit, object->limit);
    ht_store_release(&slot->state, HT_OBJECT_READY);
}

// Two threads that meet the same object at once may both add it; the recorder takes the second for the first.
static uint32_t ht_add(const struct ht_object *object)
{
    uint32_t count = ht_load_acquire(&ht_object_count);
    for (uint32_t i = 0; i < count; i++) {
        struct ht_object *old = &ht_objects[i];
        uint32_t state = ht_load_acquire(&old->state);
        if (state != HT_OBJECT_READY && state != HT_OBJECT_DEAD) {
            continue;
        }
        if (old->start == object->start && old->limit == object->limit && old->identity == object->identity &&
            !object->permanent) {
            uint32_t dead = HT_OBJECT_DEAD; // loaded again
            if (state == HT_OBJECT_READY || ht_cas_acqrel(&old->state, &dead, HT_OBJECT_READY)) {
                return i;
            }
        } else if (state == HT_OBJECT_READY && !old->permanent && old->start < object->limit &&
                   object->start < old->limit) {
            ht_mark_dead(i); // something else is at its place now
        }
    }
    uint32_t index = ht_take_slot();
    if (index != HT_OBJECT_NONE) {
        ht_publish(index, object);
    }
    return index;
}

static const char *ht_loader_name(const struct ht_dl_found *found)
{
    return found->map != NULL && found->map->l_name != NULL ? found->map->l_name : "";
}

// Asks the loader. False: no object of its.
static bool ht_ask_loader(uintptr_t pc, struct ht_dl_found *ret_found)
{
    return ht_dl_find(pc, ret_found) == 0;
}

static HT_COLD uint32_t ht_resolve_in_maps(uintptr_t pc)
{
    uint64_t now_ns = ht_clock_raw_monotonic_ns();
    uint64_t last_ns = ht_load_relaxed(&ht_maps.last_ns);
    if ((last_ns != 0 && now_ns - last_ns < MAPS_EVERY_NS) || !ht_maps_open()) {
        return HT_OBJECT_NONE;
    }
    ht_store_relaxed(&ht_maps.last_ns, now_ns);
    struct ht_maps_line line;
    uintptr_t image = 0;
    struct ht_object object;
    uint32_t index = HT_OBJECT_NONE;
    if (ht_maps_find(pc, &line, &image) && line.executable && image != 0 && ht_describe(image, "", &object) &&
        pc >= object.start && pc < object.limit) {
        index = ht_add(&object);
        // Each new object may bring others: they are found one by one without waiting.
        ht_store_relaxed(&ht_maps.last_ns, 0);
    }
    ht_maps_close();
    return index;
}

static HT_COLD uint32_t ht_resolve_changing(uintptr_t pc, uint32_t index)
{
    struct ht_object object;
    struct ht_dl_found found;
    if (ht_dl_find == NULL) {
        return ht_resolve_in_maps(pc);
    }
    if (!ht_ask_loader(pc, &found) || !ht_is_readable(found.map_start) ||
        !ht_describe(found.map_start, ht_loader_name(&found), &object)) {
        if (index != HT_OBJECT_NONE) {
            ht_mark_dead(index);
        }
        return HT_OBJECT_NONE;
    }
    return ht_add(&object);
}

// Without the loader's help: the page is asked about, then looked at.
static bool ht_check_image(const struct ht_object *known)
{
    struct ht_object object;
    return ht_is_readable(known->start) && ht_describe(known->start, "", &object) &&
           object.identity == known->identity;
}

bool ht_objects_check(uint32_t index, uintptr_t pc)
{
    const struct ht_object *known = &ht_objects[index];
    if (ht_load_acquire(&known->state) != HT_OBJECT_READY) {
        return false;
    }
    if (known->permanent) {
        return true;
    }
    bool same;
    struct ht_dl_found found;
    struct ht_object object;
    if (ht_dl_find == NULL) {
        same = ht_check_image(known);
    } else {
        same = ht_ask_loader(pc, &found) && found.map_start == known->start &&
               ht_page_up(found.map_end) == known->limit && found.table == known->table &&
               ht_describe(found.map_start, ht_loader_name(&found), &object) &&
               object.identity == known->identity;
    }
    if (!same) {
        ht_mark_dead(index);
    }
    return same;
}

uint32_t ht_objects_resolve(uintptr_t pc)
{
    uint32_t index = ht_search(pc);
    if (index != HT_OBJECT_NONE && ht_objects_check(index, pc)) {
        return index;
    }
    return ht_resolve_changing(pc, index);
}

bool ht_objects_is_code(uint32_t index, uintptr_t pc)
{
    const struct ht_object *object = &ht_objects[index];
    for (uint32_t i = 0; i < object->segment_count; i++) {
        if (pc >= object->segments[i].start && pc < object->segments[i].limit) {
            return true;
        }
    }
    return false;
}

// ---- reporting

static bool ht_report_segments(uint32_t index, const char *path, uint32_t now)
{
    struct ht_object *object = &ht_objects[index];
    bool moved = false;
    for (uint32_t i = 0; i < object->segment_count; i++) {
        struct ht_module_desc desc = {
            .start = object->segments[i].start,
            .limit = object->segments[i].limit,
            .file_offset = object->segments[i].file_offset,
            .path = path,
            .build_id = (const uint8_t *)object->build_id,
            .build_id_bytes = object->build_id_bytes,
            .is_program = object->is_program,
        };
        int64_t delta;
        if (!ht_seen(&desc, &delta)) {
            return false;
        }
        ht_store_relaxed(&object->segments[i].delta, delta);
        moved |= delta != 0;
    }
    ht_store_release(&ht_objects_seen[index], now + moved);
    return true;
}

// Objects whose absolute path the loader does not know: /proc/self/maps does.
static HT_COLD void ht_report_by_maps(uint32_t index, const char *name, uint32_t now)
{
    struct ht_maps_line line;
    uintptr_t image;
    if (!ht_maps_open()) {
        ht_report_segments(index, name, now);
        return;
    }
    bool found = ht_maps_find(ht_objects[index].start, &line, &image) && line.path[0] != '\0';
    ht_report_segments(index, found ? line.path : name, now);
    ht_maps_close();
}

static HT_COLD void ht_report_now(uint32_t index, uint32_t now)
{
    struct ht_object *object = &ht_objects[index];
    if (object->path != NULL) {
        ht_report_segments(index, object->path, now);
    } else if (object->is_program && ht_program_path[0] != '\0') {
        ht_report_segments(index, ht_program_path, now);
    } else {
        struct ht_dl_found found;
        const char *name = "";
        if (ht_dl_find != NULL && ht_ask_loader(object->segments[0].start, &found)) {
            name = ht_loader_name(&found);
        }
        if (name[0] == '/') {
            ht_report_segments(index, name, now);
        } else {
            ht_report_by_maps(index, name, now);
        }
    }
}

int64_t ht_objects_report(uint32_t index, uintptr_t pc)
{
    struct ht_object *object = &ht_objects[index];
    uint32_t now = ht_load_relaxed(&ht_objects_seen_now);
    uint32_t seen = ht_load_acquire(&ht_objects_seen[index]); // pairs with the release in ht_report_segments
    if (ht_unlikely((seen & ~1u) != now)) {
        if (ht_seen == NULL) {
            return 0;
        }
        ht_report_now(index, now);
        seen = ht_load_acquire(&ht_objects_seen[index]);
    }
    if (ht_likely(seen == now)) {
        return 0;
    }
    for (uint32_t i = 0; i < object->segment_count && (seen & ~1u) == now; i++) {
        if (pc >= object->segments[i].start && pc < object->segments[i].limit) {
            return ht_load_relaxed(&object->segments[i].delta);
        }
    }
    return 0;
}

void ht_objects_forget_modules(void)
{
    ht_add_relaxed(&ht_objects_seen_now, 2);
    ht_store_relaxed(&ht_maps.busy, 0); // its holder does not exist in a forked child
    uint32_t count = ht_load_acquire(&ht_object_count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t filling = HT_OBJECT_FILLING; // nor does who was filling this
        ht_cas_acqrel(&ht_objects[i].state, &filling, HT_OBJECT_DEAD);
    }
}

// ---- at load

// The absolute path of a permanent object, in memory that stays.
static const char *ht_absolute_path(uintptr_t address, const char *name)
{
    struct ht_maps_line line;
    uintptr_t image;
    if (name[0] == '/' || !ht_maps_open()) {
        return name;
    }
    const char *path = name;
    if (ht_maps_find(address, &line, &image) && line.path[0] == '/') {
        size_t bytes = strlen(line.path) + 1;
        if (bytes <= NAMES_BYTES - ht_names_used_bytes) {
            path = memcpy(ht_names + ht_names_used_bytes, line.path, bytes);
            ht_names_used_bytes += bytes;
        }
    }
    ht_maps_close();
    return path;
}

// What is loaded when the shim is: not all of it is permanent, for constructors that ran before may have
// dlopened. Permanent are the program, preloaded libraries, the vdso, and what these need, directly or not.
static struct ht_loaded {
    uintptr_t bias, dynamic, strings; // of its dynamic section; 0: none
    uintptr_t start, limit;
    uint64_t name; // hash of its DT_SONAME, or of its file's name
    const char *path;
    const ElfW(Phdr) * headers;
    uint16_t header_count;
    bool is_permanent, is_done;
} ht_loaded[HT_OBJECT_MAX];
static uint32_t ht_loaded_count;

// Of the part behind the last slash, up to `end` or the NUL.
static uint64_t ht_hash_name(const char *name, const char *end)
{
    size_t length = end != NULL ? (size_t)(end - name) : strlen(name);
    const char *slash = memrchr(name, '/', length);
    size_t skipped = slash != NULL ? (size_t)(slash + 1 - name) : 0;
    return ht_mix_bytes(UINT64_C(0xcbf29ce484222325), name + skipped, length - skipped);
}

// The string at `offset` of the object's dynamic strings; "" if that is not inside of it.
static const char *ht_dynamic_string(const struct ht_loaded *loaded, uint64_t offset)
{
    uintptr_t at = loaded->strings + offset;
    return loaded->strings != 0 && at >= loaded->start && at < loaded->limit ? (const char *)at : "";
}

static int ht_collect_object(struct dl_phdr_info *info, size_t size_bytes, void *arg)
{
    (void)size_bytes;
    (void)arg;
    if (ht_loaded_count == HT_OBJECT_MAX) {
        return 1;
    }
    struct ht_object object;
    ht_fill_from_headers(&object, info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum);
    struct ht_loaded *loaded = &ht_loaded[ht_loaded_count];
    uintptr_t own = (uintptr_t)&ht_collect_object;
    *loaded = (struct ht_loaded){
        .bias = info->dlpi_addr,
        .start = object.start,
        .limit = object.limit,
        .path = info->dlpi_name != NULL ? info->dlpi_name : "",
        .headers = info->dlpi_phdr,
        .header_count = info->dlpi_phnum,
        .is_permanent = ht_loaded_count == 0 || object.is_program ||
                        (own >= object.start && own < object.limit) ||
                        object.start == ht_page_down(getauxval(AT_SYSINFO_EHDR)),
    };
    ht_loaded_count++;
    loaded->name = ht_hash_name(loaded->path, NULL);
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC) {
            loaded->dynamic = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        }
    }
    uint64_t soname = 0;
    for (const ElfW(Dyn) *d = (const ElfW(Dyn) *)loaded->dynamic; d != NULL && d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_STRTAB) {
            loaded->strings =
                d->d_un.d_ptr + (d->d_un.d_ptr < loaded->bias ? loaded->bias : 0); // relocated by glibc
        } else if (d->d_tag == DT_SONAME) {
            soname = d->d_un.d_val;
        }
    }
    if (soname != 0) {
        loaded->name = ht_hash_name(ht_dynamic_string(loaded, soname), NULL);
    }
    return 0;
}

static void ht_mark_permanent(uint64_t name)
{
    for (uint32_t i = 0; i < ht_loaded_count; i++) {
        ht_loaded[i].is_permanent |= ht_loaded[i].name == name;
    }
}

static void ht_mark_preloaded(const char *list)
{
    while (list != NULL && *list != '\0') {
        const char *end = list + strcspn(list, " :");
        ht_mark_permanent(ht_hash_name(list, end));
        list = *end != '\0' ? end + 1 : end;
    }
}

// Marks what is needed by what is permanent, until nothing is added.
static void ht_mark_needed(void)
{
    bool again = true;
    while (again) {
        again = false;
        for (uint32_t i = 0; i < ht_loaded_count; i++) {
            struct ht_loaded *loaded = &ht_loaded[i];
            if (!loaded->is_permanent || loaded->is_done) {
                continue;
            }
            loaded->is_done = again = true;
            for (const ElfW(Dyn) *d = (const ElfW(Dyn) *)loaded->dynamic; d != NULL && d->d_tag != DT_NULL;
                 d++) {
                if (d->d_tag == DT_NEEDED) {
                    ht_mark_permanent(ht_hash_name(ht_dynamic_string(loaded, d->d_un.d_val), NULL));
                }
            }
        }
    }
}

static void ht_init_object(const struct ht_loaded *loaded)
{
    struct ht_object object;
    ht_fill_from_headers(&object, loaded->bias, loaded->headers, loaded->header_count);
    if (object.segment_count == 0) {
        return;
    }
    object.permanent = true;
    if (object.is_program && ht_program_path[0] != '\0') {
        object.path = ht_program_path;
    } else if (object.start == ht_page_down(getauxval(AT_SYSINFO_EHDR))) {
        object.path = "[vdso]";
    } else {
        object.path = ht_absolute_path(object.segments[0].start, loaded->path);
    }
    uintptr_t own = (uintptr_t)&ht_init_object;
    if (!object.is_program && own >= object.start && own < object.limit) {
        ht_objects_own_start = object.start;
        ht_objects_own_limit = object.limit;
    }
    ht_add(&object);
}

void ht_objects_set_reporter(bool (*seen)(const struct ht_module_desc *desc, int64_t *ret_delta))
{
    ht_seen = seen;
}

void ht_objects_init(void *dl_find_object_fn,
                     bool (*seen)(const struct ht_module_desc *desc, int64_t *ret_delta))
{
    ht_seen = seen;
    long length = ht_raw4(SYS_readlinkat, HT_IO_CWD, (long)"/proc/self/exe", (long)ht_program_path,
                          sizeof ht_program_path - 1);
    ht_program_path[length > 0 ? length : 0] = '\0';
    if (length <= 0) {
        const char *name = (const char *)getauxval(AT_EXECFN);
        strncpy(ht_program_path, name != NULL ? name : "", sizeof ht_program_path - 1);
    }
    memcpy(&ht_dl_find, &dl_find_object_fn, sizeof ht_dl_find);
    ht_loaded_count = 0;
    dl_iterate_phdr(ht_collect_object, NULL); // in the constructor only: the loader's lock is the caller's
    ht_mark_preloaded(secure_getenv("LD_PRELOAD"));
    ht_mark_needed();
    for (uint32_t i = 0; i < ht_loaded_count; i++) {
        if (ht_loaded[i].is_permanent) {
            ht_init_object(&ht_loaded[i]);
        }
    }
}
