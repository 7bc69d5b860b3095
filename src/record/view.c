// Reading a region: every access bounds-checked, every walk bounded; the bytes may change or lie.
#include "record/view.h"
#include "record/live.h"

#include "sys/atomic.h"
#include "sys/seam.h"

enum ht_view_error ht_view_init(struct ht_view *view, const void *base, uint64_t size_bytes)
{
    if (size_bytes < HT_REGION_HEADER_BYTES) {
        return HT_VIEW_SHORT;
    }
    const struct ht_region_header *header = base;
    if (ht_load_acquire(&header->magic) != HT_REGION_MAGIC) { // pairs with ht_region_publish
        return HT_VIEW_MAGIC;
    }
    if (header->version != HT_REGION_VERSION) {
        return HT_VIEW_VERSION;
    }
    uint64_t used = ht_load_acquire(&header->used_bytes);
    if (header->header_bytes != HT_REGION_HEADER_BYTES || used < HT_REGION_HEADER_BYTES ||
        header->head_count == 0 || (header->head_count & (header->head_count - 1)) != 0) {
        return HT_VIEW_CORRUPT;
    }
    view->base = base;
    view->header = header;
    view->size_bytes =
        size_bytes; // not used_bytes: a chain's newest record may be younger than our look at that
    return HT_VIEW_OK;
}

bool ht_view_each_entry(const struct ht_view *view,
                        bool (*fn)(void *arg, uint32_t ref, const struct ht_entry *entry), void *arg)
{
    uint32_t head_count = view->header->head_count;
    const uint32_t *heads =
        ht_view_at(view, view->header->entry_heads_ref, (uint64_t)head_count * sizeof(uint32_t));
    if (heads == NULL) {
        return false;
    }
    uint64_t steps = view->size_bytes / sizeof(struct ht_entry);
    for (uint32_t i = 0; i < head_count; i++) {
        uint32_t ref = ht_load_acquire(&heads[i]); // pairs with ht_add_entry's CAS
        while (ref != 0) {
            const struct ht_entry *entry = ht_view_at(view, ref, sizeof *entry);
            if (entry == NULL) {
                break; // nonsense, or newer than a copy's end
            }
            if (steps == 0) {
                return false; // a circle
            }
            steps--;
            if (!fn(arg, ref, entry)) {
                return false;
            }
            ref = entry->next_ref;
        }
    }
    return true;
}

bool ht_view_each_module(const struct ht_view *view, bool (*fn)(void *arg, const struct ht_module *module),
                         void *arg)
{
    // R. Brent's way to see a circle: the record at every power of two steps is remembered.
    uint64_t steps = 0, next_mark = 1, limit = view->size_bytes / HT_MODULE_LEAST_BYTES;
    uint32_t ref = ht_load_acquire(&view->header->modules_ref), mark_ref = 0;
    while (ref != 0 && ref != mark_ref && steps++ < limit) {
        const struct ht_module *module = ht_view_at(view, ref, HT_MODULE_LEAST_BYTES);
        if (module == NULL) {
            return true;
        }
        if (!fn(arg, module)) {
            return false;
        }
        if (steps == next_mark) {
            mark_ref = ref;
            next_mark *= 2;
        }
        ref = module->next_ref;
    }
    return true;
}

uint64_t ht_view_link_start(const struct ht_view *view, const struct ht_module *module)
{
    uint64_t at = (uint64_t)((const uint8_t *)module - view->base);
    return view->header->module_bytes >= sizeof *module && at <= view->size_bytes - sizeof *module
               ? module->link_start
               : 0;
}

// Copies one slot if it is whole and alive; see struct ht_live_slot for the protocol.
static bool ht_copy_slot(const uint64_t *key, const struct ht_live_slot *slot, float floor_bytes,
                         struct ht_live_copy *ret_copy)
{
    uint64_t before = ht_load_acquire(key);
    if (before <= HT_SLOT_BUSY) {
        return false;
    }
    HT_SEAM(look_key);
    uint32_t seq = ht_load_acquire(&slot->seq);
    struct ht_live_copy copy = ht_live_read_slot(slot, before & ~HT_SWEEP_MARK); // the rank decides
    HT_SEAM(look_fields);
    ht_fence_acquire();
    uint64_t after = ht_load_relaxed(key);
    if ((after & ~HT_SWEEP_MARK) != copy.address || ht_load_relaxed(&slot->seq) != seq) {
        return false; // freed, or made anew, while we read
    }
    if (!(copy.rank_bytes > floor_bytes)) { // 0: not settled yet
        return false;
    }
    *ret_copy = copy;
    return true;
}

static bool ht_each_in_level(const struct ht_view *view, const struct ht_live_level *level, float floor_bytes,
                             bool (*fn)(void *arg, const struct ht_live_copy *live), void *arg)
{
    uint64_t slots = (uint64_t)level->bucket_count * HT_BUCKET_SLOTS;
    if (level->keys_offset % 8 != 0 || level->slots_offset % 8 != 0 ||
        level->keys_offset > UINT32_MAX * UINT64_C(8) || level->slots_offset > UINT32_MAX * UINT64_C(8)) {
        return true;
    }
    const uint64_t *keys =
        ht_view_at(view, (uint32_t)(level->keys_offset / HT_REF_UNIT), slots * sizeof(uint64_t));
    const struct ht_live_slot *slot =
        ht_view_at(view, (uint32_t)(level->slots_offset / HT_REF_UNIT), slots * sizeof(struct ht_live_slot));
    if (keys == NULL || slot == NULL) {
        return true;
    }
    for (uint64_t i = 0; i < slots; i++) {
        struct ht_live_copy copy;
        if (ht_copy_slot(&keys[i], &slot[i], floor_bytes, &copy) && !fn(arg, &copy)) {
            return false;
        }
    }
    return true;
}

bool ht_view_each_live(const struct ht_view *view, bool (*fn)(void *arg, const struct ht_live_copy *live),
                       void *arg)
{
    uint32_t levels = ht_load_acquire(&view->header->level_count);
    float floor_bytes;
    __atomic_load(&view->header->floor_bytes, &floor_bytes, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < levels && i < HT_LIVE_LEVELS; i++) {
        if (!ht_each_in_level(view, &view->header->levels[i], floor_bytes, fn, arg)) {
            return false;
        }
    }
    return true;
}
