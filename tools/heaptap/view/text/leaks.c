// What one snapshot tells of leaks, as a table with the evidence, or as JSON.
#include "view/text/leaks.h"

#include "base/json.h"
#include "base/terminal.h"
#include "view/text/figures.h"
#include "view/text/place.h"

#include <math.h>
#include <stdlib.h>

enum { NAME_COLUMN = 62, NAME_LEAST = 16 };

struct table {
    const struct ht_leaks *leaks;
    const struct ht_profile *profile;
    const struct ht_leaks_form *form;
    struct ht_buffer *out;
};

static size_t rows_shown(const struct table *table)
{
    size_t limit = table->form->limit, count = table->leaks->count;
    return limit == 0 || limit > count ? count : limit;
}

static void add_row(const struct table *table, const struct ht_leak_row *row)
{
    const struct ht_leaks_form *form = table->form;
    struct ht_buffer *out = table->out, name = {0};
    char rate[2 * HT_FIGURE_BYTES + 16] = "-", value[HT_FIGURE_BYTES], error[HT_FIGURE_BYTES],
                                    freed[16] = "-";
    char shape[HT_SHAPE_BYTES];
    if (row->class == HT_AGES_GROWS) {
        ht_figure(row->per_s * 3600, "bytes", true, value);
        ht_figure(row->error * 3600, "bytes", false, error);
        snprintf(rate, sizeof rate, "%s ±%s", value, error);
    }
    ht_figure(row->now, "bytes", false, value);
    if (!isnan(row->freed_share))
        snprintf(freed, sizeof freed, "%.0f%%", 100 * row->freed_share);
    ht_figure_shape(row->ages, HT_AGE_COLUMNS, form->plain, shape);
    ht_place_text(table->profile, &row->site, form->trim_path, &name);
    int room = form->columns == 0 ? 0 : form->columns - NAME_COLUMN;
    room = form->columns != 0 && room < NAME_LEAST ? NAME_LEAST : room;
    char *fitted = ht_alloc(name.length + 1);
    ht_terminal_fit(name.data, room, fitted, name.length + 1);
    bool is_dim = form->colour && row->class == HT_AGES_UNDECIDED;
    ht_buffer_text(out, is_dim ? "\033[2m" : "");
    ht_buffer_printf(out, " %-9s", ht_age_class_name(row->class));
    ht_figure_pad(out, rate, 20);
    ht_buffer_printf(out, " %9s %7s  %s  %s%s\n", value, freed, shape, fitted, is_dim ? "\033[0m" : "");
    free(fitted);
    ht_buffer_free(&name);
}

// Why it is judged so, in words.
static void add_evidence(const struct table *table, const struct ht_leak_row *row, struct ht_buffer *out)
{
    char oldest[HT_MEASURE_TEXT_BYTES], youngest[HT_MEASURE_TEXT_BYTES], other[HT_MEASURE_TEXT_BYTES];
    char freed[64] = "", process[HT_MEASURE_TEXT_BYTES];
    ht_figure_time(row->oldest_s, oldest);
    ht_figure_time(row->youngest_s, youngest);
    ht_figure_time(table->leaks->age_s, process);
    if (!isnan(row->freed_share))
        snprintf(freed, sizeof freed, ", %.1f%% of what it allocated was freed", 100 * row->freed_share);
    ht_buffer_printf(out, "%zu live samples", row->samples);
    switch (row->class) {
    case HT_AGES_GROWS:
        ht_figure_time(row->reaches_s, other);
        if (row->older_than_s > 0)
            ht_buffer_printf(out, " of all ages up to %s, those beyond %.0fs at an even rate%s: it grows",
                             other, row->older_than_s, freed);
        else
            ht_buffer_printf(out, " of all ages up to %s at an even rate%s: it grows", other, freed);
        ht_figure(row->per_s * 3600, "bytes", false, other);
        ht_buffer_printf(out, " by %s an hour (a leak, or a cache that still fills)", other);
        break;
    case HT_AGES_BOUNDED:
        ht_buffer_printf(out, ", none older than %s in a process of %s%s: it is replaced in time", oldest,
                         process, freed);
        break;
    case HT_AGES_STARTUP:
        ht_buffer_printf(out, ", none younger than %s in a process of %s%s: it stays as it is", youngest,
                         process, freed);
        break;
    case HT_AGES_TRANSIENT:
        ht_buffer_printf(out, ", none older than %s in a process of %s%s: it is in use", oldest, process,
                         freed);
        break;
    default:
        ht_buffer_printf(out,
                         " of ages from %s to %s%s: too few, or no clear case; `heaptap growth` sees more",
                         youngest, oldest, freed);
    }
}

