// The report `raw`: the profile as it is, as text or as JSON.
#include "view/text/raw.h"
#include "view/report_json.h"
#include "view/reports.h"
#include "view/text.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

// A length of time as Go prints it, cut to its first four characters: "90ms", "1m0s", "12.3".
static void add_duration(int64_t duration_ns, struct ht_buffer *out)
{
    enum { CHARACTERS = 4 };
    static const struct {
        uint64_t below_ns, unit_ns;
        const char *name;
    } parts[] = {{1000, 1, "ns"}, {1000000, 1000, "\u00b5s"}, {1000000000, 1000000, "ms"}};
    uint64_t ns = duration_ns < 0 ? 0 - (uint64_t)duration_ns : (uint64_t)duration_ns;
    struct ht_buffer text = {0};
    const char *unit = "s";
    uint64_t unit_ns = 1000000000;
    for (size_t i = sizeof parts / sizeof parts[0]; i > 0; i--)
        if (ns < parts[i - 1].below_ns)
            unit = parts[i - 1].name, unit_ns = parts[i - 1].unit_ns;
    if (duration_ns < 0)
        ht_buffer_byte(&text, '-');
    uint64_t whole = ns / unit_ns;
    if (unit_ns == 1000000000 && whole >= 3600)
        ht_buffer_printf(&text, "%" PRIu64 "h", whole / 3600);
    if (unit_ns == 1000000000 && whole >= 60)
        ht_buffer_printf(&text, "%" PRIu64 "m", whole / 60 % 60);
    ht_buffer_printf(&text, "%" PRIu64, unit_ns == 1000000000 ? whole % 60 : whole);
    if (ns % unit_ns != 0) {
        ht_buffer_byte(&text, '.');
        for (uint64_t rest = ns % unit_ns, digit = unit_ns / 10; rest > 0; rest %= digit, digit /= 10)
            ht_buffer_byte(&text, (char)('0' + rest / digit));
    }
    ht_buffer_text(&text, unit);
    size_t length = 0;
    for (int i = 0; i < CHARACTERS && length < text.length; i++) {
        size_t bytes = ht_utf8_length((const unsigned char *)text.data + length, text.length - length);
        length += bytes == 0 ? 1 : bytes;
    }
    ht_buffer_printf(out, "Duration: %.*s\n", (int)length, text.data);
    ht_buffer_free(&text);
}

static void add_time(int64_t time_ns, struct ht_buffer *out)
{
    int64_t seconds = time_ns / 1000000000 - (time_ns % 1000000000 < 0);
    int64_t rest = time_ns % 1000000000 + (time_ns % 1000000000 < 0 ? 1000000000 : 0);
    time_t time = (time_t)seconds;
    struct tm tm;
    char date[64], zone[64], fraction[32];
    if (localtime_r(&time, &tm) == NULL)
        return;
    strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
    strftime(zone, sizeof zone, "%z %Z", &tm);
    int length = snprintf(fraction, sizeof fraction, ".%09" PRId64, rest);
    while (length > 0 && (fraction[length - 1] == '0' || fraction[length - 1] == '.'))
        fraction[--length] = '\0';
    ht_buffer_printf(out, "Time: %s%s %s\n", date, fraction, zone);
}

static void add_header(const struct ht_profile *profile, struct ht_buffer *out)
{
    for (size_t i = 0; i < profile->comment_count; i++)
        ht_buffer_printf(out, "Comment: %s\n", ht_profile_text(profile, profile->comments[i]));
    ht_buffer_printf(out, "PeriodType: %s %s\nPeriod: %" PRId64 "\n",
                     ht_profile_text(profile, profile->period_type.type),
                     ht_profile_text(profile, profile->period_type.unit), profile->period);
    if (profile->time_ns != 0)
        add_time(profile->time_ns, out);
    if (profile->duration_ns != 0)
        add_duration(profile->duration_ns, out);
    struct ht_buffer types = {0};
    for (size_t i = 0; i < profile->sample_type_count; i++)
        ht_buffer_printf(&types, "%s%s/%s%s", i > 0 ? " " : "",
                         ht_profile_text(profile, profile->sample_types[i].type),
                         ht_profile_text(profile, profile->sample_types[i].unit),
                         profile->sample_types[i].type == profile->default_sample_type ? "[dflt]" : "");
    const char *first = types.data != NULL ? types.data : "";
    first += strspn(first, " \t\n\v\f\r");
    size_t length = strlen(first);
    while (length > 0 && strchr(" \t\n\v\f\r", first[length - 1]) != NULL)
        length--;
    ht_buffer_printf(out, "Samples:\n%.*s\n", (int)length, first);
    ht_buffer_free(&types);
}

