// The checks of what is appended and never changes: stacks, strings, modules, kinds, entries.
#include "record/check.h"

#include "record/hash.h"
#include "record/kinds.h"
#include "sys/atomic.h"

#include <float.h>
#include <string.h>

// ---- Chains.

struct ht_chains {
    struct ht_check *check;
    uint64_t record_bytes, next_offset; // of the smallest record, and of its next_ref in it
    uint64_t steps_left;                // more than there can be records: a circle
    uint32_t head;                      // that the chain hangs on
    const char *(*look)(struct ht_chains *chains, uint32_t ref, const void *record);
    // For the one who looks:
    const struct ht_kind *kinds; // by id; a name of no length: there is none
    uint64_t *found;
    uint64_t count, capacity;
};

static struct ht_chains ht_chains_of(struct ht_check *check, uint64_t record_bytes, uint64_t next_offset,
                                     const char *(*look)(struct ht_chains *chains, uint32_t ref,
                                                         const void *record))
{
    struct ht_chains chains = {check, record_bytes, next_offset, 0, 0, look, NULL, NULL, 0, 0};
    return chains;
}

static const void *ht_used_at(const struct ht_view *view, uint32_t ref, uint64_t bytes)
{
    uint64_t used = ht_load_acquire(&view->header->used_bytes), offset = (uint64_t)ref * HT_REF_UNIT;
    return offset > used || bytes > used - offset ? NULL : ht_view_at(view, ref, bytes);
}

static const char *ht_follow(struct ht_chains *chains, uint32_t first)
{
    struct ht_check *check = chains->check;
    for (uint32_t ref = first; ref != 0;) {
        const uint8_t *record = ht_used_at(check->view, ref, chains->record_bytes);
        if (record == NULL) {
            // Newer than the copy's end.
            return check->moment == HT_CHECK_RUNNING
                       ? NULL
                       : ht_check_say(check, "R4", "a chain leads out of what is used", ref);
        }
        if (chains->steps_left-- == 0) {
            return ht_check_say(check, "R4", "a chain leads in a circle", ref);
        }
        if (chains->look(chains, ref, record) != NULL) {
            return check->wrong;
        }
        ref = ht_load_acquire((const uint32_t *)(const void *)(record + chains->next_offset));
    }
    return NULL;
}

// One chain; its head is a word of the header.
static const char *ht_follow_one(struct ht_chains *chains, const uint32_t *head)
{
    chains->steps_left = chains->check->view->size_bytes / chains->record_bytes;
    return ht_follow(chains, ht_load_acquire(head));
}

static const char *ht_follow_all(struct ht_chains *chains, uint32_t heads_ref)
{
    struct ht_check *check = chains->check;
    uint32_t head_count = check->view->header->head_count;
    const uint32_t *heads = ht_used_at(check->view, heads_ref, (uint64_t)head_count * sizeof *heads);
    if (heads == NULL || head_count == 0 || (head_count & (head_count - 1)) != 0) {
        return ht_check_say(check, "R5", "the heads of chains are not there", heads_ref);
    }
    chains->steps_left = check->view->size_bytes / chains->record_bytes;
    for (chains->head = 0; chains->head < head_count; chains->head++) {
        if (ht_follow(chains, ht_load_acquire(&heads[chains->head])) != NULL) {
            return check->wrong;
        }
    }
    return NULL;
}

static const char *ht_count(struct ht_chains *chains, uint32_t ref, const void *record)
{
    (void)ref;
    (void)record;
    chains->count++;
    return NULL;
}

static const char *ht_gather(struct ht_chains *chains, uint32_t ref, const void *record)
{
    (void)record;
    if (chains->count < chains->capacity) { // more of them have come since they were counted
        chains->found[chains->count++] = ref;
    }
    return NULL;
}

