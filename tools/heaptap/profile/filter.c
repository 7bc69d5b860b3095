// Filters a profile by frames, labels and its own drop_frames, with the outcome of google/pprof's filter.go,
// prune.go and driver_focus.go as Go 1.19 ships them.
#include "profile/filter.h"

#include "base/error.h"
#include "base/measure.h"
#include "base/regex.h"

#include <ctype.h>
#include <stdlib.h>

// Whether a string matches, asked once for each string of the profile.
struct matcher {
    const struct ht_profile *profile;
    struct ht_regex *regex; // NULL: not used
    bool simplify;          // function names are cut at their parameters first
    uint8_t *known;         // by string: 0 not asked yet, 1 no, 2 yes
};

// pprof's view of a function name for drop_frames and prune_from: without a leading '.', cut at the first '('
// that does not belong to "(anonymous namespace)" or "operator()".
static size_t simplified_length(const char *name, size_t length)
{
    for (size_t i = 0; i < length;) {
        if (length - i >= 21 && memcmp(name + i, "(anonymous namespace)", 21) == 0)
            i += 21;
        else if (length - i >= 10 && memcmp(name + i, "operator()", 10) == 0)
            i += 10;
        else if (name[i] == '(')
            return i;
        else
            i++;
    }
    return length;
}

static int matcher_init(struct matcher *matcher, const struct ht_profile *profile, const char *pattern,
                        bool simplify)
{
    *matcher = (struct matcher){.profile = profile, .simplify = simplify};
    if (pattern == NULL || pattern[0] == '\0')
        return 0;
    if (ht_regex_compile(pattern, &matcher->regex) < 0)
        return -1;
    matcher->known = ht_alloc_zero(profile->string_count, 1);
    return 0;
}

static void matcher_free(struct matcher *matcher)
{
    ht_regex_free(matcher->regex);
    free(matcher->known);
}

static bool matches(struct matcher *matcher, uint32_t string)
{
    if (matcher->known[string] == 0) {
        const struct ht_profile_string *s = &matcher->profile->strings[string];
        const char *text = s->text;
        size_t length = s->length;
        if (matcher->simplify) {
            if (length > 0 && text[0] == '.')
                text++, length--;
            length = simplified_length(text, length);
        }
        matcher->known[string] = ht_regex_match(matcher->regex, text, length) ? 2 : 1;
    }
    return matcher->known[string] == 2;
}

static bool line_matches(struct matcher *matcher, const struct ht_line *line)
{
    const struct ht_function *function = &matcher->profile->functions[line->function];
    return matches(matcher, function->name) || matches(matcher, function->file);
}

static bool mapping_matches(struct matcher *matcher, const struct ht_location *location)
{
    return location->mapping != HT_NONE &&
           matches(matcher, matcher->profile->mappings[location->mapping].file);
}

static bool location_matches(struct matcher *matcher, const struct ht_location *location)
{
    for (uint32_t i = 0; i < location->line_count; i++)
        if (line_matches(matcher, &matcher->profile->lines[location->lines + i]))
            return true;
    return mapping_matches(matcher, location);
}

// Keeps the lines of a location for which matching equals `wanted`; lines stay in place. True if none is
// left.
static bool keep_lines(struct matcher *matcher, struct ht_profile *profile, struct ht_location *location,
                       bool wanted)
{
    uint32_t kept = 0;
    struct ht_line *lines = profile->lines + location->lines;
    for (uint32_t i = 0; i < location->line_count; i++)
        if (line_matches(matcher, &lines[i]) == wanted)
            lines[kept++] = lines[i];
    location->line_count = kept;
    return kept == 0;
}

// Keeps the samples whose flag is set, in order.
static void keep_samples(struct ht_profile *profile, const bool *keep)
{
    size_t kept = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        if (!keep[i])
            continue;
        if (kept != i) {
            profile->samples[kept] = profile->samples[i];
            memcpy(ht_profile_values(profile, kept), ht_profile_values(profile, i),
                   profile->sample_type_count * sizeof *profile->values);
        }
        kept++;
    }
    profile->sample_count = kept;
}

enum { FOCUSED = 1, IGNORED = 2, HIDDEN = 4 };