// One key with all its values, "key:[value value]"; returns the position of the next key's first label.
static uint32_t add_key(const struct ht_profile *profile, const struct ht_label *labels, uint32_t count,
                        uint32_t first, struct ht_buffer *out)
{
    bool numeric = labels[first].text == 0, has_unit = false;
    uint32_t end = first;
    for (; end < count && labels[end].key == labels[first].key && (labels[end].text == 0) == numeric; end++)
        has_unit = has_unit || labels[end].unit != 0;
    ht_buffer_printf(out, "%s:[", ht_profile_text(profile, labels[first].key));
    for (uint32_t i = first; i < end; i++) {
        if (i > first)
            ht_buffer_byte(out, ' ');
        if (!numeric)
            ht_buffer_text(out, ht_profile_text(profile, labels[i].text));
        else if (has_unit)
            ht_buffer_printf(out, "%" PRId64 " %s", labels[i].number,
                             ht_profile_text(profile, labels[i].unit));
        else
            ht_buffer_printf(out, "%" PRId64, labels[i].number);
    }
    ht_buffer_byte(out, ']');
    return end;
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

// A line of all text labels or of all numeric ones, if there are any.
static void add_labels(const struct ht_profile *profile, const struct ht_sample *sample, bool numeric,
                       struct ht_buffer *out)
{
    const struct ht_label *labels = profile->labels + sample->labels;
    char **words = ht_alloc_zero(sample->label_count + 1, sizeof *words);
    size_t count = 0;
    for (uint32_t i = 0; i < sample->label_count;) {
        struct ht_buffer word = {0};
        bool wanted = (labels[i].text == 0) == numeric;
        i = add_key(profile, labels, sample->label_count, i, &word);
        if (wanted)
            words[count++] = word.data;
        else
            ht_buffer_free(&word);
    }
    qsort(words, count, sizeof *words, compare_texts);
    for (size_t i = 0; i < count; i++) {
        ht_buffer_printf(out, "%s%s", i == 0 ? "                " : " ", words[i]);
        free(words[i]);
    }
    if (count > 0)
        ht_buffer_byte(out, '\n');
    free(words);
}

static void add_sample(const struct ht_profile *profile, size_t position, struct ht_buffer *out)
{
    const struct ht_sample *sample = &profile->samples[position];
    for (size_t i = 0; i < profile->sample_type_count; i++)
        ht_buffer_printf(out, " %10" PRId64, ht_profile_values(profile, position)[i]);
    ht_buffer_text(out, ": ");
    for (uint32_t i = 0; i < sample->frame_count; i++)
        ht_buffer_printf(out, "%" PRIu64 " ", (uint64_t)profile->frames[sample->frames + i] + 1);
    ht_buffer_byte(out, '\n');
    add_labels(profile, sample, false, out);
    add_labels(profile, sample, true, out);
}

// "0x0" as well, unlike C's '#'.
static void add_hex(uint64_t value, struct ht_buffer *out)
{
    ht_buffer_printf(out, "0x%" PRIx64, value);
}

static void add_location(const struct ht_profile *profile, size_t position, struct ht_buffer *out)
{
    const struct ht_location *location = &profile->locations[position];
    ht_buffer_printf(out, "%6zu: ", position + 1);
    add_hex(location->address, out);
    ht_buffer_byte(out, ' ');
    if (location->mapping != HT_NONE)
        ht_buffer_printf(out, "M=%" PRIu64 " ", (uint64_t)location->mapping + 1);
    if (location->is_folded)
        ht_buffer_text(out, "[F] ");
    for (uint32_t i = 0; i < location->line_count; i++) {
        const struct ht_line *line = &profile->lines[location->lines + i];
        const struct ht_function *function = &profile->functions[line->function];
        ht_buffer_printf(out, "%s%s %s:%" PRId64 " s=%" PRId64, i > 0 ? "\n             " : "",
                         ht_profile_text(profile, function->name), ht_profile_text(profile, function->file),
                         line->line, function->start_line);
        if (function->name != function->system_name)
            ht_buffer_printf(out, "(%s)", ht_profile_text(profile, function->system_name));
    }
    ht_buffer_byte(out, '\n');
}

static void add_mapping(const struct ht_profile *profile, size_t position, struct ht_buffer *out)
{
    const struct ht_profile_mapping *mapping = &profile->mappings[position];
    ht_buffer_printf(out, "%zu: ", position + 1);
    add_hex(mapping->start, out);
    ht_buffer_byte(out, '/');
    add_hex(mapping->limit, out);
    ht_buffer_byte(out, '/');
    add_hex(mapping->offset, out);
    ht_buffer_printf(out, " %s %s %s%s%s%s\n", ht_profile_text(profile, mapping->file),
                     ht_profile_text(profile, mapping->build_id), mapping->has_functions ? "[FN]" : "",
                     mapping->has_filenames ? "[FL]" : "", mapping->has_line_numbers ? "[LN]" : "",
                     mapping->has_inline_frames ? "[IN]" : "");
}

static void raw_text(const struct ht_profile *profile, struct ht_buffer *out)
{
    add_header(profile, out);
    for (size_t i = 0; i < profile->sample_count; i++) {
        add_sample(profile, i, out);
        ht_buffer_drain(out);
    }
    ht_buffer_text(out, "Locations\n");
    for (size_t i = 0; i < profile->location_count; i++)
        add_location(profile, i, out);
    ht_buffer_text(out, "Mappings\n");
    for (size_t i = 0; i < profile->mapping_count; i++)
        add_mapping(profile, i, out);
}

static void json_header(struct ht_json *json, const struct ht_profile *profile)
{
    ht_json_begin_array(json, "comments");
    for (size_t i = 0; i < profile->comment_count; i++)
        ht_json_string(json, NULL, ht_profile_text(profile, profile->comments[i]));
    ht_json_end_array(json);
    ht_json_string(json, "period_type", ht_profile_text(profile, profile->period_type.type));
    ht_json_string(json, "period_unit", ht_profile_text(profile, profile->period_type.unit));
    ht_json_int(json, "period", profile->period);
    ht_json_string(json, "default_sample_type", ht_profile_text(profile, profile->default_sample_type));
    ht_report_json_sample_types(json, profile, profile->sample_type_count);
}

static void json_sample(struct ht_json *json, const struct ht_report *report, size_t position)
{
    const struct ht_profile *profile = report->profile;
    const struct ht_sample *sample = &profile->samples[position];
    ht_json_begin_object(json, NULL);
    ht_json_begin_array(json, "values");
    for (size_t i = 0; i < profile->sample_type_count; i++)
        ht_json_int(json, NULL, ht_profile_values(profile, position)[i]);
    ht_json_end_array(json);
    ht_json_begin_array(json, "location_ids");
    for (uint32_t i = 0; i < sample->frame_count; i++)
        ht_json_int(json, NULL, (int64_t)profile->frames[sample->frames + i] + 1);
    ht_json_end_array(json);
    ht_report_json_labels(json, report, sample);
    ht_json_end_object(json);
}

// What is unknown is left out.
static void json_known_text(struct ht_json *json, const char *key, const struct ht_profile *profile,
                            uint32_t string)
{
    if (string != 0)
        ht_json_string(json, key, ht_profile_text(profile, string));
}

static void json_known_number(struct ht_json *json, const char *key, int64_t number)
{
    if (number != 0)
        ht_json_int(json, key, number);
}

static void json_location(struct ht_json *json, const struct ht_profile *profile, size_t position)
{
    const struct ht_location *location = &profile->locations[position];
    ht_json_begin_object(json, NULL);
    ht_json_int(json, "id", (int64_t)position + 1);
    if (location->mapping != HT_NONE)
        ht_json_int(json, "mapping_id", (int64_t)location->mapping + 1);
    ht_report_json_hex(json, "address", location->address);
    ht_json_bool(json, "folded", location->is_folded);
    ht_json_begin_array(json, "frames");
    for (uint32_t i = 0; i < location->line_count; i++) {
        const struct ht_line *line = &profile->lines[location->lines + i];
        const struct ht_function *function = &profile->functions[line->function];
        ht_json_begin_object(json, NULL);
        ht_json_string(json, "function", ht_profile_text(profile, function->name));
        if (function->system_name != function->name)
            ht_json_string(json, "system_name", ht_profile_text(profile, function->system_name));
        json_known_text(json, "file", profile, function->file);
        json_known_number(json, "line", line->line);
        ht_json_int(json, "column", line->column);
        json_known_number(json, "start_line", function->start_line);
        ht_json_end_object(json);
    }
    ht_json_end_array(json);
    ht_json_end_object(json);
}

static void json_mapping(struct ht_json *json, const struct ht_profile *profile, size_t position)
{
    const struct ht_profile_mapping *mapping = &profile->mappings[position];
    ht_json_begin_object(json, NULL);
    ht_json_int(json, "id", (int64_t)position + 1);
    ht_report_json_hex(json, "start", mapping->start);
    ht_report_json_hex(json, "limit", mapping->limit);
    ht_report_json_hex(json, "offset", mapping->offset);
    json_known_text(json, "file", profile, mapping->file);
    json_known_text(json, "build_id", profile, mapping->build_id);
    ht_json_bool(json, "has_functions", mapping->has_functions);
    ht_json_bool(json, "has_filenames", mapping->has_filenames);
    ht_json_bool(json, "has_line_numbers", mapping->has_line_numbers);
    ht_json_bool(json, "has_inline_frames", mapping->has_inline_frames);
    ht_json_end_object(json);
}

void ht_raw_json(const struct ht_report *report, const char *name, struct ht_buffer *out)
{
    const struct ht_profile *profile = report->profile;
    struct ht_json json = {.out = out};
    ht_report_json_begin(&json, report, name);
    json_header(&json, profile);
    ht_json_begin_array(&json, "rows");
    for (size_t i = 0; i < profile->sample_count; i++) {
        json_sample(&json, report, i);
        ht_buffer_drain(out);
    }
    ht_json_end_array(&json);
    ht_json_begin_array(&json, "locations");
    for (size_t i = 0; i < profile->location_count; i++)
        json_location(&json, profile, i);
    ht_json_end_array(&json);
    ht_json_begin_array(&json, "mappings");
    for (size_t i = 0; i < profile->mapping_count; i++)
        json_mapping(&json, profile, i);
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}

int ht_write_raw(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    if (form->json)
        ht_raw_json(report, form->name, out);
    else
        raw_text(report->profile, out);
    return 0;
}
