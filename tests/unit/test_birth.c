// Standard errors and births: from the recorder through a file into the command, joined, subtracted, written
// again, of other writers, damaged; and the formulas against simulated sampling.
#include "profile/birth.h"

#include "base/error.h"
#include "record/live.h"
#include "record/stacks.h"
#include "snapshot/births_form.h"
#include "snapshot/encode.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "regions.h"

#define TICK HT_BIRTHS_QUANTUM_NS

// ---- A process that is sampled.

struct process {
    struct ht_region region;
    uint64_t random;
    uint64_t next_address;
    float rate_bytes;
};

static double uniform(struct process *process)
{
    uint64_t z = process->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static struct process begin(float rate_bytes, uint64_t seed)
{
    static struct ht_identity identity = {
        .pid = 7, .start_ticks = 5, .program = "demo", .boot_id = "b", .active = 1};
    struct process process = {
        .random = seed, .next_address = UINT64_C(0x600000000000), .rate_bytes = rate_bytes};
    identity.rate_bytes = (uint64_t)rate_bytes;
    ht_filter_reset();
    assert_true(ht_region_create(&identity, NULL, UINT64_C(16) << 20, 1, &process.region));
    return process;
}

// An allocation at one of some places, by the recorder's law; 0: it was not sampled.
static uint64_t allocate(struct process *process, uint64_t place, uint64_t size_bytes, uint64_t birth_ns)
{
    double probability = ht_probability(size_bytes, (double)process->rate_bytes), v = uniform(process);
    process->next_address += size_bytes / 16 * 16 + 64;
    if (v >= probability)
        return 0;
    const uint64_t frames[] = {0x555500001000 + place * 16, 0x555500009000};
    double rank = (double)(size_bytes == 0 ? 1 : size_bytes) / -log1p(-v);
    struct ht_live_copy live = {
        .address = process->next_address,
        .size_bytes = size_bytes,
        .birth_ns = birth_ns,
        .rate_bytes = process->rate_bytes,
        .rank_bytes = rank < 3e38 ? (float)rank : 3e38f,
        .entry_ref =
            ht_entry_intern(&process->region, HT_KIND_HEAP, frames, 2, 0, ht_size_class(size_bytes), 0),
    };
    ht_entry_add(&process->region, live.entry_ref, size_bytes, 1 / probability, uniform(process));
    if (live.rank_bytes > process->region.header->floor_bytes)
        assert_true(ht_live_insert(&process->region, &live));
    return live.address;
}

static void release(struct process *process, uint64_t address)
{
    struct ht_live_copy live;
    if (address != 0)
        ht_live_remove(&process->region, address, &live);
}

static int append(void *arg, const void *bytes, size_t size)
{
    ht_buffer_add(arg, bytes, size);
    return 0;
}

static void write_snapshot(const struct process *process, uint32_t seq, uint64_t now_ns,
                           uint64_t memory_bytes, struct ht_buffer *out)
{
    struct ht_view view = view_of(&process->region);
    const struct ht_encode_options options = {
        .trigger = "signal", .seq = seq, .time_unix_ns = now_ns + 1, .monotonic_ns = now_ns};
    struct ht_sink sink = {append, out};
    struct ht_bump memory;
    ht_bump_init(&memory, memory_bytes);
    assert_int_equal(ht_encode(&view, &options, &sink, &memory), 0);
    ht_bump_release(&memory);
}

static struct ht_profile *read_back(const struct ht_buffer *bytes)
{
    struct ht_profile *profile = NULL;
    if (ht_profile_decode((const uint8_t *)bytes->data, bytes->length, NULL, &profile) != 0)
        fail_msg("%s", ht_error());
    assert_int_equal(ht_profile_check(profile), 0);
    return profile;
}

static struct ht_profile *snapshot(const struct process *process, uint32_t seq, uint64_t now_ns)
{
    struct ht_buffer bytes = {0};
    write_snapshot(process, seq, now_ns, UINT64_C(64) << 20, &bytes);
    struct ht_profile *profile = read_back(&bytes);
    ht_buffer_free(&bytes);
    return profile;
}

static void end(struct process *process)
{
    ht_region_destroy(&process->region);
}

enum { ALLOC_OBJECTS, ALLOC_SPACE, INUSE_OBJECTS, INUSE_SPACE, TYPES };

static double value_sum(const struct ht_profile *profile, size_t type)
{
    double sum = 0;
    for (size_t i = 0; i < profile->sample_count; i++)
        sum += (double)ht_profile_values(profile, i)[type];
    return sum;
}

static double variance_sum(const struct ht_profile *profile, size_t type)
{
    double sum = 0;
    for (size_t i = 0; i < profile->sample_count; i++)
        sum += ht_profile_variances(profile, i)[type];
    return sum;
}

static void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * fabs(b)))
        fail_msg("%.9g is not %.9g within %.3g", a, b, tolerance);
}

