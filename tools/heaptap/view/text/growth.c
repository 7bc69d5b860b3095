// Growth over a series of snapshots as a table with the stacks of what grows.
#include "view/text/growth.h"

#include "base/measure.h"
#include "base/terminal.h"
#include "view/text/figures.h"
#include "view/text/place.h"

#include <math.h>
#include <stdlib.h>

enum { NAME_COLUMN = 62, NAME_LEAST = 16 };

struct table {
    const struct ht_growth *growth;
    const struct ht_growth_form *form;
    struct ht_buffer *out;
};

static void per_hour(const struct table *table, const struct ht_trend *trend,
                     char text[2 * HT_FIGURE_BYTES + 16])
{
    const char *unit = table->growth->series->unit;
    char value[HT_FIGURE_BYTES], error[HT_FIGURE_BYTES], since[HT_MEASURE_TEXT_BYTES];
    if (trend->verdict == HT_VERDICT_LEVELS) {
        ht_figure_time(trend->ended_s, since);
        snprintf(text, 2 * HT_FIGURE_BYTES + 16, "0 since %.20s", since);
        return;
    }
    ht_figure(trend->per_s * 3600, unit, true, value);
    ht_figure(trend->error * 3600, unit, false, error);
    snprintf(text, 2 * HT_FIGURE_BYTES + 16, "%s ±%s", value, error);
}

static void add_row(const struct table *table, const struct ht_growth_row *row)
{
    const struct ht_series *series = table->growth->series;
    const struct ht_growth_form *form = table->form;
    struct ht_buffer *out = table->out, name = {0};
    char rate[2 * HT_FIGURE_BYTES + 16], now[HT_FIGURE_BYTES], freed[16] = "-", shape[HT_SHAPE_BYTES];
    per_hour(table, &row->trend, rate);
    ht_figure(row->trend.now, series->unit, false, now);
    if (!isnan(row->freed_share))
        snprintf(freed, sizeof freed, "%.0f%%", 100 * row->freed_share);
    ht_figure_shape(row->values, series->count, form->plain, shape);
    ht_place_text(series->names, &series->rows[row->row].site, form->trim_path, &name);
    int room = form->columns == 0 ? 0 : form->columns - NAME_COLUMN;
    room = form->columns != 0 && room < NAME_LEAST ? NAME_LEAST : room;
    char *fitted = ht_alloc(name.length + 1);
    ht_terminal_fit(name.data, room, fitted, name.length + 1);
    bool is_dim = row->trend.verdict == HT_VERDICT_NOISE || row->trend.verdict == HT_VERDICT_UNDECIDED;
    ht_buffer_text(out, form->colour && is_dim ? "\033[2m" : "");
    ht_buffer_printf(out, " %-9s", ht_verdict_name(row->trend.verdict));
    ht_figure_pad(out, rate, 20);
    ht_buffer_printf(out, " %9s %7s  %s", now, freed, shape);
    ht_buffer_printf(out, "  %s%s\n", fitted, form->colour && is_dim ? "\033[0m" : "");
    free(fitted);
    ht_buffer_free(&name);
}

static void add_path(const struct table *table, const struct ht_growth_row *row)
{
    enum { LIMIT = 40 };
    const struct ht_series *series = table->growth->series;
    const struct ht_series_row *of = &series->rows[row->row];
    struct ht_buffer *out = table->out;
    ht_buffer_byte(out, '\n');
    ht_place_text(series->names, &of->site, table->form->trim_path, out);
    ht_buffer_text(out, " is called most by:\n");
    for (size_t i = 0; i < of->frame_count && i < LIMIT; i++) {
        ht_buffer_text(out, "    ");
        ht_place_text(series->names, &of->frames[i], table->form->trim_path, out);
        ht_buffer_byte(out, '\n');
    }
    if (of->frame_count > LIMIT)
        ht_buffer_printf(out, "    (%zu more)\n", of->frame_count - LIMIT);
}