// Removes hidden frames; true if something is left (or nothing was hidden anywhere).
static bool hide_frames(struct ht_profile *profile, struct ht_sample *sample, const uint8_t *state)
{
    uint32_t kept = 0;
    uint32_t *frames = profile->frames + sample->frames;
    for (uint32_t i = 0; i < sample->frame_count; i++)
        if (!(state[frames[i]] & HIDDEN))
            frames[kept++] = frames[i];
    sample->frame_count = kept;
    return kept > 0;
}

static bool is_focused(const struct ht_profile *profile, const struct ht_sample *sample, const uint8_t *state)
{
    bool focused = false;
    for (uint32_t i = 0; i < sample->frame_count; i++) {
        uint8_t flags = state[profile->frames[sample->frames + i]];
        if (flags & IGNORED)
            return false;
        focused = focused || (flags & FOCUSED);
    }
    return focused;
}

struct name_matchers {
    struct matcher focus, ignore, hide, show, show_from, prune_from;
};

// The flags of one location, whose lines are filtered on the way.
static uint8_t filter_location(struct ht_profile *profile, struct ht_location *location,
                               struct name_matchers *by, bool found[4])
{
    uint8_t state = 0;
    if (by->ignore.regex != NULL && location_matches(&by->ignore, location)) {
        found[1] = true;
        state |= IGNORED;
    } else if (by->focus.regex == NULL || location_matches(&by->focus, location)) {
        found[0] = true;
        state |= FOCUSED;
    }
    if (by->hide.regex != NULL && location_matches(&by->hide, location)) {
        found[2] = true;
        if (mapping_matches(&by->hide, location))
            location->line_count = 0;
        if (keep_lines(&by->hide, profile, location, false))
            state |= HIDDEN;
    }
    if (by->show.regex != NULL) {
        bool none = mapping_matches(&by->show, location) ? location->line_count == 0
                                                         : keep_lines(&by->show, profile, location, true);
        if (none)
            state |= HIDDEN;
        else
            found[3] = true;
    }
    return state;
}

static void filter_by_name(struct ht_profile *profile, struct name_matchers *by)
{
    bool found[4] = {false, false, false, false};
    bool any_hidden = false;
    uint8_t *state = ht_alloc_zero(profile->location_count, 1);
    for (size_t i = 0; i < profile->location_count; i++) {
        state[i] = filter_location(profile, &profile->locations[i], by, found);
        any_hidden = any_hidden || (state[i] & HIDDEN);
    }
    bool *keep = ht_alloc_zero(profile->sample_count, sizeof *keep);
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        keep[i] = is_focused(profile, sample, state) && (!any_hidden || hide_frames(profile, sample, state));
    }
    keep_samples(profile, keep);
    free(keep);
    free(state);
    const struct matcher *used[] = {&by->focus, &by->ignore, &by->hide, &by->show};
    static const char *const names[] = {"focus", "ignore", "hide", "show"};
    for (size_t i = 0; i < 4; i++)
        if (used[i]->regex != NULL && !found[i])
            ht_warn("--%s matched nothing", names[i]);
}

// Cuts what lies above the highest match; samples without one go.
static void filter_show_from(struct ht_profile *profile, struct matcher *show_from)
{
    bool *matched = ht_alloc_zero(profile->location_count, sizeof *matched);
    bool any = false;
    for (size_t i = 0; i < profile->location_count; i++) {
        struct ht_location *location = &profile->locations[i];
        matched[i] = mapping_matches(show_from, location);
        for (uint32_t line = location->line_count; !matched[i] && line > 0; line--)
            if (line_matches(show_from, &profile->lines[location->lines + line - 1])) {
                location->line_count = line;
                matched[i] = true;
            }
        any = any || matched[i];
    }
    bool *keep = ht_alloc_zero(profile->sample_count, sizeof *keep);
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        uint32_t count = sample->frame_count;
        while (count > 0 && !matched[profile->frames[sample->frames + count - 1]])
            count--;
        sample->frame_count = count;
        keep[i] = count > 0;
    }
    keep_samples(profile, keep);
    free(keep);
    free(matched);
    if (!any)
        ht_warn("--show-from matched nothing");
}

static void drop_leading_lines(struct ht_location *location, uint32_t count)
{
    location->lines += count;
    location->line_count -= count;
}

static void drop_leading_frames(struct ht_sample *sample, uint32_t count)
{
    sample->frames += count;
    sample->frame_count -= count;
}

