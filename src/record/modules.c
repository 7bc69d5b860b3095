// Remembering modules, and giving each a range of profile addresses of its own.
#include "record/modules.h"

#include "record/stacks.h"
#include "sys/atomic.h"

#include <string.h>

// Where modules go whose own range was written before for another: above every user-space address.
#define FREE_RANGES_START UINT64_C(0x800000000000)

static bool ht_same_module(const struct ht_region *region, const struct ht_module *module,
                           const struct ht_module_desc *desc)
{
    const struct ht_string *path = ht_region_at(region, module->path_ref);
    size_t length = strlen(desc->path);
    return ht_region_holds(region, module->path_ref, sizeof *path + length + 1) &&
           module->start == desc->start && module->limit == desc->limit &&
           module->file_offset == desc->file_offset && module->build_id_bytes == desc->build_id_bytes &&
           memcmp(module->build_id, desc->build_id, desc->build_id_bytes) == 0 &&
           memcmp(path->bytes, desc->path, length + 1) == 0;
}

// True: the module is known (*ret_delta set). Otherwise *ret_profile_start is where a new one can be written.
static bool ht_look_up(const struct ht_region *region, uint32_t first, const struct ht_module_desc *desc,
                       int64_t *ret_delta, uint64_t *ret_profile_start)
{
    uint64_t free_start = FREE_RANGES_START;
    bool taken = false;
    const struct ht_module *module;
    uint32_t ref = first;
    for (uint32_t step = 0; ref != 0 && ht_region_link(region, ref, sizeof *module, step);
         ref = module->next_ref, step++) {
        module = ht_region_at(region, ref);
        if (ht_same_module(region, module, desc)) {
            *ret_delta = (int64_t)(module->profile_start - module->start);
            return true;
        }
        uint64_t profile_limit = module->profile_start + (module->limit - module->start);
        if (module->profile_start < desc->limit && desc->start < profile_limit) {
            taken = true;
        }
        if (profile_limit > free_start) {
            free_start = profile_limit;
        }
    }
    *ret_profile_start = taken ? free_start : desc->start;
    return false;
}

bool ht_modules_add(struct ht_region *region, const struct ht_module_desc *given, int64_t *ret_delta)
{
    static const uint8_t no_build_id[1];
    struct ht_module_desc desc = *given;
    if (desc.build_id == NULL || desc.build_id_bytes > sizeof(((struct ht_module *)0)->build_id)) {
        desc.build_id = no_build_id;
        desc.build_id_bytes = 0;
    }
    uint32_t *head = &region->header->modules_ref;
    uint32_t first = ht_load_acquire(head);
    uint64_t profile_start;
    if (ht_look_up(region, first, &desc, ret_delta, &profile_start)) {
        return true;
    }
    uint32_t path_ref = ht_string_intern(region, desc.path, (uint32_t)strlen(desc.path));
    uint64_t offset =
        path_ref == 0 ? 0 : ht_region_take(region, sizeof(struct ht_module), HT_REF_UNIT, false);
    if (offset == 0) {
        return false;
    }
    struct ht_module *module = (struct ht_module *)(region->base + offset);
    module->path_ref = path_ref;
    module->start = desc.start;
    module->limit = desc.limit;
    module->file_offset = desc.file_offset;
    module->link_start = desc.link_start;
    module->is_program = desc.is_program;
    module->build_id_bytes = (uint16_t)desc.build_id_bytes;
    memcpy(module->build_id, desc.build_id, desc.build_id_bytes);
    module->id = ht_add_relaxed(&region->header->module_count, 1) + 1;
    do {
        module->next_ref = first;
        module->profile_start = profile_start;
        if (ht_cas_acqrel(head, &first, (uint32_t)(offset / HT_REF_UNIT))) {
            *ret_delta = (int64_t)(profile_start - desc.start);
            return true;
        }
    } while (!ht_look_up(region, first, &desc, ret_delta, &profile_start));
    return true;
}
