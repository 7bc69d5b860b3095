// Merges profiles, and what is made of that: a profile less another one, and labels that tell whose samples
// are whose.
//
// What the joined header holds follows google/pprof's profile/merge.go as Go 1.19 ships it; profile/compact.c
// has the rules of identity.
#include "profile/profile.h"

#include "base/error.h"
#include "profile/birth.h"
#include "profile/compact.h"
#include "profile/label_order.h"
#include "profile/types.h"

#include <stdlib.h>

// Before the samples are there.
static void append_errors(struct ht_profile *to, const struct ht_profile *from)
{
    if (to->variances == NULL && from->variances == NULL)
        return;
    to->are_guessed = to->are_guessed && from->are_guessed;
    ht_profile_need_variances(to);
    size_t at = to->sample_count * to->sample_type_count,
           count = from->sample_count * from->sample_type_count;
    HT_RESERVE(to->variances, to->variance_capacity, at + count);
    for (size_t i = 0; i < count; i++)
        to->variances[at + i] = from->variances != NULL ? from->variances[i] : (double)NAN;
    HT_RESERVE(to->births, to->birth_capacity, to->birth_count + from->birth_count + 1);
    for (size_t i = 0; i < from->birth_count; i++)
        to->births[to->birth_count + i] = from->births[i];
}

static void append_samples(struct ht_profile *to, const struct ht_profile *from, const uint32_t *string)
{
    append_errors(to, from);
    HT_RESERVE(to->samples, to->sample_capacity, to->sample_count + from->sample_count);
    HT_RESERVE(to->values, to->value_capacity,
               (to->sample_count + from->sample_count) * to->sample_type_count);
    HT_RESERVE(to->frames, to->frame_capacity, to->frame_count + from->frame_count);
    HT_RESERVE(to->labels, to->label_capacity, to->label_count + from->label_count);
    if (from->sample_count > 0)
        memcpy(ht_profile_values(to, to->sample_count), from->values,
               from->sample_count * from->sample_type_count * sizeof *to->values);
    for (size_t i = 0; i < from->sample_count; i++) {
        struct ht_sample sample = from->samples[i];
        sample.frames += to->frame_count;
        sample.labels += to->label_count;
        sample.births += to->birth_count;
        to->samples[to->sample_count + i] = sample;
    }
    for (size_t i = 0; i < from->frame_count; i++)
        to->frames[to->frame_count + i] = from->frames[i] + (uint32_t)to->location_count;
    for (size_t i = 0; i < from->label_count; i++) {
        struct ht_label label = from->labels[i];
        label.key = string[label.key];
        label.text = string[label.text];
        label.unit = string[label.unit];
        to->labels[to->label_count + i] = label;
    }
    to->sample_count += from->sample_count;
    to->frame_count += from->frame_count;
    to->birth_count += from->birth_count;
    to->label_count += from->label_count;
}

// Puts everything of `from` behind what `to` holds, without looking for equals.
static void append(struct ht_profile *to, const struct ht_profile *from)
{
    uint32_t *string = ht_realloc_array(NULL, from->string_count, sizeof *string);
    for (size_t i = 0; i < from->string_count; i++)
        string[i] = ht_profile_intern(to, from->strings[i].text, from->strings[i].length);
    append_samples(to, from, string);
    uint32_t mappings = (uint32_t)to->mapping_count, functions = (uint32_t)to->function_count;
    for (size_t i = 0; i < from->mapping_count; i++) {
        struct ht_profile_mapping mapping = from->mappings[i];
        mapping.file = string[mapping.file];
        mapping.build_id = string[mapping.build_id];
        ht_profile_add_mapping(to, &mapping);
    }
    HT_RESERVE(to->functions, to->function_capacity, to->function_count + from->function_count);
    for (size_t i = 0; i < from->function_count; i++) {
        struct ht_function function = from->functions[i];
        to->functions[to->function_count++] = (struct ht_function){
            string[function.name], string[function.system_name], string[function.file], function.start_line};
    }
    HT_RESERVE(to->locations, to->location_capacity, to->location_count + from->location_count);
    for (size_t i = 0; i < from->location_count; i++) {
        struct ht_location location = from->locations[i];
        location.lines += to->line_count;
        if (location.mapping != HT_NONE)
            location.mapping += mappings;
        to->locations[to->location_count++] = location;
    }
    HT_RESERVE(to->lines, to->line_capacity, to->line_count + from->line_count);
    for (size_t i = 0; i < from->line_count; i++) {
        struct ht_line line = from->lines[i];
        line.function += functions;
        to->lines[to->line_count++] = line;
    }
    free(string);
}