static void filter_prune_from(struct ht_profile *profile, struct matcher *prune_from)
{
    bool *matched = ht_alloc_zero(profile->location_count, sizeof *matched);
    for (size_t i = 0; i < profile->location_count; i++) {
        struct ht_location *location = &profile->locations[i];
        for (uint32_t line = 0; line < location->line_count; line++) {
            uint32_t name = profile->functions[profile->lines[location->lines + line].function].name;
            if (name != 0 && matches(prune_from, name)) {
                matched[i] = true;
                drop_leading_lines(location, line);
                break;
            }
        }
    }
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        for (uint32_t frame = 0; frame < sample->frame_count; frame++)
            if (matched[profile->frames[sample->frames + frame]]) {
                drop_leading_frames(sample, frame);
                break;
            }
    }
    free(matched);
}

enum { PRUNE_WHOLE = 1, PRUNE_BENEATH = 2 };

// Marks the locations at which a stack is cut; of a location that matches in an inlined function only the
// callers stay.
static void mark_pruned(struct ht_profile *profile, struct matcher *drop, struct matcher *keep,
                        uint8_t *state)
{
    for (size_t i = 0; i < profile->location_count; i++) {
        struct ht_location *location = &profile->locations[i];
        for (uint32_t line = location->line_count; line > 0; line--) {
            uint32_t name = profile->functions[profile->lines[location->lines + line - 1].function].name;
            if (name == 0 || !matches(drop, name) || (keep->regex != NULL && matches(keep, name)))
                continue;
            state[i] = line == location->line_count ? PRUNE_WHOLE : PRUNE_BENEATH;
            if (state[i] == PRUNE_BENEATH)
                drop_leading_lines(location, line);
            break;
        }
    }
}

int ht_filter_drop_frames(struct ht_profile *profile)
{
    if (profile->drop_frames == 0)
        return 0;
    struct matcher drop = {0}, keep = {0};
    char *drop_pattern = ht_format("^(%s)$", ht_profile_text(profile, profile->drop_frames));
    char *keep_pattern = profile->keep_frames == 0
                             ? NULL
                             : ht_format("^(%s)$", ht_profile_text(profile, profile->keep_frames));
    int result = matcher_init(&drop, profile, drop_pattern, true);
    if (result == 0)
        result = matcher_init(&keep, profile, keep_pattern, true);
    if (result == 0) {
        uint8_t *state = ht_alloc_zero(profile->location_count, 1);
        mark_pruned(profile, &drop, &keep, state);
        for (size_t i = 0; i < profile->sample_count; i++) {
            struct ht_sample *sample = &profile->samples[i];
            bool found_user = false; // a stack is never cut above its first frame that stays
            for (uint32_t frame = sample->frame_count; frame > 0; frame--) {
                uint8_t cut = state[profile->frames[sample->frames + frame - 1]];
                if (cut == 0) {
                    found_user = true;
                } else if (found_user) {
                    drop_leading_frames(sample, cut == PRUNE_WHOLE ? frame : frame - 1);
                    break;
                }
            }
        }
        free(state);
    }
    matcher_free(&drop);
    matcher_free(&keep);
    free(drop_pattern);
    free(keep_pattern);
    return result;
}

const char *ht_filter_implied_unit(const struct ht_profile *profile, uint32_t key)
{
    const char *name = ht_profile_text(profile, key);
    return strcmp(name, "alignment") == 0 || strcmp(name, "request") == 0 ? "bytes" : name;
}

const char *ht_filter_label_unit(const struct ht_profile *profile, uint32_t key)
{
    for (size_t i = 0; i < profile->label_count; i++)
        if (profile->labels[i].key == key && profile->labels[i].text == 0 && profile->labels[i].unit != 0)
            return ht_profile_text(profile, profile->labels[i].unit);
    return ht_filter_implied_unit(profile, key);
}

enum { TAG_EXPRESSIONS = 16 };

// One tagfocus or tagignore: a range on numbers, or expressions on texts.
struct tag_filter {
    bool used, is_range;
    bool any_key;
    const char *key; // of length key_length
    size_t key_length;
    double low, high;
    bool has_low, has_high;
    const char *unit;
    struct ht_regex *expressions[TAG_EXPRESSIONS];
    size_t expression_count;
};

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
static bool parse_range(struct tag_filter *filter, const char *value, char unit[32])
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

