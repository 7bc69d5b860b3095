// Counts what a family of processes shares once.
//
// Every process's samples carry its label. Those of field `inherited` (HT_INHERITED_LABEL), which repeat a
// part of its samples, name by that label's value from whom they are. So, in the merged profile: each is
// taken off the sample that it is a part of; of all that are from one process with one stack, the largest
// stays, less what that process itself has there.
#include "profile/kin.h"

#include "base/error.h"
#include "profile/birth.h"
#include "profile/compact.h"
#include "profile/source.h"

#include <stdlib.h>

struct member {
    char *process;         // value of its label
    char *source;          // from whom it inherited, "": nobody
    size_t parent;         // the member that this is; SIZE_MAX: not among them
    uint32_t process_text; // string of the merged profile
};

struct ht_kin {
    struct member *members;
    size_t count;
    // Of the merged profile:
    struct ht_profile *profile;
    uint32_t process_key, inherited_key;
    uint32_t *place;          // by location: the first one with its mapping and address, named or not
    int64_t *before;          // the values before anything is taken off
    double *variances_before; // NULL: none
    struct ht_index own, leads;
};

static uint32_t label_text(const struct ht_profile *profile, const struct ht_sample *sample, uint32_t key)
{
    for (uint32_t i = 0; i < sample->label_count; i++)
        if (profile->labels[sample->labels + i].key == key)
            return profile->labels[sample->labels + i].text;
    return HT_NONE;
}

static void set_inherited_text(struct ht_profile *profile, const char *text)
{
    uint32_t key = ht_profile_find_text(profile, HT_INHERITED_LABEL);
    uint32_t string = ht_profile_intern_text(profile, text);
    for (size_t i = 0; key != HT_NONE && i < profile->label_count; i++)
        if (profile->labels[i].key == key)
            profile->labels[i].text = string;
}

// Two containers may both have a "server 1".
static char *unique_name(const struct ht_kin *kin, size_t count, char *name)
{
    size_t same = 1;
    for (size_t i = 0; i < count; i++)
        if (strncmp(kin->members[i].process, name, strlen(name)) == 0)
            same++;
    if (same == 1)
        return name;
    char *unique = ht_format("%s (%zu)", name, same);
    free(name);
    return unique;
}

