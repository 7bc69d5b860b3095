// Field 1000 of Profile: read, whoever wrote it, and written.
//
// Every number is checked against what comes behind it or against the profile; sums of foreign numbers are
// doubles or wrap.
#include "profile/birth.h"

#include "base/error.h"
#include "profile/decode.h"
#include "profile/wire.h"
#include "record/layout.h"
#include "snapshot/births_form.h"

#include <stdlib.h>

struct reader {
    struct ht_profile *profile;
    const uint8_t *at, *end;
    bool damaged;
    uint64_t flags;
    uint8_t *columns; // enum ht_column_source of each
    float rates[HT_BIRTHS_RATES];
    uint32_t rate_count;
    double floor_bytes;
    uint32_t bytes_key; // of the label that is the upper bound of a size class
};

static uint64_t take(struct reader *reader)
{
    uint64_t number = 0;
    const uint8_t *at = reader->damaged ? NULL : ht_wire_varint(reader->at, reader->end, &number);
    reader->damaged = at == NULL;
    if (at == NULL)
        return 0;
    reader->at = at;
    return number;
}

// A number that is not above `most`.
static uint64_t take_below(struct reader *reader, uint64_t most)
{
    uint64_t number = take(reader);
    reader->damaged = reader->damaged || number > most;
    return reader->damaged ? 0 : number;
}

