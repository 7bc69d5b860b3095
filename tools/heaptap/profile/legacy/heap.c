// Heap profiles as text: gperftools', tcmalloc's and Go's, growth and fragmentation, and jemalloc's.
//
//     heap profile: OBJECTS: BYTES [ALLOCATED OBJECTS: BYTES] @ heap_v2/RATE
//     OBJECTS: BYTES [ALLOCATED OBJECTS: BYTES] @ 0xADDRESS ...
//
// jemalloc's have the stack first, then a line for all threads (t*) and one for each:
//
//     heap_v2/RATE
//       t*: OBJECTS: BYTES [ALLOCATED OBJECTS: BYTES]
//     @ 0xADDRESS ...
//       t*: OBJECTS: BYTES [ALLOCATED OBJECTS: BYTES]
#include "profile/legacy/reader.h"

#include "base/error.h"
#include "base/text.h"

#include <ctype.h>
#include <math.h>

// Places of the figures in a line.
enum { OBJECTS, BYTES, ALLOC_OBJECTS, ALLOC_BYTES, FIGURES };

struct heap_head {
    int64_t figures[FIGURES];
    int64_t rate; // of the Poisson process; 0: the figures are those of all blocks
    int64_t period;
    bool sampled_blocks; // whose allocations may be counted as well
};

void ht_legacy_unsample(int64_t *count, int64_t *bytes, int64_t rate_bytes)
{
    if (*count == 0 || *bytes == 0) {
        *count = *bytes = 0;
        return;
    }
    if (rate_bytes <= 1)
        return;
    double average = (double)*bytes / (double)*count;
    double scale = 1 / (1 - exp(-average / (double)rate_bytes));
    *count = ht_int64_of_double((double)*count * scale);
    *bytes = ht_int64_of_double((double)*bytes * scale);
}

// The word behind the '@' says what was recorded, and how.
static bool interpret_kind(const char *kind, struct heap_head *head)
{
    size_t length = strspn(kind, "_abcdefghijklmnopqrstuvwxyz0123456789");
    const char *at = kind + length + (kind[length] == '/');
    int64_t rate = 0;
    if (isdigit((unsigned char)*at) && !ht_legacy_scan(&at, "#", &rate))
        return false;
    head->rate = 0;
    head->period = 1;
    head->sampled_blocks = ht_text_starts_with(kind, "heap");
    if ((length == 7 && strncmp(kind, "heap_v2", 7) == 0) ||
        (length == 8 && strncmp(kind, "heapz_v2", 8) == 0))
        head->rate = head->period = rate;
    else if (length == 4 && strncmp(kind, "heap", 4) == 0)
        head->rate = head->period = rate / 2; // the first version wrote twice the rate
    else
        return (length == 11 && strncmp(kind, "heapprofile", 11) == 0) ||
               ht_text_starts_with(kind, "growth") || ht_text_starts_with(kind, "fragmentation");
    return true;
}

static bool scan_head(const char *line, struct heap_head *head)
{
    const char *at = strstr(line, "heap profile:"); // a log may have put something in front
    return at != NULL && ht_legacy_scan(&at, "heap profile: #: # [ #: # ] @ ", head->figures) &&
           interpret_kind(at, head);
}

bool ht_legacy_is_heap_head(const char *line)
{
    struct heap_head head;
    return scan_head(line, &head);
}

static void add_types(struct ht_profile *profile, bool allocations, const char *inuse)
{
    if (allocations) { // first, so that what is in use is what is shown
        ht_profile_add_sample_type(profile, "alloc_objects", "count");
        ht_profile_add_sample_type(profile, "alloc_space", "bytes");
        inuse = "inuse_";
    }
    char objects[32], space[32];
    snprintf(objects, sizeof objects, "%sobjects", inuse);
    snprintf(space, sizeof space, "%sspace", inuse);
    ht_profile_add_sample_type(profile, objects, "count");
    ht_profile_add_sample_type(profile, space, "bytes");
}

// One stack's figures; `allocations`: with those of allocated blocks.
static int add_figures(struct ht_legacy *legacy, const int64_t *figures, int64_t rate, bool allocations)
{
    int64_t values[FIGURES], block_bytes = 0;
    size_t count = 0;
    for (int i = allocations ? ALLOC_OBJECTS : OBJECTS;; i = OBJECTS) {
        int64_t objects = figures[i], bytes = figures[i + 1];
        if (objects == 0 && bytes != 0)
            return ht_legacy_malformed(legacy, "bytes of no object");
        if (objects != 0) {
            block_bytes = objects == -1 ? ht_wrap_abs(bytes) : bytes / objects;
            if (rate > 0)
                ht_legacy_unsample(&objects, &bytes, rate);
        }
        values[count++] = objects;
        values[count++] = bytes;
        if (i == OBJECTS)
            break;
    }
    ht_legacy_add_sample(legacy, values, block_bytes);
    return 0;
}

