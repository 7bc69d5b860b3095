// What was judged against a limit as a table, with the stacks of what failed.
#include "view/text/gate.h"

#include "base/measure.h"
#include "base/terminal.h"
#include "view/text/place.h"

#include <math.h>
#include <stdlib.h>

struct table {
    const struct ht_gate *gate;
    const struct ht_gate_form *form;
    struct ht_buffer *out;
};

void ht_gate_amount(const struct ht_gate *gate, double value, double error, bool with_sign,
                    struct ht_buffer *out)
{
    char text[HT_MEASURE_TEXT_BYTES];
    ht_measure_label(ht_int64_of_double(round(value)), gate->unit, "auto", text);
    ht_buffer_printf(out, "%s%s", with_sign && value > 0 ? "+" : "", text);
    if (error <= 0)
        return;
    ht_measure_label(ht_int64_of_double(round(error)), gate->unit, "auto", text);
    ht_buffer_printf(out, " ±%s", text);
}

void ht_gate_failing(const struct ht_gate *gate, struct ht_buffer *out)
{
    size_t sites = gate->failing - gate->total.fails;
    if (gate->total.fails)
        ht_buffer_text(out, "the total");
    if (sites > 0)
        ht_buffer_printf(out, "%s%zu call site%s", gate->total.fails ? " and " : "", sites,
                         sites == 1 ? "" : "s");
}

static void add_column(const struct table *table, double value, bool with_sign, int width)
{
    struct ht_buffer text = {0};
    ht_gate_amount(table->gate, value, 0, with_sign, &text);
    ht_buffer_printf(table->out, "%*s", width, text.data);
    ht_buffer_free(&text);
}

static void add_row(const struct table *table, const struct ht_gate_row *row, const char *name)
{
    enum { NAME_COLUMN = 59, NAME_LEAST = 21 };
    ht_buffer_printf(table->out, "%-6s", row->fails ? "FAILS" : "ok");
    add_column(table, (double)row->old, false, 12);
    add_column(table, (double)row->new, false, 12);
    add_column(table, (double)row->change, true, 13);
    add_column(table, row->error, false, 13);
    int room = table->form->columns == 0 ? 0 : table->form->columns - NAME_COLUMN;
    if (table->form->columns != 0 && room < NAME_LEAST)
        room = NAME_LEAST;
    char *fitted = ht_alloc(strlen(name) + 1);
    ht_terminal_fit(name, room, fitted, strlen(name) + 1);
    ht_buffer_printf(table->out, "   %s\n", fitted);
    free(fitted);
}

// The frames of a row's stack, a line each.
static void add_stack(const struct table *table, const struct ht_gate_row *row, size_t limit)
{
    const struct ht_profile *profile = table->gate->profile;
    const struct ht_sample *sample = &profile->samples[row->stack];
    struct ht_buffer *out = table->out;
    size_t shown = 0, left = 0;
    for (uint32_t i = 0; i < sample->frame_count && row->stack_change > 0; i++) {
        const struct ht_location *location = &profile->locations[profile->frames[sample->frames + i]];
        for (uint32_t frame = 0; frame < ht_location_frames(location); frame++) {
            struct ht_place place =
                ht_place_of(profile, location, ht_location_line(profile, location, frame), HT_BY_LINES);
            if (shown == limit) {
                left++;
                continue;
            }
            shown++;
            ht_buffer_text(out, "    ");
            ht_place_text(profile, &place, table->form->trim_path, out);
            ht_buffer_text(out, frame + 1 < location->line_count ? " (inline)\n" : "\n");
        }
    }
    if (left > 0)
        ht_buffer_printf(out, "    (%zu more)\n", left);
}

static void add_failure(const struct table *table, const struct ht_gate_row *row)
{
    enum { FRAMES = 20 };
    struct ht_buffer *out = table->out;
    ht_buffer_byte(out, '\n');
    ht_place_text(table->gate->profile, &row->site, table->form->trim_path, out);
    ht_buffer_text(out, " grew by ");
    ht_gate_amount(table->gate, (double)row->change, row->error, false, out);
    ht_buffer_printf(out, " (by chance alone: %.1g, of which %.1g is allowed)", row->p_value, row->level);
    ht_buffer_text(out, row->stack_change > 0 ? ", most of it this way:\n" : "\n");
    add_stack(table, row, FRAMES);
}