// ---- The grid.

static void test_cells(void **state)
{
    (void)state;
    struct process process = {.random = 1};
    for (int cell = -40; cell < 500; cell++) {
        double bytes = ht_cell_bytes(cell);
        assert_true((double)(float)bytes == bytes);
        assert_int_equal(ht_cell_of(bytes), cell - 1); // not above itself
        assert_int_equal(ht_cell_of((double)nextafterf((float)bytes, 1e38f)), cell);
        assert_int_equal(ht_cell_of_floor(bytes), cell);
        assert_int_equal(ht_cell_of_rate(bytes), cell);
        assert_near(bytes, exp2(cell / 4.0), 1e-6);
    }
    for (int i = 0; i < 10000; i++) {
        float rank = (float)exp(uniform(&process) * 80);
        int cell = ht_cell_of((double)rank), floor = (int)(uniform(&process) * 500);
        assert_int_equal((double)rank > ht_cell_bytes(floor), cell >= floor);
    }
    assert_true(ht_cell_of(0) < -500 && ht_cell_of((double)NAN) < -500 && ht_cell_of(HUGE_VAL) < 520);
}

// ---- From the recorder into the command.

// Three places with some sizes of one class each; a third of all is freed again.
static void fill(struct process *process, unsigned count)
{
    uint64_t addresses[3] = {0};
    for (unsigned i = 0; i < count; i++) {
        static const uint64_t sizes[] = {1000, 9000, 700000};
        uint64_t size = sizes[i % 3] + i / 3 % 16;
        release(process, i % 9 == 0 ? addresses[i % 3] : 0);
        addresses[i % 3] = allocate(process, i % 3, size, (1000 + i) * TICK + i % TICK);
    }
}

struct sums {
    double count, amount, objects, bytes;
};

static bool add_live(void *arg, const struct ht_live_copy *live)
{
    struct sums *sums = arg;
    double p = ht_probability(live->size_bytes, (double)live->rate_bytes), size = (double)live->size_bytes;
    sums->count += (1 - p) / (p * p);
    sums->amount += size * size * (1 - p) / (p * p);
    sums->objects += 1 / p;
    sums->bytes += size / p;
    return true;
}

static bool add_total(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    double variance;
    (void)ref;
    memcpy(&variance, &entry->values[HT_ENTRY_VARIANCE], sizeof variance);
    *(double *)arg += variance;
    return true;
}

static void test_carried(void **state)
{
    (void)state;
    struct process process = begin(524288, 3);
    fill(&process, 30000);
    struct ht_profile *profile = snapshot(&process, 1, 50000 * TICK);
    struct ht_view view = view_of(&process.region);
    struct sums sums = {0};
    double total = 0;
    ht_view_each_live(&view, add_live, &sums);
    ht_view_each_entry(&view, add_total, &total);
    assert_int_equal(profile->tick_ns, TICK);
    assert_int_equal(profile->ticks_now, 50000);
    assert_int_equal(profile->floor_cell, 0);
    assert_near(variance_sum(profile, INUSE_OBJECTS), sums.count, 1e-9);
    assert_near(variance_sum(profile, INUSE_SPACE), sums.amount, 1e-9);
    assert_near(value_sum(profile, INUSE_SPACE), sums.bytes, 1e-6);
    assert_near(variance_sum(profile, ALLOC_SPACE), total, 1e-4); // errors are rounded to a byte
    size_t births = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        double bytes = 0;
        births += sample->birth_count;
        for (uint32_t j = 0; j < sample->birth_count; j++) {
            const struct ht_birth *birth = &ht_profile_births(profile, sample)[j];
            assert_true(birth->rate_bytes == 524288 && birth->rank_cell >= ht_cell_of_rate(524288));
            assert_in_range(birth->ticks, 1000, 50000);
            bytes += (double)birth->size_bytes / ht_birth_probability(birth, 0);
        }
        assert_near((double)ht_profile_values(profile, i)[INUSE_SPACE], bytes, 1e-3);
    }
    assert_int_equal(births, ht_live_count(process.region.header));
    // Objects of what was ever counted follow from the bytes, of one class: within (9/8)^2 of what they are.
    double objects = variance_sum(profile, ALLOC_OBJECTS);
    assert_true(objects > 0 && isfinite(objects));
    ht_profile_free(profile);
    end(&process);
}

