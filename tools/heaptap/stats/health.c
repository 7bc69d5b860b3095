// Judges the health counters in a profile's comments.
#include "stats/health.h"

#include "base/measure.h"
#include "stats/unseen.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NOTABLE_EXIT_SHARE 0.25
#define NOTABLE_GAP_NS     1000000u // shorter ones are the calls themselves
#define NOTABLE_COST_NS    1e8      // a program of a few milliseconds is none to save on

struct health {
    const struct ht_profile *profile;
    void (*warn)(void *arg, const char *text);
    void *arg;
    uint64_t samples;
    double life_ns; // of the process up to the snapshot; 0: unknown
};

static uint64_t counter(const struct health *health, const char *key)
{
    const char *value = ht_profile_comment_value(health->profile, key);
    return value != NULL ? strtoull(value, NULL, 10) : 0;
}

__attribute__((format(printf, 2, 3))) static void warn(const struct health *health, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    health->warn(health->arg, text);
}

// Whether `count` is at least 1 in `one_in` of the samples. Older profiles do not say how many there were.
static bool is_share(const struct health *health, uint64_t count, double one_in)
{
    return count > 0 && (health->samples == 0 || (double)count * one_in >= (double)health->samples);
}

// "12.5% of " in front of what is counted, or nothing where the whole is unknown.
static const char *share(const struct health *health, uint64_t count, char text[32])
{
    text[0] = '\0';
    if (health->samples >= count && health->samples > 0)
        snprintf(text, 32, " (%.2g%%)", 100.0 * (double)count / (double)health->samples);
    return text;
}

static void judge_losses(const struct health *health)
{
    static const struct {
        const char *key, *reason;
    } drops[] = {
        {"drop_live_full", "no room in the table of live samples"},
        {"drop_no_region", "no memory for the tables"},
        {"drop_scratch", "more threads sampled at once than there are unwind buffers"},
        {"drop_reentrant", "in signal handlers that interrupted the recorder"},
        {"inherit_lost", "of the parent's, at fork"},
    };
    char text[32];
    for (size_t i = 0; i < sizeof drops / sizeof drops[0]; i++) {
        uint64_t count = counter(health, drops[i].key);
        if (is_share(health, count, 1000))
            warn(health, "%" PRIu64 " samples%s were lost, %s: figures are too small by about as much", count,
                 share(health, count, text), drops[i].reason);
    }
    uint64_t unmatched = counter(health, "unmatched");
    if (is_share(health, unmatched, 20))
        warn(health,
             "%" PRIu64
             " blocks%s were freed unseen, by another allocator's function: in-use figures are too large",
             unmatched, share(health, unmatched, text));
}

static void judge_stacks(const struct health *health)
{
    static const struct {
        const char *key, *what, *advice;
    } stacks[] = {
        {"failed_unwinds", "end early",
         "callers are missing; 'heaptap doctor' says which files lack unwind tables"},
        {"truncated_stacks", "were cut at 256 frames", "their outermost callers are missing"},
        {"overflow_stacks", "are summed up under [overflow]", "more HEAPTAP_MEMORY keeps them apart"},
    };
    char text[32];
    for (size_t i = 0; i < sizeof stacks / sizeof stacks[0]; i++) {
        uint64_t count = counter(health, stacks[i].key);
        if (is_share(health, count, 20))
            warn(health, "the stacks of %" PRIu64 " samples%s %s: %s", count, share(health, count, text),
                 stacks[i].what, stacks[i].advice);
    }
    if (counter(health, "locations_full") != 0)
        warn(health, "there were more code addresses than the writer had memory for: some stacks are cut");
}

