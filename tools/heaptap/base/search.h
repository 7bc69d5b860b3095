// Binary search in arrays that are sorted by a 64-bit number.
#ifndef HT_BASE_SEARCH_H
#define HT_BASE_SEARCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Context: tool; pure. The first of items[low .. high) whose number is at least `value`, or high. Items of
// `bytes_each` begin with their number.
static inline size_t ht_lower_bound(const void *items, size_t bytes_each, size_t low, size_t high,
                                    uint64_t value)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t number;
        memcpy(&number, (const char *)items + middle * bytes_each, sizeof number);
        if (number < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#endif
