// A read-only look at a region, by a snapshot or by another process.
#ifndef HT_RECORD_VIEW_H
#define HT_RECORD_VIEW_H

#include "record/estimate.h"
#include "record/layout.h"

#include <stdbool.h>

// Every access is bounds-checked, nothing is trusted, and the bytes may change under it (live) or not
// (copied).
struct ht_view {
    const uint8_t *base;
    uint64_t size_bytes; // readable bytes from base
    const struct ht_region_header *header;
};

// NULL when [ref, ref + bytes) is not inside. `ref` 0 is never inside.
static inline const void *ht_view_at(const struct ht_view *view, uint32_t ref, uint64_t bytes)
{
    uint64_t offset = (uint64_t)ref * HT_REF_UNIT;
    if (offset < HT_REGION_HEADER_BYTES || offset > view->size_bytes || bytes > view->size_bytes - offset) {
        return NULL;
    }
    return view->base + offset;
}

enum ht_view_error { HT_VIEW_OK, HT_VIEW_SHORT, HT_VIEW_MAGIC, HT_VIEW_VERSION, HT_VIEW_CORRUPT };

// Checks the header and makes a view. In any context; no allocation.
enum ht_view_error ht_view_init(struct ht_view *view, const void *base, uint64_t size_bytes);

// Enumerates entries, modules and whole live samples; a callback that returns false ends the walk. Walks are
// bounded by the region's size whatever its bytes say. Any context; no allocation.
bool ht_view_each_entry(const struct ht_view *view,
                        bool (*fn)(void *arg, uint32_t ref, const struct ht_entry *entry), void *arg);
bool ht_view_each_module(const struct ht_view *view, bool (*fn)(void *arg, const struct ht_module *module),
                         void *arg);

// A module's link_start; 0 also where the region is from before there was one. `module` is one of the above.
uint64_t ht_view_link_start(const struct ht_view *view, const struct ht_module *module);

// Samples below the floor (dead by thinning), and those that are not settled yet, are left out.
bool ht_view_each_live(const struct ht_view *view, bool (*fn)(void *arg, const struct ht_live_copy *live),
                       void *arg);

#endif
