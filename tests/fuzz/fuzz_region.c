// Any bytes as a live region: copying from a file, view, check, sums and encode must end without a fault, in
// bounded memory.
//
// An input is either a region's image, or (shorter than a header) a list of patches to a small sound region,
// 16 bytes each: offset (4 bytes), width in bytes (4), value (8), little-endian. The last patch may be cut
// off. Mutations add, change and take away patches of words that mean something.
#include "profile/profile.h"
#include "record/check.h"
#include "record/filter.h"
#include "record/live.h"
#include "record/modules.h"
#include "record/stacks.h"
#include "record/view.h"
#include "region/copy.h"
#include "snapshot/encode.h"
#include "stats/live_set.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOMY_BYTES (4u << 20)
#define USUAL_BYTES ((2u << 20) - 4096) // the encoder's small gzip window, which is faster to set up
#define TIGHT_BYTES (192u << 10)
#define MAX_PATCHES 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

struct patch {
    uint32_t offset, width; // of width % 8 + 1 bytes
    uint64_t value;
};

// The sound region: its bytes; a block of exactly this size, so that AddressSanitizer sees what lies behind,
// which is patched and mended for each input; the same in a file; and what is worth patching.
static uint8_t *sound, *image;
static size_t sound_bytes;
static int image_fd;
static struct {
    uint32_t offset, bytes;
} words[8192];
static uint32_t word_count;
static uint32_t refs[512];
static uint32_t ref_count;

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// As a mapping is, but not a byte longer.
static uint8_t *aligned_block(size_t bytes)
{
    void *block = NULL;
    must(posix_memalign(&block, HT_CACHE_LINE, bytes) == 0);
    return block;
}

static void add_word(const void *base, const void *word, size_t bytes)
{
    must(word_count < sizeof words / sizeof words[0]);
    words[word_count].offset = (uint32_t)((const uint8_t *)word - (const uint8_t *)base);
    words[word_count++].bytes = (uint32_t)bytes;
}

#define WORD(base, field) add_word(base, &(field), sizeof(field))

static void add_ref(uint32_t ref)
{
    if (ref != 0 && ref_count < sizeof refs / sizeof refs[0]) {
        refs[ref_count++] = ref;
    }
}

static bool add_entry_words(void *arg, uint32_t ref, const struct ht_entry *e)
{
    const struct ht_view *view = arg;
    const struct ht_stack *s = ht_view_at(view, e->stack_ref, sizeof *s);
    add_ref(ref);
    add_ref(e->stack_ref);
    WORD(view->base, e->next_ref);
    WORD(view->base, e->stack_ref);
    WORD(view->base, e->id);
    WORD(view->base, e->label_ref);
    WORD(view->base, e->kind);
    WORD(view->base, e->size_class);
    WORD(view->base, e->values[HT_ENTRY_COUNT]);
    WORD(view->base, e->values[HT_ENTRY_AMOUNT]);
    if (s != NULL) {
        WORD(view->base, s->frame_count);
        WORD(view->base, s->flags);
        for (uint32_t i = 0; i < 3 && i < s->frame_count; i++) {
            WORD(view->base, s->frames[i]);
        }
    }
    return true;
}

static bool add_module_words(void *arg, const struct ht_module *m)
{
    const struct ht_view *view = arg;
    add_ref(m->path_ref);
    WORD(view->base, m->next_ref);
    WORD(view->base, m->path_ref);
    WORD(view->base, m->start);
    WORD(view->base, m->limit);
    WORD(view->base, m->profile_start);
    WORD(view->base, m->file_offset);
    WORD(view->base, m->id);
    WORD(view->base, m->build_id_bytes);
    WORD(view->base, m->is_program);
    const struct ht_string *path = ht_view_at(view, m->path_ref, sizeof *path);
    WORD(view->base, path->next_ref);
    WORD(view->base, path->length_bytes);
    WORD(view->base, path->bytes[0]);
    return true;
}

