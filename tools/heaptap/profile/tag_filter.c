// Filters by labels, with the outcome of google/pprof's driver_focus.go as Go 1.19 ships it.
#include "profile/tag_filter.h"

#include "base/error.h"
#include "base/measure.h"
#include "profile/filter.h"

#include <ctype.h>
#include <stdlib.h>

// Reads "12kb" at text: digits with a sign, then letters. Length read, 0 if there is none.
static size_t read_quantity(const char *text, int64_t *ret_number, char unit[32])
{
    size_t length = text[0] == '+' || text[0] == '-';
    size_t digits = strspn(text + length, "0123456789");
    if (digits == 0)
        return 0;
    *ret_number = strtoll(text, NULL, 10);
    length += digits;
    size_t letters = 0;
    while (isalpha((unsigned char)text[length + letters]) && letters < 31)
        letters++;
    memcpy(unit, text + length, letters);
    unit[letters] = '\0';
    return length + letters;
}

// "64kb", "64kb:", ":64kb" or "1kb:64kb"; false: not a range.
static bool parse_range(struct ht_tag_filter *filter, const char *value, char unit[32])
{
    int64_t number;
    bool from_start = value[0] == ':';
    size_t length = read_quantity(value + from_start, &number, unit);
    if (length == 0)
        return false;
    double bound = ht_measure_scale(number, unit, unit, &filter->unit);
    const char *rest = value + from_start + length;
    filter->low = filter->high = bound;
    filter->has_low = !from_start;
    filter->has_high = from_start || rest[0] == '\0';
    if (rest[0] == '\0')
        return true;
    if (from_start || rest[0] != ':')
        return false;
    if (rest[1] == '\0')
        return true;
    char unit2[32];
    size_t length2 = read_quantity(rest + 1, &number, unit2);
    if (length2 == 0 || rest[1 + length2] != '\0')
        return false;
    const char *scaled_unit;
    filter->high = ht_measure_scale(number, unit2, filter->unit, &scaled_unit);
    filter->has_high = true;
    return strcmp(scaled_unit, filter->unit) == 0;
}

int ht_tag_filter_init(struct ht_tag_filter *filter, const char *option, const char *value, char unit[32])
{
    *filter = (struct ht_tag_filter){.any_key = true};
    if (value == NULL || value[0] == '\0')
        return 0;
    filter->used = true;
    const char *equals = strchr(value, '=');
    if (equals != NULL) {
        filter->any_key = false;
        filter->key = value;
        filter->key_length = (size_t)(equals - value);
        value = equals + 1;
    }
    filter->is_range = parse_range(filter, value, unit);
    if (filter->is_range) {
        ht_warn("--%s: '%s' is taken as a range of numbers", option, value);
        return 0;
    }
    for (;;) {
        size_t length = strcspn(value, ",");
        char *pattern = ht_format("%.*s", (int)length, value);
        int result = filter->expression_count < HT_TAG_EXPRESSIONS
                         ? ht_regex_compile(pattern, &filter->expressions[filter->expression_count])
                         : ht_fail("--%s: more than %d expressions", option, HT_TAG_EXPRESSIONS);
        free(pattern);
        if (result < 0)
            return -1;
        filter->expression_count++;
        if (value[length] == '\0')
            return 0;
        value += length + 1;
    }
}

void ht_tag_filter_free(struct ht_tag_filter *filter)
{
    for (size_t i = 0; i < filter->expression_count; i++)
        ht_regex_free(filter->expressions[i]);
}

static bool key_wanted(const struct ht_tag_filter *filter, const struct ht_profile_string *key)
{
    return filter->any_key ||
           (key->length == filter->key_length && memcmp(key->text, filter->key, key->length) == 0);
}

static bool in_range(const struct ht_profile *profile, const struct ht_tag_filter *filter,
                     const struct ht_label *label, const char *const *key_units)
{
    if (label->text != 0 || !key_wanted(filter, &profile->strings[label->key]))
        return false;
    const char *unit;
    double value = ht_measure_scale(label->number, key_units[label->key], filter->unit, &unit);
    return strcmp(unit, filter->unit) == 0 && (!filter->has_low || value >= filter->low) &&
           (!filter->has_high || value <= filter->high);
}