int ht_legacy_heap(struct ht_legacy *legacy)
{
    struct heap_head head;
    int more = ht_legacy_next(legacy);
    legacy->what = "heap profile";
    if (more <= 0 || !scan_head(legacy->line, &head))
        return more < 0 ? -1 : ht_legacy_malformed(legacy, "not its head");
    const int64_t *total = head.figures;
    bool allocations =
        head.sampled_blocks && ((total[ALLOC_OBJECTS] != total[OBJECTS] && total[ALLOC_OBJECTS] != 0) ||
                                (total[ALLOC_BYTES] != total[BYTES] && total[ALLOC_BYTES] != 0));
    ht_legacy_period(legacy, "space", "bytes", head.period);
    add_types(legacy->profile, allocations, "");
    ht_legacy_drop_allocators(legacy->profile, false);
    while ((more = ht_legacy_next(legacy)) > 0 && !ht_legacy_is_maps_head(legacy)) {
        int64_t figures[FIGURES];
        const char *at = legacy->line;
        if (ht_legacy_is_comment(legacy))
            continue;
        if (!ht_legacy_scan(&at, "#: # [ #: # ] @", figures))
            return ht_legacy_malformed(legacy, "neither a sample nor the maps");
        if (ht_legacy_push_text(legacy, at, true, HT_CALLS_ALL) < 0 ||
            add_figures(legacy, figures, head.rate, allocations) < 0)
            return -1;
    }
    return more < 0 ? -1 : ht_legacy_finish(legacy, more > 0);
}

// The frames of libjemalloc itself, which has no names of its own functions as it is installed.
static void drop_own_frames(struct ht_profile *profile)
{
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct ht_sample *sample = &profile->samples[i];
        while (sample->frame_count > 1) {
            uint32_t mapping = profile->locations[profile->frames[sample->frames]].mapping;
            if (mapping == HT_NONE ||
                strstr(ht_profile_text(profile, profile->mappings[mapping].file), "/libjemalloc") == NULL)
                break;
            sample->frames++;
            sample->frame_count--;
        }
    }
}

static int read_jemalloc_samples(struct ht_legacy *legacy, int64_t rate)
{
    int more;
    bool in_stack = false, allocations = false;
    while ((more = ht_legacy_next(legacy)) > 0 && !ht_legacy_is_maps_head(legacy)) {
        int64_t figures[FIGURES];
        const char *at = legacy->line;
        if (*at == '@') {
            if (!in_stack)
                add_types(legacy->profile, allocations, "inuse_");
            in_stack = true;
            legacy->stack_count = 0;
            if (ht_legacy_push_text(legacy, at + 1, true, HT_CALLS_ALL) < 0)
                return -1;
        } else if (ht_legacy_scan(&at, "t*: #: # [ #: # ]", figures)) {
            if (!in_stack) // of the whole heap
                allocations = figures[ALLOC_OBJECTS] != 0 || figures[ALLOC_BYTES] != 0;
            else if (add_figures(legacy, figures, rate, allocations) < 0)
                return -1;
        } else if (!ht_legacy_is_comment(legacy) &&
                   !(at[0] == 't' && isdigit((unsigned char)at[1]))) { // one thread's share of it
            return ht_legacy_malformed(legacy, "neither a stack, nor figures, nor the maps");
        }
    }
    if (!in_stack)
        add_types(legacy->profile, allocations, "inuse_");
    return more;
}

int ht_legacy_jemalloc(struct ht_legacy *legacy)
{
    int64_t rate;
    int more = ht_legacy_next(legacy);
    const char *at = legacy->line;
    legacy->what = "jemalloc heap profile";
    if (more <= 0 || !ht_legacy_scan(&at, "heap_v2/#", &rate))
        return more < 0 ? -1 : ht_legacy_malformed(legacy, "not its head");
    ht_legacy_period(legacy, "space", "bytes", rate);
    ht_legacy_drop_allocators(legacy->profile, true);
    more = read_jemalloc_samples(legacy, rate);
    if (more < 0 || ht_legacy_finish(legacy, more > 0) < 0)
        return -1;
    drop_own_frames(legacy->profile);
    return 0;
}
