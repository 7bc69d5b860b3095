// Any bytes as a file of the symbol cache: refused, or every answer lies inside the file.
//
// An input is the file without its first 16 bytes (magic and check), which are made right here: behind the
// check the reader must still believe nothing.
#include "resolve/cache.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char build_id[] = "00112233445566778899aabbccddeeff00112233";

static uint64_t read_frames(const struct ht_cache *cache, uint64_t address)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile uint64_t sink __attribute__((unused)); // every byte is read
    const uint64_t magic = HT_CACHE_MAGIC;
    struct ht_cache cache;
    char *bytes = ht_alloc(size + 16);
    memcpy(bytes, &magic, 8);
    memcpy(bytes + 16, data, size);
    if (size >= sizeof build_id)
        memcpy(bytes + 16, build_id, sizeof build_id);
    uint64_t check = ht_hash_bytes(bytes + 16, size);
    memcpy(bytes + 8, &check, 8);
    if (ht_cache_parse(&cache, bytes, size + 16, build_id) != 0)
        return 0;
    struct ht_layout layout = ht_cache_layout(&cache);
    uint64_t address;
    for (uint64_t at = 0; at < 64; at++)
        sink += ht_layout_address(&layout, 0x1000, 0x9000, 0x1000, 0x1000 + at * 128, &address)
                    ? read_frames(&cache, address)
                    : 0;
    for (uint64_t at = 0; at < 300; at++)
        sink += read_frames(&cache, at);
    ht_cache_close(&cache);
    return 0;
}