static void add_head(const struct table *table)
{
    const struct ht_series *series = table->growth->series;
    const struct ht_growth_form *form = table->form;
    char window[HT_MEASURE_TEXT_BYTES], from[HT_FIGURE_BYTES], to[HT_FIGURE_BYTES];
    size_t last = series->count - 1;
    ht_figure_time(series->times[last], window);
    ht_figure(series->live[0], series->unit, false, from);
    ht_figure(series->live[last], series->unit, false, to);
    ht_buffer_printf(table->out, "%s, %zu snapshots over %s, live %s -> %s", form->process, series->count,
                     window, from, to);
    if (!isnan(series->resident[0]) && !isnan(series->resident[last])) {
        ht_figure(series->resident[0], "bytes", false, from);
        ht_figure(series->resident[last], "bytes", false, to);
        ht_buffer_printf(table->out, ", RSS %s -> %s", from, to);
    }
    if (form->limit_bytes > 0) {
        ht_figure(form->limit_bytes, "bytes", false, to);
        ht_buffer_printf(table->out, ", %s %s", form->limit_name, to);
    }
    ht_buffer_byte(table->out, '\n');
}

// Until the limit, by what is growing.
static void add_forecast(const struct table *table)
{
    const struct ht_growth *growth = table->growth;
    const struct ht_series *series = growth->series;
    size_t last = series->count - 1;
    double used = isnan(series->resident[last]) ? series->live[last] : series->resident[last];
    if (growth->growing == 0 || !(table->form->limit_bytes > used) || strcmp(series->unit, "bytes") != 0)
        return;
    struct ht_growth_time left = ht_growth_time_to(growth, table->form->limit_bytes - used);
    char middle[HT_MEASURE_TEXT_BYTES], low[HT_MEASURE_TEXT_BYTES], high[HT_MEASURE_TEXT_BYTES] = "never";
    ht_figure_time(left.s, middle);
    ht_figure_time(left.low_s, low);
    if (isfinite(left.high_s))
        ht_figure_time(left.high_s, high);
    ht_buffer_printf(table->out, "If it goes on so, the %s in %s (95 %%: %s to %s).\n",
                     strcmp(table->form->limit_name, "limit") == 0 ? "limit is reached"
                                                                   : "machine's memory is used up",
                     middle, low, high);
}

// Growth of the process that is not the live heap's.
static void add_unseen(const struct table *table)
{
    const struct ht_growth *growth = table->growth;
    double beyond = growth->resident_per_s - growth->live_per_s;
    double error = hypot(growth->resident_error, growth->live_error);
    double window = growth->series->times[growth->series->count - 1];
    if (isnan(beyond) || beyond < 3 * error || beyond * window < 4 << 20 ||
        strcmp(growth->series->unit, "bytes") != 0)
        return;
    char text[HT_FIGURE_BYTES];
    ht_figure(beyond * 3600, "bytes", true, text);
    ht_buffer_printf(
        table->out,
        "RSS grows by %s an hour more than the live heap: that growth is not in malloc, or is what the "
        "allocator keeps.\n",
        text);
}

void ht_growth_text(const struct ht_growth *growth, const struct ht_growth_form *form, struct ht_buffer *out)
{
    const struct table table = {growth, form, out};
    size_t shown = form->limit == 0 || form->limit > growth->count ? growth->count : form->limit;
    add_head(&table);
    ht_buffer_printf(out, " %-9s%20s %9s %7s  %-10s  %s\n", "verdict", "per hour", "now", "freed", "shape",
                     "call site");
    for (size_t i = 0; i < shown; i++) {
        add_row(&table, &growth->rows[i]);
        ht_buffer_drain(out);
    }
    if (shown < growth->count)
        ht_buffer_printf(out, " (%zu more call sites)\n", growth->count - shown);
    if (growth->growing > 0)
        ht_buffer_printf(
            out, "%zu of %zu call sites grow%s; of such verdicts %s%.2g%% are expected to be chance.\n",
            growth->growing, growth->count, growth->growing == 1 ? "s" : "",
            growth->false_share < 1e-4 ? "less than " : "at most ", fmax(100 * growth->false_share, 0.01));
    else
        ht_buffer_printf(out, "None of %zu call sites is seen to grow.\n", growth->count);
    add_forecast(&table);
    add_unseen(&table);
    for (size_t i = 0; i < form->paths && i < shown && i < growth->growing; i++)
        add_path(&table, &growth->rows[i]);
}
