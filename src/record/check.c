// The list of all checks, what they share, the check of the header, and what a reader needs.
#include "record/check.h"

#include "record/live.h"
#include "sys/atomic.h"
#include "sys/fmt.h"

const struct ht_check_row ht_check_rows[HT_CHECK_ROWS] = {
    {"header", "R1 R5 L7", ht_check_header},
    {"stacks", "R2 R4 S1 S2", ht_check_stacks},
    {"strings", "R4 T1", ht_check_strings},
    {"modules", "R4 M1 M2", ht_check_modules},
    {"kinds", "R4 K1 K2 K3", ht_check_kinds},
    {"entries", "R4 E1 E2 E3 E5 E6", ht_check_entries},
    {"live_samples", "L1 L2 L3 L5 L6 L8", ht_check_live},
    {"live_sums", "E4", ht_check_sums},
};

const char *ht_check_all(struct ht_check *check, const struct ht_view *view, enum ht_check_moment moment,
                         struct ht_bump *memory)
{
    *check = (struct ht_check){.view = view, .moment = moment, .memory = memory};
    for (unsigned i = 0; i < HT_CHECK_ROWS; i++) {
        if (ht_check_rows[i].run(check) != NULL) {
            return check->wrong;
        }
    }
    return NULL;
}

const char *ht_check_say(struct ht_check *check, const char *rule, const char *text, uint64_t place)
{
    struct ht_text out = ht_text_init(check->wrong, sizeof check->wrong);
    ht_text_add(&out, rule);
    ht_text_add(&out, ": ");
    ht_text_add(&out, text);
    ht_text_add(&out, " (0x");
    ht_text_add_hex(&out, place);
    ht_text_add(&out, ")");
    check->rule = rule;
    return check->wrong;
}

const char *ht_check_no_memory(struct ht_check *check)
{
    struct ht_text out = ht_text_init(check->wrong, sizeof check->wrong);
    ht_text_add(&out, "not checked: no memory for the tables of the check");
    check->rule = "memory";
    return check->wrong;
}

// Heap sort: no memory, and no order of the bytes makes it slow.
static void ht_sift(uint64_t *items, uint64_t root, uint64_t count,
                    int (*compare)(const void *arg, uint64_t a, uint64_t b), const void *arg)
{
    for (uint64_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && compare(arg, items[child], items[child + 1]) < 0) {
            child++;
        }
        if (compare(arg, items[root], items[child]) >= 0) {
            return;
        }
        uint64_t item = items[root];
        items[root] = items[child];
        items[child] = item;
    }
}

void ht_check_sort(uint64_t *items, uint64_t count, int (*compare)(const void *arg, uint64_t a, uint64_t b),
                   const void *arg)
{
    for (uint64_t i = count / 2; i-- > 0;) {
        ht_sift(items, i, count, compare, arg);
    }
    for (uint64_t end = count; end-- > 1;) {
        uint64_t item = items[0];
        items[0] = items[end];
        items[end] = item;
        ht_sift(items, 0, end, compare, arg);
    }
}

// ---- The header: R1, R5, L7.

struct ht_range {
    uint64_t offset, bytes;
};

// The tables that the header names: they lie within what is used, and no two share a byte.
static const char *ht_check_tables(struct ht_check *check, uint64_t used_bytes)
{
    const struct ht_region_header *header = check->view->header;
    struct ht_range tables[2 + 3 * HT_LIVE_LEVELS];
    unsigned count = 0;
    uint64_t heads_bytes = (uint64_t)header->head_count * sizeof(uint32_t);
    tables[count++] = (struct ht_range){(uint64_t)header->stack_heads_ref * HT_REF_UNIT, heads_bytes};
    tables[count++] = (struct ht_range){(uint64_t)header->entry_heads_ref * HT_REF_UNIT, heads_bytes};
    uint32_t levels = ht_load_acquire(&header->level_count);
    if (levels == 0 || levels > HT_LIVE_LEVELS) {
        return ht_check_say(check, "R5", "the number of levels makes no sense", levels);
    }
    for (uint32_t i = 0; i < levels; i++) {
        struct ht_live_level level = header->levels[i];
        uint64_t slots = (uint64_t)level.bucket_count * HT_BUCKET_SLOTS;
        if (level.bucket_count < HT_LIVE_PROBES || (level.bucket_count & (level.bucket_count - 1)) != 0) {
            return ht_check_say(check, "R5", "a level's number of buckets makes no sense",
                                level.bucket_count);
        }
        tables[count++] = (struct ht_range){level.keys_offset, slots * sizeof(uint64_t)};
        tables[count++] = (struct ht_range){level.slots_offset, slots * sizeof(struct ht_live_slot)};
        tables[count++] =
            (struct ht_range){level.passed_offset, (uint64_t)level.bucket_count * sizeof(uint32_t)};
    }
    for (unsigned i = 0; i < count; i++) {
        const struct ht_range *a = &tables[i];
        if (a->offset < HT_REGION_HEADER_BYTES || a->offset % HT_REF_UNIT != 0 || a->offset > used_bytes ||
            a->bytes > used_bytes - a->offset) {
            return ht_check_say(check, "R5", "a table does not lie in what is used", a->offset);
        }
        for (unsigned j = 0; j < i; j++) {
            if (tables[j].offset < a->offset + a->bytes && a->offset < tables[j].offset + tables[j].bytes) {
                return ht_check_say(check, "R5", "two tables overlap", a->offset);
            }
        }
    }
    return NULL;
}