struct ht_kin *ht_kin_begin(struct ht_profile *const *profiles, const char *const *names, size_t count)
{
    struct ht_kin *kin = ht_alloc_zero(1, sizeof *kin);
    struct ht_source *origins = ht_alloc_zero(count, sizeof *origins);
    kin->members = ht_alloc_zero(count, sizeof *kin->members);
    kin->count = count;
    for (size_t i = 0; i < count; i++) {
        struct member *member = &kin->members[i];
        bool known = ht_source_of(profiles[i], &origins[i]);
        const char *program = known && origins[i].program != NULL ? origins[i].program : "process";
        member->parent = SIZE_MAX;
        member->process =
            unique_name(kin, i, known ? ht_format("%s %s", program, origins[i].pid) : ht_strdup(names[i]));
        member->source = known && origins[i].inherited_pid != NULL
                             ? ht_format("inherited from %s", origins[i].inherited_pid)
                             : ht_strdup("inherited");
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            if (i != j && origins[i].pid != NULL && ht_source_is_parent(&origins[j], &origins[i]))
                kin->members[i].parent = j;
    free(origins);
    for (size_t i = 0; i < count; i++) {
        set_inherited_text(profiles[i], kin->members[i].source);
        ht_profile_set_label(profiles[i], HT_PROCESS_LABEL, kin->members[i].process);
    }
    return kin;
}

static void find_places(struct ht_kin *kin)
{
    const struct ht_profile *profile = kin->profile;
    struct ht_index index = {0};
    kin->place = ht_realloc_array(NULL, profile->location_count, sizeof *kin->place);
    for (size_t i = 0; i < profile->location_count; i++) {
        const struct ht_location *location = &profile->locations[i], *other;
        uint64_t hash = ht_hash_add(location->address, location->mapping);
        size_t cursor = 0;
        uint32_t at = (uint32_t)i, found = HT_NONE;
        while (location->address != 0 && (found = ht_index_next(&index, hash, &cursor)) != HT_NONE) {
            other = &profile->locations[found];
            if (other->address == location->address && other->mapping == location->mapping)
                break;
        }
        if (found == HT_NONE)
            ht_index_add(&index, hash, at);
        kin->place[i] = found == HT_NONE ? at : found;
    }
    ht_index_free(&index);
}

// The stack and all labels but those of ours.
static uint64_t hash_of(const struct ht_kin *kin, const struct ht_sample *sample, uint32_t text)
{
    const struct ht_profile *profile = kin->profile;
    uint64_t hash = ht_hash_add(sample->frame_count, text);
    for (uint32_t i = 0; i < sample->frame_count; i++)
        hash = ht_hash_add(hash, kin->place[profile->frames[sample->frames + i]]);
    for (uint32_t i = 0; i < sample->label_count; i++) {
        const struct ht_label *label = &profile->labels[sample->labels + i];
        if (label->key != kin->process_key && label->key != kin->inherited_key)
            hash = ht_hash_add(ht_hash_add(hash, (uint64_t)label->key << 32 | label->text),
                               (uint64_t)label->number);
    }
    return hash;
}

// The next label that is none of ours; NULL: none is left.
static const struct ht_label *next_label(const struct ht_kin *kin, const struct ht_sample *sample,
                                         uint32_t *at)
{
    while (*at < sample->label_count) {
        const struct ht_label *label = &kin->profile->labels[sample->labels + (*at)++];
        if (label->key != kin->process_key && label->key != kin->inherited_key)
            return label;
    }
    return NULL;
}

static bool is_same_place(const struct ht_kin *kin, const struct ht_sample *a, const struct ht_sample *b)
{
    const uint32_t *frames = kin->profile->frames;
    if (a->frame_count != b->frame_count)
        return false;
    for (uint32_t i = 0; i < a->frame_count; i++)
        if (kin->place[frames[a->frames + i]] != kin->place[frames[b->frames + i]])
            return false;
    uint32_t at_a = 0, at_b = 0;
    for (;;) {
        const struct ht_label *x = next_label(kin, a, &at_a), *y = next_label(kin, b, &at_b);
        if (x == NULL || y == NULL)
            return x == y;
        if (x->key != y->key || x->text != y->text || x->number != y->number || x->unit != y->unit)
            return false;
    }
}

// The sample at the same place as `sample` whose label `key` has this value; HT_NONE: there is none.
static uint32_t find(const struct ht_kin *kin, const struct ht_index *index, size_t sample, uint32_t key,
                     uint32_t text)
{
    const struct ht_sample *samples = kin->profile->samples;
    size_t cursor = 0;
    uint32_t at;
    while ((at = ht_index_next(index, hash_of(kin, &samples[sample], text), &cursor)) != HT_NONE)
        if (label_text(kin->profile, &samples[at], key) == text &&
            is_same_place(kin, &samples[at], &samples[sample]))
            break;
    return at;
}

static const struct member *member_of(const struct ht_kin *kin, size_t sample)
{
    uint32_t text = label_text(kin->profile, &kin->profile->samples[sample], kin->process_key);
    for (size_t i = 0; i < kin->count; i++)
        if (kin->members[i].process_text == text)
            return &kin->members[i];
    return NULL;
}

// A part of a sample, which is of one size class, has a part of its variance.
static void share_variance(const struct ht_kin *kin, size_t sample, uint32_t whole)
{
    size_t types = kin->profile->sample_type_count;
    for (size_t t = 0; t < types && kin->variances_before != NULL; t++) {
        double *variance = &ht_profile_variances(kin->profile, sample)[t];
        double held = whole != HT_NONE ? (double)kin->before[whole * types + t] : 0;
        double part = (double)kin->before[sample * types + t];
        *variance = held > 0    ? kin->variances_before[whole * types + t] * part / held
                    : part != 0 ? (double)NAN
                                : 0;
        if (held > 0)
            ht_profile_variances(kin->profile, whole)[t] -= *variance;
    }
}

// Takes an inherited sample off the one that it is a part of, and leaves the largest of its kind.
static void settle_sample(struct ht_kin *kin, size_t sample)
{
    const struct ht_profile *profile = kin->profile;
    const struct ht_sample *inherited = &profile->samples[sample];
    uint32_t process = label_text(profile, inherited, kin->process_key);
    uint32_t source = label_text(profile, inherited, kin->inherited_key);
    size_t types = profile->sample_type_count;
    int64_t *values = ht_profile_values(profile, sample);
    const int64_t *part = kin->before + sample * types;
    uint32_t whole = find(kin, &kin->own, sample, kin->process_key, process);
    for (size_t t = 0; t < types && whole != HT_NONE; t++)
        ht_profile_values(profile, whole)[t] = ht_wrap_add(ht_profile_values(profile, whole)[t], -part[t]);
    share_variance(kin, sample, whole);
    uint32_t lead = find(kin, &kin->leads, sample, kin->inherited_key, source);
    if (lead == HT_NONE) {
        ht_index_add(&kin->leads, hash_of(kin, inherited, source), (uint32_t)sample);
        return;
    }
    int64_t *most = ht_profile_values(profile, lead);
    for (size_t t = 0; t < types; t++) {
        if (kin->variances_before != NULL) {
            double *variance = &ht_profile_variances(profile, sample)[t];
            if (part[t] > most[t])
                ht_profile_variances(profile, lead)[t] = *variance;
            *variance = 0;
        }
        most[t] = part[t] > most[t] ? part[t] : most[t];
        values[t] = 0;
    }
}

// What the process itself has there, from which they are, is counted with its own.
static void take_off_parent(const struct ht_kin *kin, size_t sample)
{
    const struct ht_profile *profile = kin->profile;
    const struct member *child = member_of(kin, sample);
    size_t types = profile->sample_type_count;
    int64_t *values = ht_profile_values(profile, sample);
    if (child == NULL || child->parent == SIZE_MAX)
        return;
    uint32_t parent =
        find(kin, &kin->own, sample, kin->process_key, kin->members[child->parent].process_text);
    for (size_t t = 0; t < types && parent != HT_NONE; t++) {
        int64_t held = kin->before[parent * types + t], left = values[t] > held ? values[t] - held : 0;
        if (kin->variances_before != NULL && values[t] != 0)
            ht_profile_variances(profile, sample)[t] *= (double)left / (double)values[t];
        values[t] = left;
    }
}

static void settle(struct ht_kin *kin)
{
    struct ht_profile *profile = kin->profile;
    find_places(kin);
    size_t bytes = profile->sample_count * profile->sample_type_count * sizeof *profile->values;
    kin->before = ht_alloc(bytes + 1);
    if (bytes > 0)
        memcpy(kin->before, profile->values, bytes);
    if (profile->variances != NULL) {
        kin->variances_before = ht_alloc(bytes + 1);
        memcpy(kin->variances_before, profile->variances, bytes);
    }
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        uint32_t process = label_text(profile, sample, kin->process_key);
        if (!ht_profile_has_label(profile, sample, kin->inherited_key))
            ht_index_add(&kin->own, hash_of(kin, sample, process), (uint32_t)i);
    }
    for (size_t i = 0; i < profile->sample_count; i++)
        if (ht_profile_has_label(profile, &profile->samples[i], kin->inherited_key))
            settle_sample(kin, i);
    for (size_t i = 0; i < profile->sample_count; i++)
        if (ht_profile_has_label(profile, &profile->samples[i], kin->inherited_key))
            take_off_parent(kin, i);
    free(kin->before);
    free(kin->variances_before);
    free(kin->place);
}