static void add_path(const struct table *table, const struct ht_leak_row *row)
{
    enum { LIMIT = 40 };
    const struct ht_profile *profile = table->profile;
    const struct ht_sample *sample = &profile->samples[row->heaviest];
    struct ht_buffer *out = table->out;
    ht_buffer_byte(out, '\n');
    ht_place_text(profile, &row->site, table->form->trim_path, out);
    ht_buffer_text(out, ": ");
    add_evidence(table, row, out);
    ht_buffer_text(out, ".\n");
    for (uint32_t i = 0; i < sample->frame_count && i < LIMIT; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        for (uint32_t frame = 0; frame < ht_location_frames(location); frame++) {
            struct ht_place place =
                ht_place_of(profile, location, ht_location_line(profile, location, frame), HT_BY_LINES);
            ht_buffer_text(out, "    ");
            ht_place_text(profile, &place, table->form->trim_path, out);
            ht_buffer_byte(out, '\n');
        }
    }
    if (sample->frame_count > LIMIT)
        ht_buffer_printf(out, "    (%u more)\n", sample->frame_count - LIMIT);
}

void ht_leaks_text(const struct ht_leaks *leaks, const struct ht_profile *profile,
                   const struct ht_leaks_form *form, struct ht_buffer *out)
{
    const struct table table = {leaks, profile, form, out};
    char age[HT_MEASURE_TEXT_BYTES], total[HT_FIGURE_BYTES];
    size_t shown = rows_shown(&table);
    ht_figure_time(leaks->age_s, age);
    ht_figure(leaks->total, "bytes", false, total);
    ht_buffer_printf(out, "Live %s after %s; ages from the start (left) to now\n", total, age);
    ht_buffer_printf(out, " %-9s%20s %9s %7s  %-10s  %s\n", "class", "per hour", "now", "freed", "ages",
                     "call site");
    for (size_t i = 0; i < shown; i++) {
        add_row(&table, &leaks->rows[i]);
        ht_buffer_drain(out);
    }
    if (shown < leaks->count)
        ht_buffer_printf(out, " (%zu more call sites)\n", leaks->count - shown);
    for (size_t i = 0; i < form->paths && i < shown; i++)
        add_path(&table, &leaks->rows[i]);
}

static void json_row(const struct table *table, struct ht_json *json, const struct ht_leak_row *row)
{
    const struct ht_profile *profile = table->profile;
    const struct ht_sample *sample = &profile->samples[row->heaviest];
    struct ht_buffer evidence = {0};
    bool grows = row->class == HT_AGES_GROWS;
    add_evidence(table, row, &evidence);
    ht_json_begin_object(json, NULL);
    ht_json_string(json, "class", ht_age_class_name(row->class));
    ht_json_string(json, "evidence", evidence.data);
    ht_json_number(json, "bytes_per_hour", grows ? round(row->per_s * 3600) : (double)NAN);
    ht_json_number(json, "error", grows ? round(row->error * 3600) : (double)NAN);
    ht_json_number(json, "low", grows ? round(row->low * 3600) : (double)NAN);
    ht_json_number(json, "high", grows ? round(row->high * 3600) : (double)NAN);
    ht_json_int(json, "now_bytes", ht_int64_of_double(round(row->now)));
    ht_json_int(json, "now_error", ht_int64_of_double(round(row->now_error)));
    ht_json_number(json, "freed_share", row->freed_share);
    ht_json_int(json, "samples", (int64_t)row->samples);
    ht_json_number(json, "oldest_seconds", row->oldest_s);
    ht_json_number(json, "youngest_seconds", row->youngest_s);
    ht_json_number(json, "median_seconds", row->median_s);
    ht_json_begin_array(json, "ages");
    for (size_t i = 0; i < HT_AGE_COLUMNS; i++)
        ht_json_number(json, NULL, round(row->ages[i]));
    ht_json_end_array(json);
    ht_json_begin_array(json, "stack");
    for (uint32_t i = 0; i < sample->frame_count; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        for (uint32_t frame = 0; frame < ht_location_frames(location); frame++) {
            struct ht_place place =
                ht_place_of(profile, location, ht_location_line(profile, location, frame), HT_BY_LINES);
            ht_json_begin_object(json, NULL);
            ht_json_string(json, "function",
                           ht_profile_text(profile, place.name != 0 ? place.name : place.object));
            if (place.file != 0)
                ht_json_string(json, "file", ht_profile_text(profile, place.file));
            if (place.line != 0)
                ht_json_int(json, "line", place.line);
            ht_json_end_object(json);
        }
    }
    ht_json_end_array(json);
    ht_json_end_object(json);
    ht_buffer_free(&evidence);
}

void ht_leaks_json(const struct ht_leaks *leaks, const struct ht_profile *profile,
                   const struct ht_leaks_form *form, struct ht_buffer *out)
{
    const struct table table = {leaks, profile, form, out};
    struct ht_json json = {.out = out};
    size_t shown = rows_shown(&table);
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "report", "leaks");
    ht_json_number(&json, "age_seconds", leaks->age_s);
    ht_json_number(&json, "total_bytes", round(leaks->total));
    ht_json_int(&json, "call_sites", (int64_t)leaks->count);
    ht_json_begin_array(&json, "rows");
    for (size_t i = 0; i < shown; i++) {
        json_row(&table, &json, &leaks->rows[i]);
        ht_buffer_drain(out);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}
