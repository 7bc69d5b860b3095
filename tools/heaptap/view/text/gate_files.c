// What was judged against a limit for other programs: JSON, and JUnit's XML for build servers.
#include "base/json.h"
#include "view/escape.h"
#include "view/text/gate.h"
#include "view/text/place.h"

#include <math.h>

static void json_numbers(struct ht_json *json, const struct ht_gate_row *row)
{
    ht_json_int(json, "old", row->old);
    ht_json_int(json, "new", row->new);
    ht_json_int(json, "change", row->change);
    ht_json_number(json, "error", round(row->error));
    ht_json_number(json, "p_value", row->p_value);
    ht_json_number(json, "level", row->level);
    ht_json_bool(json, "fails", row->fails);
}

static void json_frame(const struct ht_profile *profile, struct ht_json *json, const struct ht_place *place)
{
    ht_json_begin_object(json, NULL);
    ht_json_string(json, "function",
                   ht_profile_text(profile, place->name != 0 ? place->name : place->object));
    if (place->file != 0)
        ht_json_string(json, "file", ht_profile_text(profile, place->file));
    if (place->line != 0)
        ht_json_int(json, "line", place->line);
    ht_json_end_object(json);
}

static void json_stack(const struct ht_profile *profile, struct ht_json *json, const struct ht_gate_row *row)
{
    const struct ht_sample *sample = &profile->samples[row->stack];
    ht_json_begin_array(json, "stack");
    for (uint32_t i = 0; i < sample->frame_count && row->stack_change > 0; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        for (uint32_t frame = 0; frame < ht_location_frames(location); frame++) {
            struct ht_place place =
                ht_place_of(profile, location, ht_location_line(profile, location, frame), HT_BY_LINES);
            json_frame(profile, json, &place);
        }
    }
    ht_json_end_array(json);
}

static void json_row(const struct ht_gate *gate, const struct ht_gate_form *form, struct ht_json *json,
                     const struct ht_gate_row *row)
{
    struct ht_buffer name = {0};
    ht_place_text(gate->profile, &row->site, form->trim_path, &name);
    ht_json_begin_object(json, NULL);
    ht_json_string(json, "name", name.data);
    if (row->site.name != 0)
        ht_json_string(json, "function", ht_profile_text(gate->profile, row->site.name));
    if (row->site.file != 0)
        ht_json_string(json, "file", ht_profile_text(gate->profile, row->site.file));
    if (row->site.line != 0)
        ht_json_int(json, "line", row->site.line);
    json_numbers(json, row);
    json_stack(gate->profile, json, row);
    ht_json_end_object(json);
    ht_buffer_free(&name);
}

// Samples without end are written as null.
static void json_smallest(struct ht_json *json, const char *bytes_key, const char *samples_key, double bytes,
                          size_t samples)
{
    ht_json_number(json, bytes_key, samples == SIZE_MAX ? (double)NAN : round(bytes));
    ht_json_number(json, samples_key, samples == SIZE_MAX ? (double)NAN : (double)samples);
}

void ht_gate_json(const struct ht_gate *gate, const struct ht_gate_form *form, struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "report", "check");
    ht_json_string(&json, "sample_type", gate->sample_type);
    ht_json_string(&json, "unit", gate->unit);
    ht_json_bool(&json, "one_process", form->is_one_process);
    ht_json_number(&json, "limit_bytes", gate->limit);
    ht_json_number(&json, "chance", gate->chance);
    ht_json_int(&json, "tests", (int64_t)gate->row_count + 1);
    ht_json_int(&json, "failing", (int64_t)gate->failing);
    ht_json_int(&json, "suppressed_bytes", gate->suppressed);
    ht_json_bool(&json, "exact", gate->is_exact);
    json_smallest(&json, "smallest_total_bytes", "smallest_total_samples", gate->total_smallest,
                  gate->total_samples);
    json_smallest(&json, "smallest_site_bytes", "smallest_site_samples", gate->site_smallest,
                  gate->site_samples);
    ht_json_begin_object(&json, "total");
    json_numbers(&json, &gate->total);
    ht_json_end_object(&json);
    ht_json_begin_array(&json, "rows");
    for (size_t i = 0; i < gate->row_count; i++) {
        json_row(gate, form, &json, &gate->rows[i]);
        ht_buffer_drain(out);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}

static void add_markup(struct ht_buffer *out, const struct ht_buffer *text)
{
    ht_escape_markup(text->data, text->length, out);
}

static void junit_stack(const struct ht_gate *gate, const struct ht_gate_form *form,
                        const struct ht_gate_row *row, struct ht_buffer *out)
{
    const struct ht_profile *profile = gate->profile;
    const struct ht_sample *sample = &profile->samples[row->stack];
    for (uint32_t i = 0; i < sample->frame_count && row->stack_change > 0; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        for (uint32_t frame = 0; frame < ht_location_frames(location); frame++) {
            struct ht_buffer text = {0};
            struct ht_place place =
                ht_place_of(profile, location, ht_location_line(profile, location, frame), HT_BY_LINES);
            ht_place_text(profile, &place, form->trim_path, &text);
            add_markup(out, &text);
            ht_buffer_byte(out, '\n');
            ht_buffer_free(&text);
        }
    }
}

static void junit_case(const struct ht_gate *gate, const struct ht_gate_form *form,
                       const struct ht_gate_row *row, struct ht_buffer *out)
{
    struct ht_buffer name = {0}, message = {0};
    if (row == &gate->total)
        ht_buffer_text(&name, "total");
    else
        ht_place_text(gate->profile, &row->site, form->trim_path, &name);
    ht_buffer_text(out, "  <testcase classname=\"heaptap.check\" name=\"");
    add_markup(out, &name);
    ht_buffer_text(out, row->fails ? "\">\n    <failure type=\"growth\" message=\"" : "\"/>\n");
    if (row->fails) {
        ht_buffer_text(&message, "grew by ");
        ht_gate_amount(gate, (double)row->change, row->error, false, &message);
        ht_buffer_text(&message, ", more than ");
        ht_gate_amount(gate, gate->limit, 0, false, &message);
        add_markup(out, &message);
        ht_buffer_text(out, "\">");
        if (row != &gate->total)
            junit_stack(gate, form, row, out);
        ht_buffer_text(out, "</failure>\n  </testcase>\n");
    }
    ht_buffer_free(&name);
    ht_buffer_free(&message);
}

void ht_gate_junit(const struct ht_gate *gate, const struct ht_gate_form *form, struct ht_buffer *out)
{
    ht_buffer_printf(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuites>\n<testsuite name=\"heaptap check\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" "
        "skipped=\"0\">\n",
        gate->row_count + 1, gate->failing);
    junit_case(gate, form, &gate->total, out);
    for (size_t i = 0; i < gate->row_count; i++)
        junit_case(gate, form, &gate->rows[i], out);
    ht_buffer_text(out, "</testsuite>\n</testsuites>\n");
}
