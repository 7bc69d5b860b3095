// Filters a profile by frames, labels and its own drop_frames, with the outcome of google/pprof's filter.go,
// prune.go and driver_focus.go as Go 1.19 ships them.
#include "profile/filter.h"

#include "base/error.h"
#include "profile/matcher.h"
#include "profile/tag_filter.h"

#include <stdlib.h>

static bool line_matches(struct ht_matcher *matcher, const struct ht_line *line)
{
    const struct ht_function *function = &matcher->profile->functions[line->function];
    return ht_matcher_matches(matcher, function->name) || ht_matcher_matches(matcher, function->file);
}

static bool mapping_matches(struct ht_matcher *matcher, const struct ht_location *location)
{
    return location->mapping != HT_NONE &&
           ht_matcher_matches(matcher, matcher->profile->mappings[location->mapping].file);
}

static bool location_matches(struct ht_matcher *matcher, const struct ht_location *location)
{
    for (uint32_t i = 0; i < location->line_count; i++)
        if (line_matches(matcher, &matcher->profile->lines[location->lines + i]))
            return true;
    return mapping_matches(matcher, location);
}

// Keeps the lines of a location for which matching equals `wanted`; lines stay in place. True if none is
// left.
static bool keep_lines(struct ht_matcher *matcher, struct ht_profile *profile, struct ht_location *location,
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
    struct ht_matcher focus, ignore, hide, show, show_from, prune_from;
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
    ht_profile_keep_samples(profile, keep);
    free(keep);
    free(state);
    const struct ht_matcher *used[] = {&by->focus, &by->ignore, &by->hide, &by->show};
    static const char *const names[] = {"focus", "ignore", "hide", "show"};
    for (size_t i = 0; i < 4; i++)
        if (used[i]->regex != NULL && !found[i])
            ht_warn("--%s matched nothing", names[i]);
}

// Cuts what lies above the highest match; samples without one go.
static void filter_show_from(struct ht_profile *profile, struct ht_matcher *show_from)
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
    ht_profile_keep_samples(profile, keep);
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

static void filter_prune_from(struct ht_profile *profile, struct ht_matcher *prune_from)
{
    bool *matched = ht_alloc_zero(profile->location_count, sizeof *matched);
    for (size_t i = 0; i < profile->location_count; i++) {
        struct ht_location *location = &profile->locations[i];
        for (uint32_t line = 0; line < location->line_count; line++) {
            uint32_t name = profile->functions[profile->lines[location->lines + line].function].name;
            if (name != 0 && ht_matcher_matches(prune_from, name)) {
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

// Marks the locations at which a stack is cut; of a location that ht_matcher_matches in an inlined function
// only the callers stay.
static void mark_pruned(struct ht_profile *profile, struct ht_matcher *drop, struct ht_matcher *keep,
                        uint8_t *state)
{
    for (size_t i = 0; i < profile->location_count; i++) {
        struct ht_location *location = &profile->locations[i];
        for (uint32_t line = location->line_count; line > 0; line--) {
            uint32_t name = profile->functions[profile->lines[location->lines + line - 1].function].name;
            if (name == 0 || !ht_matcher_matches(drop, name) ||
                (keep->regex != NULL && ht_matcher_matches(keep, name)))
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
    struct ht_matcher drop = {0}, keep = {0};
    char *drop_pattern = ht_format("^(%s)$", ht_profile_text(profile, profile->drop_frames));
    char *keep_pattern = profile->keep_frames == 0
                             ? NULL
                             : ht_format("^(%s)$", ht_profile_text(profile, profile->keep_frames));
    int result = ht_matcher_init(&drop, profile, drop_pattern, true);
    if (result == 0)
        result = ht_matcher_init(&keep, profile, keep_pattern, true);
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
    ht_matcher_free(&drop);
    ht_matcher_free(&keep);
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

int ht_filter_apply(struct ht_profile *profile, const struct ht_filter *filter)
{
    struct name_matchers by = {0};
    struct ht_matcher tag_show = {0}, tag_hide = {0};
    struct ht_tag_filter tag_focus = {0}, tag_ignore = {0};
    char focus_unit[32] = "", ignore_unit[32] = "";
    int result = -1;
    if (ht_matcher_init(&by.focus, profile, filter->focus, false) == 0 &&
        ht_matcher_init(&by.ignore, profile, filter->ignore, false) == 0 &&
        ht_matcher_init(&by.hide, profile, filter->hide, false) == 0 &&
        ht_matcher_init(&by.show, profile, filter->show, false) == 0 &&
        ht_matcher_init(&by.show_from, profile, filter->show_from, false) == 0 &&
        ht_matcher_init(&by.prune_from, profile, filter->prune_from, true) == 0 &&
        ht_matcher_init(&tag_show, profile, filter->tag_show, false) == 0 &&
        ht_matcher_init(&tag_hide, profile, filter->tag_hide, false) == 0 &&
        ht_tag_filter_init(&tag_focus, "tagfocus", filter->tag_focus, focus_unit) == 0 &&
        ht_tag_filter_init(&tag_ignore, "tagignore", filter->tag_ignore, ignore_unit) == 0) {
        result = 0;
        filter_by_name(profile, &by); // also without filters: samples without frames go, as in pprof
        if (by.show_from.regex != NULL)
            filter_show_from(profile, &by.show_from);
        if (tag_focus.used || tag_ignore.used)
            ht_tag_filter_apply(profile, &tag_focus, &tag_ignore);
        if (tag_show.regex != NULL || tag_hide.regex != NULL)
            ht_tag_filter_keys(profile, &tag_show, &tag_hide);
        if (by.prune_from.regex != NULL)
            filter_prune_from(profile, &by.prune_from);
    }
    struct ht_matcher *matchers[] = {&by.focus,     &by.ignore,     &by.hide,  &by.show,
                                     &by.show_from, &by.prune_from, &tag_show, &tag_hide};
    for (size_t i = 0; i < sizeof matchers / sizeof matchers[0]; i++)
        ht_matcher_free(matchers[i]);
    ht_tag_filter_free(&tag_focus);
    ht_tag_filter_free(&tag_ignore);
    return result;
}
