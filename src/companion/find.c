// What stands behind the companion: looked up once, at load, by every row of the library that this is linked
// into.
#include "companion/hook.h"

#include "sys/libdl.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

extern const struct ht_row ht_rows_begin[] __asm__("__start_ht_rows") HT_HIDDEN;
extern const struct ht_row ht_rows_end[] __asm__("__stop_ht_rows") HT_HIDDEN;
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

static const uint8_t ht_always = 1, ht_never = 0;
static const uint32_t ht_no_mask;

struct ht_fast ht_fast = {.filter_bytes = &ht_always, .filter_mask = &ht_no_mask};
static bool ht_found; // release: all pointers are set
const struct ht_link *ht_link;
static const struct ht_link *ht_shim; // where there is one
static bool ht_records_operators;
static const void *ht_api, *ht_operator; // one of each, behind us

// The code of the object at this base, by its program headers in memory.
static struct ht_code_range ht_code_of(uintptr_t base)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)base;
    struct ht_code_range range = {0, 0};
    for (unsigned i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment = (const Elf64_Phdr *)(base + header->e_phoff) + i;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0) {
            uintptr_t start = base + segment->p_vaddr, limit = start + segment->p_memsz;
            range.start = range.limit == 0 || start < range.start ? start : range.start;
            range.limit = limit > range.limit ? limit : range.limit;
        }
    }
    return range;
}

// What the loader allocates for us, for instance to say that there is no such name, is none of the host's.
static void ht_quietly(void (*fn)(void *arg), void *arg)
{
    if (ht_shim != NULL) {
        ht_shim->quietly(fn, arg);
    } else {
        fn(arg);
    }
}

static void ht_look_up_rows(void)
{
    for (const struct ht_row *row = ht_rows_begin; row < ht_rows_end; row++) {
        void *at = ht_dlsym(RTLD_NEXT, row->name);
        if (at == NULL) {
            memcpy(row->next, &row->without, sizeof row->without);
            continue;
        }
        memcpy(row->next, &at, sizeof at);
        if (!row->is_operator) {
            ht_api = at;
        } else if (strcmp(row->name, "_Znwm") == 0) {
            ht_operator = at;
        }
    }
}

// An operator new in a library without a malloc is above it: libstdc++'s, or one of the program's.
static bool ht_is_allocators(const void *operator_new)
{
    Dl_info of_operator, of_malloc;
    if (operator_new == NULL || !ht_dladdr(operator_new, &of_operator)) {
        return false;
    }
    void *library = ht_dlopen(of_operator.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    void *its_malloc = library != NULL ? ht_dlsym(library, "malloc") : NULL; // or that of what it needs
    bool is_own = its_malloc != NULL && ht_dladdr(its_malloc, &of_malloc) &&
                  of_malloc.dli_fbase == of_operator.dli_fbase;
    if (library != NULL) {
        ht_dlclose(library);
    }
    return is_own;
}

// The allocator's code, if its library holds little else: what that calls from there is a part of a call that
// we have seen. A library that has an allocator built in calls malloc for itself, too.
static struct ht_code_range ht_allocator_code(const char *path, uintptr_t base)
{
    const char *slash = strrchr(path, '/');
    const struct ht_code_range none = {0, 0};
    return strstr(slash != NULL ? slash + 1 : path, "alloc") != NULL ? ht_code_of(base) : none;
}

static void ht_look_up(void *arg)
{
    const struct ht_link *link = ht_shim;
    (void)arg;
    ht_look_up_rows();
    Dl_info allocator;
    bool is_own = ht_is_allocators(ht_operator);
    // Where there is none, it is ours (operators.c).
    ht_records_operators = is_own || ht_operator == NULL;
    const void *inside = is_own ? ht_operator : ht_api;
    struct ht_code_range own = {(uintptr_t)__ehdr_start, (uintptr_t)_end}, code = {0, 0};
    if (inside != NULL && ht_dladdr(inside, &allocator)) {
        code = ht_allocator_code(allocator.dli_fname, (uintptr_t)allocator.dli_fbase);
    }
    if (link != NULL && link->join(&own, &code, inside != NULL) && inside != NULL) {
        ht_fast.filter_mask = link->filter_mask;
        ht_fast.filter_bytes = link->filter_bytes;
        ht_link = link;
    } else {
        ht_fast.filter_bytes = &ht_never;
    }
    if (link != NULL) {
        ht_store_release(&ht_fast.countdown_offset, link->countdown_offset);
    }
}

void ht_find(void)
{
    if (ht_likely(ht_load_acquire(&ht_found))) { // pairs with the release below
        return;
    }
    // Two threads may be here at once: they find the same.
    ht_shim = heaptap_link_1 != NULL ? heaptap_link_1() : NULL;
    ht_quietly(ht_look_up, NULL);
    ht_store_release(&ht_found, true);
}

__attribute__((constructor)) static void ht_load(void)
{
    ht_find();
}

struct ht_searched {
    const char *name;
    void *found;
};

static void ht_search_all(void *arg)
{
    struct ht_searched *searched = arg;
    void *ours = ht_dlsym(RTLD_DEFAULT, searched->name); // or whoever is before us: then we are not called
    for (struct link_map *map = ht_dlopen(NULL, RTLD_LAZY); map != NULL; map = map->l_next) {
        void *library = ht_dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD);
        void *at = library != NULL ? ht_dlsym(library, searched->name) : NULL;
        if (at != NULL && at != ours) {
            searched->found = at;
            return; // kept open: it is called from now on
        }
        if (library != NULL) {
            ht_dlclose(library);
        }
    }
}

void *ht_search(const char *name)
{
    struct ht_searched searched = {name, NULL};
    ht_quietly(ht_search_all, &searched);
    return searched.found;
}

struct ht_draw ht_draw(bool is_operator, size_t size_bytes, const void *caller)
{
    struct ht_draw draw = {0};
    ht_find();
    const struct ht_link *link = ht_link;
    // Charged in any case: the fast path does not know either.
    if (ht_shim != NULL && ht_shim->due(size_bytes, caller, &draw.rate_bytes) &&
        (ht_records_operators || !is_operator)) {
        draw.link = link;
    }
    return draw;
}

bool ht_take(const void *block, struct ht_live_copy *ret_live)
{
    ht_find();
    return block != NULL && ht_link != NULL && ht_hit_linked(block) && ht_link->forget(block, ret_live);
}

void ht_put_back(const struct ht_live_copy *live)
{
    ht_link->restore(live);
}

void ht_is_gone(void)
{
    ht_link->freed();
}