// The references of all records of some chains, in a table of their own. False: see check->wrong.
static bool ht_gather_all(struct ht_chains *chains, uint32_t heads_ref, const uint32_t *head)
{
    struct ht_chains all = *chains;
    all.look = ht_count;
    all.count = 0;
    if ((head != NULL ? ht_follow_one(&all, head) : ht_follow_all(&all, heads_ref)) != NULL) {
        return false;
    }
    all.look = ht_gather;
    all.capacity = all.count;
    all.count = 0;
    all.found = ht_bump_take(all.check->memory, all.capacity * sizeof *all.found + 1);
    if (all.found == NULL) {
        ht_check_no_memory(all.check);
        return false;
    }
    if ((head != NULL ? ht_follow_one(&all, head) : ht_follow_all(&all, heads_ref)) != NULL) {
        return false;
    }
    chains->found = all.found;
    chains->count = all.count;
    return true;
}

// ---- Stacks.

// The stack at `ref`, whole; NULL: it is not.
static const struct ht_stack *ht_stack_at(const struct ht_view *view, uint32_t ref)
{
    const struct ht_stack *stack = ht_used_at(view, ref, sizeof *stack);
    uint64_t frames_bytes = stack != NULL ? stack->frame_count * sizeof stack->frames[0] : 0;
    return stack != NULL && stack->frame_count <= HT_MAX_FRAMES &&
                   ht_used_at(view, ref, sizeof *stack + frames_bytes) != NULL
               ? stack
               : NULL;
}

static const char *ht_look_at_stack(struct ht_chains *chains, uint32_t ref, const void *record)
{
    struct ht_check *check = chains->check;
    const struct ht_stack *stack = record;
    if ((stack->flags & ~(HT_STACK_TRUNCATED | HT_STACK_FAILED)) != 0 || stack->frame_count > HT_MAX_FRAMES) {
        return ht_check_say(check, "S2", "a stack's flags or number of frames make no sense", ref);
    }
    if (ht_stack_at(check->view, ref) == NULL) {
        return ht_check_say(check, "R2", "a stack is not all there", ref);
    }
    if (stack->hash != ht_stack_hash(stack->frames, stack->frame_count, stack->flags & HT_STACK_TRUNCATED)) {
        return ht_check_say(check, "S1", "a stack's hash is not that of its frames", ref);
    }
    if (ht_head_of(stack->hash, check->view->header->head_count) != chains->head) {
        return ht_check_say(check, "S1", "a stack stands in the chain of another hash", ref);
    }
    return NULL;
}

static int ht_compare_stacks(const void *arg, uint64_t a, uint64_t b)
{
    const struct ht_stack *x = ht_stack_at(arg, (uint32_t)a), *y = ht_stack_at(arg, (uint32_t)b);
    if (x == NULL || y == NULL) {
        return 0;
    }
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    if (x->frame_count != y->frame_count) {
        return x->frame_count < y->frame_count ? -1 : 1;
    }
    return memcmp(x->frames, y->frames, x->frame_count * sizeof x->frames[0]);
}

const char *ht_check_stacks(struct ht_check *check)
{
    const struct ht_view *view = check->view;
    struct ht_chains chains =
        ht_chains_of(check, sizeof(struct ht_stack), offsetof(struct ht_stack, next_ref), ht_look_at_stack);
    uint32_t heads_ref = view->header->stack_heads_ref;
    if (ht_follow_all(&chains, heads_ref) != NULL || !ht_gather_all(&chains, heads_ref, NULL)) {
        return check->wrong;
    }
    ht_check_sort(chains.found, chains.count, ht_compare_stacks, view);
    for (uint64_t i = 1; i < chains.count; i++) {
        if (ht_compare_stacks(view, chains.found[i - 1], chains.found[i]) == 0) {
            return ht_check_say(check, "S2", "a stack stands twice", chains.found[i]);
        }
    }
    return NULL;
}

// ---- Strings.