static void judge_gaps(const struct health *health)
{
    char age[HT_MEASURE_TEXT_BYTES];
    uint64_t failed = counter(health, "failed");
    if (failed != 0)
        warn(health, "recording was switched off in this process for good: %s",
             failed == 2 ? "the program had to wait too long" : "its tables were written over or cut off");
    uint64_t unwritten = counter(health, "snapshot_failures");
    if (unwritten != 0)
        warn(health, "%" PRIu64 " of the process's snapshots could not be written", unwritten);
    if (counter(health, "raw_fork") != 0)
        warn(health, "the process was copied without libc's fork: what it had from its parent is not in it");
    if (ht_profile_comment_value(health->profile, "unknown_before") != NULL)
        warn(health, "blocks older than the start of recording are not in it");
    if (counter(health, "at_least") != 0)
        warn(health,
             "a forked child that has sampled nothing itself: shown is what its parent still holds of before "
             "the fork, and it holds at least that");
    uint64_t inactive_ns = counter(health, "inactive_ns");
    if (inactive_ns >= NOTABLE_GAP_NS) {
        ht_measure_age((int64_t)inactive_ns, age);
        warn(health, "recording was off for %s", age);
    }
    uint64_t floor_bytes = counter(health, "floor_bytes");
    if (counter(health, "thinnings") != 0 && floor_bytes != 0) {
        char rate[HT_MEASURE_TEXT_BYTES];
        ht_measure_bytes((int64_t)floor_bytes, 0, rate);
        warn(
            health,
            "HEAPTAP_MEMORY was used up: sampling became coarser, one sample in %s now; figures are estimates without "
            "bias",
            rate);
    }
}

// Programs that tidy up before they end (node, python) leave in the last profile what they did not free.
static void judge_exit(const struct health *health)
{
    const char *trigger = ht_profile_comment_value(health->profile, "trigger");
    double held = (double)counter(health, "held_lately");
    double left = (double)ht_profile_total(health->profile, "inuse_space"), freed = held - left;
    // Either is the sum of about held / period samples.
    double noise = 5 * sqrt(held * (double)(health->profile->period > 1 ? health->profile->period : 0));
    if (trigger == NULL || strcmp(trigger, "exit") != 0 || freed <= held * NOTABLE_EXIT_SHARE ||
        freed <= noise)
        return;
    char freed_text[HT_MEASURE_TEXT_BYTES], held_text[HT_MEASURE_TEXT_BYTES];
    ht_measure_bytes((int64_t)freed, 0, freed_text);
    ht_measure_bytes((int64_t)held, 0, held_text);
    warn(
        health,
        "written at the exit, when %s of the %s held within the last second were freed: it shows what was left over; "
        "a snapshot before the exit shows what is held",
        freed_text, held_text);
}

static void judge_cost(const struct health *health)
{
    char age[HT_MEASURE_TEXT_BYTES];
    if (health->life_ns <= 0)
        return;
    double own_ns = (double)counter(health, "recorder_ns") + (double)counter(health, "snapshot_ns");
    if (own_ns >= NOTABLE_COST_NS && own_ns > health->life_ns / 20)
        warn(health, "the recorder itself took %.2g%% of a processor; a larger HEAPTAP_RATE costs less",
             100 * own_ns / health->life_ns);
    uint64_t blocked_ns = counter(health, "blocked_ns");
    if (blocked_ns >= NOTABLE_GAP_NS && (double)blocked_ns > health->life_ns / 100) {
        ht_measure_age((int64_t)blocked_ns, age);
        warn(health, "threads of the program waited %s for each other in the recorder", age);
    }
}

static struct health health_of(const struct ht_profile *profile,
                               void (*warn_one)(void *arg, const char *text), void *arg)
{
    struct health health = {profile, warn_one, arg, 0, 0};
    health.samples = counter(&health, "samples");
    return health;
}

void ht_health_each_loss(const struct ht_profile *profile, void (*warn_one)(void *arg, const char *text),
                         void *arg)
{
    struct health health = health_of(profile, warn_one, arg);
    judge_losses(&health);
    judge_gaps(&health);
}

void ht_health_each(const struct ht_profile *profile, void (*warn_one)(void *arg, const char *text),
                    void *arg)
{
    struct health health = health_of(profile, warn_one, arg);
    uint64_t created_ns = counter(&health, "created");
    if (created_ns != 0 && (uint64_t)profile->time_ns > created_ns)
        health.life_ns = (double)((uint64_t)profile->time_ns - created_ns);
    judge_losses(&health);
    judge_stacks(&health);
    judge_gaps(&health);
    judge_exit(&health);
    judge_cost(&health);
    char *unseen = ht_unseen_of_profile(profile);
    if (unseen != NULL)
        warn(&health, "%s", unseen);
    free(unseen);
}