static void add_level_words(const struct ht_view *view)
{
    const struct ht_live_level *level = &view->header->levels[0];
    const uint64_t *keys = (const uint64_t *)(view->base + level->keys_offset);
    const struct ht_live_slot *slots = (const struct ht_live_slot *)(view->base + level->slots_offset);
    for (uint32_t i = 0; i < level->bucket_count * HT_BUCKET_SLOTS; i++) {
        if (keys[i] != 0) {
            WORD(view->base, keys[i]);
            WORD(view->base, slots[i].size_bytes);
            WORD(view->base, slots[i].birth_ns);
            WORD(view->base, slots[i].rate_bytes);
            WORD(view->base, slots[i].rank_bytes);
            WORD(view->base, slots[i].entry_ref);
            WORD(view->base, slots[i].seq);
        }
    }
    for (uint32_t i = 0; i < HT_LIVE_LEVELS; i++) {
        WORD(view->base, view->header->levels[i].keys_offset);
        WORD(view->base, view->header->levels[i].slots_offset);
        WORD(view->base, view->header->levels[i].passed_offset);
        WORD(view->base, view->header->levels[i].bucket_count);
    }
}

static void add_header_words(const struct ht_view *view)
{
    const struct ht_region_header *h = view->header;
    for (int more = 0; more < 8; more++) { // often
        WORD(h, h->size_bytes);
        WORD(h, h->used_bytes);
        WORD(h, h->backed_bytes);
        WORD(h, h->rate_bytes);
        WORD(h, h->floor_bytes);
        WORD(h, h->entry_count);
        WORD(h, h->module_count);
        WORD(h, h->modules_ref);
        WORD(h, h->strings_ref);
        WORD(h, h->entry_heads_ref);
        WORD(h, h->head_count);
        WORD(h, h->level_count);
    }
    WORD(h, h->magic);
    WORD(h, h->version);
    WORD(h, h->header_bytes);
    WORD(h, h->pid);
    WORD(h, h->created_unix_ns);
    WORD(h, h->created_monotonic_ns);
    WORD(h, h->active);
    WORD(h, h->first_active_ns);
    WORD(h, h->inactive_ns);
    WORD(h, h->failed);
    WORD(h, h->thinned_since_ns);
    WORD(h, h->health[HT_HEALTH_UNMATCHED]);
    add_word(h, h->boot_id + sizeof h->boot_id - 8, 8); // where the NUL of a full one would be
    add_word(h, h->program, 8);
    add_word(h, h->program + sizeof h->program - 8, 8);
    add_word(h, h->program_path + sizeof h->program_path - 8, 8);
    add_word(h, h->out_dir + sizeof h->out_dir - 8, 8);
    const uint32_t *heads = (const uint32_t *)(view->base + (size_t)h->entry_heads_ref * HT_REF_UNIT);
    for (uint32_t i = 0; i < h->head_count; i++) {
        if (heads[i] != 0) {
            WORD(h, heads[i]);
        }
    }
    add_ref(h->entry_heads_ref);
    add_ref(h->modules_ref);
    add_ref(h->strings_ref);
}

static void fill_region(struct ht_region *region)
{
    static const uint8_t build_id[32] = {1, 2, 3};
    const struct ht_module_desc modules[] = {
        {0x555500001000, 0x555500009000, 0x1000, 0, "/usr/bin/demo (deleted)", build_id, 20, true},
        {0x7f0000000000, 0x7f0000002000, 0, 0, "/usr/lib/libone.so", build_id, 32, false},
        {0x7f0000001000, 0x7f0000003000, 0, 0, "/usr/lib/lib\xff\xc3\xa9.so", NULL, 0, false},
    };
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        int64_t delta;
        ht_modules_add(region, &modules[i], &delta);
    }
    uint32_t label = ht_string_intern(region, "worker", 6);
    for (uint64_t i = 0; i < 12; i++) {
        const uint64_t frames[] = {0x555500001010 + i, 0x555500001020, 0x7f0000001000};
        uint32_t ref = ht_entry_intern(region, HT_KIND_HEAP, frames, 3, i % 4 == 0 ? HT_STACK_TRUNCATED : 0,
                                       ht_size_class(i * 64), i % 3 == 0 ? label : 0);
        const struct ht_live_copy live = {0x600000000000 + i * 64, i * 64, i, 4096, 8192, ref};
        ht_entry_add(region, ref, i * 64, ht_live_weight(&live, 0), 0.5);
        ht_live_insert(region, &live);
    }
    uint64_t deep[HT_MAX_FRAMES];
    for (uint32_t i = 0; i < HT_MAX_FRAMES; i++) {
        deep[i] = 0x555500002000 + i;
    }
    ht_entry_intern(region, HT_KIND_HEAP, deep, HT_MAX_FRAMES, HT_STACK_FAILED, 3, 0);
}