static bool ht_is_string(const struct ht_view *view, uint32_t ref)
{
    const struct ht_string *string = ht_used_at(view, ref, sizeof *string);
    return string != NULL &&
           ht_used_at(view, ref, sizeof *string + (uint64_t)string->length_bytes + 1) != NULL &&
           string->bytes[string->length_bytes] == '\0';
}

static const char *ht_look_at_string(struct ht_chains *chains, uint32_t ref, const void *record)
{
    (void)record;
    if (!ht_is_string(chains->check->view, ref)) {
        return ht_check_say(chains->check, "T1", "a string does not end within the region", ref);
    }
    return NULL;
}

const char *ht_check_strings(struct ht_check *check)
{
    struct ht_chains chains = ht_chains_of(check, sizeof(struct ht_string),
                                           offsetof(struct ht_string, next_ref), ht_look_at_string);
    return ht_follow_one(&chains, &check->view->header->strings_ref);
}

// ---- Modules.

static const char *ht_look_at_module(struct ht_chains *chains, uint32_t ref, const void *record)
{
    const struct ht_module *module = record;
    const struct ht_region_header *header = chains->check->view->header;
    if (module->id == 0 || module->id > ht_load_relaxed(&header->module_count)) {
        return chains->check->moment == HT_CHECK_RUNNING
                   ? NULL
                   : ht_check_say(chains->check, "M1", "a module's id is out of range", ref);
    }
    if (module->start >= module->limit || module->build_id_bytes > sizeof module->build_id ||
        module->profile_start > UINT64_MAX - (module->limit - module->start)) {
        return ht_check_say(chains->check, "M1", "a module is no range, or its build id does not fit", ref);
    }
    if (!ht_is_string(chains->check->view, module->path_ref)) {
        return ht_check_say(chains->check, "M1", "a module's path is no string", ref);
    }
    return NULL;
}

static int ht_compare_modules_by_id(const void *arg, uint64_t a, uint64_t b)
{
    const struct ht_module *x = ht_view_at(arg, (uint32_t)a, HT_MODULE_LEAST_BYTES);
    const struct ht_module *y = ht_view_at(arg, (uint32_t)b, HT_MODULE_LEAST_BYTES);
    return x->id < y->id ? -1 : x->id > y->id;
}

static int ht_compare_modules_by_range(const void *arg, uint64_t a, uint64_t b)
{
    const struct ht_module *x = ht_view_at(arg, (uint32_t)a, HT_MODULE_LEAST_BYTES);
    const struct ht_module *y = ht_view_at(arg, (uint32_t)b, HT_MODULE_LEAST_BYTES);
    return x->profile_start < y->profile_start ? -1 : x->profile_start > y->profile_start;
}

const char *ht_check_modules(struct ht_check *check)
{
    const struct ht_view *view = check->view;
    const uint32_t *head = &view->header->modules_ref;
    struct ht_chains chains =
        ht_chains_of(check, HT_MODULE_LEAST_BYTES, offsetof(struct ht_module, next_ref), ht_look_at_module);
    if (ht_follow_one(&chains, head) != NULL || !ht_gather_all(&chains, 0, head)) {
        return check->wrong;
    }
    ht_check_sort(chains.found, chains.count, ht_compare_modules_by_id, view);
    for (uint64_t i = 1; i < chains.count; i++) {
        if (ht_compare_modules_by_id(view, chains.found[i - 1], chains.found[i]) == 0) {
            return ht_check_say(check, "M1", "two modules have one id", chains.found[i]);
        }
    }
    ht_check_sort(chains.found, chains.count, ht_compare_modules_by_range, view);
    for (uint64_t i = 1; i < chains.count; i++) {
        const struct ht_module *before =
            ht_view_at(view, (uint32_t)chains.found[i - 1], HT_MODULE_LEAST_BYTES);
        const struct ht_module *module = ht_view_at(view, (uint32_t)chains.found[i], HT_MODULE_LEAST_BYTES);
        if (before->profile_start + (before->limit - before->start) > module->profile_start) {
            return ht_check_say(check, "M2", "two modules share a profile address", module->profile_start);
        }
    }
    return NULL;
}