// Written again and read again it is the same, for heaptap; a copy as well.
static void assert_same(const struct ht_profile *a, const struct ht_profile *b, bool with_births)
{
    assert_int_equal(a->sample_count, b->sample_count);
    for (size_t i = 0; i < a->sample_count; i++) {
        for (size_t t = 0; t < TYPES; t++)
            assert_near(ht_profile_variances(a, i)[t], ht_profile_variances(b, i)[t], 1e-6);
        assert_int_equal(a->samples[i].birth_count, with_births ? b->samples[i].birth_count : 0);
        if (with_births)
            assert_memory_equal(ht_profile_births(a, &a->samples[i]), ht_profile_births(b, &b->samples[i]),
                                a->samples[i].birth_count * sizeof *a->births);
    }
    assert_int_equal(a->ticks_now, with_births ? b->ticks_now : 0);
    assert_int_equal(a->floor_cell, with_births ? b->floor_cell : 0);
}

static struct ht_profile *again(const struct ht_profile *profile)
{
    struct ht_buffer bytes = {0};
    assert_int_equal(ht_profile_compress(profile, &bytes), 0);
    struct ht_profile *read = read_back(&bytes);
    ht_buffer_free(&bytes);
    return read;
}

static void test_written_again(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct process process = begin(kind == 0 ? 1 : kind == 1 ? 65536 : 100000, 4);
        fill(&process, 3000);
        if (kind == 2) {
            ht_live_thin(&process.region);
            process.rate_bytes = process.region.header->floor_bytes; // a second rate
            double floor_bytes = (double)process.rate_bytes;         // on the grid, as the first one is not
            assert_true(ht_cell_bytes(ht_cell_of_floor(floor_bytes)) == floor_bytes && floor_bytes > 200000);
            fill(&process, 300);
        }
        struct ht_profile *profile = snapshot(&process, 1, 5000 * TICK), *copy = ht_profile_copy(profile);
        assert_int_equal(profile->floor_cell != 0, kind == 2);
        assert_same(copy, profile, true);
        struct ht_profile *read = again(profile), *third = again(read);
        assert_same(read, profile, true);
        assert_same(third, profile, true);
        // Without the label that sizes go by there are no births, and the errors stay.
        for (size_t i = 0; i < read->sample_count; i++)
            read->samples[i].label_count = 0;
        struct ht_profile *bare = again(read);
        assert_same(bare, profile, false);
        assert_int_equal(bare->tick_ns, 0);
        ht_profile_free(bare);
        ht_profile_free(third);
        ht_profile_free(read);
        ht_profile_free(copy);
        ht_profile_free(profile);
        end(&process);
    }
}

// At rate 1 nothing has an error; where the births do not fit, the errors are there all the same.
static void test_without_births(void **state)
{
    (void)state;
    struct process process = begin(1, 5);
    fill(&process, 3000);
    struct ht_profile *profile = snapshot(&process, 1, 5000 * TICK);
    for (size_t t = 0; t < TYPES; t++)
        assert_true(variance_sum(profile, t) == 0);
    assert_true(profile->birth_count > 1000 && profile->births[0].rank_cell == HT_RANK_UNKNOWN);
    ht_profile_free(profile);
    end(&process);
    process = begin(65536, 5);
    fill(&process, 3000);
    profile = snapshot(&process, 1, 5000 * TICK);
    process.region.header->stripes[0].live += 1 << 20; // so many are asked for that they do not fit
    struct ht_buffer bytes = {0};
    write_snapshot(&process, 1, 5000 * TICK, UINT64_C(2) << 20, &bytes);
    struct ht_profile *little = read_back(&bytes);
    assert_int_equal(little->tick_ns, 0);
    assert_int_equal(little->birth_count, 0);
    assert_near(variance_sum(little, INUSE_SPACE), variance_sum(profile, INUSE_SPACE), 1e-4);
    assert_near(variance_sum(little, ALLOC_SPACE), variance_sum(profile, ALLOC_SPACE), 1e-9);
    assert_near(variance_sum(little, INUSE_OBJECTS), variance_sum(profile, INUSE_OBJECTS), 0.02); // one size
    ht_profile_free(little);
    // A region of a build that kept no variance: what is in use is known from the samples, the rest is not.
    process.region.header->stripes[0].live -= 1 << 20;
    process.region.header->keeps = 0;
    little = snapshot(&process, 1, 5000 * TICK);
    assert_true(isnan(variance_sum(little, ALLOC_SPACE)) && isnan(variance_sum(little, ALLOC_OBJECTS)));
    assert_near(variance_sum(little, INUSE_SPACE), variance_sum(profile, INUSE_SPACE), 1e-9);
    ht_buffer_free(&bytes);
    ht_profile_free(little);
    ht_profile_free(profile);
    end(&process);
}

