// gperftools' binary CPU profile, and Java's: machine words of 4 or 8 bytes in either order, then text.
//
//     0 3 KIND(0 native, 1 Java) PERIOD_MICROSECONDS 0
//     COUNT DEPTH ADDRESS ...     (leaf first; 0 1 0 ends them)
#include "profile/legacy/reader.h"

#include "base/error.h"

#include <stdlib.h>

struct word_form {
    size_t bytes;
    bool big;
};

static const struct word_form forms[] = {{4, false}, {4, true}, {8, false}, {8, true}};

enum { HEAD_WORDS = 5, DEPTH_LIMIT = 1 << 20, CHECK_SAMPLES = 256 };

static uint64_t word_at(const uint8_t *at, const struct word_form *form)
{
    uint64_t word = 0;
    for (size_t i = 0; i < form->bytes; i++)
        word |= (uint64_t)at[i] << 8 * (form->big ? form->bytes - 1 - i : i);
    return word;
}

static const struct word_form *form_of(const uint8_t *bytes, size_t length, bool *ret_java,
                                       uint64_t *ret_period_us)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        uint64_t words[HEAD_WORDS];
        if (length < HEAD_WORDS * forms[i].bytes)
            continue;
        for (size_t w = 0; w < HEAD_WORDS; w++)
            words[w] = word_at(bytes + w * forms[i].bytes, &forms[i]);
        if (words[0] != 0 || words[1] != 3 || words[2] > 1 || words[3] == 0 || words[4] != 0)
            continue;
        *ret_java = words[2] == 1;
        *ret_period_us = words[3];
        return &forms[i];
    }
    return NULL;
}

bool ht_legacy_is_cpu(const uint8_t *bytes, size_t length)
{
    bool java;
    uint64_t period_us;
    return form_of(bytes, length, &java, &period_us) != NULL;
}

// 1, or 0 at the end.
static int next_word(struct ht_legacy *legacy, const struct word_form *form, uint64_t *ret_word)
{
    struct ht_bytes *bytes = legacy->bytes;
    if (ht_bytes_want(bytes, form->bytes) < 0)
        return -1;
    if (ht_bytes_unread(bytes) < form->bytes)
        return 0;
    *ret_word = word_at(bytes->window + bytes->start, form);
    bytes->start += form->bytes;
    return 1;
}

static int cut_off(int more)
{
    return more < 0 ? -1 : ht_fail("truncated: the CPU profile ends inside a sample");
}

// One sample; 0 at the end of them.
static int read_sample(struct ht_legacy *legacy, const struct word_form *form, enum ht_legacy_calls calls)
{
    uint64_t count, depth, address = 0;
    if (ht_bytes_want(legacy->bytes, 1) < 0)
        return -1;
    if (ht_bytes_unread(legacy->bytes) == 0)
        return 0; // without the mark of the end: the program died
    int more = next_word(legacy, form, &count);
    if (more > 0)
        more = next_word(legacy, form, &depth);
    if (more <= 0)
        return cut_off(more);
    if (depth > DEPTH_LIMIT)
        return ht_fail("malformed CPU profile: a stack of %llu frames", (unsigned long long)depth);
    for (uint64_t i = 0; i < depth; i++) {
        more = next_word(legacy, form, &address);
        if (more <= 0)
            return cut_off(more);
        if (count != 0 || depth != 1 || address != 0)
            ht_legacy_push(legacy, address, calls);
    }
    if (count == 0 && depth == 1 && address == 0)
        return 0;
    int64_t values[2] = {(int64_t)count, (int64_t)(count * (uint64_t)legacy->profile->period)};
    ht_legacy_add_sample(legacy, values, 0);
    return legacy->profile->sample_count % CHECK_SAMPLES == 0 && ht_legacy_check_memory(legacy) < 0 ? -1 : 1;
}

// Where nearly all stacks have the same frame above their leaf, it is that of the signal's handler. There may
// be two of them.
static void remove_handler_frames(struct ht_profile *profile)
{
    size_t needed = profile->sample_count - profile->sample_count / 32;
    for (int round = 0; round < 2; round++) {
        size_t *users = ht_alloc_zero(profile->location_count + 1, sizeof *users);
        uint32_t handler = HT_NONE;
        for (size_t i = 0; i < profile->sample_count; i++) {
            const struct ht_sample *sample = &profile->samples[i];
            if (sample->frame_count > 1 && ++users[profile->frames[sample->frames + 1]] >= needed)
                handler = profile->frames[sample->frames + 1];
        }
        for (size_t i = 0; i < profile->sample_count && handler != HT_NONE; i++) {
            struct ht_sample *sample = &profile->samples[i];
            if (sample->frame_count > 1 && profile->frames[sample->frames + 1] == handler)
                ht_legacy_remove_second(profile, sample);
        }
        free(users);
    }
}

int ht_legacy_cpu(struct ht_legacy *legacy)
{
    struct ht_profile *profile = legacy->profile;
    struct ht_bytes *bytes = legacy->bytes;
    bool java;
    uint64_t period_us;
    legacy->what = "CPU profile";
    if (ht_bytes_want(bytes, HEAD_WORDS * sizeof(uint64_t)) < 0)
        return -1;
    const struct word_form *form =
        form_of(bytes->window + bytes->start, ht_bytes_unread(bytes), &java, &period_us);
    if (form == NULL)
        return ht_fail("malformed CPU profile: not its head");
    bytes->start += HEAD_WORDS * form->bytes;
    ht_profile_add_sample_type(profile, "samples", "count");
    ht_profile_add_sample_type(profile, "cpu", "nanoseconds");
    ht_legacy_period(legacy, "cpu", "nanoseconds", (int64_t)(period_us * 1000));
    ht_legacy_drop_profiler(profile);
    int more;
    while ((more = read_sample(legacy, form, java ? HT_CALLS_NONE : HT_CALLS_BUT_LEAF)) > 0)
        ;
    if (more < 0)
        return -1;
    legacy->line_number = 0;
    if (java)
        return ht_legacy_next(legacy) < 0 ? -1 : ht_legacy_java_locations(legacy);
    remove_handler_frames(profile);
    if (ht_legacy_finish(legacy, true) < 0)
        return -1;
    ht_legacy_join_leafs(profile);
    return 0;
}
