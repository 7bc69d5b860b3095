// Collects live samples and writes field 1000 of a profile (births_form.h).
#include "snapshot/births.h"

#include "record/estimate.h"

#include <math.h>
#include <string.h>

#define CHUNK_BYTES  (16u * 1024u) // goes through the staging buffer of a message
#define VARINT_BYTES 10u

void ht_births_init(struct ht_births *births, struct ht_bump *memory, uint64_t wanted)
{
    memset(births, 0, sizeof *births);
    births->chunk = ht_bump_take(memory, CHUNK_BYTES);
    uint64_t capacity = wanted + wanted / 8 + 64; // some are born while they are walked over
    capacity = capacity < HT_BIRTHS_LIMIT ? capacity : HT_BIRTHS_LIMIT;
    // Names and stacks come first: a quarter of what there may be at most.
    if (births->chunk != NULL && capacity * sizeof(struct ht_born) <= memory->limit_bytes / 4) {
        births->items = ht_bump_take(memory, capacity * sizeof(struct ht_born));
    }
    births->capacity = births->items != NULL ? (uint32_t)capacity : 0;
}

void ht_births_reset(struct ht_births *births, float floor_bytes, uint64_t now_ns)
{
    births->count = births->rate_count = births->next = 0;
    births->given_up = births->items == NULL;
    births->floor_bytes = floor_bytes;
    births->now_ns = now_ns;
}

// Most samples have the rate of the one before.
static bool ht_rate_index(struct ht_births *births, float rate_bytes, uint16_t *ret_index)
{
    uint32_t i = births->rate_count;
    while (i > 0 && births->rates[i - 1] != rate_bytes) {
        i--;
    }
    if (i == 0) {
        if (births->rate_count == HT_BIRTHS_RATES) {
            return false;
        }
        births->rates[births->rate_count++] = rate_bytes;
        i = births->rate_count;
    }
    *ret_index = (uint16_t)(i - 1);
    return true;
}

void ht_births_add(struct ht_births *births, uint32_t entry_id, const struct ht_live_copy *live)
{
    uint16_t rate = 0;
    if (births->given_up || births->count == births->capacity ||
        !ht_rate_index(births, live->rate_bytes, &rate)) {
        births->given_up = true;
        return;
    }
    births->items[births->count++] = (struct ht_born){
        .size_bytes = live->size_bytes,
        .ticks = (int64_t)(live->birth_ns / HT_BIRTHS_QUANTUM_NS),
        .entry_id = entry_id,
        .cell = (int16_t)ht_cell_of((double)live->rank_bytes),
        .rate = rate,
    };
}

static bool ht_is_before(const struct ht_born *a, const struct ht_born *b)
{
    if (a->entry_id != b->entry_id) {
        return a->entry_id < b->entry_id;
    }
    return a->ticks != b->ticks ? a->ticks < b->ticks : a->size_bytes > b->size_bytes;
}

static void ht_sift_born(struct ht_born *items, uint32_t root, uint32_t count)
{
    struct ht_born moved = items[root];
    for (uint32_t child; (child = 2 * root + 1) < count; root = child) {
        child += child + 1 < count && ht_is_before(&items[child], &items[child + 1]);
        if (!ht_is_before(&moved, &items[child])) {
            break;
        }
        items[root] = items[child];
        items[child] = moved;
    }
}

// Heap sort: no memory, and no order makes it slow.
static void ht_sort_born(struct ht_born *items, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;) {
        ht_sift_born(items, i, count);
    }
    for (uint32_t end = count; end-- > 1;) {
        struct ht_born last = items[end];
        items[end] = items[0];
        items[0] = last;
        ht_sift_born(items, 0, end);
    }
}

static void ht_flush_chunk(struct ht_births *births)
{
    ProtobufCBinaryData piece = {births->chunk_bytes, births->chunk};
    HT_PB_PROFILE part = PERFTOOLS__PROFILES__PROFILE__INIT;
    part.births = &piece;
    part.n_births = 1;
    if (births->chunk_bytes > 0) {
        ht_message_add(births->message, &part);
    }
    births->chunk_bytes = 0;
}

static void ht_put(struct ht_births *births, uint64_t value)
{
    if (births->chunk_bytes > CHUNK_BYTES - VARINT_BYTES) {
        ht_flush_chunk(births);
    }
    for (; value >= 0x80; value >>= 7) {
        births->chunk[births->chunk_bytes++] = (uint8_t)(value | 0x80);
    }
    births->chunk[births->chunk_bytes++] = (uint8_t)value;
}