// ---- Joined and divided.

static void test_merged(void **state)
{
    (void)state;
    struct process process = begin(65536, 6);
    fill(&process, 2000);
    struct ht_profile *whole = snapshot(&process, 1, 5000 * TICK);
    struct ht_profile *both[] = {snapshot(&process, 1, 5000 * TICK), snapshot(&process, 2, 6000 * TICK)};
    size_t samples = whole->sample_count, births = whole->birth_count;
    assert_int_equal(ht_profile_merge(both, 2), 0);
    assert_int_equal(ht_profile_check(both[0]), 0);
    assert_int_equal(both[0]->sample_count, samples);
    assert_int_equal(both[0]->birth_count, 2 * births);
    assert_int_equal(both[0]->ticks_now, 6000);
    for (size_t i = 0; i < samples; i++) {
        assert_int_equal(both[0]->samples[i].birth_count, 2 * whole->samples[i].birth_count);
        for (size_t t = 0; t < TYPES; t++)
            assert_near(ht_profile_variances(both[0], i)[t], 2 * ht_profile_variances(whole, i)[t], 1e-9);
    }
    // Some samples go, the others keep theirs.
    bool keep[64] = {false};
    keep[samples - 1] = true;
    uint32_t last = both[0]->samples[samples - 1].birth_count;
    double variance = ht_profile_variances(both[0], samples - 1)[INUSE_SPACE];
    ht_profile_keep_samples(both[0], keep);
    assert_int_equal(both[0]->samples[0].birth_count, last);
    assert_true(ht_profile_variances(both[0], 0)[INUSE_SPACE] == variance);
    ht_profile_scale(both[0], -3);
    assert_near(ht_profile_variances(both[0], 0)[INUSE_SPACE], 9 * variance, 1e-12);
    // Of another boot: births do not go together, errors do.
    struct ht_profile *strangers[] = {whole, ht_profile_copy(whole)};
    strangers[1]->floor_cell = 80;
    variance = variance_sum(whole, INUSE_SPACE);
    assert_int_equal(ht_profile_merge(strangers, 2), 0);
    assert_int_equal(strangers[0]->tick_ns, 0);
    assert_int_equal(strangers[0]->birth_count, 0);
    assert_near(variance_sum(strangers[0], INUSE_SPACE), 2 * variance, 1e-9);
    assert_int_equal(ht_profile_check(strangers[0]), 0);
    ht_profile_free(strangers[0]);
    ht_profile_free(both[0]);
    end(&process);
}

// With a profile that has no errors the sum has none that is known.
static void test_unknown(void **state)
{
    (void)state;
    struct process process = begin(65536, 8);
    fill(&process, 500);
    struct ht_profile *both[] = {snapshot(&process, 1, 5000 * TICK), snapshot(&process, 2, 6000 * TICK)};
    free(both[1]->variances);
    both[1]->variances = NULL;
    ht_profile_drop_births(both[1]);
    assert_int_equal(ht_profile_merge(both, 2), 0);
    assert_int_equal(ht_profile_check(both[0]), 0);
    assert_true(isnan(variance_sum(both[0], INUSE_SPACE)));
    assert_true(isnan(ht_error_of((double)NAN)) && ht_error_of(-1) == 0 && ht_error_of(4) == 2);
    ht_profile_free(both[0]);
    end(&process);
}

// ---- The formulas, against sampling many times. Each figure's mean square of (estimate - truth) over RUNS
// is held against the mean of the variance that the profile states. For about normal errors the mean square's
// own relative error is sqrt(2 / RUNS); 4 of it, and a part for the variance's error, are allowed.