static float take_float(struct reader *reader)
{
    uint32_t bits = (uint32_t)take_below(reader, UINT32_MAX);
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void take_head(struct reader *reader)
{
    struct ht_profile *profile = reader->profile;
    reader->flags = take(reader);
    if (take(reader) != profile->sample_type_count)
        reader->damaged = true;
    for (size_t t = 0; t < profile->sample_type_count && (reader->flags & HT_BIRTHS_COLUMNS) == 0; t++)
        reader->columns[t] = (uint8_t)take_below(reader, HT_COLUMN_SOURCES - 1);
    uint64_t tick_ns = take_below(reader, UINT64_C(1) << 40);
    int64_t now = (int64_t)take_below(reader, INT64_MAX / 4);
    int16_t floor_cell = (int16_t)take_below(reader, 512);
    reader->rate_count = (uint32_t)take_below(reader, HT_BIRTHS_RATES);
    for (uint32_t i = 0; i < reader->rate_count; i++) {
        reader->rates[i] = take_float(reader);
        reader->damaged = reader->damaged || !(reader->rates[i] >= 0 && isfinite(reader->rates[i]));
    }
    if ((reader->flags & HT_BIRTHS_LISTED) != 0) {
        reader->damaged = reader->damaged || tick_ns == 0;
        profile->tick_ns = tick_ns;
        profile->ticks_now = now;
        profile->floor_cell = floor_cell;
    }
    reader->floor_bytes = floor_cell != 0 ? ht_cell_bytes(floor_cell) : 0;
}

static uint64_t class_bound(const struct ht_profile *profile, uint32_t bytes_key,
                            const struct ht_sample *sample)
{
    for (uint32_t i = 0; i < sample->label_count; i++) {
        const struct ht_label *label = &profile->labels[sample->labels + i];
        if (label->key == bytes_key && label->text == 0 && label->number > 0)
            return (uint64_t)label->number;
    }
    return 0;
}

static void take_ranks(struct reader *reader, struct ht_birth *births, uint32_t count)
{
    int floor_cell = reader->profile->floor_cell;
    for (uint32_t i = 0; i < count; i++) {
        double rate = (double)births[i].rate_bytes;
        births[i].rank_cell = HT_RANK_UNKNOWN;
        if (rate <= 1 && floor_cell == 0)
            continue;
        int base = rate > 1 ? ht_cell_of_rate(rate) : 0;
        base = base > floor_cell ? base : floor_cell;
        births[i].rank_cell = (int16_t)(base + (int)take_below(reader, 2048));
    }
}

static void take_births(struct reader *reader, struct ht_sample *sample)
{
    struct ht_profile *profile = reader->profile;
    // A birth and a size have a byte each.
    uint32_t count = (uint32_t)take_below(reader, (uint64_t)(reader->end - reader->at) / 2);
    HT_RESERVE(profile->births, profile->birth_capacity, profile->birth_count + count);
    struct ht_birth *births = profile->births + profile->birth_count;
    int64_t before = profile->ticks_now;
    for (uint32_t i = 0; i < count; i++) {
        births[i] = (struct ht_birth){0};
        uint64_t number = take_below(reader, INT64_MAX / 2);
        before = ht_wrap_add(before, i == 0 ? -ht_unzigzag(number) : (int64_t)number);
        if (before > INT64_MAX / 4 || before < -INT64_MAX / 4)
            reader->damaged = true;
        births[i].ticks = before = reader->damaged ? 0 : before;
    }
    uint64_t bound = class_bound(reader->profile, reader->bytes_key, sample);
    for (uint32_t i = 0; i < count; i++)
        births[i].size_bytes = bound - take_below(reader, bound);
    for (uint32_t i = 0; i < count; i++)
        births[i].rate_bytes =
            reader->rates[reader->rate_count > 1 ? take_below(reader, reader->rate_count - 1) : 0];
    reader->damaged = reader->damaged || (count > 0 && reader->rate_count == 0);
    take_ranks(reader, births, count);
    sample->births = profile->birth_count;
    sample->birth_count = count;
    profile->birth_count += count;
}

// An error as the recorder writes it.
static double take_variance(struct reader *reader)
{
    uint64_t error = take(reader);
    return error == 0 ? (double)NAN : (double)(error - 1) * (double)(error - 1);
}

// Objects of one size class (snapshot/births_form.h). Those of size 0 are charged as 1 byte.
static double objects_variance(const struct reader *reader, double variance, double amount, double count,
                               uint64_t bound)
{
    if ((reader->flags & HT_BIRTHS_SIZES) == 0 || !(count > 0))
        return (double)NAN;
    if (bound == 0) {
        double probability = ht_probability(0, (double)reader->profile->period);
        return count * (1 - probability) / probability;
    }
    double most = (double)bound, mean = amount / count; // which is rounded
    mean = mean > most ? most : mean < most * 8 / 9 ? most * 8 / 9 : mean;
    return variance / (mean * mean);
}

static double value_of(const struct reader *reader, size_t sample, enum ht_column_source source)
{
    for (size_t t = 0; t < reader->profile->sample_type_count; t++)
        if (reader->columns[t] == source)
            return (double)ht_profile_values(reader->profile, sample)[t];
    return 0;
}

static void live_variances(const struct reader *reader, const struct ht_sample *sample, double *ret_count,
                           double *ret_amount)
{
    const struct ht_birth *births = ht_profile_births(reader->profile, sample);
    double count = 0, amount = 0;
    for (uint32_t i = 0; i < sample->birth_count; i++) {
        double probability = ht_birth_probability(&births[i], reader->floor_bytes);
        double each = (1 - probability) / (probability * probability), size = (double)births[i].size_bytes;
        count += each;
        amount += size * size * each;
    }
    *ret_count = count;
    *ret_amount = amount;
}

static void take_row(struct reader *reader, size_t position)
{
    struct ht_profile *profile = reader->profile;
    struct ht_sample *sample = &profile->samples[position];
    double *variances = ht_profile_variances(profile, position);
    double of_source[HT_COLUMN_SOURCES];
    bool by_column = (reader->flags & HT_BIRTHS_COLUMNS) != 0,
         listed = (reader->flags & HT_BIRTHS_LISTED) != 0;
    for (size_t t = 0; by_column && t < profile->sample_type_count; t++)
        variances[t] = (double)take_float(reader);
    for (int i = 0; i < HT_COLUMN_SOURCES; i++)
        of_source[i] = (double)NAN;
    uint64_t bound = class_bound(reader->profile, reader->bytes_key, sample);
    if (!by_column) {
        double total = of_source[HT_COLUMN_AMOUNT] = take_variance(reader);
        of_source[HT_COLUMN_COUNT] =
            objects_variance(reader, total, value_of(reader, position, HT_COLUMN_AMOUNT),
                             value_of(reader, position, HT_COLUMN_COUNT), bound);
    }
    if (listed)
        take_births(reader, sample);
    if (by_column || reader->damaged)
        return;
    if (listed) {
        live_variances(reader, sample, &of_source[HT_COLUMN_LIVE_COUNT], &of_source[HT_COLUMN_LIVE_AMOUNT]);
    } else if ((reader->flags & HT_BIRTHS_LIVE) != 0) {
        double amount = value_of(reader, position, HT_COLUMN_LIVE_AMOUNT),
               count = value_of(reader, position, HT_COLUMN_LIVE_COUNT), live = take_variance(reader);
        of_source[HT_COLUMN_LIVE_AMOUNT] = live;
        of_source[HT_COLUMN_LIVE_COUNT] =
            count > 0 ? objects_variance(reader, live, amount, count, bound) : live;
    }
    for (size_t t = 0; t < profile->sample_type_count; t++)
        variances[t] = of_source[reader->columns[t]];
}

static bool is_inherited(const struct ht_profile *profile, uint32_t key, size_t sample)
{
    return key != HT_NONE && ht_profile_has_label(profile, &profile->samples[sample], key);
}

static void forget(struct ht_profile *profile)
{
    ht_profile_drop_births(profile);
    free(profile->variances);
    profile->variances = NULL;
    profile->variance_capacity = 0;
}

int ht_births_decode(struct ht_profile *profile, const uint8_t *bytes, size_t length, uint64_t memory_limit)
{
    struct reader reader = {.profile = profile, .at = bytes, .end = bytes + length};
    uint64_t version = take(&reader);
    if (version != HT_BIRTHS_VERSION) {
        ht_warn("the profile's errors have a form that this heaptap does not know (%llu): left out",
                (unsigned long long)version);
        return 0;
    }
    uint64_t values = (uint64_t)profile->sample_count * profile->sample_type_count;
    // Of a birth's two bytes becomes a record; the array grows by half.
    uint64_t births_bytes = (uint64_t)length / 2 * 3 / 2 * sizeof(struct ht_birth);
    if (ht_decode_check_memory(profile, values * sizeof(double) + births_bytes, memory_limit) < 0)
        return -1;
    ht_profile_need_variances(profile);
    reader.columns = ht_alloc_zero(profile->sample_type_count, 1);
    reader.bytes_key = ht_profile_find_text(profile, "bytes");
    uint32_t inherited = ht_profile_find_text(profile, HT_INHERITED_LABEL);
    take_head(&reader);
    for (size_t i = 0; i < profile->sample_count && !reader.damaged; i++) {
        if (!is_inherited(profile, inherited, i)) {
            take_row(&reader, i);
            continue;
        }
        for (size_t t = 0; t < profile->sample_type_count; t++)
            ht_profile_variances(profile, i)[t] = 0; // a part of another sample's, which has it all
    }
    if (reader.damaged || reader.at != reader.end) {
        ht_warn("the profile's field of errors is damaged: left out");
        forget(profile);
    }
    free(reader.columns);
    return 0;
}

static void put_float(struct ht_buffer *out, float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    ht_wire_put_varint(out, bits);
}

// The rates of all births. False: they cannot be written, as there are more than the form has room for, or a
// sample has lost the label that sizes go by.
static bool collect_rates(const struct ht_profile *profile, uint32_t bytes_key, float *rates,
                          uint32_t *ret_count)
{
    uint32_t count = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        const struct ht_birth *births = ht_profile_births(profile, sample);
        uint64_t bound = sample->birth_count > 0 ? class_bound(profile, bytes_key, sample) : 0;
        for (uint32_t j = 0; j < sample->birth_count; j++) {
            uint32_t at = count;
            while (at > 0 && rates[at - 1] != births[j].rate_bytes)
                at--;
            if (births[j].size_bytes > bound || (at == 0 && count == HT_BIRTHS_RATES))
                return false;
            if (at == 0)
                rates[count++] = births[j].rate_bytes;
        }
    }
    *ret_count = count;
    return true;
}