// ---- Entries.

// What an entry's key is made of; NULL, or what is wrong with it.
static const char *ht_look_at_key(struct ht_chains *chains, uint32_t ref, const struct ht_entry *entry)
{
    struct ht_check *check = chains->check;
    if (entry->kind >= HT_KIND_LIMIT || chains->kinds[entry->kind].form.name[0] == '\0') {
        return ht_check_say(check, "E1", "an entry is of no kind", ref);
    }
    const struct ht_stack *stack = entry->stack_ref != 0 ? ht_stack_at(check->view, entry->stack_ref) : NULL;
    if (entry->size_class >= HT_SIZE_CLASSES) {
        return ht_check_say(check, "E1", "an entry's size class is out of range", ref);
    }
    if (entry->stack_ref != 0 && stack == NULL) {
        return ht_check_say(check, "E1", "an entry's stack is not there", ref);
    }
    if (entry->label_ref != 0 && !ht_is_string(check->view, entry->label_ref)) {
        return ht_check_say(check, "E1", "an entry's label is no string", ref);
    }
    uint64_t hash = stack == NULL
                        ? ht_overflow_hash(entry->kind, entry->size_class)
                        : ht_entry_hash(stack->hash, entry->kind, entry->size_class, entry->label_ref);
    if (entry->hash != hash) {
        return ht_check_say(check, "E1", "an entry's hash is not that of its key", ref);
    }
    return NULL;
}

// E3, with the error that rounding each sample to a unit of the fixed point can bring. `under_way`: samples
// that were counted, and their objects not yet.
static bool ht_values_fit(const struct ht_entry *entry, const struct ht_kind_form *form, double under_way)
{
    double count_unit = 1.0 / (double)(UINT64_C(1) << form->count_shift);
    double amount_unit = 1.0 / (double)(UINT64_C(1) << form->amount_shift);
    double samples = (double)entry->values[HT_ENTRY_SAMPLES];
    double objects = (double)entry->values[HT_ENTRY_COUNT] * count_unit;
    double bytes = (double)entry->values[HT_ENTRY_AMOUNT] * amount_unit;
    double objects_error = (samples + 1) * count_unit + objects * 1e-12;
    double bytes_error = (samples + 1) * amount_unit + bytes * 1e-12;
    if (samples > objects + objects_error + under_way) {
        return false;
    }
    double most = (double)ht_size_class_bound(entry->size_class);
    double least = entry->size_class > 0 ? (double)ht_size_class_bound(entry->size_class - 1u) : 0;
    return (form->flags & HT_KIND_HAS_SIZES) == 0 ||
           (bytes - bytes_error <= (objects + objects_error) * most &&
            bytes + bytes_error >= (objects - objects_error) * least);
}

// E6. `under_way` as above.
static bool ht_variance_fits(const struct ht_entry *entry, const struct ht_kind_form *form, double under_way)
{
    double variance;
    memcpy(&variance, &entry->values[HT_ENTRY_VARIANCE], sizeof variance);
    if (!(variance >= 0 && variance <= DBL_MAX)) {
        return false;
    }
    double unit = 1.0 / (double)(UINT64_C(1) << form->count_shift);
    double amount_unit = 1.0 / (double)(UINT64_C(1) << form->amount_shift);
    double samples = (double)entry->values[HT_ENTRY_SAMPLES];
    double objects = (double)entry->values[HT_ENTRY_COUNT] * unit;
    double bytes = ((double)entry->values[HT_ENTRY_AMOUNT] + samples + 1) * amount_unit;
    double error = (samples + 1) * unit + objects * 1e-9;
    double beyond = objects + error - samples + under_way; // the sum of weight - 1
    double most = bytes * bytes;
    if ((form->flags & HT_KIND_HAS_SIZES) != 0) {
        double bound = (double)ht_size_class_bound(entry->size_class);
        double all_in_one = beyond > 0 ? bound * bound * beyond * (beyond + 1) : 0;
        most = all_in_one < most ? all_in_one : most;
    }
    if (variance > most * (1 + 1e-9)) {
        return false;
    }
    double low = objects - error; // of the objects
    if ((form->flags & HT_KIND_HAS_SIZES) == 0 || under_way > 0 || samples == 0 || low <= samples) {
        return true;
    }
    double least = entry->size_class > 0 ? (double)ht_size_class_bound(entry->size_class - 1u) : 0;
    return variance * (1 + 1e-9) >= least * least * low * (low - samples) / samples;
}

