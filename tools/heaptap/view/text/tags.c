// The report `tags`: the labels' values and their shares.
#include "view/report_json.h"
#include "view/reports.h"
#include "view/text.h"

#include <stdlib.h>

// One value of one key; numbers that look the same are the same.
struct tag {
    uint32_t key, text; // strings of the profile
    int64_t value;
};

struct tags {
    struct ht_profile *profile;
    struct tag *tags;
    size_t count, capacity;
    struct ht_index index;
};

static void count_tag(struct tags *tags, uint32_t key, uint32_t text, int64_t value)
{
    uint64_t hash = ht_hash_add(0, (uint64_t)key << 32 | text);
    size_t cursor = 0;
    uint32_t at;
    while ((at = ht_index_next(&tags->index, hash, &cursor)) != HT_NONE)
        if (tags->tags[at].key == key && tags->tags[at].text == text)
            break;
    if (at == HT_NONE) {
        HT_RESERVE(tags->tags, tags->capacity, tags->count + 1);
        at = (uint32_t)tags->count++;
        tags->tags[at] = (struct tag){.key = key, .text = text};
        ht_index_add(&tags->index, hash, at);
    }
    tags->tags[at].value = ht_wrap_add(tags->tags[at].value, value);
}

static int compare_tags(const void *left, const void *right, void *context)
{
    const struct ht_profile *profile = context;
    const struct tag *a = left, *b = right;
    int64_t x = ht_wrap_abs(a->value), y = ht_wrap_abs(b->value);
    if (a->key != b->key)
        return strcmp(ht_profile_text(profile, a->key), ht_profile_text(profile, b->key));
    if (x != y)
        return x > y ? -1 : 1;
    return strcmp(ht_profile_text(profile, a->text), ht_profile_text(profile, b->text));
}

// By key, the heaviest first.
static void collect(struct tags *tags, const struct ht_report *report)
{
    struct ht_profile *profile = tags->profile;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        for (uint32_t l = 0; l < sample->label_count; l++) {
            struct ht_label label = profile->labels[sample->labels + l];
            char number[HT_MEASURE_TEXT_BYTES];
            if (label.text == 0) {
                ht_measure_label(label.number, ht_report_label_unit(report, label.key), report->output_unit,
                                 number);
                label.text = ht_profile_intern_text(profile, number);
            }
            count_tag(tags, label.key, label.text, ht_report_value(report, i));
        }
    }
    if (tags->count > 0)
        qsort_r(tags->tags, tags->count, sizeof *tags->tags, compare_tags, profile);
}

// Where the tags of the key at `first` end; *ret_total is their sum.
static size_t end_of_key(const struct tags *tags, size_t first, int64_t *ret_total)
{
    size_t end = first;
    int64_t total = 0;
    for (; end < tags->count && tags->tags[end].key == tags->tags[first].key; end++)
        total = ht_wrap_add(total, tags->tags[end].value);
    *ret_total = total;
    return end;
}

// A value, and its share of the whole profile.
static void add_value(const struct ht_report *report, int64_t value, const char *of, struct ht_buffer *out)
{
    char text[HT_MEASURE_TEXT_BYTES], percent[HT_MEASURE_TEXT_BYTES];
    ht_report_label(report, value, text);
    ht_buffer_printf(out, "%s%s", text, of);
    ht_measure_percent(value, report->total, percent);
    if (report->total > 0)
        ht_buffer_printf(out, " (%s)", percent);
}

// As current pprof: how much has the label at all, and shares of the profile.
static void tags_text(const struct tags *tags, const struct ht_report *report, struct ht_buffer *out)
{
    const struct ht_profile *profile = tags->profile;
    struct ht_buffer lines = {0};
    char all[HT_MEASURE_TEXT_BYTES];
    int64_t total;
    ht_report_label(report, report->total, all);
    char *of = ht_format(" of %s", all);
    for (size_t first = 0, end; first < tags->count; first = end) {
        end = end_of_key(tags, first, &total);
        ht_buffer_printf(&lines, "%s:\t Total ", ht_profile_text(profile, tags->tags[first].key));
        add_value(report, total, of, &lines);
        for (size_t i = first; i < end; i++) {
            ht_buffer_text(&lines, "\n \t");
            add_value(report, tags->tags[i].value, "", &lines);
            ht_buffer_printf(&lines, ":\t %s", ht_profile_text(profile, tags->tags[i].text));
        }
        ht_buffer_text(&lines, "\n\n");
    }
    free(of);
    ht_text_align(out, lines.data, lines.length);
    ht_buffer_free(&lines);
}

static void tags_json(const struct tags *tags, const struct ht_report *report, const char *name,
                      struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    int64_t total;
    ht_report_json_begin(&json, report, name);
    ht_json_begin_array(&json, "rows");
    for (size_t first = 0, end; first < tags->count; first = end) {
        end = end_of_key(tags, first, &total);
        ht_json_begin_object(&json, NULL);
        ht_json_string(&json, "key", ht_profile_text(tags->profile, tags->tags[first].key));
        ht_json_int(&json, "value", total);
        ht_report_json_percent(&json, "percent", total, report->total);
        ht_json_begin_array(&json, "tags");
        for (size_t i = first; i < end; i++) {
            ht_json_begin_object(&json, NULL);
            ht_json_string(&json, "text", ht_profile_text(tags->profile, tags->tags[i].text));
            ht_json_int(&json, "value", tags->tags[i].value);
            ht_report_json_percent(&json, "percent", tags->tags[i].value, report->total);
            ht_json_end_object(&json);
        }
        ht_json_end_array(&json);
        ht_json_end_object(&json);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}

int ht_write_tags(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct tags tags = {.profile = report->profile};
    collect(&tags, report);
    if (form->json)
        tags_json(&tags, report, form->name, out);
    else
        tags_text(&tags, report, out);
    free(tags.tags);
    ht_index_free(&tags.index);
    return 0;
}