static int compare_births(const void *x, const void *y)
{
    const struct ht_birth *a = x, *b = y;
    if (a->ticks != b->ticks)
        return a->ticks < b->ticks ? -1 : 1;
    return a->size_bytes > b->size_bytes ? -1 : a->size_bytes < b->size_bytes;
}

struct writer {
    const struct ht_profile *profile;
    struct ht_buffer *out;
    const float *rates;
    uint32_t rate_count, bytes_key;
};

static void put_births(const struct writer *writer, const struct ht_sample *sample)
{
    const struct ht_profile *profile = writer->profile;
    struct ht_buffer *out = writer->out;
    uint32_t count = sample->birth_count;
    struct ht_birth *births = ht_realloc_array(NULL, (size_t)count + 1, sizeof *births);
    memcpy(births, ht_profile_births(profile, sample), count * sizeof *births);
    qsort(births, count, sizeof *births, compare_births);
    uint64_t bound = class_bound(profile, writer->bytes_key, sample);
    int64_t before = profile->ticks_now;
    ht_wire_put_varint(out, count);
    for (uint32_t i = 0; i < count; i++) {
        ht_wire_put_varint(out, i == 0 ? ht_zigzag(before - births[i].ticks)
                                       : (uint64_t)(births[i].ticks - before));
        before = births[i].ticks;
    }
    for (uint32_t i = 0; i < count; i++)
        ht_wire_put_varint(out, bound - births[i].size_bytes);
    for (uint32_t i = 0; writer->rate_count > 1 && i < count; i++) {
        uint32_t at = 0;
        while (writer->rates[at] != births[i].rate_bytes)
            at++;
        ht_wire_put_varint(out, at);
    }
    for (uint32_t i = 0; i < count; i++) {
        double rate = (double)births[i].rate_bytes;
        int base = rate > 1 ? ht_cell_of_rate(rate) : 0;
        base = base > profile->floor_cell ? base : profile->floor_cell;
        if (rate > 1 || profile->floor_cell != 0)
            ht_wire_put_varint(out, births[i].rank_cell > base ? (uint64_t)(births[i].rank_cell - base) : 0);
    }
    free(births);
}

