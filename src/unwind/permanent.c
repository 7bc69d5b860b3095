// The objects that can never be unloaded, found once, at load: the program, preloaded libraries, and what
// they need.
#include "unwind/objects.h"

#include "sys/io.h"
#include "sys/raw.h"
#include "unwind/describe.h"
#include "unwind/own_maps.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define NAMES_BYTES 16384u

static char
    ht_names[NAMES_BYTES]; // absolute paths of permanent objects that the loader knows by a relative one
static size_t ht_names_used_bytes;

// The absolute path of a permanent object, in memory that stays.
static const char *ht_absolute_path(uintptr_t address, const char *name)
{
    struct ht_maps_line line;
    uintptr_t image;
    if (name[0] == '/' || !ht_own_maps_open()) {
        return name;
    }
    const char *path = name;
    if (ht_own_maps_find(address, &line, &image) && line.path[0] == '/') {
        size_t bytes = strlen(line.path) + 1;
        if (bytes <= NAMES_BYTES - ht_names_used_bytes) {
            path = memcpy(ht_names + ht_names_used_bytes, line.path, bytes);
            ht_names_used_bytes += bytes;
        }
    }
    ht_own_maps_close();
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
    return ht_object_hash(HT_OBJECT_HASH_SEED, name + skipped, length - skipped);
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
    ht_object_fill(&object, info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum);
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
                        object.start == ht_object_page_down(getauxval(AT_SYSINFO_EHDR)),
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
    ht_object_fill(&object, loaded->bias, loaded->headers, loaded->header_count);
    if (object.segment_count == 0) {
        return;
    }
    object.permanent = true;
    if (object.is_program && ht_objects_program_path[0] != '\0') {
        object.path = ht_objects_program_path;
    } else if (object.start == ht_object_page_down(getauxval(AT_SYSINFO_EHDR))) {
        object.path = "[vdso]";
    } else {
        object.path = ht_absolute_path(object.segments[0].start, loaded->path);
    }
    uintptr_t own = (uintptr_t)&ht_init_object;
    if (!object.is_program && own >= object.start && own < object.limit) {
        ht_objects_own_start = object.start;
        ht_objects_own_limit = object.limit;
    }
    ht_objects_add(&object);
}

void ht_objects_init(void *dl_find_object_fn,
                     bool (*seen)(const struct ht_module_desc *desc, int64_t *ret_delta))
{
    ht_objects_set_reporter(seen);
    long length = ht_raw4(SYS_readlinkat, HT_IO_CWD, (long)"/proc/self/exe", (long)ht_objects_program_path,
                          sizeof ht_objects_program_path - 1);
    ht_objects_program_path[length > 0 ? length : 0] = '\0';
    if (length <= 0) {
        const char *name = (const char *)getauxval(AT_EXECFN);
        strncpy(ht_objects_program_path, name != NULL ? name : "", sizeof ht_objects_program_path - 1);
    }
    ht_objects_set_finder(dl_find_object_fn);
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