static void make_sound_region(void)
{
    static struct ht_identity identity = {
        .pid = 42, .program = "demo", .out_dir = "/tmp", .rate_bytes = 1, .active = 1};
    struct ht_region region;
    ht_filter_reset();
    must(ht_region_create(&identity, NULL, 512 * 1024, 1, &region));
    fill_region(&region);
    sound_bytes = region.header->used_bytes;
    sound = aligned_block(sound_bytes);
    image = aligned_block(sound_bytes);
    memcpy(sound, region.base, sound_bytes);
    memcpy(image, sound, sound_bytes);
    ht_region_destroy(&region);
    image_fd = memfd_create("region", MFD_CLOEXEC);
    must(image_fd >= 0 && pwrite(image_fd, sound, sound_bytes, 0) == (ssize_t)sound_bytes);
    struct ht_view view;
    must(ht_view_init(&view, sound, sound_bytes) == HT_VIEW_OK && ht_region_check(&view) == NULL);
    struct ht_bump memory;
    struct ht_check check;
    ht_bump_init(&memory, ROOMY_BYTES);
    must(ht_check_all(&check, &view, HT_CHECK_QUIET, &memory) == NULL);
    ht_bump_release(&memory);
    add_header_words(&view);
    ht_view_each_entry(&view, add_entry_words, &view);
    ht_view_each_module(&view, add_module_words, &view);
    add_level_words(&view);
}

// Every check, row by row, whatever the ones before it have found: no faults, and no end that does not come.
static void check_all(const struct ht_view *view)
{
    static uint8_t chunk[1024 * 1024]; // as first_chunk below
    static unsigned turn;
    struct ht_bump memory;
    struct ht_check check = {.view = view, .moment = turn++ % 3, .memory = &memory};
    ht_bump_init(&memory, ROOMY_BYTES);
    memory.next = chunk;
    memory.end = chunk + sizeof chunk;
    for (size_t i = 0; i < HT_CHECK_ROWS; i++) {
        const char *wrong = ht_check_rows[i].run(&check);
        must(wrong == NULL || (wrong == check.wrong && strlen(wrong) < sizeof check.wrong));
    }
    memset(chunk, 0, memory.newest != NULL ? sizeof chunk : (size_t)(memory.next - chunk));
    ht_bump_release(&memory);
}

struct digest {
    struct ht_buffer packed;
    uint8_t sum;
    bool keep;
};

static int swallow(void *arg, const void *bytes, size_t size_bytes)
{
    struct digest *digest = arg;
    for (size_t i = 0; i < size_bytes; i++) {
        digest->sum ^= ((const uint8_t *)bytes)[i]; // reads all, for the sanitizers
    }
    if (digest->keep) {
        ht_buffer_add(&digest->packed, bytes, size_bytes);
    }
    return 0;
}

// Zeros, as fresh memory is; ours, because to map it anew for each input would cost more than everything
// else.
static uint8_t first_chunk[512 * 1024];

