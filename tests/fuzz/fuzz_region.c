// Any bytes as a live region: view, check and encode must end without a fault.
//
// An input is either a region's image, or (shorter than a header) a list of patches to a small sound region,
// 16 bytes each: offset (4 bytes), width in bytes (4), value (8), little-endian. The last patch may be cut
// off.
#include "record/filter.h"
#include "record/live.h"
#include "record/modules.h"
#include "record/stacks.h"
#include "snapshot/encode.h"

#include <stdlib.h>
#include <string.h>

#define IMAGE_BYTES  (1u << 20)
#define MEMORY_BYTES (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t image[IMAGE_BYTES / sizeof(uint64_t)];
static uint64_t sound[IMAGE_BYTES / sizeof(uint64_t)];
static size_t sound_bytes;

static void make_sound_region(void)
{
    static const uint8_t build_id[20] = {1, 2, 3};
    static struct ht_identity identity = {
        .pid = 42, .program = "demo", .out_dir = "/tmp", .rate_bytes = 1, .active = 1};
    struct ht_region region;
    ht_filter_reset();
    if (!ht_region_create(&identity, NULL, 512 * 1024, 1, &region)) {
        abort();
    }
    const struct ht_module_desc module = {
        0x555500001000, 0x555500009000, 0x1000, "/usr/bin/demo", build_id, 20, true};
    int64_t delta;
    ht_modules_add(&region, &module, &delta);
    uint32_t label = ht_string_intern(&region, "worker", 6);
    for (uint64_t i = 0; i < 12; i++) {
        const uint64_t frames[] = {0x555500001010 + i, 0x555500001020, 0x7f0000001000};
        uint32_t ref = ht_entry_intern(&region, HT_KIND_HEAP, frames, 3, i % 4 == 0 ? HT_STACK_TRUNCATED : 0,
                                       ht_size_class(i * 64), i % 3 == 0 ? label : 0);
        ht_entry_add(&region, ref, i * 64, 2.5, 0.5);
        const struct ht_live_copy live = {0x600000000000 + i * 64, i * 64, i, 4096, 8192, ref};
        ht_live_insert(&region, &live);
    }
    sound_bytes = region.header->used_bytes;
    if (sound_bytes > sizeof sound) {
        abort();
    }
    memcpy(sound, region.base, sound_bytes);
    ht_region_destroy(&region);
}

static size_t make_image(const uint8_t *data, size_t size)
{
    if (size >= HT_REGION_HEADER_BYTES) {
        size = size < sizeof image ? size : sizeof image;
        memcpy(image, data, size);
        return size;
    }
    memcpy(image, sound, sound_bytes);
    for (; size > 0;) {
        struct {
            uint32_t offset, width;
            uint64_t value;
        } patch = {0, 0, 0};
        size_t used = size < sizeof patch ? size : sizeof patch;
        memcpy(&patch, data, used);
        data += used;
        size -= used;
        size_t width = patch.width % 8 + 1;
        memcpy((uint8_t *)image + patch.offset % (sound_bytes - 8), &patch.value, width);
    }
    return sound_bytes;
}

static int swallow(void *arg, const void *bytes, size_t size_bytes)
{
    uint8_t *sum = arg;
    for (size_t i = 0; i < size_bytes; i++) {
        *sum ^= ((const uint8_t *)bytes)[i]; // reads all, for the sanitizers
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (sound_bytes == 0) {
        make_sound_region();
    }
    size_t image_bytes = make_image(data, size);
    // A block of exactly this size, so that AddressSanitizer sees what lies behind.
    uint8_t *copy = malloc(image_bytes);
    memcpy(copy, image, image_bytes);
    struct ht_view view;
    if (ht_view_init(&view, copy, image_bytes) == HT_VIEW_OK) {
        uint8_t sum = 0;
        const struct ht_encode_options options = {.trigger = "recovered", .time_unix_ns = 1};
        struct ht_sink sink = {swallow, &sum};
        struct ht_bump memory;
        ht_bump_init(&memory, MEMORY_BYTES);
        int result = ht_encode(&view, &options, &sink, &memory);
        if (result != 0 && memory.mapped_bytes == 0) {
            abort();
        }
        ht_bump_release(&memory);
        ht_region_check(&view);
    }
    free(copy);
    return 0;
}
