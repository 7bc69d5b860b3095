// Collects modules, writes them as mappings, and finds addresses in them.
#include "snapshot/mappings.h"

#include "sys/fmt.h"

#include <errno.h>
#include <string.h>

static bool ht_mappings_usable(const struct ht_module *module)
{
    uint64_t size_bytes = module->limit - module->start;
    return module->start < module->limit && module->profile_start <= UINT64_MAX - size_bytes;
}

static bool ht_mappings_count(void *arg, const struct ht_module *module)
{
    struct ht_mappings *mappings = arg;
    mappings->count += ht_mappings_usable(module);
    return true;
}

struct ht_collect {
    const struct ht_view *view;
    struct ht_mappings *mappings;
    uint32_t limit;
    bool has_program;
};

static bool ht_mappings_take(void *arg, const struct ht_module *module)
{
    struct ht_collect *collect = arg;
    struct ht_mappings *mappings = collect->mappings;
    if (mappings->count == collect->limit) {
        return false; // modules that were added while we counted
    }
    if (ht_mappings_usable(module)) {
        struct ht_mapping *mapping = &mappings->items[mappings->count++];
        mapping->key = (module->is_program ? 0 : UINT64_C(1) << 32) | module->id;
        mapping->start = module->profile_start;
        mapping->limit = module->profile_start + (module->limit - module->start);
        mapping->link_start = ht_view_link_start(collect->view, module);
        mapping->module = module;
        collect->has_program |= module->is_program != 0;
    }
    return true;
}

static void ht_sift_down(struct ht_mapping *items, uint32_t root, uint32_t count)
{
    for (;;) {
        uint64_t child = (uint64_t)root * 2 + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && items[child + 1].key > items[child].key) {
            child++;
        }
        if (items[root].key >= items[child].key) {
            return;
        }
        struct ht_mapping swapped = items[root];
        items[root] = items[child];
        items[child] = swapped;
        root = (uint32_t)child;
    }
}

// Heapsort: libc's qsort may allocate.
static void ht_mappings_sort(const struct ht_mappings *mappings)
{
    struct ht_mapping *items = mappings->items;
    for (uint32_t root = mappings->count / 2; root-- > 0;) {
        ht_sift_down(items, root, mappings->count);
    }
    for (uint32_t last = mappings->count; last-- > 1;) {
        struct ht_mapping swapped = items[0];
        items[0] = items[last];
        items[last] = swapped;
        ht_sift_down(items, 0, last);
    }
}

// The path as in /proc/PID/maps, without the mark of a file that was deleted (contract of Go's profiles).
static int64_t ht_mapping_filename(const struct ht_view *view, const struct ht_module *module,
                                   struct ht_message *message)
{
    static const char deleted[] = " (deleted)";
    const size_t mark = sizeof deleted - 1;
    const struct ht_string *path = ht_view_at(view, module->path_ref, sizeof *path);
    if (path == NULL) {
        return 0;
    }
    uint64_t length = path->length_bytes;
    if (ht_view_at(view, module->path_ref, sizeof *path + length) == NULL) {
        return 0;
    }
    length = ht_text_length(path->bytes, length);
    if (length > mark && memcmp(path->bytes + length - mark, deleted, mark) == 0) {
        length -= mark;
    }
    return ht_message_string(message, path->bytes, length);
}

// The first one is the program by definition: a profile without a sample names it all the same, at no
// address.
static void ht_mappings_take_program(struct ht_collect *collect, const struct ht_view *view)
{
    struct ht_mappings *mappings = collect->mappings;
    if (!collect->has_program && view->header->program_path[0] != '\0') {
        mappings->items[mappings->count++] = (struct ht_mapping){.module = NULL};
    }
}

static int64_t ht_mapping_build_id(const struct ht_module *module, struct ht_message *message)
{
    char hex[2 * sizeof module->build_id + 1];
    struct ht_text text = ht_text_init(hex, sizeof hex);
    size_t length = module->build_id_bytes;
    ht_text_add_hex_bytes(&text, module->build_id,
                          length <= sizeof module->build_id ? length : sizeof module->build_id);
    return ht_message_string(message, hex, text.length);
}

int ht_mappings_add(struct ht_mappings *mappings, const struct ht_view *view, struct ht_message *message,
                    struct ht_bump *memory)
{
    *mappings = (struct ht_mappings){0};
    ht_view_each_module(view, ht_mappings_count, mappings);
    struct ht_collect collect = {view, mappings, mappings->count, false};
    mappings->count = 0;
    mappings->items = ht_bump_take(memory, ((uint64_t)collect.limit + 1) * sizeof mappings->items[0]);
    if (mappings->items == NULL) {
        return -ENOMEM;
    }
    ht_view_each_module(view, ht_mappings_take, &collect);
    ht_mappings_take_program(&collect, view);
    ht_mappings_sort(mappings);
    for (uint32_t i = 0; i < mappings->count; i++) {
        struct ht_mapping *item = &mappings->items[i];
        item->id = i + 1;
        item->key = item->start;
        HT_PB_MAPPING mapping = PERFTOOLS__PROFILES__MAPPING__INIT;
        mapping.id = item->id;
        bool is_own = item->link_start != 0;
        mapping.memory_start = is_own ? 0 : item->start;
        mapping.memory_limit = is_own ? UINT64_MAX : item->limit;
        if (item->module != NULL) {
            mapping.file_offset = is_own ? 0 : item->module->file_offset;
            mapping.filename = ht_mapping_filename(view, item->module, message);
            mapping.build_id = ht_mapping_build_id(item->module, message);
        } else {
            mapping.filename =
                ht_message_string(message, view->header->program_path, sizeof view->header->program_path);
        }
        HT_PB_PROFILE part = PERFTOOLS__PROFILES__PROFILE__INIT;
        part.mapping = (HT_PB_MAPPING *[]){&mapping};
        part.n_mapping = 1;
        ht_message_add(message, &part);
    }
    ht_mappings_sort(mappings);
    return 0;
}

uint32_t ht_mappings_find(const struct ht_mappings *mappings, uint64_t *address)
{
    uint32_t low = 0, high = mappings->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (mappings->items[middle].start <= *address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const struct ht_mapping *item = low > 0 ? &mappings->items[low - 1] : NULL;
    if (item == NULL || *address >= item->limit) {
        return 0;
    }
    if (item->link_start != 0) {
        *address += item->link_start - item->start;
    }
    return item->id;
}
