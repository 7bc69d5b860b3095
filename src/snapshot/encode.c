// From the region's entries and live samples to the parts of a profile.
#include "snapshot/encode.h"

#include "record/kinds.h"
#include "record/live.h"
#include "snapshot/births.h"
#include "snapshot/comments.h"
#include "snapshot/mappings.h"
#include "snapshot/message.h"
#include "snapshot/numbers.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/pair.h"

#include <errno.h>
#include <string.h>

static int64_t ht_round(double value)
{
    if (!(value >= 0)) {
        return 0;
    }
    return value < 9e18 ? (int64_t)(value + 0.5) : INT64_MAX;
}

static int64_t ht_round_fixed(uint64_t value, unsigned shift)
{
    uint64_t half = shift > 0 ? value >> (shift - 1) & 1 : 0;
    return (int64_t)(((value >> shift) + half) & INT64_MAX);
}

// Frames that we make up. Their addresses are fixed, so that scrapers, who know frames by address, see the
// same one everywhere; no mapping can hold them, since user space ends far below and the kernel begins far
// above.
enum ht_made_up { HT_MADE_UP_OVERFLOW, HT_MADE_UP_TRUNCATED, HT_MADE_UP_UNKNOWN, HT_MADE_UP_COUNT };
#define MADE_UP_ADDRESS UINT64_C(0x8000000000000001)
static const char *const ht_made_up_names[HT_MADE_UP_COUNT] = {"[overflow]", "[truncated]", "[unknown]"};

struct ht_encoder {
    const struct ht_view *view;
    const struct ht_encode_options *options;
    struct ht_kind kind;
    struct ht_message message;
    struct ht_mappings mappings;
    struct ht_numbers locations; // address -> location id
    struct ht_numbers labels;    // reference of a struct ht_string -> index in the string table
    uint32_t location_count, function_count;
    bool locations_full;
    float floor_bytes;
    int64_t bytes_key, label_key;
    // By the entry's id.
    uint32_t entry_limit;
    uint32_t *refs;                     // 0: no entry of this id that is ours
    uint64_t visits_left;               // of entries: damaged chains may lead in circles
    double *live_counts, *live_amounts; // NULL: the kind has no live samples
    double *live_variances;             // of the amounts; NULL: unknown
    struct ht_births births;
    double *inherited_counts,
        *inherited_amounts; // the part of those that is from the parent; NULL: nothing is
    uint32_t steps;         // since the clock was read
};

// Every so often: is it too late? The result stays in message.error.
static bool ht_too_late(struct ht_encoder *encoder)
{
    if (encoder->options->deadline_ns == 0 || ++encoder->steps < 4096) {
        return false;
    }
    encoder->steps = 0;
    if (ht_clock_raw_monotonic_ns() < encoder->options->deadline_ns) {
        return false;
    }
    encoder->message.error = -ETIMEDOUT;
    return true;
}

static bool ht_note_entry(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    struct ht_encoder *encoder = arg;
    uint32_t id = ht_load_relaxed(&entry->id);
    if (id != 0 && id <= encoder->entry_limit && entry->kind == encoder->options->kind) {
        encoder->refs[id] = ref;
    }
    return encoder->visits_left-- > 0 && !ht_too_late(encoder);
}

static bool ht_add_live(void *arg, const struct ht_live_copy *live)
{
    struct ht_encoder *encoder = arg;
    const struct ht_entry *entry = ht_view_at(encoder->view, live->entry_ref, sizeof *entry);
    uint32_t id = entry == NULL ? 0 : ht_load_relaxed(&entry->id);
    if (id != 0 && id <= encoder->entry_limit && encoder->refs[id] == live->entry_ref) {
        double weight = ht_live_weight(live, (double)encoder->floor_bytes);
        if (weight >= 1 && weight <= 1e18) { // anything else is a damaged record
            encoder->live_counts[id] += weight;
            encoder->live_amounts[id] += (double)live->size_bytes * weight;
            ht_births_add(&encoder->births, id, live);
            if (encoder->live_variances != NULL) {
                double bytes = (double)live->size_bytes;
                encoder->live_variances[id] += bytes * bytes * weight * (weight - 1);
            }
            if (encoder->inherited_counts != NULL &&
                live->birth_ns < encoder->view->header->created_monotonic_ns) {
                encoder->inherited_counts[id] += weight;
                encoder->inherited_amounts[id] += (double)live->size_bytes * weight;
            }
        }
    }
    return !ht_too_late(encoder);
}

