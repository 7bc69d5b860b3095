// Interning of stacks, entries and strings in lock-free, append-only hash chains.
#include "record/stacks.h"

#include "record/hash.h"
#include "record/view.h"
#include "sys/atomic.h"
#include "sys/pair.h"

#include <string.h>

static uint32_t *ht_head(const struct ht_region *region, uint32_t heads_ref, uint64_t hash)
{
    uint32_t *heads = ht_region_at(region, heads_ref);
    return &heads[ht_head_of(hash, region->head_count)];
}

static bool ht_same_stack(const struct ht_region *region, uint32_t ref, uint64_t hash, const uint64_t *frames,
                          uint32_t frame_count)
{
    const struct ht_stack *stack = ht_region_at(region, ref);
    return stack->hash == hash && stack->frame_count == frame_count &&
           ht_region_holds(region, ref, sizeof *stack + frame_count * sizeof frames[0]) &&
           memcmp(stack->frames, frames, frame_count * sizeof frames[0]) == 0;
}

// Looks through a chain from `ref` as far as `end` (which was looked at before).
static uint32_t ht_find_stack(const struct ht_region *region, uint32_t ref, uint32_t end, uint64_t hash,
                              const uint64_t *frames, uint32_t frame_count)
{
    for (uint32_t step = 0; ref != end && ht_region_link(region, ref, sizeof(struct ht_stack), step);
         step++) {
        if (ht_same_stack(region, ref, hash, frames, frame_count)) {
            return ref;
        }
        ref = ((const struct ht_stack *)ht_region_at(region, ref))->next_ref;
    }
    return 0;
}

static uint32_t ht_stack_intern(struct ht_region *region, uint64_t hash, const uint64_t *frames,
                                uint32_t frame_count, uint32_t flags)
{
    uint32_t *head = ht_head(region, region->stack_heads_ref, hash);
    uint32_t first = ht_load_acquire(head); // pairs with the CAS below
    uint32_t ref = ht_find_stack(region, first, 0, hash, frames, frame_count);
    if (ref != 0) {
        return ref;
    }
    uint64_t bytes = sizeof(struct ht_stack) + frame_count * sizeof frames[0];
    uint64_t offset = ht_region_take(region, bytes, HT_REF_UNIT, false);
    if (offset == 0) {
        return 0;
    }
    ref = (uint32_t)(offset / HT_REF_UNIT);
    struct ht_stack *stack = ht_region_at(region, ref);
    stack->hash = hash;
    stack->frame_count = (uint16_t)frame_count;
    stack->flags = (uint16_t)flags;
    memcpy(stack->frames, frames, frame_count * sizeof frames[0]);
    stack->next_ref = first;
    while (!ht_cas_acqrel(head, &first, ref)) {
        uint32_t other = ht_find_stack(region, first, stack->next_ref, hash, frames, frame_count);
        if (other != 0) {
            return other; // another thread was faster; our copy stays unused
        }
        stack->next_ref = first;
    }
    return ref;
}

struct ht_entry_key {
    uint64_t hash;
    uint32_t kind;
    uint32_t size_class, label_ref;
    uint32_t frame_count;
    const uint64_t *frames; // NULL: the overflow entry
    uint64_t stack_hash;
};

static bool ht_same_entry(const struct ht_region *region, const struct ht_entry *entry,
                          const struct ht_entry_key *key)
{
    if (entry->hash != key->hash || entry->size_class != key->size_class ||
        entry->label_ref != key->label_ref || entry->kind != (uint16_t)key->kind ||
        (entry->stack_ref == 0) != (key->frames == NULL)) {
        return false;
    }
    return key->frames == NULL ||
           (ht_region_holds(region, entry->stack_ref, sizeof(struct ht_stack)) &&
            ht_same_stack(region, entry->stack_ref, key->stack_hash, key->frames, key->frame_count));
}

static uint32_t ht_find_entry(const struct ht_region *region, uint32_t ref, uint32_t end,
                              const struct ht_entry_key *key)
{
    for (uint32_t step = 0; ref != end && ht_region_link(region, ref, sizeof(struct ht_entry), step);
         step++) {
        if (ht_same_entry(region, ht_region_at(region, ref), key)) {
            return ref;
        }
        ref = ((const struct ht_entry *)ht_region_at(region, ref))->next_ref;
    }
    return 0;
}

