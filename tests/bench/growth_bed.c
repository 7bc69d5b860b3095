// Synthetic processes of known behaviour, sampled as heaptap samples, judged by stats/trend: how often a call
// site that does not grow is called growing, and what is made of the others. Prints the table of verdicts.
//
// Usage: growth_bed [RUNS [SEED]]   runs of each variant (20), exit status 1 where a bound is not held.
#include "stats/trend.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SNAPSHOTS 61
#define WINDOW_S  600.0
#define RATE      524288.0
#define MB        1048576.0

struct world {
    uint64_t random;
    struct ht_trend_sample *samples;
    size_t count, capacity;
};

static double times[SNAPSHOTS];

static double unit(struct world *world)
{
    uint64_t z = world->random += UINT64_C(0x9E3779B97F4A7C15); // splitmix64
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double exponential(struct world *world, double mean)
{
    return -log(unit(world)) * mean;
}

// A block that was sampled.
static void sampled(struct world *world, double birth_s, double death_s, double size_bytes)
{
    double p = -expm1(-size_bytes / RATE);
    size_t first = birth_s <= times[0] ? 0 : (size_t)ceil(birth_s / WINDOW_S * (SNAPSHOTS - 1));
    size_t end = death_s > WINDOW_S ? SNAPSHOTS
                 : death_s <= 0     ? 0
                                    : (size_t)ceil(death_s / WINDOW_S * (SNAPSHOTS - 1));
    if (first >= end)
        return;
    HT_RESERVE(world->samples, world->capacity, world->count + 1);
    world->samples[world->count++] =
        (struct ht_trend_sample){.birth_s = birth_s,
                                 .value = size_bytes / p,
                                 .variance = size_bytes * size_bytes * (1 - p) / p / p,
                                 .first = (uint32_t)first,
                                 .last = (uint32_t)(end - 1)};
}

static void block(struct world *world, double birth_s, double death_s, double size_bytes)
{
    if (unit(world) < -expm1(-size_bytes / RATE))
        sampled(world, birth_s, death_s, size_bytes);
}

// Births at random with so many bytes a second between two times; of those only the sampled ones are made.
static void births(struct world *world, double from_s, double to_s, double bytes_per_s, double size_bytes,
                   double life_s)
{
    double p = -expm1(-size_bytes / RATE), mean = size_bytes / bytes_per_s / p;
    if (bytes_per_s <= 0)
        return;
    for (double t = from_s + exponential(world, mean); t < to_s; t += exponential(world, mean))
        sampled(world, t, life_s > 0 ? t + exponential(world, life_s) : INFINITY, size_bytes);
}

static void churn(struct world *world, double bytes_per_s, double size_bytes, double life_s)
{
    births(world, -12 * life_s, WINDOW_S, bytes_per_s, size_bytes, life_s);
}

// --- shapes; `a` and `b` are their strengths ---------------------------------------------------------------

static void leak(struct world *world, double mb_per_minute, double size)
{
    births(world, -200 * unit(world), WINDOW_S, mb_per_minute * MB / 60, size, 0);
}

// A leak of so many MB a minute in churn of 1 GB a minute that lives `b` seconds, on one call site.
static void leak_in_churn(struct world *world, double mb_per_minute, double life_s)
{
    churn(world, 1024 * MB / 60 / (life_s > 10 ? life_s / 10 : 1), 65536, life_s);
    births(world, 0, WINDOW_S, mb_per_minute * MB / 60, 4096, 0);
}

static void leak_share(struct world *world, double share, double life_s)
{
    churn(world, 60 * MB / 60, 4096, life_s);
    births(world, 0, WINDOW_S, share * 60 * MB / 60, 4096, 0);
}

static void stairs(struct world *world, double every_s, double mb)
{
    for (double t = -unit(world) * every_s; t < WINDOW_S; t += every_s)
        births(world, t, t + 0.5, mb * MB / 0.5, 16384, 0);
}

// Fills towards its size; with b > 0 what it holds is replaced at that many bytes a second once full.
static void cache(struct world *world, double tau_s, double mb)
{
    double begin = -20 * unit(world);
    for (double t = begin; t < WINDOW_S; t += 1)
        births(world, t, t + 1, mb * MB / tau_s * exp(-(t - begin) / tau_s), 8192, 0);
}

// Fills at a steady rate until it is full; then for each new entry the oldest goes.
static void lru(struct world *world, double full_at_s, double mb)
{
    double life = full_at_s * (0.9 + 0.2 * unit(world)), rate = mb * MB / life, p = -expm1(-8192 / RATE);
    for (double t = -30 + exponential(world, 8192 / rate / p); t < WINDOW_S;
         t += exponential(world, 8192 / rate / p))
        sampled(world, t, t + life, 8192);
}

static void warm_up(struct world *world, double until_s, double mb)
{
    births(world, -5, until_s * (0.7 + 0.6 * unit(world)), mb * MB / until_s, 8192, 0);
}

static void start_up(struct world *world, double mb, double size)
{
    births(world, -100, -90, mb * MB / 10, size, 0);
}

static void only_churn(struct world *world, double mb_per_s, double life_s)
{
    churn(world, mb_per_s * MB, 4096, life_s);
}

static void mixed_churn(struct world *world, double mb_per_s, double life_s)
{
    churn(world, mb_per_s * MB / 3, 512, life_s);
    churn(world, mb_per_s * MB / 3, 40000, life_s / 3);
    churn(world, mb_per_s * MB / 3, 1000000, life_s * 2);
}

// Sessions whose lengths have a heavy tail.
static void sessions(struct world *world, double mb_per_s, double shape)
{
    double p = -expm1(-16384 / RATE), mean = 16384 / (mb_per_s * MB) / p;
    for (double t = -20000 + exponential(world, mean); t < WINDOW_S; t += exponential(world, mean)) {
        double life = 2 / pow(unit(world), 1 / shape);
        if (t + life > 0)
            sampled(world, t, t + life, 16384);
    }
}

// A queue of jobs (M/M/1) at that load; jobs are served first come, first served.
static void queue(struct world *world, double load, double per_s)
{
    double t = -4000, free_at = t;
    while (t < WINDOW_S) {
        t += exponential(world, 1 / (load * per_s));
        free_at = fmax(free_at, t) + exponential(world, 1 / per_s);
        block(world, t, free_at, 32768);
    }
}

// A stack of blocks that grows and shrinks by chance alone, far from its bottom.
static void walk(struct world *world, double per_s, double size)
{
    struct ht_trend_sample *live = NULL;
    size_t capacity = 0, count = 0, start = (size_t)(per_s * 60) + 300;
    for (size_t i = 0; i < start; i++) {
        HT_RESERVE(live, capacity, count + 1);
        live[count++].birth_s = -1 - unit(world) * 100;
    }
    for (double t = exponential(world, 1 / per_s); t < WINDOW_S; t += exponential(world, 1 / per_s)) {
        if (unit(world) < 0.5) {
            HT_RESERVE(live, capacity, count + 1);
            live[count++].birth_s = t;
        } else if (count > 0) {
            size_t i = (size_t)(unit(world) * (double)count);
            block(world, live[i].birth_s, t, size);
            live[i] = live[--count];
        }
    }
    for (size_t i = 0; i < count; i++)
        block(world, live[i].birth_s, INFINITY, size);
    free(live);
}

// Load that goes up and down: births by a sine, short lives.
static void wave(struct world *world, double period_s, double mb)
{
    double phase = unit(world) * 6.2831853;
    for (double t = -60; t < WINDOW_S; t += 0.5)
        births(world, t, t + 0.5, mb * MB / 5 * (1 + 0.9 * sin(6.2831853 * t / period_s + phase)), 8192, 5);
}

// Fills and is emptied, again and again.
static void saw(struct world *world, double period_s, double mb)
{
    for (double t = -unit(world) * period_s - period_s; t < WINDOW_S; t += period_s) {
        double p = -expm1(-8192 / RATE), mean = 8192 / (mb * MB / period_s) / p;
        for (double b = t + exponential(world, mean); b < t + period_s; b += exponential(world, mean))
            sampled(world, b, t + period_s, 8192);
    }
}

// A table that doubles: the old one goes when the new one is there.
static void doubling(struct world *world, double first_mb, double unused)
{
    double at = 5 + 10 * unit(world), size = first_mb * MB;
    (void)unused;
    block(world, -10, at, size);
    for (; at < WINDOW_S; at *= 2) {
        size *= 2;
        block(world, at, at * 2, size);
    }
}

static void shrinking(struct world *world, double mb, double tau_s)
{
    double p = -expm1(-8192 / RATE), mean = 20 * 8192 / (mb * MB) / p;
    for (double t = -50; t < -30; t += exponential(world, mean))
        sampled(world, t, exponential(world, tau_s), 8192);
}

#define IS(verdict) (1u << HT_VERDICT_##verdict)

struct shape {
    const char *name;
    void (*make)(struct world *world, double a, double b);
    double a, b;
    unsigned right;  // verdicts that are; `undecided` never is wrong
    bool is_growing; // else it is innocent: `grows` and `steps` are false calls
};

static const struct shape shapes[] = {
    {"leak 0.5 MB/min", leak, 0.5, 4096, IS(GROWS), true},
    {"leak 1 MB/min", leak, 1, 4096, IS(GROWS), true},
    {"leak 1 MB/min, 1 MB blocks", leak, 1, MB, IS(GROWS), true},
    {"leak 5 MB/min", leak, 5, 4096, IS(GROWS), true},
    {"leak 100 MB/min", leak, 100, 4096, IS(GROWS), true},
    {"leak 1 MB/min in churn of 1 s", leak_in_churn, 1, 1, IS(GROWS), true},
    {"leak 1 MB/min in churn of 10 s", leak_in_churn, 1, 10, IS(GROWS), true},
    {"leak 1 MB/min in churn of 60 s", leak_in_churn, 1, 60, IS(GROWS), true},
    {"leak 1 % of churn", leak_share, 0.01, 5, IS(GROWS), true},
    {"leak 10 % of churn", leak_share, 0.1, 5, IS(GROWS), true},
    {"leak 50 % of churn", leak_share, 0.5, 20, IS(GROWS), true},
    {"stairs of 5 MB each 45 s", stairs, 45, 5, IS(STEPS), true},
    {"stairs of 20 MB each 100 s", stairs, 100, 20, IS(STEPS), true},
    {"stairs of 50 MB each 150 s", stairs, 150, 50, IS(STEPS) | IS(LEVELS), true},
    {"table that doubles", doubling, 0.5, 0, IS(STEPS) | IS(GROWS) | IS(LEVELS), true},
    {"cache, tau 60 s", cache, 60, 80, IS(LEVELS), false},
    {"cache, tau 120 s", cache, 120, 80, IS(LEVELS), false},
    {"small cache, tau 100 s", cache, 100, 6, IS(LEVELS), false},
    {"cache, tau 1200 s", cache, 1200, 200, IS(GROWS), true},
    {"LRU, full after 200 s", lru, 200, 60, IS(LEVELS), false},
    {"LRU, full after 350 s", lru, 350, 60, IS(LEVELS), false},
    {"small LRU, full after 200 s", lru, 200, 8, IS(LEVELS), false},
    {"warm-up of 120 s", warm_up, 120, 40, IS(LEVELS), false},
    {"warm-up of 250 s", warm_up, 250, 40, IS(LEVELS), false},
    {"small warm-up of 200 s", warm_up, 200, 6, IS(LEVELS), false},
    {"start-up, 20 MB", start_up, 20, 4096, IS(NOISE), false},
    {"start-up, 2 MB", start_up, 2, 4096, IS(NOISE), false},
    {"churn of 1 s", only_churn, 10, 1, IS(NOISE), false},
    {"churn of 10 s", only_churn, 5, 10, IS(NOISE), false},
    {"churn of 60 s", only_churn, 2, 60, IS(NOISE), false},
    {"churn of 200 s", only_churn, 0.3, 200, IS(NOISE), false},
    {"small churn of 30 s", only_churn, 0.1, 30, IS(NOISE), false},
    {"churn of mixed sizes", mixed_churn, 6, 15, IS(NOISE), false},
    {"sessions with a heavy tail", sessions, 1, 1.5, IS(NOISE), false},
    {"sessions with a heavier tail", sessions, 1, 1.1, IS(NOISE), false},
    {"queue at load 0.5", queue, 0.5, 50, IS(NOISE), false},
    {"queue at load 0.95", queue, 0.95, 20, IS(NOISE) | IS(SHRINKS), false},
    {"queue at load 0.99", queue, 0.99, 100, IS(NOISE) | IS(SHRINKS), false},
    {"walk of 2 a second", walk, 2, 65536, IS(NOISE) | IS(SHRINKS), false},
    {"walk of 20 a second", walk, 20, 65536, IS(NOISE) | IS(SHRINKS), false},
    {"wave of 60 s", wave, 60, 30, IS(CYCLES) | IS(NOISE), false},
    {"wave of 150 s", wave, 150, 30, IS(CYCLES) | IS(NOISE), false},
    {"wave of 350 s", wave, 350, 30, IS(CYCLES) | IS(NOISE), false},
    {"saw of 50 s", saw, 50, 30, IS(CYCLES) | IS(NOISE), false},
    {"saw of 140 s", saw, 140, 30, IS(CYCLES) | IS(NOISE), false},
    {"saw of 290 s", saw, 290, 30, IS(CYCLES) | IS(NOISE), false},
    {"shrinking", shrinking, 80, 300, IS(SHRINKS), false},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

struct tally {
    size_t verdicts[HT_VERDICTS], innocent, false_calls, decided, right, growing, found;
};

static void run_shape(const struct shape *shape, size_t runs, uint64_t seed, struct tally *all, double chance)
{
    struct tally own = {0};
    for (size_t run = 0; run < runs; run++) {
        struct world world = {.random = seed * 1000003 + run * 7919 + (uint64_t)(shape - shapes) * 104729};
        struct ht_trend trend;
        shape->make(&world, shape->a, shape->b);
        ht_trend_judge(&trend, world.samples, world.count, times, SNAPSHOTS, chance);
        bool called = trend.verdict == HT_VERDICT_GROWS || trend.verdict == HT_VERDICT_STEPS;
        own.verdicts[trend.verdict]++;
        own.innocent += !shape->is_growing;
        own.false_calls += !shape->is_growing && called;
        own.growing += shape->is_growing;
        own.found += shape->is_growing && called;
        own.decided += trend.verdict != HT_VERDICT_UNDECIDED;
        own.right += trend.verdict != HT_VERDICT_UNDECIDED && (shape->right & 1u << trend.verdict) != 0;
        free(world.samples);
    }
    printf("%-32s", shape->name);
    for (int v = 0; v < HT_VERDICTS; v++)
        printf(own.verdicts[v] ? " %9.1f" : "         .", 100.0 * (double)own.verdicts[v] / (double)runs);
    printf("\n");
    const size_t *from = (const size_t *)&own;
    for (size_t i = 0; i < sizeof own / sizeof *from; i++)
        ((size_t *)all)[i] += from[i];
}

int main(int argc, char **argv)
{
    size_t runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 20;
    uint64_t seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    double chance = argc > 3 ? strtod(argv[3], NULL) : 0.01;
    struct tally all = {0};
    for (size_t k = 0; k < SNAPSHOTS; k++)
        times[k] = WINDOW_S * (double)k / (SNAPSHOTS - 1);
    printf("%-32s", "");
    for (int v = 0; v < HT_VERDICTS; v++)
        printf(" %9s", ht_verdict_name((enum ht_verdict)v));
    printf("   (per cent)\n");
    for (size_t i = 0; i < SHAPES; i++)
        run_shape(&shapes[i], runs, seed, &all, chance);
    double share = 100.0 * (double)all.false_calls / (double)all.innocent;
    double right = 100.0 * (double)all.right / (double)all.decided;
    printf(
        "false calls %zu of %zu innocent rows: %.2f %%; right where decided %.1f %% of %zu; growing rows found %.1f %%\n",
        all.false_calls, all.innocent, share, right, all.decided,
        100.0 * (double)all.found / (double)all.growing);
    return share <= 1.5 && right >= 90 ? 0 : 1;
}
