// The table of live samples, its growth, its filter and its thinning, against a plain list of what was put
// in.
#include "record/filter.h"
#include "record/held.h"
#include "record/kinds.h"
#include "record/live.h"
#include "record/stacks.h"
#include "record/view.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "regions.h"
#include "sanitized.h"

#include "checks.h"

static uint64_t address_of(uint64_t i)
{
    return UINT64_C(0x7f0000000000) + i * 48;
}

static struct ht_live_copy sample(uint64_t i)
{
    struct ht_live_copy live = {address_of(i), i % 1000, i, 1.0f, 1e30f, 0};
    return live;
}

// As a sample is recorded: its entry, the entry's totals, the table.
static bool put(struct ht_region *region, struct ht_live_copy *live)
{
    uint64_t frames[] = {0x1000, 0x2000, 0x3000};
    uint32_t size_class = ht_size_class(live->size_bytes);
    live->entry_ref = ht_entry_intern(region, HT_KIND_HEAP, frames, 3, 0, size_class, 0);
    assert_int_not_equal(live->entry_ref, 0);
    ht_entry_add(region, live->entry_ref, live->size_bytes, ht_live_weight(live, 0), 0.5);
    return ht_live_insert(region, live);
}

// The most that was held within a second is remembered for a second, and no more than a quarter longer.
static void test_held_lately(void **state)
{
    (void)state;
    static struct ht_region_header header;
    const uint64_t quarter_ns = UINT64_C(1) << HT_RECENT_SHIFT;
    uint64_t now_ns = 1000 * quarter_ns;
    assert_int_equal(ht_held_lately(&header, now_ns), 0);
    ht_held_add(&header, 700, now_ns);
    ht_held_add(&header, 300, now_ns + 1);
    ht_held_add(&header, -600, now_ns + 2);
    assert_int_equal(header.held_bytes, 400);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(ht_held_lately(&header, now_ns + i * quarter_ns), 1000);
    assert_int_equal(ht_held_lately(&header, now_ns + 5 * quarter_ns), 0);
    // A free finds what was there before it, after however long a time.
    now_ns += 40 * quarter_ns;
    ht_held_add(&header, -400, now_ns);
    assert_int_equal(ht_held_lately(&header, now_ns), 400);
    assert_int_equal(header.held_bytes, 0);
    // Later quarters take the places of earlier ones.
    for (unsigned i = 1; i < 20; i++) {
        ht_held_add(&header, 1, now_ns + i * quarter_ns);
        assert_int_equal(ht_held_lately(&header, now_ns + i * quarter_ns), i < 5 ? 400 : i);
    }
}

static bool count_one(void *arg, const struct ht_live_copy *live)
{
    (void)live;
    ++*(uint64_t *)arg;
    return true;
}

static uint64_t count_live(const struct ht_region *region)
{
    struct ht_view view = view_of(region);
    uint64_t count = 0;
    ht_view_each_live(&view, count_one, &count);
    return count;
}

