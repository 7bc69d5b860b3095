// A running sum and its maxima in a ring of quarters of a second.
#include "record/held.h"

#include "sys/atomic.h"

void ht_held_add(struct ht_region_header *header, int64_t bytes, uint64_t now_ns)
{
    int64_t before = ht_add_relaxed(&header->held_bytes, bytes);
    int64_t most = bytes > 0 ? before + bytes : before;
    uint64_t quarter = now_ns >> HT_RECENT_SHIFT;
    struct ht_recent *recent = &header->recent[quarter % HT_RECENT_SLOTS];
    if (ht_load_acquire(&recent->quarter) != quarter) { // pairs with the release below
        ht_store_relaxed(&recent->most_bytes, most);
        ht_store_release(&recent->quarter, quarter);
    } else if (most > ht_load_relaxed(&recent->most_bytes)) {
        ht_store_relaxed(&recent->most_bytes, most);
    }
}

int64_t ht_held_lately(const struct ht_region_header *header, uint64_t now_ns)
{
    uint64_t quarter = now_ns >> HT_RECENT_SHIFT;
    int64_t most = 0;
    for (uint32_t i = 0; i < HT_RECENT_SLOTS; i++) {
        const struct ht_recent *recent = &header->recent[i];
        uint64_t age = quarter - ht_load_acquire(&recent->quarter);
        int64_t bytes = ht_load_relaxed(&recent->most_bytes);
        if (age < HT_RECENT_SLOTS - 1 && bytes > most) {
            most = bytes;
        }
    }
    return most;
}
