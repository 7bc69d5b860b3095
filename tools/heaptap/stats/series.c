// Snapshots of one process, one after the other, as series of its call sites.
#include "stats/series.h"

#include "base/error.h"
#include "profile/birth.h"
#include "stats/site.h"

#include <math.h>
#include <stdlib.h>

enum { SAME_MOMENT = 2 }; // as the last one, as far as the clock tells

void ht_series_begin(struct ht_series *series, const struct ht_series_options *options)
{
    *series = (struct ht_series){.options = *options, .names = ht_profile_new()};
}

void ht_series_free(struct ht_series *series)
{
    for (size_t i = 0; i < series->row_count; i++) {
        free(series->rows[i].frames);
        free(series->rows[i].items);
    }
    free(series->rows);
    free(series->times);
    free(series->live);
    free(series->resident);
    free(series->sample_type);
    free(series->unit);
    ht_index_free(&series->row_index);
    ht_index_free(&series->item_index);
    ht_profile_free(series->names);
    *series = (struct ht_series){0};
}

static uint32_t keep_text(struct ht_series *series, const struct ht_profile *profile, uint32_t string)
{
    return ht_profile_intern_text(series->names, ht_profile_text(profile, string));
}

static struct ht_place keep_place(struct ht_series *series, const struct ht_profile *profile,
                                  const struct ht_place *place)
{
    struct ht_place kept = *place;
    kept.name = keep_text(series, profile, place->name);
    kept.file = keep_text(series, profile, place->file);
    kept.object = keep_text(series, profile, place->object);
    return kept;
}

static uint32_t row_of(struct ht_series *series, const struct ht_profile *profile,
                       const struct ht_place *place)
{
    struct ht_place site = keep_place(series, profile, place);
    uint64_t hash = ht_place_hash(&site);
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&series->row_index, hash, &cursor)) != HT_NONE;)
        if (ht_place_equal(&series->rows[at].site, &site))
            return at;
    HT_RESERVE(series->rows, series->row_capacity, series->row_count + 1);
    series->rows[series->row_count] = (struct ht_series_row){.site = site, .allocated = NAN, .in_use = NAN};
    ht_index_add(&series->row_index, hash, (uint32_t)series->row_count);
    return (uint32_t)series->row_count++;
}

// One row's share of a snapshot on its way.
struct adding {
    struct ht_series *series;
    const struct ht_profile *profile;
    struct ht_sites sites;
    uint32_t *rows; // by site
    size_t column;
    double *totals; // by site: of the column
};

static void keep_stack(struct adding *adding, struct ht_series_row *row, const struct ht_sample *sample)
{
    const struct ht_profile *profile = adding->profile;
    size_t capacity = 0;
    free(row->frames);
    row->frames = NULL;
    row->frame_count = 0;
    for (uint32_t i = 0; i < sample->frame_count; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        for (uint32_t frame = 0; frame < ht_location_frames(location); frame++) {
            struct ht_place place =
                ht_place_of(profile, location, ht_location_line(profile, location, frame), HT_BY_LINES);
            HT_RESERVE(row->frames, capacity, row->frame_count + 1);
            row->frames[row->frame_count++] = keep_place(adding->series, profile, &place);
        }
    }
}

static uint64_t item_hash(uint32_t row, const struct ht_series_item *item)
{
    uint64_t hash = ht_hash_add(ht_hash_add(0, row), (uint64_t)item->ticks);
    return ht_hash_add(ht_hash_add(hash, item->size_bytes), (uint64_t)(uint16_t)item->rank_cell);
}

// The same block in the snapshot before, or a new one.
static void add_item(struct ht_series *series, uint32_t row_number, struct ht_series_item item)
{
    struct ht_series_row *row = &series->rows[row_number];
    uint32_t now = (uint32_t)series->count;
    uint64_t hash = item_hash(row_number, &item);
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&series->item_index, hash, &cursor)) != HT_NONE;) {
        struct ht_series_item *seen = at < row->item_count ? &row->items[at] : NULL;
        if (seen != NULL && seen->last + 1 == now && seen->ticks == item.ticks &&
            seen->size_bytes == item.size_bytes && seen->rank_cell == item.rank_cell) {
            seen->last = now;
            return;
        }
    }
    item.first = item.last = now;
    HT_RESERVE(row->items, row->item_capacity, row->item_count + 1);
    ht_index_add(&series->item_index, hash, (uint32_t)row->item_count);
    row->items[row->item_count++] = item;
}