// Whatever the region says, what comes out is a profile that can be read, or an error. `whole` reads it.
static void encode(const struct ht_view *view, uint64_t memory_bytes, bool whole)
{
    const struct ht_encode_options options = {.trigger = "recovered", .time_unix_ns = 1};
    struct digest digest = {.keep = whole};
    struct ht_sink sink = {swallow, &digest};
    struct ht_bump memory;
    ht_bump_init(&memory, memory_bytes);
    if (memory_bytes == USUAL_BYTES) {
        memory.next = first_chunk;
        memory.end = first_chunk + sizeof first_chunk;
    }
    int result = ht_encode(view, &options, &sink, &memory);
    must(memory.mapped_bytes <= memory_bytes);
    if (memory_bytes == USUAL_BYTES) {
        bool all = memory.newest != NULL;
        memset(first_chunk, 0, all ? sizeof first_chunk : (size_t)(memory.next - first_chunk));
    }
    ht_bump_release(&memory);
    if (result == 0 && whole) {
        struct ht_profile *profile = NULL;
        must(ht_profile_decode((const uint8_t *)digest.packed.data, digest.packed.length, NULL, &profile) ==
             0);
        must(ht_profile_check(profile) == 0);
        ht_profile_free(profile);
    }
    ht_buffer_free(&digest.packed);
}

static void read_file(int fd, uint64_t memory_bytes)
{
    struct ht_region_copy copy;
    if (ht_region_read(fd, &copy) == 0) {
        struct ht_live_set now = {0}, before = {0};
        ht_live_set_fill(&now, &copy.view);
        ht_live_set_fill(&before, &copy.view);
        before.count /= 2;
        ht_live_set_total(&now);
        ht_live_set_change(&before, &now);
        ht_live_set_free(&now);
        ht_live_set_free(&before);
        ht_region_check(&copy.view);
        check_all(&copy.view);
        encode(&copy.view, memory_bytes, true);
        ht_region_copy_free(&copy);
    }
}

static void read_memory(const uint8_t *bytes, size_t size, uint64_t memory_bytes)
{
    struct ht_view view;
    if (ht_view_init(&view, bytes, size) == HT_VIEW_OK) {
        encode(&view, memory_bytes, false);
        ht_region_check(&view);
        check_all(&view);
    }
}

// Applies the patches, or with `from` the bytes that stood there.
static void apply(const uint8_t *data, size_t size, const uint8_t *from, bool in_file)
{
    while (size > 0) {
        struct patch patch = {0, 0, 0};
        size_t used = size < sizeof patch ? size : sizeof patch;
        memcpy(&patch, data, used);
        data += used;
        size -= used;
        size_t offset = patch.offset % (sound_bytes - 8), width = patch.width % 8 + 1;
        const void *bytes = from != NULL ? (const void *)(from + offset) : &patch.value;
        memcpy(image + offset, bytes, width);
        must(!in_file || pwrite(image_fd, bytes, width, (off_t)offset) == (ssize_t)width);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (sound == NULL) {
        make_sound_region();
    }
    if (size >= HT_REGION_HEADER_BYTES) {
        uint8_t *whole = aligned_block(size);
        memcpy(whole, data, size);
        read_memory(whole, size, USUAL_BYTES);
        free(whole);
        return 0;
    }
    size_t patches = size / sizeof(struct patch);
    bool in_file = patches % 4 == 3;
    uint64_t memory_bytes = patches % 16 == 5 ? ROOMY_BYTES : patches % 16 == 9 ? TIGHT_BYTES : USUAL_BYTES;
    apply(data, size, NULL, in_file);
    if (in_file) {
        read_file(image_fd, memory_bytes);
    } else {
        read_memory(image, sound_bytes, memory_bytes);
    }
    apply(data, size, sound, in_file);
    return 0;
}

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545F4914F6CDD1D) >> 16;
}

