// A comparison of two snapshots as a table with the heaviest stacks, or as JSON.
#include "view/text/compare.h"

#include "base/json.h"
#include "base/measure.h"
#include "base/path.h"
#include "base/terminal.h"
#include "view/text/place.h"

#include <math.h>
#include <stdlib.h>

struct table {
    const struct ht_compare *compare;
    const struct ht_compare_form *form;
    struct ht_buffer *out;
};

static void add_place(const struct table *table, const struct ht_place *place, struct ht_buffer *out)
{
    ht_place_text(table->compare->profile, place, table->form->trim_path, out);
}

static void label(const struct table *table, int64_t value, bool with_sign, char text[HT_MEASURE_TEXT_BYTES])
{
    size_t sign = with_sign && value > 0;
    text[0] = '+';
    char plain[HT_MEASURE_TEXT_BYTES];
    ht_measure_label(value, table->compare->unit, table->form->unit != NULL ? table->form->unit : "auto",
                     plain);
    snprintf(text + sign, HT_MEASURE_TEXT_BYTES - sign, "%.500s", plain);
}

// "+1.60MB", and " ±0.53" in the same unit where there is an error.
static void label_change(const struct table *table, const struct ht_change *value,
                         char text[HT_MEASURE_TEXT_BYTES], char error_text[32])
{
    const char *unit;
    label(table, value->change, true, text);
    error_text[0] = '\0';
    if (!(value->error > 0))
        return;
    const char *wanted = table->form->unit != NULL ? table->form->unit : "auto";
    int64_t whole = ht_int64_of_double(value->error);
    if (value->error > fabs((double)value->change)) { // both in the error's unit
        double ratio = ht_measure_scale(whole, table->compare->unit, wanted, &unit) / value->error;
        snprintf(text, HT_MEASURE_TEXT_BYTES, "%+.2f%s", (double)value->change * ratio, unit);
        snprintf(error_text, 32, " ±%.2f", value->error * ratio);
        return;
    }
    double ratio =
        ht_measure_scale(value->change, table->compare->unit, wanted, &unit) / (double)value->change;
    double error = value->error * ratio;
    snprintf(error_text, 32, " ±%.*f", error < 10 ? 2 : error < 100 ? 1 : 0, error);
}

static const char *verdict_of(const struct ht_change *value)
{
    static const char *const words[] = {[HT_CHANGE_UNKNOWN] = "-",
                                        [HT_CHANGE_NOISE] = "noise",
                                        [HT_CHANGE_GROWS] = "grows",
                                        [HT_CHANGE_SHRINKS] = "shrinks"};
    return words[isnan(value->error) ? HT_CHANGE_UNKNOWN : value->verdict];
}

// Small counts keep a decimal: 0.4 objects an hour is not nothing.
static void label_per_hour(const struct table *table, int64_t change, char text[HT_MEASURE_TEXT_BYTES])
{
    double rate = 60 * ht_compare_per_minute(table->compare, change);
    if (isnan(rate))
        strcpy(text, "-");
    else if (strcmp(table->compare->unit, "count") == 0 && fabs(rate) < 100)
        snprintf(text, HT_MEASURE_TEXT_BYTES, rate == 0 ? "0" : "%+.1f", rate);
    else
        label(table, ht_int64_of_double(round(rate)), true, text);
}

static void add_row(const struct table *table, const struct ht_change *value, const char *name)
{
    enum { NAME_COLUMN = 49, NAME_LEAST = 24, NAME_BEHIND_ERRORS = 64, LEAST_BEHIND_ERRORS = 16 };
    char old_text[HT_MEASURE_TEXT_BYTES], new_text[HT_MEASURE_TEXT_BYTES], freed_text[16] = "-";
    char change_text[HT_MEASURE_TEXT_BYTES], rate_text[HT_MEASURE_TEXT_BYTES], error_text[32];
    bool has_errors = table->compare->has_errors;
    label(table, value->old, false, old_text);
    label(table, value->new, false, new_text);
    label_change(table, value, change_text, error_text);
    label_per_hour(table, value->change, rate_text);
    if (!isnan(value->freed_share))
        snprintf(freed_text, sizeof freed_text, "%.0f%%", 100 * value->freed_share);
    bool is_dim = table->form->colour && has_errors && value->verdict == HT_CHANGE_NOISE;
    ht_buffer_text(table->out, is_dim ? "\033[2m" : "");
    if (has_errors) // a sign of two bytes in one column
        ht_buffer_printf(table->out, "%9s %9s %10s%-*s %10s %5s %-7s", old_text, new_text, change_text,
                         error_text[0] != '\0' ? 9 : 8, error_text, rate_text, freed_text, verdict_of(value));
    else
        ht_buffer_printf(table->out, "%11s %11s %11s %11s", old_text, new_text, change_text, rate_text);
    int room = table->form->columns - (has_errors ? NAME_BEHIND_ERRORS : NAME_COLUMN);
    int least = has_errors ? LEAST_BEHIND_ERRORS : NAME_LEAST;
    room = table->form->columns == 0 ? 0 : room < least ? least : room;
    char *fitted = ht_alloc(strlen(name) + 1);
    ht_terminal_fit(name, room, fitted, strlen(name) + 1);
    ht_buffer_printf(table->out, "  %s%s\n", fitted, is_dim ? "\033[0m" : "");
    free(fitted);
}

