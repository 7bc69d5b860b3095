// Writes to a region in all ways, for ever: who reads it meanwhile has to bear that.
#ifndef HT_TEST_STORM_H
#define HT_TEST_STORM_H

#include "record/layout.h"

#include <stdint.h>

static inline uint64_t storm_draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545F4914F6CDD1D) >> 16;
}

// A value that means something somewhere, or nothing.
static inline uint64_t storm_value(uint64_t *random, uint64_t now, uint64_t used)
{
    switch (storm_draw(random) % 6) {
    case 0:
        return now ^ (UINT64_C(1) << storm_draw(random) % 64);
    case 1:
        return storm_draw(random) % used;
    case 2:
        return storm_draw(random) % (used / HT_REF_UNIT) << 32 | storm_draw(random) % (used / HT_REF_UNIT);
    case 3:
        return UINT64_MAX - storm_draw(random) % 9;
    case 4:
        return 0;
    default:
        return now + storm_draw(random) % 17 - 8;
    }
}

// Each word has its own value again after a while, or the region would soon be nothing but noise. The header
// is changed more often than the rest, but for its magic number. Of two storms one has an even seed and the
// even words, the other the rest: neither takes the other's noise for a value.
static inline _Noreturn void storm(void *region, uint64_t seed)
{
    volatile uint64_t *words = (volatile uint64_t *)region;
    uint64_t used = ((const struct ht_region_header *)region)->used_bytes;
    for (uint64_t random = seed;;) {
        uint64_t places[8], values[8];
        for (int i = 0; i < 8; i++) {
            uint64_t bytes = storm_draw(&random) % 4 == 0 ? HT_REGION_HEADER_BYTES : used;
            places[i] = 2 + storm_draw(&random) % (bytes / 8 - 3);
            places[i] = (places[i] & ~UINT64_C(1)) | (seed & 1);
            values[i] = words[places[i]];
            words[places[i]] = storm_value(&random, values[i], used);
        }
        for (uint64_t pause = storm_draw(&random) % 20000; pause > 0; pause--)
            __asm__ volatile("" ::: "memory");
        for (int i = 8; i-- > 0;)
            words[places[i]] = values[i];
    }
}

#endif
