// A report's frame: total, unit and header lines, as `go tool pprof` of Go 1.19 prints them.
#include "view/report.h"

#include "base/error.h"
#include "base/path.h"
#include "profile/birth.h"

#include <stdlib.h>
#include <time.h>

static bool is_base_sample(const struct ht_profile *profile, const struct ht_sample *sample, uint32_t key,
                           uint32_t value)
{
    for (uint32_t i = 0; i < sample->label_count; i++)
        if (profile->labels[sample->labels + i].key == key &&
            profile->labels[sample->labels + i].text == value)
            return true;
    return false;
}

// What is a sum of sampled blocks.
static bool is_heap_value(const struct ht_report *report)
{
    const struct ht_profile *profile = report->profile;
    const char *type = ht_profile_text(profile, profile->sample_types[report->sample_index].type);
    return strncmp(type, "inuse_", 6) == 0 || strncmp(type, "alloc_", 6) == 0 || strcmp(type, "space") == 0 ||
           strcmp(type, "objects") == 0;
}

double ht_report_variance(const struct ht_report *report, size_t sample)
{
    const double *variances = report->knows_errors ? ht_profile_variances(report->profile, sample) : NULL;
    return variances != NULL ? variances[report->sample_index] : (double)NAN;
}

// Of the base's samples alone, as the total is, or of all.
static void compute_errors(struct ht_report *report, bool of_base)
{
    const struct ht_profile *profile = report->profile;
    uint32_t key = ht_profile_find_text(profile, "pprof::base"),
             value = ht_profile_find_text(profile, "true");
    bool any = false;
    double total = 0;
    report->total_error = (double)NAN;
    report->knows_errors = profile->variances != NULL && report->options.errors && !report->options.mean &&
                           profile->sample_count > 0 && is_heap_value(report);
    for (size_t i = 0; i < profile->sample_count && report->knows_errors; i++) {
        double variance = ht_report_variance(report, i);
        any = any || variance > 0 || variance < 0;
        if (!of_base || is_base_sample(profile, &profile->samples[i], key, value))
            total += variance;
    }
    report->has_errors = any;
    if (report->knows_errors && !of_base) // a base's cells are those of the difference
        report->total_error = ht_error_of(total);
}

void ht_report_error(const struct ht_report *report, int64_t value, double error,
                     char text[HT_MEASURE_TEXT_BYTES])
{
    const char *unit, *ignored, *from = report->sample_unit;
    double ratio = report->options.divide_by > 0 ? 1 / report->options.divide_by : 1;
    text[0] = '\0';
    if (!(error > 0) || !(error < 9e15))
        return;
    value = ht_int64_of_double((double)value * ratio);
    // The unit of the value; of an error that is larger than a value of 0, its own.
    ht_measure_scale(value != 0 ? value : ht_int64_of_double(error * ratio), from, report->output_unit,
                     &unit);
    double one = unit[0] != '\0' ? ht_measure_scale(1000000, from, unit, &ignored) / 1000000 : 1;
    double shown = error * ratio * one;
    snprintf(text, HT_MEASURE_TEXT_BYTES, "%.*f", shown < 0.995 ? 2 : shown < 9.95 ? 1 : 0, shown);
}

// Sum of absolute values; of the base's samples alone if the profile is a diff against a marked base.
static int64_t compute_total(struct ht_report *report)
{
    struct ht_profile *profile = report->profile;
    uint32_t key = ht_profile_intern_text(profile, "pprof::base"),
             value = ht_profile_intern_text(profile, "true");
    int64_t total = 0, divisor = 0, base_total = 0, base_divisor = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        int64_t v = ht_wrap_abs(ht_report_value(report, i)), d = ht_report_divisor(report, i);
        total = ht_wrap_add(total, v);
        divisor = ht_wrap_add(divisor, d);
        if (is_base_sample(profile, &profile->samples[i], key, value)) {
            base_total = ht_wrap_add(base_total, v);
            base_divisor = ht_wrap_add(base_divisor, d);
        }
    }
    compute_errors(report, base_total > 0);
    return base_total > 0 ? ht_report_mean(base_total, base_divisor) : ht_report_mean(total, divisor);
}