void ht_births_write_head(struct ht_births *births, struct ht_message *message,
                          const struct ht_kind_form *form)
{
    births->message = message;
    if (births->chunk == NULL) {
        return;
    }
    bool has_live = (form->flags & HT_KIND_HAS_LIVE) != 0;
    bool listed = has_live && !births->given_up;
    if (listed) {
        ht_sort_born(births->items, births->count);
    }
    ht_put(births, HT_BIRTHS_VERSION);
    ht_put(births, (listed ? HT_BIRTHS_LISTED : 0) | (has_live ? HT_BIRTHS_LIVE : 0) |
                       ((form->flags & HT_KIND_HAS_SIZES) != 0 ? HT_BIRTHS_SIZES : 0));
    ht_put(births, form->column_count);
    for (uint32_t i = 0; i < form->column_count; i++) {
        ht_put(births, form->columns[i].source);
    }
    ht_put(births, HT_BIRTHS_QUANTUM_NS);
    ht_put(births, births->now_ns / HT_BIRTHS_QUANTUM_NS);
    int cell = births->floor_bytes > 1 ? ht_cell_of_floor((double)births->floor_bytes) : 0;
    ht_put(births, (uint64_t)cell);
    ht_put(births, listed ? births->rate_count : 0);
    for (uint32_t i = 0; listed && i < births->rate_count; i++) {
        uint32_t bits;
        memcpy(&bits, &births->rates[i], sizeof bits);
        ht_put(births, bits);
    }
}

static void ht_put_error(struct ht_births *births, double variance)
{
    double error = variance >= 0 ? sqrt(variance) : 0;
    ht_put(births, variance >= 0 && error < 9e18 ? (uint64_t)(error + 0.5) + 1 : 0);
}

static void ht_put_ranks(struct ht_births *births, const struct ht_born *born, uint32_t count)
{
    int floor_cell = births->floor_bytes > 1 ? ht_cell_of_floor((double)births->floor_bytes) : 0;
    for (uint32_t i = 0; i < count; i++) {
        double rate = (double)births->rates[born[i].rate];
        if (rate <= 1 && floor_cell == 0) {
            continue;
        }
        int base = rate > 1 ? ht_cell_of_rate(rate) : 0;
        base = base > floor_cell ? base : floor_cell;
        ht_put(births, born[i].cell > base ? (uint64_t)(born[i].cell - base) : 0);
    }
}

// Those of one entry stand together, by birth.
static void ht_put_born(struct ht_births *births, const struct ht_born *born, uint32_t count,
                        uint32_t size_class)
{
    int64_t before = (int64_t)(births->now_ns / HT_BIRTHS_QUANTUM_NS);
    ht_put(births, count);
    for (uint32_t i = 0; i < count; i++) {
        ht_put(births, i == 0 ? ht_zigzag(before - born[i].ticks) : (uint64_t)(born[i].ticks - before));
        before = born[i].ticks;
    }
    uint64_t bound = ht_size_class_bound(size_class);
    for (uint32_t i = 0; i < count; i++) {
        ht_put(births, bound > born[i].size_bytes ? bound - born[i].size_bytes : 0);
    }
    for (uint32_t i = 0; births->rate_count > 1 && i < count; i++) {
        ht_put(births, born[i].rate);
    }
    ht_put_ranks(births, born, count);
}

void ht_births_write_row(struct ht_births *births, const struct ht_kind_form *form, uint32_t entry_id,
                         uint32_t size_class, struct ht_births_errors errors)
{
    if (births->chunk == NULL) {
        return;
    }
    ht_put_error(births, errors.total);
    if ((form->flags & HT_KIND_HAS_LIVE) == 0) {
        return;
    }
    if (births->given_up) {
        ht_put_error(births, errors.live);
        return;
    }
    while (births->next < births->count && births->items[births->next].entry_id < entry_id) {
        births->next++; // of a row that is not written
    }
    uint32_t first = births->next;
    while (births->next < births->count && births->items[births->next].entry_id == entry_id) {
        births->next++;
    }
    ht_put_born(births, births->items + first, births->next - first, size_class);
}

void ht_births_write_end(struct ht_births *births)
{
    if (births->chunk != NULL) {
        ht_flush_chunk(births);
    }
}
