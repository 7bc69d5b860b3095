// The running process's region: its memory, made, grown and backed before it is touched.
#ifndef HT_RECORD_REGION_H
#define HT_RECORD_REGION_H

#include "record/layout.h"

#include <stdbool.h>

#define HT_BLOCKED_LIMIT_NS UINT64_C(5000000000)

// Where regions are put as long as nothing else lies there.
#if defined(HT_TSAN)
#define HT_REGION_PLACE UINT64_C(0x556000000000) // the sanitizer's own memory is at the other place
#else
#define HT_REGION_PLACE UINT64_C(0x300000000000)
#endif
#define HT_REGION_PLACE_STEP (UINT64_C(1) << 32)
#define HT_REGION_PLACES     256u
static inline bool ht_region_is_place(uint64_t address)
{
    return address >= HT_REGION_PLACE &&
           address - HT_REGION_PLACE < HT_REGION_PLACES * HT_REGION_PLACE_STEP &&
           (address - HT_REGION_PLACE) % HT_REGION_PLACE_STEP == 0;
}

// What the hooks need of a kind.
struct ht_kind_use {
    uint32_t row_ref; // release, last; 0: not added yet
    uint32_t flags;
    uint8_t count_shift, amount_shift;
};

// The running process's own region. Private bookkeeping around the mapping.
struct ht_region {
    struct ht_region_header *header; // = base
    uint8_t *base;
    uint64_t mapped_bytes; // grows in place, up to header->size_bytes
    bool shared;           // a file others can see
    uint64_t inode;        // of that file
    // What we ourselves go by; the words of the header are for readers, and others can write to them.
    uint64_t size_bytes, backed_bytes;
    uint32_t head_count, stack_heads_ref, entry_heads_ref;
    uint32_t level_count; // release after the level is filled in
    struct ht_live_level levels[HT_LIVE_LEVELS];
    struct ht_kind_use kinds[HT_KIND_LIMIT]; // by id
};

static inline void *ht_region_at(const struct ht_region *region, uint32_t ref)
{
    return region->base + (uint64_t)ref * HT_REF_UNIT;
}

static inline void ht_health_add(struct ht_region_header *header, enum ht_health which, uint64_t n)
{
    __atomic_fetch_add(&header->health[which], n, __ATOMIC_RELAXED);
}

// What a process is, for regions, file names and comments. Filled in once by src/trigger; strings are
// NUL-terminated.
struct ht_identity {
    uint32_t pid, uid, parent_pid;
    uint64_t start_ticks, pid_namespace;
    char boot_id[40];
    char program[64];
    char program_path[1024];
    char out_dir[1024];
    char arguments[512];
    uint64_t memory_limit_bytes;
    uint64_t rate_bytes;
    uint64_t seed;
    uint64_t run_id;
    uint32_t active, labels, keep;
};

// Makes a region of at most `limit_bytes`. live_dir: a directory on a tmpfs where the file is made, or NULL
// for private memory (also the answer when no file can be made). `unique` goes into the file's name. Context:
// hook, once for each process; raw system calls only. False: no memory at all; *ret_region means nothing
// then.
bool ht_region_create(const struct ht_identity *identity, const char *live_dir, uint64_t limit_bytes,
                      uint64_t unique, struct ht_region *ret_region);
// The same in two steps, for a forked child that first fills in what it takes over: the file has neither the
// name nor the magic of a region until it is published, and cleaning up knows it by HT_REGION_MAKING when its
// process dies before that.
bool ht_region_make(const struct ht_identity *identity, const char *live_dir, uint64_t limit_bytes,
                    uint64_t unique, struct ht_region *ret_region);
void ht_region_publish(struct ht_region *region);
// Fills in a header what is known without any record: whose it is, since when, and its settings. Any context.
void ht_region_describe(struct ht_region_header *header, const struct ht_identity *identity);
// Removes the file, the mapping stays usable to the end. Any context.
void ht_region_unlink(struct ht_region *region);
// Unmaps; the file, if any, is removed too.
void ht_region_destroy(struct ht_region *region);

// Takes `bytes` (rounded up to HT_REF_UNIT, aligned to `align`) of backed, zeroed memory from the bump heap;
// 0 when the limit is reached or no page can be had. Hook context, lock-free. The last
// HT_REGION_RESERVE_BYTES are kept for overflow entries (`reserve` true).
uint64_t ht_region_take(struct ht_region *region, uint64_t bytes, uint64_t align, bool reserve);
#define HT_REGION_RESERVE_BYTES ((HT_SIZE_CLASSES + HT_KIND_LIMIT) * 64u)

// Backs this much more than is used, as far as the limit allows, for a time when no page can be asked for.
void ht_region_back_ahead(struct ht_region *region, uint64_t bytes);

// Whether the header still is what was made. The region is a file that the host, by a wild store, and its
// user can write to; a recorder that followed a broken reference would fault in the host. Where tables lie is
// therefore kept in private memory, and each link of a chain is checked. Hook context.
static inline bool ht_region_is_sound(const struct ht_region *region)
{
    const struct ht_region_header *header = region->header;
    uint64_t used_bytes =
        __atomic_load_n(&header->used_bytes, __ATOMIC_ACQUIRE); // before what it is held against
    return header->magic == HT_REGION_MAGIC && header->size_bytes == region->size_bytes &&
           used_bytes <= __atomic_load_n(&region->backed_bytes, __ATOMIC_ACQUIRE);
}

// Counts time that a thread of the host waited in us; too much of it is a failure.
void ht_region_blocked(struct ht_region *region, uint64_t ns);

// Whether a record of `bytes` can stand at `ref`.
static inline bool ht_region_holds(const struct ht_region *region, uint32_t ref, uint64_t bytes)
{
    uint64_t offset = (uint64_t)ref * HT_REF_UNIT;
    return offset >= HT_REGION_HEADER_BYTES &&
           offset + bytes <= __atomic_load_n(&region->backed_bytes, __ATOMIC_ACQUIRE);
}

// The same for a link of a chain, the `step`th: a chain that leads out of the region, or in a circle, is a
// failure.
bool ht_region_link(const struct ht_region *region, uint32_t ref, uint64_t bytes, uint32_t step);

#endif
