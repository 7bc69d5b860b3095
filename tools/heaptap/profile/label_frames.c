// Labels as frames of the stacks: --tagroot and --tagleaf, and --by.
#include "profile/filter.h"

#include "base/error.h"
#include "base/measure.h"
#include "profile/kin.h"

#include <stdlib.h>

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
    uint64_t hash = ht_hash_add(0, (uint64_t)key << 32 | name);
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

void ht_filter_rows_by_label(struct ht_profile *profile, const char *key, const char *unit)
{
    struct label_keys keys = {.count = 0};
    struct label_frames frames = {.profile = profile, .unit = unit};
    read_keys(profile, strcmp(key, "process") == 0 ? HT_PROCESS_LABEL : key, &keys);
    HT_RESERVE(profile->frames, profile->frame_capacity, profile->sample_count + 1);
    for (size_t i = 0; i < profile->sample_count && keys.count > 0; i++) {
        struct ht_sample *sample = &profile->samples[i];
        profile->frames[i] = label_location(&frames, sample, keys.keys[0], &keys);
        sample->frames = i;
        sample->frame_count = 1;
    }
    profile->frame_count = profile->sample_count;
    ht_index_free(&frames.index);
    ht_buffer_free(&frames.values);
    if (!keys.found)
        ht_warn("--by %s: no sample has such a label", key);
}