static float ht_floor_of(const struct ht_view *view)
{
    float floor_bytes;
    __atomic_load(&view->header->floor_bytes, &floor_bytes, __ATOMIC_RELAXED);
    return floor_bytes > 0 ? floor_bytes : 0;
}

// Sums the live samples. Thinning in between would mix samples of two floors: begun again, which a floor that
// only doubles makes rare.
static void ht_sum_live(struct ht_encoder *encoder)
{
    uint64_t array_bytes = ((uint64_t)encoder->entry_limit + 1) * sizeof(double);
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        encoder->floor_bytes = ht_floor_of(encoder->view);
        memset(encoder->live_counts, 0, array_bytes);
        memset(encoder->live_amounts, 0, array_bytes);
        if (encoder->live_variances != NULL) {
            memset(encoder->live_variances, 0, array_bytes);
        }
        ht_births_reset(&encoder->births, encoder->floor_bytes, encoder->options->monotonic_ns);
        if (encoder->inherited_counts != NULL) {
            memset(encoder->inherited_counts, 0, array_bytes);
            memset(encoder->inherited_amounts, 0, array_bytes);
        }
        ht_view_each_live(encoder->view, ht_add_live, encoder);
        if (encoder->message.error != 0 || ht_floor_of(encoder->view) == encoder->floor_bytes) {
            return;
        }
    }
}

static int ht_collect_entries(struct ht_encoder *encoder, struct ht_bump *memory)
{
    // Entries that are born from now on are left to the next snapshot.
    uint64_t limit = ht_load_relaxed(&encoder->view->header->entry_count);
    uint64_t room = encoder->view->size_bytes / sizeof(struct ht_entry);
    encoder->entry_limit = (uint32_t)(limit < room ? limit : room);
    uint64_t count = (uint64_t)encoder->entry_limit + 1;
    encoder->refs = ht_bump_take(memory, count * sizeof encoder->refs[0]);
    bool has_live = (encoder->kind.form.flags & HT_KIND_HAS_LIVE) != 0;
    if (has_live) {
        encoder->live_counts = ht_bump_take(memory, count * sizeof encoder->live_counts[0]);
        encoder->live_amounts = ht_bump_take(memory, count * sizeof encoder->live_amounts[0]);
    }
    if (encoder->refs == NULL ||
        (has_live && (encoder->live_counts == NULL || encoder->live_amounts == NULL))) {
        return -ENOMEM;
    }
    if (has_live && encoder->view->header->inherited_pid != 0) {
        double *counts = ht_bump_take(memory, count * sizeof *counts);
        double *amounts = ht_bump_take(memory, count * sizeof *amounts);
        if (counts != NULL && amounts != NULL) { // the figures of all are more important
            encoder->inherited_counts = counts;
            encoder->inherited_amounts = amounts;
        }
    }
    int64_t live = has_live ? ht_live_count(encoder->view->header) : 0;
    ht_births_init(&encoder->births, memory, live > 0 ? (uint64_t)live : 0);
    encoder->live_variances = has_live ? ht_bump_take(memory, count * sizeof(double)) : NULL;
    encoder->visits_left = room;
    ht_view_each_entry(encoder->view, ht_note_entry, encoder);
    if (has_live) {
        ht_sum_live(encoder);
    } else {
        encoder->floor_bytes = ht_floor_of(encoder->view);
    }
    return encoder->message.error;
}

static int64_t ht_literal(struct ht_encoder *encoder, const char *text)
{
    return ht_message_string(&encoder->message, text, SIZE_MAX);
}

static void ht_add_value_type(struct ht_encoder *encoder, const char *type, const char *unit, bool is_period)
{
    HT_PB_VALUE_TYPE value_type = PERFTOOLS__PROFILES__VALUE_TYPE__INIT;
    value_type.type = ht_literal(encoder, type);
    value_type.unit = ht_literal(encoder, unit);
    HT_PB_VALUE_TYPE *one = &value_type;
    HT_PB_PROFILE part = PERFTOOLS__PROFILES__PROFILE__INIT;
    if (is_period) {
        part.period_type = one;
    } else {
        part.sample_type = &one;
        part.n_sample_type = 1;
    }
    ht_message_add(&encoder->message, &part);
}

// The rate that the figures have by now: what is drawn with, or coarser after thinning.
static int64_t ht_effective_rate(const struct ht_encoder *encoder)
{
    double rate = (double)ht_load_relaxed(&encoder->view->header->rate_bytes);
    double floor_bytes = (double)encoder->floor_bytes;
    int64_t effective = ht_round(rate > floor_bytes ? rate : floor_bytes);
    return effective > 0 ? effective : 1;
}