static void add_rest(const struct table *table, size_t shown)
{
    const struct ht_compare *compare = table->compare;
    int64_t change = 0;
    char text[HT_MEASURE_TEXT_BYTES];
    for (size_t i = shown; i < compare->row_count; i++)
        change = ht_wrap_add(change, compare->rows[i].value.change);
    label(table, change, true, text);
    if (shown < compare->row_count)
        ht_buffer_printf(table->out, "%*s(%zu more call site%s changed by %s in sum)\n",
                         compare->has_errors ? 64 : 49, "", compare->row_count - shown,
                         compare->row_count - shown == 1 ? "" : "s", text);
    if (compare->unchanged > 0)
        ht_buffer_printf(table->out, "%*s(%zu call site%s unchanged)\n", compare->has_errors ? 64 : 49, "",
                         compare->unchanged, compare->unchanged == 1 ? "" : "s");
}

// One frame of a location as "function file:line".
static void add_frame(const struct table *table, const struct ht_location *location, uint32_t frame,
                      struct ht_buffer *out)
{
    const struct ht_profile *profile = table->compare->profile;
    struct ht_place place =
        ht_place_of(profile, location, ht_location_line(profile, location, frame), HT_BY_LINES);
    add_place(table, &place, out);
    ht_buffer_text(out, frame + 1 < location->line_count ? " (inline)" : "");
}

static void add_path(const struct table *table, const struct ht_compare_row *row)
{
    enum { LIMIT = 40 };
    const struct ht_profile *profile = table->compare->profile;
    const struct ht_sample *sample = &profile->samples[row->heaviest];
    struct ht_buffer *out = table->out;
    char text[HT_MEASURE_TEXT_BYTES];
    label(table, row->heaviest_change, true, text);
    ht_buffer_printf(out, "\n%s of ", text);
    add_place(table, &row->site, out);
    ht_buffer_text(out, " came this way:\n");
    for (uint32_t i = 0; i < sample->frame_count && i < LIMIT; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        for (uint32_t frame = 0; frame < ht_location_frames(location); frame++) {
            ht_buffer_text(out, "    ");
            add_frame(table, location, frame, out);
            ht_buffer_byte(out, '\n');
        }
    }
    if (sample->frame_count > LIMIT)
        ht_buffer_printf(out, "    (%u more)\n", sample->frame_count - LIMIT);
}

static size_t rows_shown(const struct table *table)
{
    size_t limit = table->form->limit, count = table->compare->row_count;
    return limit == 0 || limit > count ? count : limit;
}