#define RUNS      600
#define TOLERANCE (4 * sqrt(2.0 / RUNS) + 0.03)

struct tally {
    double squares, stated, bias;
};

static void count(struct tally *tally, double estimate, double truth, double variance)
{
    tally->squares += (estimate - truth) * (estimate - truth);
    tally->stated += variance;
    tally->bias += estimate - truth;
}

static void judge(const struct tally *tally)
{
    assert_near(tally->squares, tally->stated, TOLERANCE);
    assert_true(fabs(tally->bias) < 4 * sqrt(tally->stated)); // a sum of RUNS errors
}

// A process of blocks that stay, blocks that go before the second snapshot, and blocks that come behind the
// first.
struct truth {
    double old_space, new_space, old_objects, new_objects, old_total, new_total;
};

static void live(struct process *process, unsigned pause, struct ht_profile *ret[2], struct truth *truth)
{
    enum { STAY = 300, GO = 120, COME = 150 };
    static uint64_t going[GO];
    *truth = (struct truth){0};
    for (unsigned i = 0; i < STAY + GO; i++) {
        uint64_t size = 1000 + i % 7 * 4000, address = allocate(process, i % 3, size, (10 + i) * TICK);
        truth->old_space += (double)size;
        if (i >= STAY)
            going[i - STAY] = address;
        truth->new_space += i < STAY ? (double)size : 0;
    }
    truth->old_objects = STAY + GO;
    truth->new_objects = STAY + COME;
    truth->old_total = truth->new_total = truth->old_space;
    ret[0] = snapshot(process, 1, 1000 * TICK);
    if (pause == 1)
        ht_live_thin(&process->region);
    process->rate_bytes = process->region.header->floor_bytes > process->rate_bytes
                              ? process->region.header->floor_bytes
                              : process->rate_bytes;
    for (unsigned i = 0; i < GO; i++)
        release(process, going[i]);
    for (unsigned i = 0; i < COME; i++) {
        uint64_t size = 500 + i % 5 * 6000;
        allocate(process, i % 3, size, (1001 + i) * TICK);
        truth->new_space += (double)size;
        truth->new_total += (double)size;
    }
    ret[1] = snapshot(process, 2, 2000 * TICK);
}

static void simulate(unsigned pause, bool reversed)
{
    struct tally alloc = {0}, space = {0}, objects = {0}, grown = {0}, grown_objects = {0}, grown_total = {0};
    for (unsigned run = 0; run < RUNS; run++) {
        struct process process = begin(16384, 1000 + run * 7919 + pause);
        struct ht_profile *pair[2];
        struct truth truth;
        live(&process, pause, pair, &truth);
        count(&alloc, value_sum(pair[1], ALLOC_SPACE), truth.new_total, variance_sum(pair[1], ALLOC_SPACE));
        count(&space, value_sum(pair[1], INUSE_SPACE), truth.new_space, variance_sum(pair[1], INUSE_SPACE));
        count(&objects, value_sum(pair[1], INUSE_OBJECTS), truth.new_objects,
              variance_sum(pair[1], INUSE_OBJECTS));
        int sign = reversed ? -1 : 1;
        struct ht_profile *profile = pair[!reversed], *base = pair[reversed];
        assert_int_equal(ht_profile_subtract(&profile, &base, run % 2 == 0, false), 0);
        assert_int_equal(ht_profile_check(profile), 0);
        assert_int_equal(profile->tick_ns, 0);
        count(&grown, sign * value_sum(profile, INUSE_SPACE), truth.new_space - truth.old_space,
              variance_sum(profile, INUSE_SPACE));
        count(&grown_objects, sign * value_sum(profile, INUSE_OBJECTS), truth.new_objects - truth.old_objects,
              variance_sum(profile, INUSE_OBJECTS));
        count(&grown_total, sign * value_sum(profile, ALLOC_SPACE), truth.new_total - truth.old_total,
              variance_sum(profile, ALLOC_SPACE));
        ht_profile_free(profile);
        end(&process);
    }
    judge(&alloc);
    judge(&space);
    judge(&objects);
    judge(&grown);
    judge(&grown_objects);
    judge(&grown_total);
    // What survives is in both: by far not the sum of two variances.
    assert_true(pause == 1 || grown.stated < 0.75 * space.stated * 2);
}