void ht_births_encode(const struct ht_profile *profile, struct ht_buffer *out)
{
    float rates[HT_BIRTHS_RATES];
    struct writer writer = {profile, out, rates, 0, ht_profile_find_text(profile, "bytes")};
    if (profile->variances == NULL || profile->are_guessed)
        return;
    bool listed =
        profile->tick_ns != 0 && collect_rates(profile, writer.bytes_key, rates, &writer.rate_count);
    uint32_t inherited = ht_profile_find_text(profile, HT_INHERITED_LABEL);
    ht_wire_put_varint(out, HT_BIRTHS_VERSION);
    ht_wire_put_varint(out, HT_BIRTHS_COLUMNS | (listed ? HT_BIRTHS_LISTED : 0));
    ht_wire_put_varint(out, profile->sample_type_count);
    ht_wire_put_varint(out, listed ? profile->tick_ns : 0);
    ht_wire_put_varint(out, listed ? (uint64_t)profile->ticks_now : 0);
    ht_wire_put_varint(out, listed ? (uint64_t)profile->floor_cell : 0);
    ht_wire_put_varint(out, listed ? writer.rate_count : 0);
    for (uint32_t i = 0; listed && i < writer.rate_count; i++)
        put_float(out, rates[i]);
    for (size_t i = 0; i < profile->sample_count; i++) {
        if (is_inherited(profile, inherited, i))
            continue;
        for (size_t t = 0; t < profile->sample_type_count; t++)
            put_float(out, (float)ht_profile_variances(profile, i)[t]);
        if (listed)
            put_births(&writer, &profile->samples[i]);
    }
}