// The first unit written for each key wins; a warning names the others.
static void find_label_units(struct ht_report *report)
{
    const struct ht_profile *profile = report->profile;
    report->label_unit_count = profile->string_count;
    report->label_units = ht_alloc_zero(profile->string_count, sizeof *report->label_units);
    bool *warned = ht_alloc_zero(profile->string_count, sizeof *warned);
    for (size_t i = 0; i < profile->label_count; i++) {
        const struct ht_label *label = &profile->labels[i];
        if (label->text != 0 || label->unit == 0)
            continue;
        const char *unit = ht_profile_text(profile, label->unit), **known = &report->label_units[label->key];
        if (*known == NULL)
            *known = unit;
        if (strcmp(*known, unit) != 0 && !warned[label->key]) {
            warned[label->key] = true;
            ht_warn("the label '%s' has several units; %s is shown, %s is there as well",
                    ht_profile_text(profile, label->key), *known, unit);
        }
    }
    free(warned);
}

const char *ht_report_label_unit(const struct ht_report *report, uint32_t key)
{
    const char *unit = key < report->label_unit_count ? report->label_units[key] : NULL;
    return unit != NULL ? unit : ht_filter_implied_unit(report->profile, key);
}

static void warn_unit(const char *unit, const char *sample_unit)
{
    bool is_rule = unit[0] == '\0' || strcmp(unit, "minimum") == 0 || strcmp(unit, "auto") == 0;
    if (!is_rule && strcmp(unit, sample_unit) != 0 && !ht_measure_is_unit(unit))
        ht_warn("--unit: '%s' is no unit that is known; write for example kB, MB, ms, s, auto or minimum",
                unit);
}

void ht_report_tell_all_freed(const struct ht_report *report)
{
    const struct ht_profile *profile = report->profile;
    const char *type = ht_profile_text(profile, profile->sample_types[report->sample_index].type);
    if (report->total != 0 || strncmp(type, "inuse_", 6) != 0)
        return;
    int64_t allocated = ht_profile_total(profile, "alloc_space");
    char text[HT_MEASURE_TEXT_BYTES];
    ht_measure_bytes(allocated, 0, text);
    if (allocated > 0)
        ht_warn("all %s allocated were freed again; --alloc-space shows where", text);
}

int ht_report_init(struct ht_report *report, struct ht_profile *profile,
                   const struct ht_view_options *options)
{
    *report = (struct ht_report){.profile = profile, .options = *options};
    if (options->divide_by == 0)
        return ht_fail("cannot divide by zero");
    if (ht_profile_sample_index(profile, options->sample_index, &report->sample_index) < 0)
        return -1;
    const struct ht_value_type *type = &profile->sample_types[report->sample_index];
    report->sample_unit = ht_profile_text(profile, type->unit);
    report->output_unit = options->unit != NULL ? options->unit : "minimum";
    warn_unit(report->output_unit, report->sample_unit);
    find_label_units(report);
    ht_filter_add_label_frames(profile, options->tag_root, options->tag_leaf, report->output_unit);
    if (!options->relative_percentages)
        report->total = compute_total(report);
    if (ht_filter_apply(profile, &options->filter) < 0) {
        ht_report_free(report);
        return -1;
    }
    if (options->relative_percentages)
        report->total = compute_total(report);
    if (options->by != NULL)
        ht_filter_rows_by_label(profile, options->by, report->output_unit);
    report->sample_type =
        ht_format("%s%s", options->mean ? "mean_" : "", ht_profile_text(profile, type->type));
    return 0;
}

void ht_report_free(struct ht_report *report)
{
    free(report->sample_type);
    free(report->label_units);
    report->sample_type = NULL;
    report->label_units = NULL;
}

void ht_report_label(const struct ht_report *report, int64_t value, char text[HT_MEASURE_TEXT_BYTES])
{
    double ratio = 1 / report->options.divide_by;
    if (ratio > 0 && ratio != 1)
        value = ht_int64_of_double((double)value * ratio);
    ht_measure_label(value, report->sample_unit, report->output_unit, text);
}