static void test_simulated(void **state)
{
    (void)state;
    simulate(0, false);
}

static void test_simulated_reversed(void **state)
{
    (void)state;
    simulate(0, true);
}

// The process thinned its samples in between: the two snapshots are of different floors.
static void test_simulated_thinned(void **state)
{
    (void)state;
    simulate(1, false);
}

// Of two processes the errors are independent.
static void test_strangers(void **state)
{
    (void)state;
    struct ht_profile *pair[2];
    double sum = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct process process = begin(65536, 20 + i);
        process.region.header->start_ticks = 100 + i;
        fill(&process, 2000);
        pair[i] = snapshot(&process, i, 5000 * TICK);
        sum += variance_sum(pair[i], INUSE_SPACE);
        end(&process);
    }
    assert_int_equal(ht_profile_subtract(&pair[0], &pair[1], true, false), 0);
    assert_near(variance_sum(pair[0], INUSE_SPACE), sum, 1e-9);
    ht_profile_free(pair[0]);
}

// ---- Other writers.

static struct ht_profile *foreign(const char *objects, const char *space, int64_t period, int64_t count,
                                  int64_t bytes)
{
    struct ht_profile *profile = ht_profile_new();
    ht_profile_add_sample_type(profile, objects, "count");
    ht_profile_add_sample_type(profile, space, "bytes");
    profile->period = period;
    profile->period_type = (struct ht_value_type){ht_profile_intern_text(profile, "space"),
                                                  ht_profile_intern_text(profile, "bytes")};
    uint32_t location = ht_profile_add_location(profile, HT_NONE, 0x1000, NULL, 0);
    ht_profile_add_sample(profile, &location, 1, (int64_t[]){count, bytes}, NULL, 0);
    struct ht_profile *read = again(profile);
    ht_profile_free(profile);
    return read;
}

static void test_other_writers(void **state)
{
    (void)state;
    struct ht_profile *profile = foreign("inuse_objects", "inuse_space", 524288, 2100, 2100 * 512);
    double p = 1 - exp(-512.0 / 524288);
    assert_non_null(profile->variances);
    assert_near(variance_sum(profile, 0), 2100 * (1 - p) / p, 1e-9);
    assert_near(variance_sum(profile, 1), 2100 * 512.0 * 512 * (1 - p) / p, 1e-9);
    struct ht_buffer bytes = {0}; // nothing is written that can be guessed again
    ht_births_encode(profile, &bytes);
    assert_int_equal(bytes.length, 0);
    struct ht_profile *base = ht_profile_copy(profile); // but a difference's cannot
    double sum = 2 * variance_sum(profile, 1);
    ht_profile_values(base, 0)[1] = 1;
    assert_int_equal(ht_profile_subtract(&profile, &base, false, false), 0);
    struct ht_profile *read = again(profile);
    assert_near(variance_sum(read, 1), sum, 1e-6);
    ht_profile_free(read);
    ht_profile_free(profile);
    profile = foreign("alloc_objects", "alloc_space", 1, 5, 50);
    assert_true(variance_sum(profile, 0) == 0 && variance_sum(profile, 1) == 0);
    ht_profile_free(profile);
    static const char *const nothing[][2] = {
        {"contentions", "delay"}, {"inuse_objects", "alloc_space"}, {"samples", "inuse_space"}};
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        profile = foreign(nothing[i][0], nothing[i][1], 524288, 5, 50);
        assert_null(profile->variances);
        ht_profile_free(profile);
    }
    // Of ours, but from before there was the field: the rate may have been another one.
    profile = foreign("inuse_objects", "inuse_space", 524288, 5, 50);
    free(profile->variances);
    profile->variances = NULL;
    ht_profile_add_comment(profile, "# heaptap: version=0.1.0");
    read = again(profile);
    assert_null(read->variances);
    ht_profile_free(read);
    ht_profile_free(profile);
    profile = foreign("inuse_objects", "inuse_space", 0, 5, 50);
    assert_null(profile->variances);
    ht_profile_free(profile);
}

// ---- Damaged, unknown.