static void add_head(const struct table *table)
{
    const struct ht_gate *gate = table->gate;
    struct ht_buffer *out = table->out;
    ht_buffer_printf(out, "Type: %s, %s\n", gate->sample_type,
                     table->form->is_one_process ? "two snapshots of one process" : "of two processes");
    ht_buffer_text(out, "Limit: growth by ");
    ht_gate_amount(gate, gate->limit, 0, false, out);
    ht_buffer_printf(
        out,
        ", of the total and of each of %zu call site%s\n"
        "Chance that anything fails wrongly: %.2g%% at most, in all %zu tests together (Holm's correction)\n",
        gate->row_count, gate->row_count == 1 ? "" : "s", 100 * gate->chance, gate->row_count + 1);
}

static void add_smallest(const struct table *table, const char *what, double smallest, size_t samples)
{
    ht_buffer_text(table->out, what);
    if (samples == SIZE_MAX) {
        ht_buffer_text(table->out, "none");
        return;
    }
    ht_gate_amount(table->gate, smallest, 0, false, table->out);
    ht_buffer_printf(table->out, " (%zu samples)", samples);
}

// What a green result is worth.
static void add_power(const struct table *table)
{
    const struct ht_gate *gate = table->gate;
    if (gate->is_exact) {
        ht_buffer_text(table->out,
                       "Every allocation was recorded: what grew by a byte more than the limit fails.\n");
        return;
    }
    ht_buffer_text(table->out, "Smallest growth that these profiles can prove: ");
    add_smallest(table, "of the total ", gate->total_smallest, gate->total_samples);
    add_smallest(table, ", of a call site that held nothing ", gate->site_smallest, gate->site_samples);
    ht_buffer_text(table->out, "\n");
}

void ht_gate_text(const struct ht_gate *gate, const struct ht_gate_form *form, struct ht_buffer *out)
{
    const struct table table = {gate, form, out};
    size_t others = 0, left = 0;
    add_head(&table);
    ht_buffer_printf(out, "%-6s%12s%12s%13s%13s   %s\n", "", "old", "new", "change", "error", "call site");
    for (size_t i = 0; i < gate->row_count; i++) {
        const struct ht_gate_row *row = &gate->rows[i];
        if (!row->fails && others == form->limit && form->limit != 0) {
            left++;
            continue;
        }
        others += !row->fails;
        struct ht_buffer name = {0};
        ht_place_text(gate->profile, &row->site, form->trim_path, &name);
        add_row(&table, row, name.data);
        ht_buffer_free(&name);
        ht_buffer_drain(out);
    }
    if (left > 0)
        ht_buffer_printf(out, "%59s(%zu more call site%s, none of which fails)\n", "", left,
                         left == 1 ? "" : "s");
    add_row(&table, &gate->total, "total");
    if (gate->suppressed != 0) {
        ht_buffer_text(out, "Suppressed: ");
        ht_gate_amount(gate, (double)gate->suppressed, 0, false, out);
        ht_buffer_text(out, " of the newer profile\n");
    }
    add_power(&table);
    for (size_t i = 0; i < gate->row_count; i++)
        if (gate->rows[i].fails)
            add_failure(&table, &gate->rows[i]);
}

void ht_gate_held(const struct ht_gate *gate, const struct ht_gate_form *form, struct ht_buffer *out)
{
    enum { FRAMES = 6 };
    const struct table table = {gate, form, out};
    size_t shown = form->limit != 0 && form->limit < gate->row_count ? form->limit : gate->row_count;
    for (size_t i = 0; i < shown; i++) {
        const struct ht_gate_row *row = &gate->rows[i];
        ht_buffer_text(out, "  ");
        ht_gate_amount(gate, (double)row->new, row->error, false, out);
        ht_buffer_printf(out, " in %s%lld block%s: ", row->error > 0 ? "about " : "", (long long)row->blocks,
                         row->blocks == 1 ? "" : "s");
        ht_place_text(gate->profile, &row->site, form->trim_path, out);
        ht_buffer_byte(out, '\n');
        add_stack(&table, row, FRAMES);
    }
    if (shown < gate->row_count)
        ht_buffer_printf(out, "  (%zu more call sites)\n", gate->row_count - shown);
}
