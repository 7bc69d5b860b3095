// Any bytes as a file of the symbol cache: refused, or every answer lies inside the file.
//
// An input is the file without its first 16 bytes (magic and check), which are made right here: behind the
// check the reader must still believe nothing.
#include "cache_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile uint64_t sink __attribute__((unused)); // every byte is read
    struct ht_cache cache;
    char *bytes = ht_alloc(size + CACHE_HEAD_BYTES);
    memcpy(bytes + CACHE_HEAD_BYTES, data, size);
    seal_cache(bytes, size + CACHE_HEAD_BYTES);
    if (ht_cache_parse(&cache, bytes, size + CACHE_HEAD_BYTES, cache_build_id) != 0)
        return 0;
    sink += read_cache(&cache);
    ht_cache_close(&cache);
    return 0;
}
