// The checks of the table of live samples, of the sums over it, and of what is private to the process: the
// filter.
#include "record/check.h"

#include "record/filter.h"
#include "record/live.h"
#include "sys/atomic.h"
#include "sys/pair.h"

#include <string.h>

struct ht_live_table {
    uint64_t *addresses; // of all levels, as found
    uint64_t count, capacity;
    const uint32_t *entry_refs; // by id
    uint32_t entry_count;
    const struct ht_kind *kinds; // by id
    uint64_t in_use;             // slots with a key other than 0
};

struct ht_level_view {
    const uint64_t *keys;
    const struct ht_live_slot *slots;
    const uint32_t *passed;
    uint32_t bucket_count;
};

// False: its tables do not lie in the view.
static bool ht_level_at(const struct ht_view *view, uint32_t level, struct ht_level_view *ret)
{
    struct ht_live_level l = view->header->levels[level];
    uint64_t slots = (uint64_t)l.bucket_count * HT_BUCKET_SLOTS, end = (uint64_t)UINT32_MAX * HT_REF_UNIT;
    if (l.bucket_count == 0 || (l.bucket_count & (l.bucket_count - 1)) != 0 || l.keys_offset > end ||
        l.slots_offset > end || l.passed_offset > end ||
        (l.keys_offset | l.slots_offset | l.passed_offset) % HT_REF_UNIT != 0) {
        return false;
    }
    ret->keys = ht_view_at(view, (uint32_t)(l.keys_offset / HT_REF_UNIT), slots * sizeof *ret->keys);
    ret->slots = ht_view_at(view, (uint32_t)(l.slots_offset / HT_REF_UNIT), slots * sizeof *ret->slots);
    ret->passed =
        ht_view_at(view, (uint32_t)(l.passed_offset / HT_REF_UNIT), l.bucket_count * sizeof *ret->passed);
    ret->bucket_count = l.bucket_count;
    return ret->keys != NULL && ret->slots != NULL && ret->passed != NULL;
}

static uint32_t ht_level_count(const struct ht_view *view)
{
    uint32_t levels = ht_load_acquire(&view->header->level_count);
    return levels < HT_LIVE_LEVELS ? levels : HT_LIVE_LEVELS;
}

static bool ht_is_finite(float value)
{
    return value - value == 0;
}

// L8: the fields of a record.
static const char *ht_check_slot(struct ht_check *check, const struct ht_live_table *table,
                                 const struct ht_live_slot *slot, uint64_t address)
{
    struct ht_live_copy live = ht_live_read_slot(slot, address);
    const struct ht_entry *entry = ht_view_at(check->view, live.entry_ref, sizeof *entry);
    if (entry == NULL || entry->id == 0 || entry->id > table->entry_count ||
        table->entry_refs[entry->id] != live.entry_ref) {
        return ht_check_say(check, "L8", "a live sample's entry is none", address);
    }
    const struct ht_kind_form *form = &table->kinds[entry->kind % HT_KIND_LIMIT].form;
    if (entry->kind != address >> HT_KIND_KEY_SHIFT || (form->flags & HT_KIND_HAS_LIVE) == 0) {
        return ht_check_say(check, "L8", "a live sample is filed under another kind", address);
    }
    if (entry->size_class != ((form->flags & HT_KIND_HAS_SIZES) != 0 ? ht_size_class(live.size_bytes) : 0)) {
        return ht_check_say(check, "L8", "a live sample is filed under another size class", address);
    }
    if (!ht_is_finite(live.rate_bytes) || !ht_is_finite(live.rank_bytes) || live.rate_bytes < 0 ||
        live.rank_bytes < 0 ||
        (live.rate_bytes > 1 && live.rank_bytes > 0 && live.rank_bytes <= live.rate_bytes)) {
        return ht_check_say(check, "L8", "a live sample's rate or rank is none", address);
    }
    return NULL;
}

// One slot whose key is not 0: where it stands (L1), that it is in no change (L2, L6), its fields.
static const char *ht_check_key(struct ht_check *check, struct ht_live_table *table,
                                const struct ht_level_view *level, uint64_t at, uint32_t *due)
{
    uint64_t key = ht_load_acquire(&level->keys[at]), address = key & ~HT_SWEEP_MARK;
    if (key == 0) {
        return NULL;
    }
    table->in_use++;
    if (check->moment == HT_CHECK_QUIET && (key & HT_SWEEP_MARK) != 0) {
        return ht_check_say(check, "L2", "a slot was left in the middle of a change", at);
    }
    if (key == HT_SLOT_BUSY) {
        return NULL;
    }
    float rank_bytes;
    __atomic_load(&level->slots[at].rank_bytes, &rank_bytes, __ATOMIC_RELAXED);
    if (check->moment == HT_CHECK_QUIET && rank_bytes <= 0) {
        return ht_check_say(check, "L6", "a record was never settled", address);
    }
    uint32_t mask = level->bucket_count - 1, bucket = (uint32_t)(at / HT_BUCKET_SLOTS);
    uint32_t home = (uint32_t)(ht_address_hash(address) >> 32) & mask;
    if (((bucket - home) & mask) >= HT_LIVE_PROBES) {
        return ht_check_say(check, "L1", "an address stands outside of its probe path", address);
    }
    for (uint32_t b = home; b != bucket; b = (b + 1) & mask) {
        due[b]++;
    }
    if (table->count < table->capacity) {
        table->addresses[table->count++] = address;
    }
    // A record that changed while it was copied is left to the view's own judgement.
    return check->moment == HT_CHECK_RUNNING ? NULL : ht_check_slot(check, table, &level->slots[at], address);
}