static void ht_add_header(struct ht_encoder *encoder)
{
    const struct ht_kind_form *form = &encoder->kind.form;
    for (uint32_t i = 0; i < form->column_count; i++) {
        ht_add_value_type(encoder, form->columns[i].type, form->columns[i].unit, false);
    }
    ht_add_value_type(encoder, form->period_type, form->period_unit, true);
    HT_PB_PROFILE part = PERFTOOLS__PROFILES__PROFILE__INIT;
    part.default_sample_type = ht_literal(encoder, form->columns[form->default_column].type);
    if (encoder->kind.drop_frames != NULL) {
        part.drop_frames =
            ht_message_string(&encoder->message, encoder->kind.drop_frames, encoder->kind.drop_frames_bytes);
    }
    part.period = form->period != 0 ? (int64_t)(form->period & INT64_MAX) : ht_effective_rate(encoder);
    part.time_nanos = (int64_t)(encoder->options->time_unix_ns & INT64_MAX);
    ht_message_add(&encoder->message, &part);
    encoder->bytes_key = (form->flags & HT_KIND_HAS_SIZES) != 0 ? ht_literal(encoder, "bytes") : 0;
    encoder->label_key = ht_literal(encoder, form->label_key);
}

static uint64_t ht_add_function(struct ht_encoder *encoder, const char *name)
{
    HT_PB_FUNCTION function = PERFTOOLS__PROFILES__FUNCTION__INIT;
    function.id = ++encoder->function_count;
    function.name = ht_literal(encoder, name);
    function.system_name = function.name;
    HT_PB_PROFILE part = PERFTOOLS__PROFILES__PROFILE__INIT;
    part.function = (HT_PB_FUNCTION *[]){&function};
    part.n_function = 1;
    ht_message_add(&encoder->message, &part);
    return function.id;
}

// Writes the location of an address when it is new and returns its id; `name` NULL: a real frame, which
// readers name. 0: no room for a new one.
static uint64_t ht_location(struct ht_encoder *encoder, uint64_t address, const char *name)
{
    uint32_t *id = ht_numbers_at(&encoder->locations, address);
    if (id == NULL || *id != 0) {
        return id == NULL ? 0 : *id;
    }
    *id = ++encoder->location_count;
    HT_PB_LINE line = PERFTOOLS__PROFILES__LINE__INIT;
    HT_PB_LINE *lines = &line;
    HT_PB_LOCATION location = PERFTOOLS__PROFILES__LOCATION__INIT;
    location.id = *id;
    location.address = address;
    if (name != NULL) {
        line.function_id = ht_add_function(encoder, name);
        location.line = &lines;
        location.n_line = 1;
    } else {
        location.mapping_id = ht_mappings_find(&encoder->mappings, &location.address);
    }
    HT_PB_PROFILE part = PERFTOOLS__PROFILES__PROFILE__INIT;
    part.location = (HT_PB_LOCATION *[]){&location};
    part.n_location = 1;
    ht_message_add(&encoder->message, &part);
    return location.id;
}

static uint64_t ht_made_up_location(struct ht_encoder *encoder, enum ht_made_up which)
{
    return ht_location(encoder, MADE_UP_ADDRESS + which, ht_made_up_names[which]);
}

#define MAX_LOCATIONS (HT_MAX_FRAMES + 1u)

// Writes what is new of a stack and returns the number of location ids, leaf first; at least one.
static uint32_t ht_stack_locations(struct ht_encoder *encoder, uint32_t stack_ref, uint64_t *ret_ids)
{
    const struct ht_stack *stack = ht_view_at(encoder->view, stack_ref, sizeof *stack);
    uint32_t frame_count = stack == NULL ? 0 : ht_load_relaxed(&stack->frame_count);
    bool truncated = stack != NULL && (ht_load_relaxed(&stack->flags) & HT_STACK_TRUNCATED) != 0;
    if (frame_count > HT_MAX_FRAMES ||
        (frame_count > 0 && ht_view_at(encoder->view, stack_ref, sizeof *stack + frame_count * 8u) == NULL)) {
        frame_count = 0; // a damaged record
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < frame_count; i++) {
        uint64_t address = ht_load_relaxed(&stack->frames[i]);
        if (address == 0 || address - MADE_UP_ADDRESS < HT_MADE_UP_COUNT) {
            continue;
        }
        uint64_t id = ht_location(encoder, address, NULL);
        if (id == 0) {
            encoder->locations_full = truncated = true;
            break;
        }
        ret_ids[count++] = id;
    }
    if (truncated) {
        ret_ids[count++] = ht_made_up_location(encoder, HT_MADE_UP_TRUNCATED);
    } else if (count == 0) {
        ret_ids[count++] =
            ht_made_up_location(encoder, stack_ref == 0 ? HT_MADE_UP_OVERFLOW : HT_MADE_UP_UNKNOWN);
    }
    return count;
}

