// The table of live samples: address -> what was sampled there; lock-free, in the region.
#ifndef HT_RECORD_LIVE_H
#define HT_RECORD_LIVE_H

#include "record/estimate.h"
#include "record/region.h"
#include "sys/atomic.h"

#define HT_LIVE_PROBES 8u          // buckets in which an address can stand, in each level
#define HT_SWEEP_MARK  UINT64_C(1) // in a key: a sweeper is looking at its record

// Context of all: hook, any thread, also with another call of the same thread interrupted below (signal
// handler); lock-free, no allocation but from the region, no errno.

// Puts a sample in. An older record of the same address (its free was never seen) is removed and counted.
// Records that thinning gave up are overwritten. False: no slot; counted, and the next thinning is asked for.
bool ht_live_insert(struct ht_region *region, const struct ht_live_copy *live);

// Takes the record of this address out. False: there is none.
bool ht_live_remove(struct ht_region *region, uint64_t address, struct ht_live_copy *ret_live);

// Samples in the table, including those that thinning gave up and nobody has swept yet.
int64_t ht_live_count(const struct ht_region_header *header);

// A copied process has no other thread: whoever was resizing is gone.
void ht_live_after_fork(void);

// Adds an empty level of this many buckets (a power of two) to a region that nobody else can reach yet.
// False: no memory.
bool ht_live_add_level(struct ht_region *region, uint32_t bucket_count);

// Raises the floor so that about half of the live samples are given up; unbiased, since the survivors' P says
// so. Does nothing while another thread resizes or thins.
void ht_live_thin(struct ht_region *region);

// The fields of a slot, each read whole; whether they belong together the caller finds out by the key.
static inline struct ht_live_copy ht_live_read_slot(const struct ht_live_slot *slot, uint64_t address)
{
    struct ht_live_copy copy;
    copy.address = address;
    copy.size_bytes = ht_load_relaxed(&slot->size_bytes);
    copy.birth_ns = ht_load_relaxed(&slot->birth_ns);
    __atomic_load(&slot->rate_bytes, &copy.rate_bytes, __ATOMIC_RELAXED);
    __atomic_load(&slot->rank_bytes, &copy.rank_bytes, __ATOMIC_RELAXED);
    copy.entry_ref = ht_load_relaxed(&slot->entry_ref);
    return copy;
}

static inline float ht_live_floor(const struct ht_region_header *header)
{
    float floor_bytes;
    __atomic_load(&header->floor_bytes, &floor_bytes, __ATOMIC_RELAXED);
    return floor_bytes;
}

#endif