void ht_compare_text(const struct ht_compare *compare, const struct ht_compare_form *form,
                     struct ht_buffer *out)
{
    const struct table table = {compare, form, out};
    const struct ht_profile *profile = compare->profile;
    size_t shown = rows_shown(&table);
    if (profile->mapping_count > 0 && profile->mappings[0].file != 0) {
        ht_buffer_text(out, "File: ");
        ht_path_base(ht_profile_text(profile, profile->mappings[0].file), out);
        ht_buffer_byte(out, '\n');
    }
    ht_buffer_printf(out, "Type: %s\n", compare->sample_type);
    if (compare->minutes > 0) {
        char age[HT_MEASURE_TEXT_BYTES];
        ht_measure_age(ht_int64_of_double(compare->minutes * 60e9), age);
        ht_buffer_printf(out, "Between the snapshots: %s\n", age);
    }
    if (compare->has_errors)
        ht_buffer_printf(out, "%9s %9s %10s%8s %10s %5s %s\n", "old", "new", "change", "", "per hour",
                         "freed", "verdict");
    else
        ht_buffer_printf(out, "%11s %11s %11s %11s\n", "old", "new", "change", "per hour");
    for (size_t i = 0; i < shown; i++) {
        struct ht_buffer name = {0};
        add_place(&table, &compare->rows[i].site, &name);
        add_row(&table, &compare->rows[i].value, name.data);
        ht_buffer_free(&name);
        ht_buffer_drain(out);
    }
    add_rest(&table, shown);
    add_row(&table, &compare->total, "total");
    if (compare->has_errors && compare->false_share > 0)
        ht_buffer_printf(out, "Of the verdicts but noise %s%.2g%% are expected to be chance.\n",
                         compare->false_share < 1e-4 ? "less than " : "at most ",
                         100 * fmax(compare->false_share, 1e-4));
    for (size_t i = 0; i < form->paths && i < shown && compare->rows[i].heaviest_change > 0; i++)
        add_path(&table, &compare->rows[i]);
}

static void json_change(const struct table *table, struct ht_json *json, const struct ht_change *value)
{
    ht_json_int(json, "old", value->old);
    ht_json_int(json, "new", value->new);
    ht_json_int(json, "change", value->change);
    ht_json_number(json, "change_per_minute", ht_compare_per_minute(table->compare, value->change));
    ht_json_number(json, "error", value->error);
    ht_json_number(json, "low", value->low);
    ht_json_number(json, "high", value->high);
    ht_json_number(json, "p_value", isnan(value->error) ? (double)NAN : value->p_value);
    ht_json_string(json, "verdict", isnan(value->error) ? NULL : verdict_of(value));
    ht_json_number(json, "freed_share", value->freed_share);
}

static void json_path(const struct table *table, struct ht_json *json, const struct ht_compare_row *row)
{
    const struct ht_profile *profile = table->compare->profile;
    const struct ht_sample *sample = &profile->samples[row->heaviest];
    ht_json_begin_array(json, "path");
    for (uint32_t i = 0; i < sample->frame_count && row->heaviest_change > 0; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        for (uint32_t frame = 0; frame < ht_location_frames(location); frame++) {
            struct ht_buffer text = {0};
            add_frame(table, location, frame, &text);
            ht_json_string(json, NULL, text.data);
            ht_buffer_free(&text);
        }
    }
    ht_json_end_array(json);
}

static void json_row(const struct table *table, struct ht_json *json, const struct ht_compare_row *row)
{
    const struct ht_profile *profile = table->compare->profile;
    const struct ht_place *site = &row->site;
    struct ht_buffer name = {0};
    add_place(table, site, &name);
    ht_json_begin_object(json, NULL);
    ht_json_string(json, "name", name.data);
    if (site->name != 0)
        ht_json_string(json, "function", ht_profile_text(profile, site->name));
    if (site->file != 0)
        ht_json_string(json, "file", ht_profile_text(profile, site->file));
    if (site->line != 0)
        ht_json_int(json, "line", site->line);
    json_change(table, json, &row->value);
    json_path(table, json, row);
    ht_json_end_object(json);
    ht_buffer_free(&name);
}

void ht_compare_json(const struct ht_compare *compare, const struct ht_compare_form *form,
                     struct ht_buffer *out)
{
    const struct table table = {compare, form, out};
    struct ht_json json = {.out = out};
    size_t shown = rows_shown(&table);
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "report", "diff");
    ht_json_string(&json, "sample_type", compare->sample_type);
    ht_json_string(&json, "unit", compare->unit);
    ht_json_number(&json, "minutes", compare->minutes > 0 ? compare->minutes : NAN);
    ht_json_int(&json, "changed", (int64_t)compare->row_count);
    ht_json_int(&json, "unchanged", (int64_t)compare->unchanged);
    ht_json_begin_object(&json, "total");
    json_change(&table, &json, &compare->total);
    ht_json_end_object(&json);
    ht_json_begin_array(&json, "rows");
    for (size_t i = 0; i < shown; i++) {
        json_row(&table, &json, &compare->rows[i]);
        ht_buffer_drain(out);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}