// Index of a label's value in the string table; 0: it has none.
static int64_t ht_label_string(struct ht_encoder *encoder, uint32_t label_ref)
{
    const struct ht_string *label = ht_view_at(encoder->view, label_ref, sizeof *label);
    uint32_t length = label == NULL ? 0 : ht_load_relaxed(&label->length_bytes);
    if (length == 0 || ht_view_at(encoder->view, label_ref, sizeof *label + (uint64_t)length) == NULL) {
        return 0;
    }
    uint32_t *index = ht_numbers_at(&encoder->labels, label_ref);
    if (index == NULL) {
        return 0;
    }
    if (*index == 0) {
        *index = (uint32_t)ht_message_string(&encoder->message, label->bytes, length);
    }
    return *index;
}

// What the columns of a sample come from.
struct ht_sources {
    uint64_t count, amount;
    double live_count, live_amount;
};

static struct ht_sources ht_sources_of(const struct ht_encoder *encoder, uint32_t id,
                                       const struct ht_entry *entry)
{
    struct ht_sources sources = {0};
    ht_load_pair(&entry->values[HT_ENTRY_COUNT], &sources.count, &sources.amount);
    if (encoder->live_counts != NULL) {
        sources.live_count = encoder->live_counts[id];
        sources.live_amount = encoder->live_amounts[id];
    }
    return sources;
}

static struct ht_sources ht_inherited_of(const struct ht_encoder *encoder, uint32_t id,
                                         const struct ht_entry *entry)
{
    struct ht_sources sources = {0};
    const struct ht_inherited *began = ht_view_at(encoder->view, entry->inherited_ref, sizeof *began);
    if (encoder->inherited_counts != NULL && began != NULL) {
        sources.count = began->count;
        sources.amount = began->amount;
        sources.live_count = encoder->inherited_counts[id];
        sources.live_amount = encoder->inherited_amounts[id];
    }
    return sources;
}

// The columns of a sample; false: all are zero.
static bool ht_sample_values(const struct ht_encoder *encoder, const struct ht_sources *sources,
                             int64_t *ret_values)
{
    const struct ht_kind_form *form = &encoder->kind.form;
    int64_t of_source[HT_COLUMN_SOURCES] = {
        [HT_COLUMN_COUNT] = ht_round_fixed(sources->count, form->count_shift),
        [HT_COLUMN_AMOUNT] = ht_round_fixed(sources->amount, form->amount_shift),
        [HT_COLUMN_LIVE_COUNT] = ht_round(sources->live_count),
        [HT_COLUMN_LIVE_AMOUNT] = ht_round(sources->live_amount),
    };
    int64_t any = 0;
    for (uint32_t i = 0; i < form->column_count; i++) {
        ret_values[i] = of_source[form->columns[i].source];
        any |= ret_values[i];
    }
    return any != 0;
}

// False: it is no sample, as it is all zero.
static bool ht_add_sample(struct ht_encoder *encoder, uint32_t id, const struct ht_entry *entry)
{
    int64_t values[HT_KIND_COLUMNS];
    struct ht_sources sources = ht_sources_of(encoder, id, entry);
    if (!ht_sample_values(encoder, &sources, values)) {
        return false;
    }
    uint64_t location_ids[MAX_LOCATIONS];
    HT_PB_SAMPLE sample = PERFTOOLS__PROFILES__SAMPLE__INIT;
    sample.location_id = location_ids;
    sample.n_location_id = ht_stack_locations(encoder, entry->stack_ref, location_ids);
    sample.value = values;
    sample.n_value = encoder->kind.form.column_count;

    HT_PB_LABEL labels[2] = {PERFTOOLS__PROFILES__LABEL__INIT, PERFTOOLS__PROFILES__LABEL__INIT};
    HT_PB_LABEL *label_list[2];
    bool sized = encoder->bytes_key != 0 && entry->size_class < HT_SIZE_CLASSES;
    uint64_t bound_bytes = sized ? ht_size_class_bound(entry->size_class) : 0;
    if (bound_bytes != 0) { // readers take the unit of `bytes` from its name
        labels[0].key = encoder->bytes_key;
        labels[0].num = bound_bytes < INT64_MAX ? (int64_t)bound_bytes : INT64_MAX;
        label_list[sample.n_label++] = &labels[0];
    }
    labels[1].str = encoder->label_key != 0 ? ht_label_string(encoder, entry->label_ref) : 0;
    if (labels[1].str != 0) {
        labels[1].key = encoder->label_key;
        label_list[sample.n_label++] = &labels[1];
    }
    sample.label = label_list;
    HT_PB_PROFILE part = PERFTOOLS__PROFILES__PROFILE__INIT;
    part.sample = (HT_PB_SAMPLE *[]){&sample};
    part.n_sample = 1;
    ht_message_add(&encoder->message, &part);
    sources = ht_inherited_of(encoder, id, entry);
    if (ht_sample_values(encoder, &sources, values)) {
        part.inherited = part.sample;
        part.n_inherited = 1;
        part.n_sample = 0;
        ht_message_add(&encoder->message, &part);
    }
    return true;
}

