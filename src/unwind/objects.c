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
#include "unwind/describe.h"
#include "unwind/memory.h"
#include "unwind/own_maps.h"

#include <link.h>
#include <string.h>

#define MAPS_EVERY_NS UINT64_C(100000000) // looking for unknown code in /proc/self/maps is that rare

struct ht_object ht_objects[HT_OBJECT_MAX];
uint32_t ht_objects_seen[HT_OBJECT_MAX];
uint32_t ht_objects_seen_now = 2;
uintptr_t ht_objects_own_start, ht_objects_own_limit;

static struct {
    uintptr_t start, limit;
} ht_ranges[HT_OBJECT_MAX]; // copies, close together for the search
static uint32_t ht_object_count;
static bool (*ht_seen)(const struct ht_module_desc *desc, int64_t *ret_delta);
char ht_objects_program_path[HT_OBJECT_PATH_BYTES];
static uint64_t ht_maps_read_ns;

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
uint32_t ht_objects_add(const struct ht_object *object)
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
    uint64_t last_ns = ht_load_relaxed(&ht_maps_read_ns);
    if ((last_ns != 0 && now_ns - last_ns < MAPS_EVERY_NS) || !ht_own_maps_open()) {
        return HT_OBJECT_NONE;
    }
    ht_store_relaxed(&ht_maps_read_ns, now_ns);
    struct ht_maps_line line;
    uintptr_t image = 0;
    struct ht_object object;
    uint32_t index = HT_OBJECT_NONE;
    if (ht_own_maps_find(pc, &line, &image) && line.executable && image != 0 &&
        ht_object_describe(image, "", &object) && pc >= object.start && pc < object.limit) {
        index = ht_objects_add(&object);
        // Each new object may bring others: they are found one by one without waiting.
        ht_store_relaxed(&ht_maps_read_ns, 0);
    }
    ht_own_maps_close();
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
        !ht_object_describe(found.map_start, ht_loader_name(&found), &object)) {
        if (index != HT_OBJECT_NONE) {
            ht_mark_dead(index);
        }
        return HT_OBJECT_NONE;
    }
    return ht_objects_add(&object);
}

// Without the loader's help: the page is asked about, then looked at.
static bool ht_check_image(const struct ht_object *known)
{
    struct ht_object object;
    return ht_is_readable(known->start) && ht_object_describe(known->start, "", &object) &&
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
               ht_object_page_up(found.map_end) == known->limit && found.table == known->table &&
               ht_object_describe(found.map_start, ht_loader_name(&found), &object) &&
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
            .link_start = object->is_unaligned ? object->segments[i].start - object->bias : 0,
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
    if (!ht_own_maps_open()) {
        ht_report_segments(index, name, now);
        return;
    }
    bool found = ht_own_maps_find(ht_objects[index].start, &line, &image) && line.path[0] != '\0';
    ht_report_segments(index, found ? line.path : name, now);
    ht_own_maps_close();
}

static HT_COLD void ht_report_now(uint32_t index, uint32_t now)
{
    struct ht_object *object = &ht_objects[index];
    if (object->path != NULL) {
        ht_report_segments(index, object->path, now);
    } else if (object->is_program && ht_objects_program_path[0] != '\0') {
        ht_report_segments(index, ht_objects_program_path, now);
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
    ht_own_maps_after_fork();
    uint32_t count = ht_load_acquire(&ht_object_count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t filling = HT_OBJECT_FILLING; // nor does who was filling this
        ht_cas_acqrel(&ht_objects[i].state, &filling, HT_OBJECT_DEAD);
    }
}

void ht_objects_set_reporter(bool (*seen)(const struct ht_module_desc *desc, int64_t *ret_delta))
{
    ht_seen = seen;
}

void ht_objects_set_finder(void *dl_find_object_fn)
{
    memcpy(&ht_dl_find, &dl_find_object_fn, sizeof ht_dl_find);
}
