// Takes out of a region's copy what was born after the fork, and makes totals, marks and header the child's.
#include "region/heir.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "record/kinds.h"
#include "record/stacks.h"
#include "region/sparse.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct heir {
    struct ht_region_copy *copy;
    uint64_t born_before_ns; // CLOCK_MONOTONIC
    uint64_t room;           // offset of the next struct ht_inherited
    uint64_t entries;
};

// Not later than the fork. The kernel tells its tick, the parent when it forked: the first time within that
// tick. Ticks count the time that the machine was asleep, births do not; sleeps after the fork make the tick
// too early here, which leaves blocks out.
static uint64_t fork_ns(const struct ht_process *child, const struct ht_region_header *header)
{
    long per_second = sysconf(_SC_CLK_TCK);
    uint64_t tick_ns = per_second > 0 ? HT_NS_PER_SECOND / (uint64_t)per_second : 0;
    uint64_t awake_ns = ht_clock_ns(CLOCK_MONOTONIC); // first: their difference is not below 0
    uint64_t asleep_ns = ht_clock_ns(CLOCK_BOOTTIME) - awake_ns;
    uint64_t begun_ns = child->heir_ticks * tick_ns > asleep_ns ? child->heir_ticks * tick_ns - asleep_ns : 0;
    uint64_t first_ns = UINT64_MAX;
    // Of more forks than are remembered, an earlier one in this tick may be forgotten.
    bool is_sure = header->fork_count <= HT_FORKS_REMEMBERED;
    for (uint32_t i = 0; i < HT_FORKS_REMEMBERED; i++) {
        uint64_t ns = header->fork_ns[i];
        is_sure |= ns != 0 && ns < begun_ns;
        if (ns >= begun_ns && ns < begun_ns + tick_ns && ns < first_ns)
            first_ns = ns;
    }
    return is_sure && first_ns != UINT64_MAX ? first_ns : begun_ns;
}

static void *at(const struct heir *heir, uint64_t offset, uint64_t bytes)
{
    const struct ht_view *view = &heir->copy->view;
    return offset <= view->size_bytes && bytes <= view->size_bytes - offset ? heir->copy->bytes + offset
                                                                            : NULL;
}

static void take_out(const struct heir *heir, const struct ht_live_level *level)
{
    uint64_t count = (uint64_t)level->bucket_count * HT_BUCKET_SLOTS;
    uint64_t *keys = at(heir, level->keys_offset, count * sizeof *keys);
    const struct ht_live_slot *slots = at(heir, level->slots_offset, count * sizeof *slots);
    for (uint64_t i = 0; keys != NULL && slots != NULL && i < count; i++)
        if (slots[i].birth_ns >= heir->born_before_ns)
            keys[i] = 0;
}

static bool count_entry(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    struct heir *heir = arg;
    (void)ref;
    (void)entry;
    heir->entries++;
    return true;
}

static bool clear_entry(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    struct heir *heir = arg;
    struct ht_entry *own = (struct ht_entry *)(void *)(heir->copy->bytes + (uint64_t)ref * HT_REF_UNIT);
    (void)entry; // the same, in our copy
    memset(own->values, 0, sizeof own->values);
    own->inherited_ref = (uint32_t)(heir->room / HT_REF_UNIT);
    heir->room += sizeof(struct ht_inherited);
    return true;
}

static bool add_live(void *arg, const struct ht_live_copy *live)
{
    const struct heir *heir = arg;
    struct ht_region_header *header = (struct ht_region_header *)(void *)heir->copy->bytes;
    struct ht_entry *entry = at(heir, (uint64_t)live->entry_ref * HT_REF_UNIT, sizeof *entry);
    struct ht_kind kind;
    if (entry == NULL || !ht_view_kind(&heir->copy->view, entry->kind, &kind))
        return true;
    struct ht_inherited *began = at(heir, (uint64_t)entry->inherited_ref * HT_REF_UNIT, sizeof *began);
    double weight = ht_live_weight(live, (double)header->floor_bytes);
    if (began == NULL || !(weight >= 1 && weight <= 1e18))
        return true;
    entry->values[HT_ENTRY_SAMPLES]++;
    began->count += (uint64_t)(weight * (double)(UINT64_C(1) << kind.form.count_shift));
    began->amount +=
        (uint64_t)(weight * (double)live->size_bytes * (double)(UINT64_C(1) << kind.form.amount_shift));
    entry->values[HT_ENTRY_COUNT] = began->count;
    entry->values[HT_ENTRY_AMOUNT] = began->amount;
    double variance, bytes = (double)live->size_bytes;
    memcpy(&variance, &entry->values[HT_ENTRY_VARIANCE], sizeof variance);
    variance += bytes * bytes * weight * (weight - 1);
    memcpy(&entry->values[HT_ENTRY_VARIANCE], &variance, sizeof variance);
    header->health[HT_HEALTH_INHERITED]++;
    return true;
}

static void take_header(struct ht_region_header *header, const struct ht_process *child)
{
    header->inherited_pid = header->pid;
    header->inherited_start = header->start_ticks;
    header->parent_pid = 0; // in its own numbers: unknown
    header->pid = child->own_pid;
    header->uid = child->uid;
    header->start_ticks = child->start_ticks;
    header->created_monotonic_ns = ht_clock_ns(CLOCK_MONOTONIC);
    header->created_unix_ns = ht_clock_ns(CLOCK_REALTIME);
    header->seq = header->exiting = 0;
    header->keeps |= HT_KEEPS_VARIANCE; // its entries are summed anew, also those of an older build's region
    memset(header->health, 0, sizeof header->health);
}

// Room for the marks behind the end, as many as there are entries.
static void make_room(struct heir *heir)
{
    struct ht_region_copy *copy = heir->copy;
    ht_view_each_entry(&copy->view, count_entry, heir);
    heir->room = (copy->view.size_bytes + 63) & ~UINT64_C(63);
    uint64_t bytes = heir->room + heir->entries * sizeof(struct ht_inherited);
    copy->bytes = ht_sparse_grow(copy->bytes, copy->mapped_bytes, bytes);
    copy->mapped_bytes = bytes;
    copy->view =
        (struct ht_view){copy->bytes, bytes, (const struct ht_region_header *)(const void *)copy->bytes};
    ((struct ht_region_header *)(void *)copy->bytes)->used_bytes = bytes;
}

void ht_heir_take(struct ht_region_copy *copy, const struct ht_process *child)
{
    struct heir heir = {.copy = copy, .born_before_ns = fork_ns(child, copy->view.header)};
    make_room(&heir);
    struct ht_region_header *header = (struct ht_region_header *)(void *)copy->bytes;
    take_header(header, child);
    for (uint32_t i = 0; i < header->level_count && i < HT_LIVE_LEVELS; i++)
        take_out(&heir, &header->levels[i]);
    ht_view_each_entry(&copy->view, clear_entry, &heir);
    ht_view_each_live(&copy->view, add_live, &heir);
}
