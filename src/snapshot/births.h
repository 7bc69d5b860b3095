// What a snapshot tells beside its values: their standard errors and the births of the live samples.
#ifndef HT_SNAPSHOT_BIRTHS_H
#define HT_SNAPSHOT_BIRTHS_H

#include "record/kinds.h"
#include "record/view.h"
#include "snapshot/births_form.h"
#include "snapshot/message.h"
#include "sys/memory.h"

#include <stdbool.h>
#include <stdint.h>

// A live sample, as it is written.
struct ht_born {
    uint64_t size_bytes;
    int64_t ticks;
    uint32_t entry_id;
    int16_t cell;  // of its rank
    uint16_t rate; // in the table
};

// All zero but for `items`, `capacity` and `chunk`: nothing is collected yet.
struct ht_births {
    struct ht_born *items; // NULL: no memory for them
    uint32_t count, capacity;
    bool given_up; // there are more of them, or of their rates, than there is room for
    float rates[HT_BIRTHS_RATES];
    uint32_t rate_count;
    float floor_bytes;
    uint64_t now_ns;
    uint8_t *chunk; // NULL: nothing is written
    uint32_t chunk_bytes;
    struct ht_message *message;
    uint32_t next; // of the items, when they are written
};

// Context: exit, bare thread, tool; no allocation but from the arena.

// Takes what there is room for; nothing of it is needed for a snapshot. `wanted`: live samples that may come.
void ht_births_init(struct ht_births *births, struct ht_bump *memory, uint64_t wanted);

// Before a walk over the live samples, also before another one.
void ht_births_reset(struct ht_births *births, float floor_bytes, uint64_t now_ns);
void ht_births_add(struct ht_births *births, uint32_t entry_id, const struct ht_live_copy *live);

// The variances of a row's amounts; below 0: unknown.
struct ht_births_errors {
    double total, live;
};

// Writing: the head, then each row that is a sample of the profile, by rising ids, then the end.
void ht_births_write_head(struct ht_births *births, struct ht_message *message,
                          const struct ht_kind_form *form);
void ht_births_write_row(struct ht_births *births, const struct ht_kind_form *form, uint32_t entry_id,
                         uint32_t size_class, struct ht_births_errors errors);
void ht_births_write_end(struct ht_births *births);

#endif