static void add_time(int64_t time_ns, struct ht_buffer *out)
{
    int64_t seconds = time_ns / 1000000000 - (time_ns % 1000000000 < 0);
    time_t time = (time_t)seconds;
    struct tm tm;
    if (localtime_r(&time, &tm) == NULL)
        return;
    char month[16], zone[32];
    strftime(month, sizeof month, "%b", &tm);
    strftime(zone, sizeof zone, "%Z", &tm);
    ht_buffer_printf(out, "Time: %s %d, %d at %d:%02d%s (%s)\n", month, tm.tm_mday, tm.tm_year + 1900,
                     tm.tm_hour % 12 == 0 ? 12 : tm.tm_hour % 12, tm.tm_min, tm.tm_hour < 12 ? "am" : "pm",
                     zone);
}

static void add_duration(const struct ht_report *report, struct ht_buffer *out)
{
    const struct ht_profile *profile = report->profile;
    char duration[HT_MEASURE_TEXT_BYTES], total[HT_MEASURE_TEXT_BYTES], percent[HT_MEASURE_TEXT_BYTES];
    const char *unit;
    ht_measure_label(profile->duration_ns, "nanoseconds", "auto", duration);
    ht_report_label(report, report->total, total);
    double total_ns = ht_measure_scale(report->total, report->sample_unit, "nanoseconds", &unit);
    ht_buffer_printf(out, "Duration: %s, Total samples = %s ", duration, total);
    if (strcmp(unit, "ns") == 0 && total_ns != 0) {
        ht_measure_percent(ht_int64_of_double(total_ns), profile->duration_ns, percent);
        ht_buffer_printf(out, "(%s)", percent);
    }
    ht_buffer_byte(out, '\n');
}

void ht_report_profile_lines(const struct ht_report *report, struct ht_buffer *out)
{
    const struct ht_profile *profile = report->profile;
    if (profile->mapping_count > 0 && profile->mappings[0].file != 0) {
        ht_buffer_text(out, "File: ");
        ht_path_base(ht_profile_text(profile, profile->mappings[0].file), out);
        ht_buffer_byte(out, '\n');
    }
    if (profile->mapping_count > 0 && profile->mappings[0].build_id != 0)
        ht_buffer_printf(out, "Build ID: %s\n", ht_profile_text(profile, profile->mappings[0].build_id));
    for (size_t i = 0; i < profile->comment_count; i++)
        if (ht_profile_text(profile, profile->comments[i])[0] != '#')
            ht_buffer_printf(out, "%s\n", ht_profile_text(profile, profile->comments[i]));
    if (report->sample_type[0] != '\0')
        ht_buffer_printf(out, "Type: %s\n", report->sample_type);
    if (profile->time_ns != 0)
        add_time(profile->time_ns, out);
    if (profile->duration_ns != 0)
        add_duration(report, out);
}

void ht_report_filter_lines(const struct ht_report *report, struct ht_buffer *out)
{
    const struct ht_filter *filter = &report->options.filter;
    const struct {
        const char *name, *value;
    } used[] = {
        {"focus", filter->focus},
        {"ignore", filter->ignore},
        {"hide", filter->hide},
        {"show", filter->show},
        {"show_from", filter->show_from},
        {"tagfocus", filter->tag_focus},
        {"tagignore", filter->tag_ignore},
        {"tagshow", filter->tag_show},
        {"taghide", filter->tag_hide},
    };
    bool any = false;
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++) {
        if (used[i].value == NULL || used[i].value[0] == '\0')
            continue;
        if (!any)
            ht_buffer_text(out, "Active filters:\n");
        any = true;
        char *line = ht_format("%s=%s", used[i].name, used[i].value);
        if (strlen(line) > 80)
            ht_buffer_printf(out, "   %.80s\u2026\n", line);
        else
            ht_buffer_printf(out, "   %s\n", line);
        free(line);
    }
}