const char *ht_check_header(struct ht_check *check)
{
    const struct ht_region_header *header = check->view->header;
    uint64_t used = ht_load_acquire(&header->used_bytes); // before what it is held against
    uint64_t backed = ht_load_acquire(&header->backed_bytes);
    if (used < HT_REGION_HEADER_BYTES || used > backed || backed > header->size_bytes) {
        return ht_check_say(check, "R1", "used, backed and size are out of order", used);
    }
    if (used > check->view->size_bytes) {
        return ht_check_say(check, "R1", "what is used is not all there", check->view->size_bytes);
    }
    if (ht_check_tables(check, used) != NULL) {
        return check->wrong;
    }
    float floor_bytes;
    __atomic_load(&header->floor_bytes, &floor_bytes, __ATOMIC_RELAXED);
    if (!(floor_bytes >= 0) || (floor_bytes > 0 && ht_load_acquire(&header->thinned_since_ns) == 0)) {
        return ht_check_say(check, "L7", "there is a floor, and nobody says since when",
                            (uint64_t)(floor_bytes >= 0 && floor_bytes < 1e18f ? floor_bytes : 0));
    }
    return NULL;
}

// ---- What a reader needs.

struct ht_glance {
    const struct ht_view *view;
    const char *wrong;
};

static bool ht_glance_at_entry(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    struct ht_glance *glance = arg;
    (void)ref;
    if (entry->id == 0 || entry->id > ht_load_relaxed(&glance->view->header->entry_count)) {
        glance->wrong = "an entry's id is out of range";
    } else if (entry->size_class >= HT_SIZE_CLASSES) {
        glance->wrong = "an entry's size class is out of range";
    } else if (entry->stack_ref != 0) {
        const struct ht_stack *stack = ht_view_at(glance->view, entry->stack_ref, sizeof *stack);
        if (stack == NULL || stack->frame_count > HT_MAX_FRAMES ||
            ht_view_at(glance->view, entry->stack_ref, sizeof *stack + stack->frame_count * 8u) == NULL) {
            glance->wrong = "an entry's stack lies outside of the region";
        }
    }
    return glance->wrong == NULL;
}

static bool ht_glance_at_live(void *arg, const struct ht_live_copy *live)
{
    struct ht_glance *glance = arg;
    if (ht_view_at(glance->view, live->entry_ref, sizeof(struct ht_entry)) == NULL) {
        glance->wrong = "a live sample's entry lies outside of the region";
    } else if (!(live->rate_bytes >= 0) || !(live->rank_bytes >= 0)) {
        glance->wrong = "a live sample's rate or rank is not a number";
    }
    return glance->wrong == NULL;
}

const char *ht_region_check(const struct ht_view *view)
{
    const struct ht_region_header *header = view->header;
    uint64_t used = ht_load_acquire(&header->used_bytes); // before what it is held against
    uint64_t backed = ht_load_acquire(&header->backed_bytes);
    if (used > backed || backed > header->size_bytes) {
        return "used, backed and size are out of order";
    }
    if (header->level_count > HT_LIVE_LEVELS) {
        return "too many levels";
    }
    struct ht_glance glance = {view, NULL};
    if (!ht_view_each_entry(view, ht_glance_at_entry, &glance)) {
        return glance.wrong != NULL ? glance.wrong : "the entries' heads lie outside of the region";
    }
    ht_view_each_live(view, ht_glance_at_live, &glance);
    return glance.wrong;
}