// Inherited samples become plain ones, of nobody.
static void name_inherited(const struct ht_kin *kin)
{
    struct ht_profile *profile = kin->profile;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        uint32_t source = label_text(profile, sample, kin->inherited_key);
        for (uint32_t l = 0; l < sample->label_count && source != HT_NONE; l++) {
            struct ht_label *label = &profile->labels[sample->labels + l];
            if (label->key == kin->process_key)
                label->text = source;
        }
    }
}

int64_t ht_kin_end(struct ht_kin *kin, struct ht_profile *merged, bool is_kept)
{
    int64_t before = ht_profile_total(merged, "inuse_space");
    kin->profile = merged;
    kin->process_key = ht_profile_intern_text(merged, HT_PROCESS_LABEL);
    kin->inherited_key = ht_profile_intern_text(merged, HT_INHERITED_LABEL);
    for (size_t i = 0; i < kin->count; i++) {
        kin->members[i].process_text = ht_profile_intern_text(merged, kin->members[i].process);
    }
    settle(kin);
    name_inherited(kin);
    ht_profile_remove_label(merged, HT_INHERITED_LABEL);
    if (!is_kept)
        ht_profile_remove_label(merged, HT_PROCESS_LABEL);
    ht_profile_compact(merged);
    ht_kin_free(kin);
    return before - ht_profile_total(merged, "inuse_space");
}

void ht_kin_free(struct ht_kin *kin)
{
    for (size_t i = 0; kin != NULL && i < kin->count; i++) {
        free(kin->members[i].process);
        free(kin->members[i].source);
    }
    if (kin == NULL)
        return;
    ht_index_free(&kin->own);
    ht_index_free(&kin->leads);
    free(kin->members);
    free(kin);
}

void ht_kin_forget_inherited(struct ht_profile *profile)
{
    uint32_t key = ht_profile_find_text(profile, HT_INHERITED_LABEL);
    if (key == HT_NONE)
        return;
    bool *keep = ht_alloc_zero(profile->sample_count, sizeof *keep);
    for (size_t i = 0; i < profile->sample_count; i++)
        keep[i] = !ht_profile_has_label(profile, &profile->samples[i], key);
    ht_profile_keep_samples(profile, keep);
    free(keep);
}