static void test_grows_and_empties(void **state)
{
    (void)state;
    struct ht_region region = make_plain_region(UINT64_C(256) << 20);
    enum { COUNT = 300000 };
    for (uint64_t i = 0; i < COUNT; i++) {
        struct ht_live_copy live = sample(i);
        assert_true(put(&region, &live));
    }
    assert_true(region.header->level_count > 5);
    assert_int_equal(count_live(&region), COUNT);
    assert_int_equal(ht_live_count(region.header), COUNT);
    checks_pass_own(&region);
    for (uint64_t i = 0; i < COUNT; i += 2) {
        struct ht_live_copy got;
        assert_true(ht_filter_hit((void *)(uintptr_t)address_of(i)));
        assert_true(ht_live_remove(&region, address_of(i), &got));
        assert_int_equal(got.birth_ns, i);
        assert_int_equal(got.size_bytes, i % 1000);
        assert_false(ht_live_remove(&region, address_of(i), &got));
    }
    for (uint64_t i = 1; i < COUNT; i += 2) {
        struct ht_live_copy got;
        assert_true(ht_filter_hit((void *)(uintptr_t)address_of(i)));
        assert_true(ht_live_remove(&region, address_of(i), &got));
    }
    assert_int_equal(ht_live_count(region.header), 0);
    assert_int_equal(count_live(&region), 0);
    assert_int_equal(region.header->health[HT_HEALTH_DROP_LIVE_FULL], 0);
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

static void test_passed_counts_return_to_zero(void **state)
{
    (void)state;
    struct ht_region region = make_plain_region(UINT64_C(64) << 20);
    srand(7);
    static uint64_t in[20000];
    for (int round = 0; round < 40; round++) {
        size_t count = (size_t)rand() % 20000;
        for (size_t i = 0; i < count; i++) {
            in[i] = (uint64_t)rand() % 1000000 * 2000 + i;
            struct ht_live_copy live = sample(in[i]);
            assert_true(put(&region, &live));
        }
        for (size_t i = 0; i < count; i++) {
            struct ht_live_copy got;
            assert_true(ht_live_remove(&region, address_of(in[i]), &got));
        }
    }
    checks_pass_own(&region); // with no key left, no count is due
    for (uint32_t level = 0; level < region.header->level_count; level++) {
        const struct ht_live_level *l = &region.header->levels[level];
        const uint32_t *passed = (const uint32_t *)(region.base + l->passed_offset);
        for (uint32_t b = 0; b < l->bucket_count; b++) {
            assert_int_equal(passed[b], 0);
        }
    }
    ht_region_destroy(&region);
}

static void test_stale_record_is_replaced(void **state)
{
    (void)state;
    struct ht_region region = make_plain_region(UINT64_C(8) << 20);
    struct ht_live_copy live = sample(5);
    assert_true(put(&region, &live));
    live.birth_ns = 77;
    assert_true(put(&region, &live));
    assert_int_equal(region.header->health[HT_HEALTH_UNMATCHED], 1);
    checks_pass_own(&region);
    assert_int_equal(count_live(&region), 1);
    struct ht_live_copy got;
    assert_true(ht_live_remove(&region, live.address, &got));
    assert_int_equal(got.birth_ns, 77);
    assert_false(ht_live_remove(&region, live.address, &got));
    ht_region_destroy(&region);
}

struct sums {
    double objects, bytes, variance;
    float floor_bytes;
};

static bool add_weight(void *arg, const struct ht_live_copy *live)
{
    struct sums *sums = arg;
    double weight = ht_live_weight(live, (double)sums->floor_bytes);
    double p = 1 / weight;
    sums->objects += weight;
    sums->bytes += weight * (double)live->size_bytes;
    sums->variance += (1 - p) * weight * weight;
    return true;
}

// Far more samples than fit: thinning keeps the estimates unbiased, and what is given up leaves the table at
// last.
static void test_thinning_is_unbiased(void **state)
{
    (void)state;
    enum { COUNT = 60000, SEEDS = 40 };
    double z_sum = 0, z_squares = 0;
    for (int seed = 1; seed <= SEEDS; seed++) {
        struct ht_region region = make_plain_region(UINT64_C(1) << 20);
        srand48(seed);
        double true_objects = 0;
        for (uint64_t i = 0; i < COUNT; i++) {
            struct ht_live_copy live = sample(i);
            live.size_bytes = 16 + i % 300;
            double v = drand48();
            live.rank_bytes = v > 0 ? (float)((double)live.size_bytes / -log1p(-v)) : 1e30f;
            true_objects++;
            if (live.rank_bytes > ht_live_floor(region.header)) {
                put(&region, &live);
            }
        }
        assert_int_equal(region.header->health[HT_HEALTH_DROP_LIVE_FULL], 0);
        assert_true(region.header->health[HT_HEALTH_THINNINGS] >= 1);
        assert_true(region.header->thinned_since_ns != 0);
        struct sums sums = {0, 0, 0, ht_live_floor(region.header)};
        struct ht_view view = view_of(&region);
        ht_view_each_live(&view, add_weight, &sums);
        double z = (sums.objects - true_objects) / sqrt(sums.variance);
        z_sum += z;
        z_squares += z * z;
        checks_pass_own(&region);
        ht_region_destroy(&region);
    }
    // Mean of SEEDS standard normals: standard error 1/sqrt(SEEDS); the sum of squares is chi-squared with
    // SEEDS degrees of freedom, here within 4.5 of its standard deviations.
    assert_true(fabs(z_sum / SEEDS) < 4 / sqrt(SEEDS));
    assert_true(z_squares > SEEDS - 4.5 * sqrt(2.0 * SEEDS) && z_squares < SEEDS + 4.5 * sqrt(2.0 * SEEDS));
}

static void test_thinned_samples_are_swept(void **state)
{
    (void)state;
    struct ht_region region = make_plain_region(UINT64_C(8) << 20);
    for (uint64_t i = 0; i < 20000; i++) {
        struct ht_live_copy live = sample(i);
        live.size_bytes = 64;
        live.rank_bytes = (i & 1) ? 1e30f : 1.5f;
        assert_true(put(&region, &live));
    }
    ht_live_thin(&region);
    assert_true(ht_live_floor(region.header) >= 2.0f);
    assert_int_equal(count_live(&region), 10000);
    checks_pass_own(&region);
    for (uint64_t i = 0; i < 20000; i++) {
        struct ht_live_copy live = sample(1000000 + i), got;
        assert_true(put(&region, &live));
        assert_true(ht_live_remove(&region, live.address, &got));
    }
    assert_int_equal(region.header->sweep_active, 0);
    assert_int_equal(ht_live_count(region.header), 10000);
    assert_int_equal(region.header->health[HT_HEALTH_THINNED], 10000);
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

static void test_size_classes(void **state)
{
    (void)state;
    assert_int_equal(ht_size_class_bound(ht_size_class(0)), 0);
    uint32_t last = 0;
    for (uint64_t size = 0; size < 100000; size++) {
        uint32_t size_class = ht_size_class(size);
        assert_true(size_class == last || size_class == last + 1);
        last = size_class;
        assert_true(ht_size_class_bound(size_class) >= size);
        assert_true(size == 0 || (double)ht_size_class_bound(size_class) < (double)size * 1.125 + 1e-9);
    }
    for (unsigned bit = 17; bit < 64; bit++) {
        uint64_t size = UINT64_C(1) << bit;
        assert_int_equal(ht_size_class_bound(ht_size_class(size)), size);
        assert_true(ht_size_class(size + 1) == ht_size_class(size) + 1);
    }
    assert_true(ht_size_class(UINT64_MAX) < HT_SIZE_CLASSES);
}

static bool check_values(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    (void)ref;
    uint64_t *total = arg;
    total[0] += entry->values[HT_ENTRY_SAMPLES];
    total[1] += entry->values[HT_ENTRY_COUNT];
    total[2] += 1;
    return true;
}

static void test_entries_intern_and_overflow(void **state)
{
    (void)state;
    struct ht_region region = make_plain_region(UINT64_C(1) << 20);
    uint64_t frames[40];
    uint32_t first = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        for (uint64_t k = 0; k < 40; k++) {
            frames[k] = i * 64 + k;
        }
        uint32_t ref = ht_entry_intern(&region, HT_KIND_HEAP, frames, 40, 0, ht_size_class(64), 0);
        assert_int_not_equal(ref, 0);
        ht_entry_add(&region, ref, 64, 1.0, 0.5);
        if (i == 0) {
            first = ref;
        }
    }
    for (uint64_t k = 0; k < 40; k++) {
        frames[k] = k;
    }
    assert_int_equal(ht_entry_intern(&region, HT_KIND_HEAP, frames, 40, 0, ht_size_class(64), 0), first);
    assert_int_not_equal(ht_entry_intern(&region, HT_KIND_HEAP, frames, 39, 0, ht_size_class(64), 0), first);
    assert_true(region.header->health[HT_HEALTH_OVERFLOW_STACKS] > 1000);
    struct ht_view view = view_of(&region);
    uint64_t total[3] = {0, 0, 0};
    assert_true(ht_view_each_entry(&view, check_values, total));
    assert_int_equal(total[0], 20000); // nothing is lost, only filed under [overflow]
    assert_int_equal(total[1], UINT64_C(20000) << ht_kind_heap.form.count_shift);
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

// A process whose address space is limited needs nearly all of it for itself.
static void test_little_address_space(void **state)
{
    (void)state;
#ifdef UNDER_SANITIZER
    print_message("not run: sanitizers need all of the address space\n");
#else
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {UINT64_C(256) << 20, UINT64_C(256) << 20};
        if (setrlimit(RLIMIT_AS, &limit) != 0)
            _exit(2);
        struct ht_region region = make_plain_region(UINT64_C(512) << 20);
        _exit(region.header->size_bytes <= UINT64_C(32) << 20 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_lately),
        cmocka_unit_test(test_little_address_space),
        cmocka_unit_test(test_grows_and_empties),
        cmocka_unit_test(test_passed_counts_return_to_zero),
        cmocka_unit_test(test_stale_record_is_replaced),
        cmocka_unit_test(test_thinning_is_unbiased),
        cmocka_unit_test(test_thinned_samples_are_swept),
        cmocka_unit_test(test_size_classes),
        cmocka_unit_test(test_entries_intern_and_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