static uint32_t ht_add_entry(struct ht_region *region, const struct ht_entry_key *key, uint32_t stack_ref,
                             uint32_t *head, uint32_t first)
{
    uint64_t offset = ht_region_take(region, sizeof(struct ht_entry), HT_CACHE_LINE, key->frames == NULL);
    if (offset == 0) {
        return 0;
    }
    uint32_t ref = (uint32_t)(offset / HT_REF_UNIT);
    struct ht_entry *entry = ht_region_at(region, ref);
    entry->hash = key->hash;
    entry->stack_ref = stack_ref;
    entry->label_ref = key->label_ref;
    entry->kind = (uint16_t)key->kind;
    entry->size_class = (uint16_t)key->size_class;
    entry->id = ht_add_relaxed(&region->header->entry_count, 1) + 1;
    entry->next_ref = first;
    while (!ht_cas_acqrel(head, &first, ref)) {
        uint32_t other = ht_find_entry(region, first, entry->next_ref, key);
        if (other != 0) {
            return other; // its id stays unused
        }
        entry->next_ref = first;
    }
    return ref;
}

static const struct ht_kind_use *ht_kind_use_of(const struct ht_region *region, uint32_t kind)
{
    const struct ht_kind_use *use = &region->kinds[kind % HT_KIND_LIMIT];
    return ht_load_acquire(&use->row_ref) != 0 ? use : NULL; // pairs with the release in ht_remember
}

static uint32_t ht_overflow_entry(struct ht_region *region, const struct ht_kind_use *use, uint32_t kind,
                                  uint32_t size_class)
{
    ht_health_add(region->header, HT_HEALTH_OVERFLOW_STACKS, 1);
    uint32_t class_count = (ht_load_relaxed(&use->flags) & HT_KIND_HAS_SIZES) != 0 ? HT_SIZE_CLASSES : 1;
    uint64_t row_bytes = sizeof(struct ht_kind_row) + class_count * sizeof(uint32_t);
    uint32_t row_ref = ht_load_relaxed(&use->row_ref);
    if (size_class >= class_count || !ht_region_link(region, row_ref, row_bytes, 0)) {
        return 0;
    }
    struct ht_kind_row *row = ht_region_at(region, row_ref);
    uint32_t ref = ht_load_acquire(&row->overflow_refs[size_class]);
    if (ref != 0 && ht_region_link(region, ref, sizeof(struct ht_entry), 0)) {
        return ref;
    }
    struct ht_entry_key key = {ht_overflow_hash(kind, size_class), kind, size_class, 0, 0, NULL, 0};
    uint32_t *head = ht_head(region, region->entry_heads_ref, key.hash);
    uint32_t first = ht_load_acquire(head);
    ref = ht_find_entry(region, first, 0, &key);
    if (ref == 0) {
        ref = ht_add_entry(region, &key, 0, head, first);
    }
    ht_store_release(&row->overflow_refs[size_class], ref);
    return ref;
}

uint32_t ht_entry_intern(struct ht_region *region, uint32_t kind, const uint64_t *frames,
                         uint32_t frame_count, uint32_t flags, uint32_t size_class, uint32_t label_ref)
{
    const struct ht_kind_use *use = ht_kind_use_of(region, kind);
    if (use == NULL) {
        return 0;
    }
    struct ht_entry_key key = {0, kind, size_class, label_ref, frame_count, frames, 0};
    // A walk that failed and a whole one over the same frames are one row of a profile.
    key.stack_hash = ht_stack_hash(frames, frame_count, flags & HT_STACK_TRUNCATED);
    key.hash = ht_entry_hash(key.stack_hash, kind, size_class, label_ref);
    uint32_t *head = ht_head(region, region->entry_heads_ref, key.hash);
    uint32_t first = ht_load_acquire(head); // pairs with the CAS in ht_add_entry
    uint32_t ref = ht_find_entry(region, first, 0, &key);
    if (ref != 0) {
        return ref;
    }
    uint32_t stack_ref = ht_stack_intern(region, key.stack_hash, frames, frame_count, flags);
    if (stack_ref != 0) {
        ref = ht_add_entry(region, &key, stack_ref, head, first);
    }
    return ref != 0 ? ref : ht_overflow_entry(region, use, kind, size_class);
}