static const char *ht_look_at_entry(struct ht_chains *chains, uint32_t ref, const void *record)
{
    struct ht_check *check = chains->check;
    const struct ht_entry *entry = record;
    if ((uint64_t)ref * HT_REF_UNIT % 16 != 0) { // the pair of values is added to in one step
        return ht_check_say(check, "E1", "an entry is not aligned", ref);
    }
    if (ht_look_at_key(chains, ref, entry) != NULL) {
        return check->wrong;
    }
    if (ht_head_of(entry->hash, check->view->header->head_count) != chains->head) {
        return ht_check_say(check, "E1", "an entry stands in the chain of another hash", ref);
    }
    const struct ht_inherited *began = ht_used_at(check->view, entry->inherited_ref, sizeof *began);
    if (entry->inherited_ref != 0 &&
        (began == NULL || began->count > ht_load_relaxed(&entry->values[HT_ENTRY_COUNT]) ||
         began->amount > ht_load_relaxed(&entry->values[HT_ENTRY_AMOUNT]))) {
        return ht_check_say(check, "E5", "an entry holds less than it began with", ref);
    }
    const struct ht_kind_form *form = &chains->kinds[entry->kind].form;
    double under_way = check->moment == HT_CHECK_STOPPED ? HT_CHECK_THREADS : 0;
    if (check->moment != HT_CHECK_RUNNING && !ht_values_fit(entry, form, under_way)) {
        return ht_check_say(check, "E3", "an entry's samples, objects and bytes do not fit together", ref);
    }
    bool keeps = (ht_load_relaxed(&check->view->header->keeps) & HT_KEEPS_VARIANCE) != 0;
    if (keeps && check->moment != HT_CHECK_RUNNING && !ht_variance_fits(entry, form, under_way)) {
        return ht_check_say(check, "E6", "an entry's variance is not that of its samples", ref);
    }
    return NULL;
}

static const char *ht_remember_entry(struct ht_chains *chains, uint32_t ref, const void *record)
{
    const struct ht_entry *entry = record;
    uint32_t *refs = (uint32_t *)(void *)chains->found;
    if (entry->id == 0 || entry->id > chains->capacity) {
        return chains->check->moment == HT_CHECK_RUNNING
                   ? NULL
                   : ht_check_say(chains->check, "E2", "an entry's id is out of range", ref);
    }
    if (refs[entry->id] != 0) {
        return ht_check_say(chains->check, "E2", "two entries have one id", ref);
    }
    refs[entry->id] = ref;
    return NULL;
}

const uint32_t *ht_check_entry_refs(struct ht_check *check, uint32_t *ret_count)
{
    struct ht_chains chains =
        ht_chains_of(check, sizeof(struct ht_entry), offsetof(struct ht_entry, next_ref), ht_remember_entry);
    chains.capacity = ht_load_relaxed(&check->view->header->entry_count);
    if (chains.capacity > check->view->size_bytes / sizeof(struct ht_entry)) {
        ht_check_say(check, "E2", "there cannot be so many entries", chains.capacity);
        return NULL;
    }
    chains.found = ht_bump_take(check->memory, (chains.capacity + 1) * sizeof(uint32_t));
    if (chains.found == NULL) {
        ht_check_no_memory(check);
        return NULL;
    }
    if (ht_follow_all(&chains, check->view->header->entry_heads_ref) != NULL) {
        return NULL;
    }
    *ret_count = (uint32_t)chains.capacity;
    return (const uint32_t *)(const void *)chains.found;
}