static int tag_filter_init(struct tag_filter *filter, const char *option, const char *value, char unit[32])
{
    *filter = (struct tag_filter){.any_key = true};
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
        int result = filter->expression_count < TAG_EXPRESSIONS
                         ? ht_regex_compile(pattern, &filter->expressions[filter->expression_count])
                         : ht_fail("--%s: more than %d expressions", option, TAG_EXPRESSIONS);
        free(pattern);
        if (result < 0)
            return -1;
        filter->expression_count++;
        if (value[length] == '\0')
            return 0;
        value += length + 1;
    }
}

static void tag_filter_free(struct tag_filter *filter)
{
    for (size_t i = 0; i < filter->expression_count; i++)
        ht_regex_free(filter->expressions[i]);
}

static bool key_wanted(const struct tag_filter *filter, const struct ht_profile_string *key)
{
    return filter->any_key ||
           (key->length == filter->key_length && memcmp(key->text, filter->key, key->length) == 0);
}

static bool in_range(const struct ht_profile *profile, const struct tag_filter *filter,
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
static bool expression_matches(const struct ht_profile *profile, const struct tag_filter *filter,
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

static bool tag_filter_matches(const struct ht_profile *profile, const struct tag_filter *filter,
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

static void filter_by_tag(struct ht_profile *profile, const struct tag_filter *focus,
                          const struct tag_filter *ignore)
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
    keep_samples(profile, keep);
    free(keep);
    free(key_units);
    if (focus->used && !any_focused)
        ht_warn("--tagfocus matched nothing");
    if (ignore->used && !any_ignored)
        ht_warn("--tagignore matched nothing");
}

static void filter_tags(struct ht_profile *profile, struct matcher *show, struct matcher *hide)
{
    bool any_shown = false, any_hidden = false;
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        uint32_t kept = 0;
        struct ht_label *labels = profile->labels + sample->labels;
        for (uint32_t l = 0; l < sample->label_count; l++) {
            bool shown = show->regex == NULL || matches(show, labels[l].key);
            bool hidden = hide->regex != NULL && matches(hide, labels[l].key);
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

int ht_filter_apply(struct ht_profile *profile, const struct ht_filter *filter)
{
    struct name_matchers by = {0};
    struct matcher tag_show = {0}, tag_hide = {0};
    struct tag_filter tag_focus = {0}, tag_ignore = {0};
    char focus_unit[32] = "", ignore_unit[32] = "";
    int result = -1;
    if (matcher_init(&by.focus, profile, filter->focus, false) == 0 &&
        matcher_init(&by.ignore, profile, filter->ignore, false) == 0 &&
        matcher_init(&by.hide, profile, filter->hide, false) == 0 &&
        matcher_init(&by.show, profile, filter->show, false) == 0 &&
        matcher_init(&by.show_from, profile, filter->show_from, false) == 0 &&
        matcher_init(&by.prune_from, profile, filter->prune_from, true) == 0 &&
        matcher_init(&tag_show, profile, filter->tag_show, false) == 0 &&
        matcher_init(&tag_hide, profile, filter->tag_hide, false) == 0 &&
        tag_filter_init(&tag_focus, "tagfocus", filter->tag_focus, focus_unit) == 0 &&
        tag_filter_init(&tag_ignore, "tagignore", filter->tag_ignore, ignore_unit) == 0) {
        result = 0;
        filter_by_name(profile, &by); // also without filters: samples without frames go, as in pprof
        if (by.show_from.regex != NULL)
            filter_show_from(profile, &by.show_from);
        if (tag_focus.used || tag_ignore.used)
            filter_by_tag(profile, &tag_focus, &tag_ignore);
        if (tag_show.regex != NULL || tag_hide.regex != NULL)
            filter_tags(profile, &tag_show, &tag_hide);
        if (by.prune_from.regex != NULL)
            filter_prune_from(profile, &by.prune_from);
    }
    struct matcher *matchers[] = {&by.focus,     &by.ignore,     &by.hide,  &by.show,
                                  &by.show_from, &by.prune_from, &tag_show, &tag_hide};
    for (size_t i = 0; i < sizeof matchers / sizeof matchers[0]; i++)
        matcher_free(matchers[i]);
    tag_filter_free(&tag_focus);
    tag_filter_free(&tag_ignore);
    return result;
}

enum { LABEL_KEYS = 64 };

// The keys of one list, in its order. `found`: some sample has one of them.
struct label_keys {
    uint32_t keys[LABEL_KEYS];
    size_t count;
    bool found;
};

static void read_keys(struct ht_profile *profile, const char *list, struct label_keys *keys)
{
    while (list != NULL && *list != '\0') {
        size_t length = strcspn(list, ",");
        if (length > 0 && keys->count < LABEL_KEYS)
            keys->keys[keys->count++] = ht_profile_intern(profile, list, length);
        list += length;
        list += *list == ',';
    }
}

// All values of one key on a sample, joined by commas.
static void join_values(const struct ht_profile *profile, const struct ht_sample *sample, uint32_t key,
                        const char *unit, struct label_keys *keys, struct ht_buffer *out)
{
    const struct ht_label *labels = profile->labels + sample->labels;
    bool has_unit = false;
    for (uint32_t i = 0; i < sample->label_count; i++)
        has_unit = has_unit || (labels[i].key == key && labels[i].unit != 0);
    out->length = 0;
    ht_buffer_text(out, "");
    bool any = false;
    for (uint32_t i = 0; i < sample->label_count; i++) {
        char number[HT_MEASURE_TEXT_BYTES];
        if (labels[i].key != key)
            continue;
        if (any)
            ht_buffer_byte(out, ',');
        any = keys->found = true;
        if (labels[i].text == 0)
            ht_measure_label(labels[i].number, ht_profile_text(profile, labels[i].unit), has_unit ? unit : "",
                             number);
        ht_buffer_text(out, labels[i].text != 0 ? ht_profile_text(profile, labels[i].text) : number);
    }
}

struct label_frames {
    struct ht_profile *profile;
    const char *unit;
    struct ht_index index; // over the locations that were added
    struct ht_buffer values;
};

static uint32_t label_location(struct label_frames *frames, const struct ht_sample *sample, uint32_t key,
                               struct label_keys *keys)
{
    struct ht_profile *profile = frames->profile;
    join_values(profile, sample, key, frames->unit, keys, &frames->values);
    uint32_t name = ht_profile_intern(profile, frames->values.data, frames->values.length);
    uint64_t hash = ht_mix64((uint64_t)key << 32 | name);
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&frames->index, hash, &cursor)) != HT_NONE;) {
        const struct ht_line *line = &profile->lines[profile->locations[at].lines];
        if (profile->functions[line->function].name == name && profile->functions[line->function].file == key)
            return at;
    }
    struct ht_line line = {.function = ht_profile_add_function(profile, ht_profile_text(profile, name), "",
                                                               ht_profile_text(profile, key), 0)};
    uint32_t added = ht_profile_add_location(profile, HT_NONE, 0, &line, 1);
    ht_index_add(&frames->index, hash, added);
    return added;
}

void ht_filter_add_label_frames(struct ht_profile *profile, const char *root, const char *leaf,
                                const char *unit)
{
    struct label_keys roots = {.count = 0}, leaves = {.count = 0};
    read_keys(profile, root, &roots);
    read_keys(profile, leaf, &leaves);
    if (roots.count + leaves.count == 0)
        return;
    struct label_frames frames = {.profile = profile, .unit = unit};
    size_t capacity = profile->frame_count + profile->sample_count * (roots.count + leaves.count), end = 0;
    uint32_t *rebuilt = ht_realloc_array(NULL, capacity, sizeof *rebuilt);
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        uint64_t first = end;
        uint32_t *outer = rebuilt + first + leaves.count + sample->frame_count;
        for (size_t k = roots.count; k > 0;
             k--) // before the leaves: pprof numbers new locations in this order
            *outer++ = label_location(&frames, sample, roots.keys[k - 1], &roots);
        for (size_t k = leaves.count; k > 0; k--)
            rebuilt[end++] = label_location(&frames, sample, leaves.keys[k - 1], &leaves);
        for (uint32_t f = 0; f < sample->frame_count; f++)
            rebuilt[end++] = profile->frames[sample->frames + f];
        end += roots.count;
        sample->frames = first;
        sample->frame_count = (uint32_t)(end - first);
    }
    free(profile->frames);
    profile->frames = rebuilt;
    profile->frame_count = end;
    profile->frame_capacity = capacity;
    ht_index_free(&frames.index);
    ht_buffer_free(&frames.values);
    if (roots.count > 0 && !roots.found)
        ht_warn("--tagroot matched nothing");
    if (leaves.count > 0 && !leaves.found)
        ht_warn("--tagleaf matched nothing");
}