// The profile of a process with other bytes in its field.
static struct ht_profile *with_field(const struct ht_profile *profile, const void *field, size_t length)
{
    struct ht_profile *bare = ht_profile_copy(profile);
    free(bare->variances);
    bare->variances = NULL;
    ht_profile_drop_births(bare);
    struct ht_buffer bytes = {0};
    ht_profile_encode(bare, &bytes);
    ht_profile_free(bare);
    ht_buffer_byte(&bytes, (char)0xc2); // 1000 << 3 | 2
    ht_buffer_byte(&bytes, (char)0x3e);
    for (size_t rest = length;; rest >>= 7) {
        ht_buffer_byte(&bytes, (char)(rest >= 0x80 ? rest | 0x80 : rest));
        if (rest < 0x80)
            break;
    }
    ht_buffer_add(&bytes, field, length);
    struct ht_profile *read = read_back(&bytes);
    assert_int_equal(read->sample_count, profile->sample_count);
    ht_buffer_free(&bytes);
    return read;
}

static void test_damaged(void **state)
{
    (void)state;
    struct process process = begin(65536, 9);
    fill(&process, 200);
    struct ht_profile *profile = snapshot(&process, 1, 5000 * TICK);
    struct ht_buffer field = {0};
    ht_births_encode(profile, &field);
    struct ht_profile *read = with_field(profile, field.data, field.length);
    assert_same(read, profile, true);
    ht_profile_free(read);
    for (size_t length = 1; length < field.length; length++) { // cut
        read = with_field(profile, field.data, length);
        assert_null(read->variances);
        assert_int_equal(read->birth_count, 0);
        ht_profile_free(read);
    }
    for (size_t i = 0; i < field.length * 8; i++) { // any bit
        field.data[i / 8] ^= (char)(1 << i % 8);
        read = with_field(profile, field.data, field.length);
        ht_profile_free(again(read));
        ht_profile_free(read);
        field.data[i / 8] ^= (char)(1 << i % 8);
    }
    field.data[0] = 9; // a later version: nothing else is lost
    read = with_field(profile, field.data, field.length);
    assert_null(read->variances);
    assert_int_equal(read->comment_count, profile->comment_count);
    ht_profile_free(read);
    ht_buffer_free(&field);
    ht_profile_free(profile);
    end(&process);
}

// ---- Size: at most about 4 bytes for each live sample after gzip.

enum { SAMPLES = 20000 };

// Bytes for each live sample in the file, of a process of so many places that was sampled for ten minutes. Of
// the blocks `any_share` have any size, the others one of three that their place has.
static double bytes_each(float rate_bytes, uint64_t places, double any_share)
{
    struct process process = begin(rate_bytes, 11);
    struct ht_buffer with = {0}, without = {0};
    while (ht_live_count(process.region.header) < SAMPLES) {
        uint64_t place = (uint64_t)(uniform(&process) * (double)places);
        struct process of_place = {.random = place * 3 + (uint64_t)(uniform(&process) * 3)};
        double any = uniform(&process), size = uniform(any < any_share ? &process : &of_place);
        uint64_t age_ns = (uint64_t)(uniform(&process) * 600e9);
        allocate(&process, place, (uint64_t)(16 * exp(size * 8)), UINT64_C(1000000000000) + age_ns);
    }
    write_snapshot(&process, 1, UINT64_C(1600000000000), UINT64_C(64) << 20, &with);
    struct ht_profile *profile = read_back(&with);
    assert_int_equal(profile->birth_count, SAMPLES);
    process.region.header->stripes[0].live += 1 << 20; // the same without: no room for a list
    write_snapshot(&process, 1, UINT64_C(1600000000000), UINT64_C(20) << 20, &without);
    double each = ((double)with.length - (double)without.length) / SAMPLES;
    print_message("rate %.0f, %.0f %% of any size: %.2f bytes for each of %d live samples, in %zu rows\n",
                  (double)rate_bytes, any_share * 100, each, SAMPLES, profile->sample_count);
    ht_profile_free(profile);
    ht_buffer_free(&with);
    ht_buffer_free(&without);
    end(&process);
    return each;
}

static void test_size(void **state)
{
    (void)state;
    assert_true(bytes_each(524288, 200, 0.25) < 4);
    assert_true(bytes_each(1, 200, 0.25) < 4);
    // Each size another, and four births at random in a row: the births alone are 14 bits, the sizes 9.
    assert_true(bytes_each(524288, 200, 1) < 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_carried),
        cmocka_unit_test(test_written_again),
        cmocka_unit_test(test_without_births),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_simulated),
        cmocka_unit_test(test_simulated_reversed),
        cmocka_unit_test(test_simulated_thinned),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_other_writers),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