const struct ht_kind *ht_check_kind_table(struct ht_check *check)
{
    struct ht_kind *kinds = ht_bump_take(check->memory, HT_KIND_LIMIT * sizeof *kinds);
    if (kinds == NULL) {
        ht_check_no_memory(check);
        return NULL;
    }
    for (uint32_t id = 0; id < HT_KIND_LIMIT; id++) {
        ht_view_kind(check->view, id, &kinds[id]);
    }
    return kinds;
}

const char *ht_check_entries(struct ht_check *check)
{
    struct ht_chains chains =
        ht_chains_of(check, sizeof(struct ht_entry), offsetof(struct ht_entry, next_ref), ht_look_at_entry);
    uint32_t count;
    chains.kinds = ht_check_kind_table(check);
    if (chains.kinds == NULL || ht_follow_all(&chains, check->view->header->entry_heads_ref) != NULL ||
        ht_check_entry_refs(check, &count) == NULL) {
        return check->wrong;
    }
    return NULL;
}

// ---- Kinds.

// A row's overflow entries are of its kind and class, and of no stack.
static const char *ht_check_overflow(struct ht_check *check, const struct ht_kind_row *row, uint32_t ref)
{
    uint32_t classes = (row->form.flags & HT_KIND_HAS_SIZES) != 0 ? HT_SIZE_CLASSES : 1;
    if (ht_used_at(check->view, ref, sizeof *row + classes * sizeof row->overflow_refs[0]) == NULL) {
        return ht_check_say(check, "R2", "a kind's row is not all there", ref);
    }
    for (uint32_t i = 0; i < classes; i++) {
        uint32_t entry_ref = ht_load_acquire(&row->overflow_refs[i]);
        const struct ht_entry *entry = ht_used_at(check->view, entry_ref, sizeof *entry);
        if (entry_ref != 0 && check->moment != HT_CHECK_RUNNING &&
            (entry == NULL || entry->stack_ref != 0 || entry->kind != row->id || entry->size_class != i)) {
            return ht_check_say(check, "K3", "a kind's overflow entry is none of its own", entry_ref);
        }
    }
    return NULL;
}

static const char *ht_look_at_kind(struct ht_chains *chains, uint32_t ref, const void *record)
{
    struct ht_check *check = chains->check;
    const struct ht_kind_row *row = record;
    if (row->id >= HT_KIND_LIMIT || (row->next_ref == 0) != (row->id == 0) ||
        (chains->count != 0 && row->id + 1 != chains->capacity)) {
        return ht_check_say(check, "K1", "the ids of kinds are not dense", ref);
    }
    chains->count++;
    chains->capacity = row->id;
    if (row->drop_frames_ref != 0 && !ht_is_string(check->view, row->drop_frames_ref)) {
        return ht_check_say(check, "T1", "a kind's frames to drop are no string", ref);
    }
    uint32_t id;
    struct ht_kind kind;
    // Read again it is the same: its strings end, its numbers are in their ranges, and it is not replaced by
    // the heap's own form.
    if (!ht_view_kind(check->view, row->id, &kind) || memcmp(&kind.form, &row->form, sizeof kind.form) != 0) {
        return ht_check_say(check, "K2", "a kind's row makes no sense", ref);
    }
    if (!ht_view_find_kind(check->view, kind.form.name, &id) || id != row->id) {
        return ht_check_say(check, "K2", "two kinds have one name", ref);
    }
    return ht_check_overflow(check, row, ref);
}

const char *ht_check_kinds(struct ht_check *check)
{
    struct ht_chains chains = ht_chains_of(check, sizeof(struct ht_kind_row),
                                           offsetof(struct ht_kind_row, next_ref), ht_look_at_kind);
    return ht_follow_one(&chains, &check->view->header->kinds_ref);
}
