// Growth over a series of snapshots as JSON.
#include "base/json.h"
#include "view/text/growth.h"

#include <math.h>
#include <time.h>

static void json_time(const struct ht_series *series, struct ht_json *json, const char *key, double s)
{
    char text[40] = "";
    int64_t ns = series->begin_ns + ht_int64_of_double(s * 1e9);
    time_t seconds = ns / 1000000000;
    struct tm parts;
    if (series->begin_ns != 0 && gmtime_r(&seconds, &parts) != NULL)
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    ht_json_string(json, key, text[0] != '\0' ? text : NULL);
}

static void json_stack(const struct ht_series *series, const struct ht_series_row *row, struct ht_json *json)
{
    ht_json_begin_array(json, "stack");
    for (size_t i = 0; i < row->frame_count; i++) {
        const struct ht_place *place = &row->frames[i];
        ht_json_begin_object(json, NULL);
        ht_json_string(json, "function",
                       ht_profile_text(series->names, place->name != 0 ? place->name : place->object));
        if (place->file != 0)
            ht_json_string(json, "file", ht_profile_text(series->names, place->file));
        if (place->line != 0)
            ht_json_int(json, "line", place->line);
        ht_json_end_object(json);
    }
    ht_json_end_array(json);
}

static void json_numbers(struct ht_json *json, const char *key, const double *values, size_t count)
{
    ht_json_begin_array(json, key);
    for (size_t k = 0; k < count; k++)
        ht_json_number(json, NULL, round(values[k] * 1000) / 1000);
    ht_json_end_array(json);
}

static void json_row(const struct ht_growth *growth, const struct ht_growth_form *form,
                     const struct ht_growth_row *row, struct ht_json *json)
{
    const struct ht_series *series = growth->series;
    const struct ht_series_row *of = &series->rows[row->row];
    const struct ht_trend *trend = &row->trend;
    ht_json_begin_object(json, NULL);
    ht_json_string(json, "process", form->process);
    ht_json_string(json, "verdict", ht_verdict_name(trend->verdict));
    ht_json_int(json, "bytes_per_hour", ht_int64_of_double(round(trend->per_s * 3600)));
    ht_json_int(json, "low", ht_int64_of_double(round(trend->low * 3600)));
    ht_json_int(json, "high", ht_int64_of_double(round(trend->high * 3600)));
    ht_json_int(json, "error", ht_int64_of_double(round(trend->error * 3600)));
    ht_json_int(json, "now_bytes", ht_int64_of_double(round(trend->now)));
    ht_json_int(json, "now_error", ht_int64_of_double(round(trend->now_error)));
    ht_json_number(json, "freed_share", row->freed_share);
    json_time(series, json, "began", trend->began_s);
    if (trend->verdict == HT_VERDICT_LEVELS)
        json_time(series, json, "level_since", trend->ended_s);
    ht_json_number(json, "p_value", trend->p_value);
    ht_json_number(json, "q_value", row->q_value);
    json_numbers(json, "series", row->values, series->count);
    json_stack(series, of, json);
    ht_json_end_object(json);
}

void ht_growth_json_rows(const struct ht_growth *growth, const struct ht_growth_form *form,
                         struct ht_json *json)
{
    size_t shown = form->limit == 0 || form->limit > growth->count ? growth->count : form->limit;
    for (size_t i = 0; i < shown; i++)
        json_row(growth, form, &growth->rows[i], json);
}

void ht_growth_json_process(const struct ht_growth *growth, const struct ht_growth_form *form,
                            struct ht_json *json)
{
    const struct ht_series *series = growth->series;
    ht_json_begin_object(json, NULL);
    ht_json_string(json, "process", form->process);
    ht_json_string(json, "sample_type", series->sample_type);
    ht_json_string(json, "unit", series->unit);
    ht_json_int(json, "snapshots", (int64_t)series->count);
    json_time(series, json, "begin", 0);
    json_time(series, json, "end", series->times[series->count - 1]);
    ht_json_int(json, "call_sites", (int64_t)growth->count);
    ht_json_int(json, "growing", (int64_t)growth->growing);
    ht_json_number(json, "false_discovery_rate", growth->growing > 0 ? growth->false_share : 0);
    ht_json_number(json, "limit_bytes", form->limit_bytes > 0 ? form->limit_bytes : NAN);
    json_numbers(json, "times", series->times, series->count);
    json_numbers(json, "live_bytes", series->live, series->count);
    json_numbers(json, "rss_bytes", series->resident, series->count);
    ht_json_end_object(json);
}
