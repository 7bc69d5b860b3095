// Cuts what is too much.
#include "profile/bounds.h"

#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>

// How often each location is in a stack.
static uint64_t *count_uses(const struct ht_profile *profile)
{
    uint64_t *uses = ht_alloc_zero(profile->location_count, sizeof *uses);
    for (size_t i = 0; i < profile->sample_count; i++)
        for (uint32_t frame = 0; frame < profile->samples[i].frame_count; frame++)
            uses[profile->frames[profile->samples[i].frames + frame]]++;
    return uses;
}

static uint64_t expanded_frames(const struct ht_profile *profile, const uint64_t *uses, uint32_t depth)
{
    uint64_t frames = 0;
    for (size_t i = 0; i < profile->location_count; i++) {
        uint32_t lines = profile->locations[i].line_count;
        frames += uses[i] * (lines < depth ? lines : depth);
    }
    return frames;
}

void ht_profile_bound_inlines(struct ht_profile *profile)
{
    uint64_t *uses = count_uses(profile);
    uint32_t depth = HT_INLINE_LIMIT;
    size_t cut = 0;
    while (depth > 1 && expanded_frames(profile, uses, depth) > HT_EXPANDED_FRAMES_LIMIT)
        depth /= 2;
    for (size_t i = 0; i < profile->location_count; i++) {
        struct ht_location *location = &profile->locations[i];
        if (location->line_count <= depth)
            continue;
        struct ht_line *lines = profile->lines + location->lines;
        lines[depth - 1] = lines[location->line_count - 1];
        location->line_count = depth;
        cut++;
    }
    free(uses);
    if (cut > 0)
        ht_warn("at %zu places more functions are inlined than are shown: %u each%s", cut, depth,
                depth < HT_INLINE_LIMIT ? ", for all stacks together would be too long" : "");
}

static void cut_text(struct ht_profile *profile, uint32_t string, size_t limit)
{
    static const char end[] = "...";
    struct ht_profile_string *whole = &profile->strings[string];
    struct ht_buffer text = {0};
    ht_buffer_add(&text, whole->text, ht_text_whole(whole->text, limit - strlen(end)));
    ht_buffer_text(&text, end);
    whole->text = ht_arena_copy(&profile->arena, text.data, text.length);
    whole->length = (uint32_t)text.length;
    ht_buffer_free(&text);
}

// Of the names in all stacks, as a report with a line for each frame would have them.
static uint64_t shown_bytes(const struct ht_profile *profile)
{
    uint64_t *uses = count_uses(profile), bytes = 0;
    for (size_t i = 0; i < profile->location_count; i++) {
        uint64_t of_location = 0;
        for (uint32_t line = 0; line < profile->locations[i].line_count && uses[i] > 0; line++) {
            const struct ht_line *at = &profile->lines[profile->locations[i].lines + line];
            uint32_t length = profile->strings[profile->functions[at->function].name].length;
            of_location += length < HT_TEXT_LIMIT_BYTES ? length : HT_TEXT_LIMIT_BYTES;
        }
        bytes += of_location * uses[i];
    }
    free(uses);
    for (size_t i = 0; i < profile->label_count; i++) {
        uint32_t length = profile->strings[profile->labels[i].text].length;
        bytes += length < HT_TEXT_LIMIT_BYTES ? length : HT_TEXT_LIMIT_BYTES;
    }
    return bytes;
}

// What is written for each frame or sample, and opens no file.
static bool *mark_names(const struct ht_profile *profile)
{
    bool *is_name = ht_alloc_zero(profile->string_count, sizeof *is_name);
    for (size_t i = 0; i < profile->label_count; i++)
        is_name[profile->labels[i].text] = true;
    for (size_t i = 0; i < profile->function_count; i++)
        is_name[profile->functions[i].name] = true;
    for (size_t i = 0; i < profile->function_count; i++)
        is_name[profile->functions[i].file] = false;
    return is_name;
}

void ht_profile_bound_texts(struct ht_profile *profile)
{
    bool *is_name = mark_names(profile);
    size_t cut = 0, longer = 0;
    for (size_t i = 0; i < profile->string_count; i++)
        longer += profile->strings[i].length > HT_SHORT_TEXT_LIMIT_BYTES;
    bool is_short = longer > 0 && shown_bytes(profile) > UINT64_C(1) << 30;
    for (size_t i = 0; i < profile->string_count; i++) {
        size_t limit = is_short && is_name[i] ? HT_SHORT_TEXT_LIMIT_BYTES : HT_TEXT_LIMIT_BYTES;
        if (profile->strings[i].length <= limit)
            continue;
        cut_text(profile, (uint32_t)i, limit);
        cut++;
    }
    free(is_name);
    if (cut > 0)
        ht_warn("%zu texts are longer than is shown of them: %d bytes%s", cut,
                is_short ? HT_SHORT_TEXT_LIMIT_BYTES : HT_TEXT_LIMIT_BYTES,
                is_short ? ", for those of all frames together would be too long" : "");
}