static void ht_add_samples(struct ht_encoder *encoder)
{
    for (uint32_t id = 1; id <= encoder->entry_limit && encoder->message.error == 0; id++) {
        if (encoder->refs[id] != 0 &&
            !ht_add_sample(encoder, id,
                           ht_view_at(encoder->view, encoder->refs[id], sizeof(struct ht_entry)))) {
            encoder->refs[id] = 0; // no row of the births either
        }
        ht_too_late(encoder);
    }
}

static void ht_add_births(struct ht_encoder *encoder)
{
    struct ht_births *births = &encoder->births;
    bool kept = (ht_load_relaxed(&encoder->view->header->keeps) & HT_KEEPS_VARIANCE) != 0;
    ht_births_write_head(births, &encoder->message, &encoder->kind.form);
    for (uint32_t id = 1; id <= encoder->entry_limit && encoder->message.error == 0; id++) {
        if (encoder->refs[id] == 0) {
            continue;
        }
        const struct ht_entry *entry = ht_view_at(encoder->view, encoder->refs[id], sizeof *entry);
        struct ht_births_errors errors = {-1, -1};
        uint64_t bits = ht_load_relaxed(&entry->values[HT_ENTRY_VARIANCE]);
        if (kept) {
            memcpy(&errors.total, &bits, sizeof errors.total);
        }
        if (encoder->live_variances != NULL) {
            errors.live = encoder->live_variances[id];
        }
        ht_births_write_row(births, &encoder->kind.form, id, entry->size_class, errors);
        ht_too_late(encoder);
    }
    ht_births_write_end(births);
}

int ht_encode(const struct ht_view *view, const struct ht_encode_options *options, struct ht_sink *sink,
              struct ht_bump *memory)
{
    struct ht_encoder *encoder = ht_bump_take(memory, sizeof *encoder);
    if (encoder == NULL) {
        return -ENOMEM;
    }
    encoder->view = view;
    encoder->options = options;
    if (!ht_view_kind(view, options->kind, &encoder->kind)) {
        return -EINVAL;
    }
    encoder->locations.memory = memory;
    encoder->labels.memory = memory;
    for (uint64_t i = 0; i < HT_MADE_UP_COUNT; i++) { // there is room for these, whatever follows
        if (ht_numbers_at(&encoder->locations, MADE_UP_ADDRESS + i) == NULL) {
            return -ENOMEM;
        }
    }
    ht_message_begin(&encoder->message, sink, memory);
    int result = encoder->message.error != 0 ? encoder->message.error : ht_collect_entries(encoder, memory);
    if (result != 0) {
        return result;
    }
    ht_add_header(encoder);
    result = ht_mappings_add(&encoder->mappings, view, &encoder->message, memory);
    if (result != 0) {
        return result;
    }
    ht_add_samples(encoder);
    ht_add_births(encoder);
    ht_comments_add(&encoder->message, view, options, encoder->floor_bytes, encoder->locations_full);
    return ht_message_end(&encoder->message);
}

uint64_t ht_encode_memory_bytes(uint64_t region_bytes)
{
    // Buffers and zlib's state take 0.5 MB. An entry with its stack fills at least 100 bytes of the region
    // and costs 20 here; an address costs up to 50 (a table of 12 bytes a slot while it doubles), and most
    // stand in many stacks. A live sample fills 48 bytes of it and costs 24 here, for as many as are listed.
    uint64_t listed_bytes = HT_BIRTHS_LIMIT * sizeof(struct ht_born);
    return 1024 * 1024 + region_bytes / 4 +
           (region_bytes / 8 < listed_bytes ? region_bytes / 8 : listed_bytes);
}
