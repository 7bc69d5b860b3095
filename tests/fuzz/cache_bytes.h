// What is right in bytes that claim to be a file of the symbol cache: magic, build id and check, so that
// fuzzers get past them.
#ifndef HT_TESTS_FUZZ_CACHE_BYTES_H
#define HT_TESTS_FUZZ_CACHE_BYTES_H

#include "resolve/cache.h"

#include <stdlib.h>

#define CACHE_HEAD_BYTES 16u // magic and check

static const char cache_build_id[] = "00112233445566778899aabbccddeeff00112233";

static void seal_cache(char *bytes, size_t length)
{
    const uint64_t magic = HT_CACHE_MAGIC;
    if (length < CACHE_HEAD_BYTES)
        return;
    memcpy(bytes, &magic, sizeof magic);
    if (length >= CACHE_HEAD_BYTES + sizeof cache_build_id)
        memcpy(bytes + CACHE_HEAD_BYTES, cache_build_id, sizeof cache_build_id);
    uint64_t check = ht_checksum(bytes + CACHE_HEAD_BYTES, length - CACHE_HEAD_BYTES);
    memcpy(bytes + 8, &check, sizeof check);
}

// Reads every byte of an address's answer.
static uint64_t read_cache_frames(const struct ht_cache *cache, uint64_t address)
{
    uint32_t count;
    uint64_t sum = 0;
    const struct ht_cache_frame *frames = ht_cache_find(cache, address, &count);
    for (uint32_t i = 0; frames != NULL && i < count; i++) {
        const struct ht_cache_function *function = &cache->functions[frames[i].function];
        const uint32_t texts[] = {function->symbol, function->name, function->file};
        for (size_t t = 0; t < 3; t++) {
            const char *text = ht_cache_text(cache, texts[t]);
            sum += text != NULL ? strlen(text) : 0;
        }
        sum += frames[i].line;
    }
    return sum;
}

// Addresses that the layout gives to those of a mapping, and the first that there are.
static uint64_t read_cache(const struct ht_cache *cache)
{
    uint64_t address, sum = 0;
    if (cache->bytes == NULL)
        return 0;
    struct ht_layout layout = ht_cache_layout(cache);
    for (uint64_t at = 0; at < 64; at++)
        sum += ht_layout_address(&layout, 0x1000, 0x9000, 0x1000, 0x1000 + at * 128, &address)
                   ? read_cache_frames(cache, address)
                   : 0;
    for (uint64_t at = 0; at < 300; at++)
        sum += read_cache_frames(cache, at);
    return sum;
}

#endif
