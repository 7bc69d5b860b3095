// Kinds of profile: what the entries of a kind count, and how a profile shows it. One row for each, in the
// region.
//
// A kind is described once (struct ht_kind) and added to a region; from then on everything that records,
// reads, inherits, encodes and names files goes by its row there, so that another process, also one of
// another build, can read a kind that it has never heard of. The heap is the first row. A region of version 1
// without rows has the heap alone.
#ifndef HT_RECORD_KINDS_H
#define HT_RECORD_KINDS_H

#include "record/region.h"
#include "record/view.h"

#include <stdbool.h>
#include <stdint.h>

// A kind in memory of our own: what somebody wants to record, or a row that was read and checked.
struct ht_kind {
    struct ht_kind_form form;
    const char
        *drop_frames; // as in a profile; NULL: none. Borrowed from the view, where it was read from one.
    uint32_t drop_frames_bytes;
};

extern const struct ht_kind ht_kind_heap;

// Adds the kind, or finds the one that has its name. A name once given keeps its form. False: no memory, or
// there are HT_KIND_LIMIT of them; *ret_id untouched. Context: hook, any thread; lock-free; no errno.
bool ht_kind_add(struct ht_region *region, const struct ht_kind *kind, uint32_t *ret_id);

// Under which key a block, or another thing that lives, of this kind stands in the table of live samples: a
// pool's block may have the address of a block of the heap.
static inline uint64_t ht_kind_live_key(uint32_t kind_id, uint64_t address)
{
    return address | (uint64_t)kind_id << HT_KIND_KEY_SHIFT;
}

// Reading. The first returns how many kinds there are, at least 1; the second gives one of them, its strings
// terminated, its numbers within their ranges; the heap is always there. False: there is none of this id, or
// its row is damaged.
uint32_t ht_view_kind_count(const struct ht_view *view);
bool ht_view_kind(const struct ht_view *view, uint32_t kind_id, struct ht_kind *ret_kind);

// The id of the kind of this name. False: there is none.
bool ht_view_find_kind(const struct ht_view *view, const char *name, uint32_t *ret_id);

#endif