// One expression against all text labels: "key:value" when no key was asked for, else the key's values.
static bool expression_matches(const struct ht_profile *profile, const struct ht_tag_filter *filter,
                               const struct ht_regex *regex, const struct ht_sample *sample)
{
    for (uint32_t i = 0; i < sample->label_count; i++) {
        const struct ht_label *label = &profile->labels[sample->labels + i];
        const struct ht_profile_string *key = &profile->strings[label->key],
                                       *text = &profile->strings[label->text];
        if (label->text == 0 || !key_wanted(filter, key))
            continue;
        if (!filter->any_key) {
            if (ht_regex_match(regex, text->text, text->length))
                return true;
            continue;
        }
        struct ht_buffer both = {0};
        ht_buffer_add(&both, key->text, key->length);
        ht_buffer_byte(&both, ':');
        ht_buffer_add(&both, text->text, text->length);
        bool found = ht_regex_match(regex, both.data, both.length);
        ht_buffer_free(&both);
        if (found)
            return true;
    }
    return false;
}

static bool tag_filter_matches(const struct ht_profile *profile, const struct ht_tag_filter *filter,
                               const struct ht_sample *sample, const char *const *key_units)
{
    if (filter->is_range) {
        for (uint32_t i = 0; i < sample->label_count; i++)
            if (in_range(profile, filter, &profile->labels[sample->labels + i], key_units))
                return true;
        return false;
    }
    for (size_t i = 0; i < filter->expression_count; i++) {
        bool found = expression_matches(profile, filter, filter->expressions[i], sample);
        if (found != filter->any_key) // any key: all must match; one key: any may
            return found;
    }
    return filter->any_key;
}

void ht_tag_filter_apply(struct ht_profile *profile, const struct ht_tag_filter *focus,
                         const struct ht_tag_filter *ignore)
{
    const char **key_units = ht_alloc_zero(profile->string_count, sizeof *key_units);
    for (size_t i = 0; i < profile->label_count; i++) {
        const struct ht_label *label = &profile->labels[i];
        if (label->text == 0 && key_units[label->key] == NULL && label->unit != 0)
            key_units[label->key] = ht_profile_text(profile, label->unit);
    }
    for (size_t i = 0; i < profile->label_count; i++)
        if (profile->labels[i].text == 0 && key_units[profile->labels[i].key] == NULL)
            key_units[profile->labels[i].key] = ht_filter_implied_unit(profile, profile->labels[i].key);
    bool any_focused = false, any_ignored = false;
    bool *keep = ht_alloc_zero(profile->sample_count, sizeof *keep);
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        bool focused = !focus->used || tag_filter_matches(profile, focus, sample, key_units);
        bool ignored = ignore->used && tag_filter_matches(profile, ignore, sample, key_units);
        any_focused = any_focused || focused;
        any_ignored = any_ignored || ignored;
        keep[i] = focused && !ignored;
    }
    ht_profile_keep_samples(profile, keep);
    free(keep);
    free(key_units);
    if (focus->used && !any_focused)
        ht_warn("--tagfocus matched nothing");
    if (ignore->used && !any_ignored)
        ht_warn("--tagignore matched nothing");
}

void ht_tag_filter_keys(struct ht_profile *profile, struct ht_matcher *show, struct ht_matcher *hide)
{
    bool any_shown = false, any_hidden = false;
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        uint32_t kept = 0;
        struct ht_label *labels = profile->labels + sample->labels;
        for (uint32_t l = 0; l < sample->label_count; l++) {
            bool shown = show->regex == NULL || ht_matcher_matches(show, labels[l].key);
            bool hidden = hide->regex != NULL && ht_matcher_matches(hide, labels[l].key);
            any_shown = any_shown || shown;
            any_hidden = any_hidden || hidden;
            if (shown && !hidden)
                labels[kept++] = labels[l];
        }
        sample->label_count = kept;
    }
    if (show->regex != NULL && !any_shown)
        ht_warn("--tagshow matched nothing");
    if (hide->regex != NULL && !any_hidden)
        ht_warn("--taghide matched nothing");
}