uint32_t ht_string_intern(struct ht_region *region, const char *text, uint32_t length_bytes)
{
    uint32_t *head = &region->header->strings_ref;
    uint32_t first = ht_load_acquire(head);
    uint32_t ref = first;
    for (uint32_t step = 0; ref != 0 && ht_region_link(region, ref, sizeof(struct ht_string), step); step++) {
        const struct ht_string *string = ht_region_at(region, ref);
        if (string->length_bytes == length_bytes &&
            ht_region_holds(region, ref, sizeof *string + length_bytes) &&
            memcmp(string->bytes, text, length_bytes) == 0) {
            return ref;
        }
        ref = string->next_ref;
    }
    uint64_t offset = ht_region_take(region, sizeof(struct ht_string) + length_bytes + 1, HT_REF_UNIT, false);
    if (offset == 0) {
        return 0;
    }
    struct ht_string *string = (struct ht_string *)(region->base + offset);
    string->length_bytes = length_bytes;
    memcpy(string->bytes, text, length_bytes);
    string->bytes[length_bytes] = '\0';
    string->next_ref = first;
    while (!ht_cas_acqrel(head, &first, (uint32_t)(offset / HT_REF_UNIT))) {
        string->next_ref = first; // a twin made meanwhile costs a few bytes, no more
    }
    return (uint32_t)(offset / HT_REF_UNIT);
}

// Adds to a sum of squares that is kept as a double's bits. Signs and infinities do not come up: what is
// added is above 0 and below 2^64^2 * 2^64^2.
static void ht_add_double(uint64_t *word, double value)
{
    uint64_t seen = ht_load_relaxed(word), wanted;
    double sum;
    do {
        memcpy(&sum, &seen, sizeof sum);
        sum += value;
        memcpy(&wanted, &sum, sizeof wanted);
    } while (!__atomic_compare_exchange_n(word, &seen, wanted, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

void ht_entry_add(struct ht_region *region, uint32_t entry_ref, uint64_t amount, double weight, double noise)
{
    struct ht_entry *entry = ht_region_at(region, entry_ref);
    const struct ht_kind_use *use = ht_kind_use_of(region, entry->kind);
    if (use == NULL) {
        return;
    }
    uint64_t count_one = UINT64_C(1) << ht_load_relaxed(&use->count_shift);
    uint64_t amount_one = UINT64_C(1) << ht_load_relaxed(&use->amount_shift);
    uint64_t counts = count_one, amounts = amount * amount_one;
    if (weight > 1.0) {
        counts = (uint64_t)(weight * (double)count_one + noise);
        amounts = (uint64_t)((double)amount * weight * (double)amount_one + noise);
    }
    ht_add_relaxed(&entry->values[HT_ENTRY_SAMPLES], 1);
    ht_add_pair(&entry->values[HT_ENTRY_COUNT], counts, amounts);
    if (weight > 1.0) { // an exact sample has no error: no further step for it
        ht_add_double(&entry->values[HT_ENTRY_VARIANCE],
                      (double)amount * (double)amount * weight * (weight - 1));
    }
}

static bool ht_entry_began(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    struct ht_region *region = arg;
    uint64_t offset = ht_region_take(region, sizeof(struct ht_inherited), HT_REF_UNIT, false);
    if (offset == 0) {
        return false; // without that, its snapshots do not tell what was inherited
    }
    struct ht_inherited *began = (struct ht_inherited *)(region->base + offset);
    began->count = entry->values[HT_ENTRY_COUNT];
    began->amount = entry->values[HT_ENTRY_AMOUNT];
    ((struct ht_entry *)ht_region_at(region, ref))->inherited_ref = (uint32_t)(offset / HT_REF_UNIT);
    return true;
}

void ht_entries_began(struct ht_region *region)
{
    struct ht_view view = {region->base, ht_load_acquire(&region->backed_bytes), region->header};
    ht_view_each_entry(&view, ht_entry_began, region);
}