static const char *ht_check_level(struct ht_check *check, struct ht_live_table *table, uint32_t number)
{
    struct ht_level_view level;
    if (!ht_level_at(check->view, number, &level)) {
        return ht_check_say(check, "R5", "a level's tables are not there", number);
    }
    uint32_t *due = ht_bump_take(check->memory, level.bucket_count * sizeof *due);
    if (due == NULL) {
        return ht_check_no_memory(check);
    }
    for (uint64_t at = 0; at < (uint64_t)level.bucket_count * HT_BUCKET_SLOTS; at++) {
        if (ht_check_key(check, table, &level, at, due) != NULL) {
            return check->wrong;
        }
    }
    for (uint32_t b = 0; b < level.bucket_count && check->moment != HT_CHECK_RUNNING; b++) {
        // Counted before the record is visible, and counted off after it is gone.
        uint32_t passed = ht_load_relaxed(&level.passed[b]);
        if (passed < due[b] || (check->moment == HT_CHECK_QUIET && passed != due[b])) {
            return ht_check_say(check, "L1", "a bucket's count of those that passed is not what the keys say",
                                b);
        }
    }
    return NULL;
}

static int ht_compare_numbers(const void *arg, uint64_t a, uint64_t b)
{
    (void)arg;
    return a < b ? -1 : a > b;
}

static const char *ht_check_once(struct ht_check *check, const struct ht_live_table *table)
{
    ht_check_sort(table->addresses, table->count, ht_compare_numbers, NULL);
    for (uint64_t i = 1; i < table->count; i++) {
        if (table->addresses[i] == table->addresses[i - 1]) {
            return ht_check_say(check, "L5", "an address stands twice in the table", table->addresses[i]);
        }
    }
    return NULL;
}

// Room for all addresses, and the entries. False: see check->wrong.
static bool ht_table_begin(struct ht_check *check, struct ht_live_table *table)
{
    struct ht_level_view level;
    uint32_t levels = ht_level_count(check->view);
    for (uint32_t i = 0; i < levels; i++) {
        uint64_t slots =
            ht_level_at(check->view, i, &level) ? (uint64_t)level.bucket_count * HT_BUCKET_SLOTS : 0;
        for (uint64_t at = 0; at < slots; at++) {
            table->capacity += ht_load_relaxed(&level.keys[at]) > HT_SLOT_BUSY;
        }
    }
    table->entry_refs = ht_check_entry_refs(check, &table->entry_count);
    table->kinds = ht_check_kind_table(check);
    if (table->entry_refs == NULL || table->kinds == NULL) {
        return false;
    }
    table->addresses = ht_bump_take(check->memory, table->capacity * sizeof *table->addresses + 1);
    if (table->addresses == NULL) {
        ht_check_no_memory(check);
        return false;
    }
    return true;
}

const char *ht_check_live(struct ht_check *check)
{
    struct ht_live_table table = {0};
    if (!ht_table_begin(check, &table)) {
        return check->wrong;
    }
    uint32_t levels = ht_level_count(check->view);
    for (uint32_t i = 0; i < levels; i++) {
        if (ht_check_level(check, &table, i) != NULL) {
            return check->wrong;
        }
    }
    if (check->moment == HT_CHECK_RUNNING) {
        return NULL; // a block that was freed and given out again while we looked stands there twice
    }
    int64_t counted = ht_live_count(check->view->header);
    int64_t apart = (int64_t)((uint64_t)counted - table.in_use);
    int64_t allowed = check->moment == HT_CHECK_QUIET ? 0 : HT_CHECK_THREADS;
    if (apart > allowed || apart < -allowed) {
        return ht_check_say(check, "L3", "the stripes do not add up to the slots in use", (uint64_t)counted);
    }
    return ht_check_once(check, &table);
}

// ---- E4: what is live of an entry.

struct ht_entry_sum {
    uint64_t count;
    double objects, bytes;
};

struct ht_sums {
    struct ht_check *check;
    const uint32_t *entry_refs;
    uint32_t entry_count;
    struct ht_entry_sum *by_id;
};