static void add_births(struct adding *adding, size_t sample, uint32_t row)
{
    const struct ht_profile *profile = adding->profile;
    const struct ht_sample *of = &profile->samples[sample];
    for (uint32_t i = 0; i < of->birth_count; i++) {
        const struct ht_birth *birth = &profile->births[of->births + i];
        add_item(adding->series, row,
                 (struct ht_series_item){.ticks = birth->ticks,
                                         .size_bytes = birth->size_bytes,
                                         .rate_bytes = birth->rate_bytes,
                                         .rank_cell = birth->rank_cell});
    }
}

// Without births: what a row has more than before has come, what it has less has gone, the newest first.
static void follow_total(struct ht_series *series, struct ht_series_row *row, double total)
{
    uint32_t now = (uint32_t)series->count;
    for (size_t i = 0; i < row->item_count; i++)
        if (row->items[i].last + 1 == now) {
            row->items[i].last = now;
            total -= row->items[i].value;
        }
    for (size_t i = row->item_count; i-- > 0 && total < 0;) {
        struct ht_series_item *item = &row->items[i];
        if (item->last != now)
            continue;
        item->last = now - 1;
        total += item->value;
    }
    if (total > 0) {
        HT_RESERVE(row->items, row->item_capacity, row->item_count + 1);
        row->items[row->item_count++] =
            (struct ht_series_item){.ticks = (int64_t)now, .value = total, .first = now, .last = now};
    }
}

static void add_samples(struct adding *adding)
{
    struct ht_series *series = adding->series;
    const struct ht_profile *profile = adding->profile;
    int64_t *heaviest = ht_alloc_zero(adding->sites.count, sizeof *heaviest);
    size_t alloc = 0, in_use = 0;
    bool has_both = ht_profile_sample_index(profile, "alloc_space", &alloc) == 0 &&
                    ht_profile_sample_index(profile, "inuse_space", &in_use) == 0 &&
                    ht_profile_comment_value(profile, "inherited_pid") == NULL &&
                    ht_profile_comment_value(profile, "thinned_since") == NULL;
    for (size_t i = 0; i < adding->sites.count; i++) {
        adding->rows[i] = row_of(series, profile, &adding->sites.places[i]);
        series->rows[adding->rows[i]].allocated = series->rows[adding->rows[i]].in_use = has_both ? 0 : NAN;
    }
    for (size_t i = 0; i < profile->sample_count; i++) {
        uint32_t site = adding->sites.of_sample[i];
        struct ht_series_row *row = &series->rows[adding->rows[site]];
        const int64_t *values = ht_profile_values(profile, i);
        adding->totals[site] += (double)values[adding->column];
        row->allocated += has_both ? (double)values[alloc] : 0;
        row->in_use += has_both ? (double)values[in_use] : 0;
        if (values[adding->column] > heaviest[site]) {
            heaviest[site] = values[adding->column];
            keep_stack(adding, row, &profile->samples[i]);
        }
        if (series->tick_ns != 0)
            add_births(adding, i, adding->rows[site]);
    }
    for (size_t i = 0; i < adding->sites.count && series->tick_ns == 0; i++)
        follow_total(series, &series->rows[adding->rows[i]], adding->totals[i]);
    free(heaviest);
}

// Rows that a snapshot does not have hold nothing in it.
static void follow_absent(struct adding *adding)
{
    struct ht_series *series = adding->series;
    bool *is_there = ht_alloc_zero(series->row_count + 1, sizeof *is_there);
    for (size_t i = 0; i < adding->sites.count; i++)
        is_there[adding->rows[i]] = true;
    for (size_t i = 0; i < series->row_count; i++)
        if (!is_there[i])
            follow_total(series, &series->rows[i], 0);
    free(is_there);
}