// Adds the comments of `from` (which may be `to` itself, emptied first) that are not there yet, in order.
static void add_new_comments(struct ht_profile *to, const struct ht_profile *from, const uint32_t *comments,
                             size_t count)
{
    uint32_t *strings = ht_realloc_array(NULL, count, sizeof *strings);
    for (size_t i = 0; i < count; i++)
        strings[i] = ht_profile_intern_text(to, ht_profile_text(from, comments[i]));
    bool *seen = ht_alloc_zero(to->string_count, sizeof *seen);
    for (size_t i = 0; i < to->comment_count; i++)
        seen[to->comments[i]] = true;
    for (size_t i = 0; i < count; i++) {
        if (seen[strings[i]])
            continue;
        seen[strings[i]] = true;
        HT_RESERVE(to->comments, to->comment_capacity, to->comment_count + 1);
        to->comments[to->comment_count++] = strings[i];
    }
    free(strings);
    free(seen);
}

static void unique_comments(struct ht_profile *profile)
{
    uint32_t *comments = profile->comments;
    size_t count = profile->comment_count;
    profile->comments = NULL;
    profile->comment_count = profile->comment_capacity = 0;
    add_new_comments(profile, profile, comments, count);
    free(comments);
}

static void join_header(struct ht_profile *to, const struct ht_profile *from)
{
    if (to->time_ns == 0 || from->time_ns < to->time_ns)
        to->time_ns = from->time_ns;
    to->duration_ns = ht_wrap_add(to->duration_ns, from->duration_ns);
    if (to->period == 0 || to->period < from->period)
        to->period = from->period;
    to->ticks_now = to->ticks_now > from->ticks_now ? to->ticks_now : from->ticks_now;
    add_new_comments(to, from, from->comments, from->comment_count);
    if (to->default_sample_type == 0)
        to->default_sample_type =
            ht_profile_intern_text(to, ht_profile_text(from, from->default_sample_type));
    if (to->doc_url == 0)
        to->doc_url = ht_profile_intern_text(to, ht_profile_text(from, from->doc_url));
}

int ht_profile_merge(struct ht_profile **profiles, size_t count)
{
    struct ht_profile *first = profiles[0];
    if (count > 1) {
        ht_types_share(profiles, count);
        if (ht_types_unify(profiles, count) < 0)
            return -1;
    }
    for (size_t i = 1; i < count; i++)
        if (ht_types_check(first, profiles[i]) < 0)
            return -1;
    if (!ht_births_fit(profiles, count))
        for (size_t i = 0; i < count; i++)
            ht_profile_drop_births(profiles[i]);
    unique_comments(first);
    for (size_t i = 1; i < count; i++) {
        join_header(first, profiles[i]);
        append(first, profiles[i]);
        ht_profile_free(profiles[i]);
        profiles[i] = NULL;
    }
    ht_profile_compact(first);
    return 0;
}

void ht_profile_remove_label(struct ht_profile *profile, const char *key)
{
    uint32_t string = ht_profile_intern_text(profile, key);
    size_t end = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        uint64_t first = end;
        for (uint32_t l = 0; l < sample->label_count; l++) {
            struct ht_label label = profile->labels[sample->labels + l];
            if (label.key != string || label.text == 0)
                profile->labels[end++] = label;
        }
        sample->labels = first;
        sample->label_count = (uint32_t)(end - first);
    }
    profile->label_count = end;
}

void ht_profile_set_label(struct ht_profile *profile, const char *key, const char *value)
{
    ht_profile_remove_label(profile, key);
    struct ht_label label = {.key = ht_profile_intern_text(profile, key),
                             .text = ht_profile_intern_text(profile, value)};
    struct ht_label *labels =
        ht_realloc_array(NULL, profile->label_count + profile->sample_count, sizeof *labels);
    struct ht_label_order order;
    size_t end = 0;
    ht_label_order_init(&order, profile, label.key);
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        uint64_t first = end;
        for (uint32_t l = 0; l < sample->label_count; l++)
            labels[end++] = profile->labels[sample->labels + l];
        labels[end++] = label;
        ht_label_order_sort(&order, labels + first, end - first);
        sample->labels = first;
        sample->label_count++;
    }
    ht_label_order_free(&order);
    free(profile->labels);
    profile->labels = labels;
    profile->label_count = end;
    profile->label_capacity = end;
}

int ht_profile_subtract(struct ht_profile **profile, struct ht_profile **base, bool mark, bool normalize)
{
    if (mark)
        ht_profile_set_label(*base, "pprof::base", "true");
    if (normalize && ht_profile_normalize(*profile, *base) < 0)
        return -1;
    if (!normalize) // what two snapshots share is then weighed differently
        ht_births_settle(*profile, *base);
    ht_profile_drop_births(*profile); // a difference is not what lives
    ht_profile_drop_births(*base);
    ht_profile_scale(*base, -1);
    struct ht_profile *both[] = {*profile, *base};
    if (ht_profile_merge(both, 2) < 0)
        return -1;
    *base = NULL;
    return 0;
}