static bool ht_add_to_sum(void *arg, const struct ht_live_copy *live)
{
    struct ht_sums *sums = arg;
    const struct ht_entry *entry = ht_view_at(sums->check->view, live->entry_ref, sizeof *entry);
    if (entry != NULL && entry->id != 0 && entry->id <= sums->entry_count &&
        sums->entry_refs[entry->id] == live->entry_ref) {
        double weight = ht_live_weight(live, 0); // as it was when the sample was added
        struct ht_entry_sum *sum = &sums->by_id[entry->id];
        sum->count++;
        sum->objects += weight;
        sum->bytes += weight * (double)live->size_bytes;
    }
    return true;
}

const char *ht_check_sums(struct ht_check *check)
{
    struct ht_sums sums = {.check = check};
    sums.entry_refs = ht_check_entry_refs(check, &sums.entry_count);
    if (sums.entry_refs == NULL) {
        return check->wrong;
    }
    const struct ht_kind *kinds = ht_check_kind_table(check);
    if (kinds == NULL) {
        return check->wrong;
    }
    sums.by_id = ht_bump_take(check->memory, (uint64_t)(sums.entry_count + 1) * sizeof *sums.by_id);
    if (sums.by_id == NULL) {
        return ht_check_no_memory(check);
    }
    ht_view_each_live(check->view, ht_add_to_sum, &sums); // first: what is live was added before
    for (uint32_t id = 1; id <= sums.entry_count; id++) {
        const struct ht_entry *entry = ht_view_at(check->view, sums.entry_refs[id], sizeof *entry);
        const struct ht_entry_sum *sum = &sums.by_id[id];
        if (entry == NULL || sum->count == 0 || check->moment == HT_CHECK_RUNNING) {
            continue; // twice in a copy that took some time: see ht_check_live
        }
        const struct ht_kind_form *form = &kinds[entry->kind % HT_KIND_LIMIT].form;
        double count_unit = 1.0 / (double)(UINT64_C(1) << form->count_shift);
        double amount_unit = 1.0 / (double)(UINT64_C(1) << form->amount_shift);
        double samples = (double)ht_load_relaxed(&entry->values[HT_ENTRY_SAMPLES]);
        uint64_t count, amount;
        ht_load_pair(&entry->values[HT_ENTRY_COUNT], &count, &amount);
        // Each sample was rounded to a unit of the fixed point.
        double objects_error = (samples + 1) * count_unit + sum->objects * 1e-9;
        double bytes_error = (samples + 1) * amount_unit + sum->bytes * 1e-9;
        if ((double)sum->count > samples || sum->objects > (double)count * count_unit + objects_error ||
            sum->bytes > (double)amount * amount_unit + bytes_error) {
            return ht_check_say(check, "E4", "more of an entry is live than it ever got",
                                sums.entry_refs[id]);
        }
    }
    return NULL;
}

// ---- What is private to the process.

static const char *ht_check_words(struct ht_check *check, const struct ht_region *region)
{
    const struct ht_region_header *header = region->header;
    uint32_t levels = ht_load_acquire(&region->level_count);
    if (levels != ht_load_acquire(&header->level_count) || region->size_bytes != header->size_bytes ||
        region->head_count != header->head_count || region->stack_heads_ref != header->stack_heads_ref ||
        region->entry_heads_ref != header->entry_heads_ref ||
        memcmp(region->levels, header->levels, levels * sizeof region->levels[0]) != 0) {
        return ht_check_say(check, "L4", "the header does not say what the process goes by", levels);
    }
    return NULL;
}

const char *ht_check_own(struct ht_check *check, const struct ht_region *region)
{
    uint32_t mask = ht_load_seqcst(&ht_filter_mask);
    uint8_t *due = ht_bump_take(check->memory, (uint64_t)mask + 1);
    if (ht_check_words(check, region) != NULL) {
        return check->wrong;
    }
    if (due == NULL) {
        return ht_check_no_memory(check);
    }
    uint32_t levels = ht_load_acquire(&region->level_count);
    for (uint32_t i = 0; i < levels; i++) {
        const uint64_t *keys = (const uint64_t *)(const void *)(region->base + region->levels[i].keys_offset);
        for (uint64_t at = 0; at < (uint64_t)region->levels[i].bucket_count * HT_BUCKET_SLOTS; at++) {
            uint64_t key = ht_load_acquire(&keys[at]), address = key & ~HT_SWEEP_MARK;
            if (key <= HT_SLOT_BUSY) {
                continue;
            }
            uint32_t index = ht_filter_hash((uintptr_t)address) & mask;
            due[index] = due[index] < HT_FILTER_STICKY ? (uint8_t)(due[index] + 1) : due[index];
            if (ht_load_seqcst(&ht_filter_bytes[index]) < due[index]) {
                return ht_check_say(check, "F1", "a byte of the filter is below the number of its records",
                                    address);
            }
        }
    }
    const uintptr_t *pinned;
    uint32_t pinned_count = ht_filter_pinned(&pinned);
    for (uint32_t i = 0; i < pinned_count; i++) {
        if (ht_load_seqcst(&ht_filter_bytes[ht_filter_hash(pinned[i]) & mask]) != HT_FILTER_STICKY) {
            return ht_check_say(check, "F3", "a pinned address does not stick", pinned[i]);
        }
    }
    return NULL;
}