// The clock of the snapshots: births are told by it, so it is theirs where there are any.
static int add_time(struct ht_series *series, const struct ht_profile *profile, bool of_live_bytes)
{
    bool is_first = series->count == 0;
    uint64_t tick_ns = of_live_bytes && !series->options.no_births ? profile->tick_ns : 0;
    if (is_first) {
        series->tick_ns = tick_ns;
        series->tick_base = profile->ticks_now;
        series->begin_ns = profile->time_ns;
    } else if (tick_ns != series->tick_ns) {
        return 1;
    }
    double time = series->tick_ns != 0
                      ? (double)(profile->ticks_now - series->tick_base) * (double)series->tick_ns / 1e9
                      : (double)(profile->time_ns - series->begin_ns) / 1e9;
    if (!is_first && time < series->times[series->count - 1])
        return ht_fail("it is older than the one before");
    if (!is_first && time <= series->times[series->count - 1])
        return SAME_MOMENT;
    size_t capacity = series->capacity, needed = series->count + 1;
    HT_RESERVE(series->times, capacity, needed);
    capacity = series->capacity;
    HT_RESERVE(series->live, capacity, needed);
    HT_RESERVE(series->resident, series->capacity, needed);
    const char *resident = ht_profile_comment_value(profile, "rss_bytes");
    series->times[series->count] = time;
    series->live[series->count] = 0;
    series->last_ns = profile->time_ns;
    series->resident[series->count] = resident != NULL ? strtod(resident, NULL) : NAN;
    return 0;
}

int ht_series_add(struct ht_series *series, struct ht_profile *profile)
{
    struct adding adding = {.series = series, .profile = profile};
    const char *wanted = series->options.sample_index;
    size_t ignored;
    if (wanted == NULL && ht_profile_sample_index(profile, "inuse_space", &ignored) == 0)
        wanted = "inuse_space";
    if (ht_profile_sample_index(profile, wanted, &adding.column) < 0 ||
        ht_filter_apply(profile, &series->options.filter) < 0)
        return -1;
    const struct ht_value_type *type = &profile->sample_types[adding.column];
    const char *name = ht_profile_text(profile, type->type);
    int result = add_time(series, profile, strcmp(name, "inuse_space") == 0);
    if (result != 0)
        return result == SAME_MOMENT ? 0 : result;
    if (series->count == 0) {
        series->sample_type = ht_strdup(name);
        series->unit = ht_strdup(ht_profile_text(profile, type->unit));
    }
    ht_sites_find(&adding.sites, profile, series->options.granularity, series->options.leaf_sites);
    adding.rows = ht_alloc_zero(adding.sites.count, sizeof *adding.rows);
    adding.totals = ht_alloc_zero(adding.sites.count, sizeof *adding.totals);
    add_samples(&adding);
    if (series->tick_ns == 0)
        follow_absent(&adding);
    for (size_t i = 0; i < adding.sites.count; i++)
        series->live[series->count] += adding.totals[i];
    if (profile->floor_cell > series->floor_cell)
        series->floor_cell = profile->floor_cell;
    series->count++;
    free(adding.rows);
    free(adding.totals);
    ht_sites_free(&adding.sites);
    return 0;
}

size_t ht_series_samples(const struct ht_series *series, size_t number, struct ht_trend_sample **ret_samples)
{
    const struct ht_series_row *row = &series->rows[number];
    struct ht_trend_sample *samples = ht_realloc_array(NULL, row->item_count, sizeof *samples);
    double floor_bytes = series->floor_cell > 0 ? ht_cell_bytes(series->floor_cell) : 0;
    size_t count = 0;
    for (size_t i = 0; i < row->item_count; i++) {
        const struct ht_series_item *item = &row->items[i];
        struct ht_trend_sample sample = {.first = item->first, .last = item->last};
        if (series->tick_ns == 0) {
            sample.birth_s = series->times[item->first];
            sample.value = item->value;
        } else {
            struct ht_birth birth = {.size_bytes = item->size_bytes, .rate_bytes = item->rate_bytes};
            if (floor_bytes > 0 && item->rank_cell < series->floor_cell)
                continue; // given up by thinning before the last snapshot
            double p = ht_birth_probability(&birth, floor_bytes), size = (double)item->size_bytes;
            sample.birth_s = (double)(item->ticks - series->tick_base) * (double)series->tick_ns / 1e9;
            sample.value = size / p;
            sample.variance = size * size * (1 - p) / p / p;
        }
        if (sample.value > 0)
            samples[count++] = sample;
    }
    *ret_samples = samples;
    return count;
}
