// Regions of a test's own, and looks at them.
#ifndef HT_TEST_REGIONS_H
#define HT_TEST_REGIONS_H

#include "record/filter.h"
#include "record/region.h"
#include "record/view.h"

// After <cmocka.h>. Private memory, an empty filter, rate 1.
static inline struct ht_region make_plain_region(uint64_t limit_bytes)
{
    static struct ht_identity identity = {.pid = 1, .program = "test", .rate_bytes = 1, .active = 1};
    struct ht_region region;
    ht_filter_reset();
    assert_true(ht_region_create(&identity, NULL, limit_bytes, 1, &region));
    return region;
}

static inline struct ht_view view_of(const struct ht_region *region)
{
    struct ht_view view;
    assert_int_equal(ht_view_init(&view, region->base, region->header->size_bytes), HT_VIEW_OK);
    return view;
}

#endif