static uint64_t draw_value(uint64_t *random, const struct patch *patch)
{
    static const uint64_t odd[] = {
        0,          1,          2,          UINT16_MAX, UINT32_MAX,         UINT32_MAX - 7,
        UINT64_MAX, 1ull << 63, 1ull << 31, INT64_MAX,  0x8000000000000001, 0x8000000000000003};
    static const float floats[] = {0, -1, 0.5f, 1, 4096, 8191, 1e-38f, 1e30f, 3.4e38f, -3.4e38f};
    uint64_t value = 0;
    size_t offset = patch->offset % (sound_bytes - 8);
    memcpy(&value, sound + offset, patch->width % 8 + 1);
    uint32_t bits;
    switch (draw(random) % 12) {
    case 0:
    case 1:
        return odd[draw(random) % (sizeof odd / sizeof odd[0])];
    case 2:
    case 3:
    case 4:
        return refs[draw(random) % ref_count];
    case 5:
        return refs[draw(random) % ref_count] + draw(random) % 64 - 32;
    case 6:
        return (sound_bytes >> (draw(random) % 2 * 3)) + draw(random) % 128 - 64; // in bytes or units
    case 7:
        memcpy(&bits, &floats[draw(random) % (sizeof floats / sizeof floats[0])], sizeof bits);
        return draw(random) % 16 == 0 ? UINT64_C(0x7fc00000) : bits;
    case 8:
        return value + draw(random) % 17 - 8;
    case 9:
        return value << draw(random) % 8;
    case 10:
        return draw(random) % 600; // counts, classes, small offsets
    default:
        return draw(random) << draw(random) % 32;
    }
}

static struct patch draw_patch(uint64_t *random)
{
    uint32_t i = (uint32_t)(draw(random) % word_count);
    struct patch patch = {words[i].offset, words[i].bytes - 1, 0};
    patch.value = draw_value(random, &patch);
    return patch;
}

// A second level over the first, or nearly: in it lie the same samples or shifted ones.
static size_t add_level(struct patch *patches, size_t count, uint64_t *random)
{
    const struct ht_region_header *h = (const struct ht_region_header *)(const void *)sound;
    uint32_t level = 1 + (uint32_t)(draw(random) % (HT_LIVE_LEVELS - 1));
    const size_t at = offsetof(struct ht_region_header, levels) + level * sizeof h->levels[0];
    uint64_t shift = draw(random) % 4 == 0 ? 8 * (draw(random) % 64) : 0;
    const struct patch made[] = {
        {(uint32_t)offsetof(struct ht_region_header, level_count), 3, level + 1},
        {(uint32_t)(at + offsetof(struct ht_live_level, keys_offset)), 7, h->levels[0].keys_offset + shift},
        {(uint32_t)(at + offsetof(struct ht_live_level, slots_offset)), 7, h->levels[0].slots_offset + shift},
        {(uint32_t)(at + offsetof(struct ht_live_level, bucket_count)), 3, 1 + draw(random) % 128},
    };
    memcpy(patches + count, made, sizeof made);
    return count + sizeof made / sizeof made[0];
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static struct patch patches[MAX_PATCHES + 8];
    uint64_t random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    size_t count = size / sizeof patches[0], limit = max_size / sizeof patches[0];
    limit = limit < MAX_PATCHES ? limit : MAX_PATCHES;
    if (sound == NULL || count > limit || limit == 0 || draw(&random) % 16 == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    memcpy(patches, data, count * sizeof patches[0]);
    for (uint64_t changes = 1 + draw(&random) % 4; changes > 0; changes--) {
        struct patch *patch = &patches[count > 0 ? draw(&random) % count : 0];
        uint64_t choice = count == 0 ? 0 : draw(&random) % 12;
        if (choice < 5 && count < limit) {
            patches[count++] = draw_patch(&random);
        } else if (choice == 5) {
            *patch = patches[--count];
        } else if (choice == 6) {
            *patch = draw_patch(&random);
        } else if (choice == 7 && count + 4 <= limit) {
            count = add_level(patches, count, &random);
        } else if (choice == 8) {
            patch->offset += (uint32_t)(draw(&random) % 33) * 8 - 128;
        } else if (count > 0) {
            patch->value = draw_value(&random, patch);
        }
    }
    memcpy(data, patches, count * sizeof patches[0]);
    return count * sizeof patches[0];
}
