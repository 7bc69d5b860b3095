// The table of kinds: adding and finding, many threads at once, kinds that share a stack, rows that are
// damaged or not there.
#include "record/kinds.h"

#include "record/stacks.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "regions.h"

static const uint64_t frames[] = {0x1000, 0x2000, 0x3000};

static struct ht_kind kind_of(unsigned number)
{
    struct ht_kind kind = {.form = {.column_count = 1,
                                    .columns = {{"events", "count", HT_COLUMN_COUNT}},
                                    .period_type = "events",
                                    .period_unit = "count"}};
    snprintf(kind.form.name, sizeof kind.form.name, "kind%u", number);
    return kind;
}

static void test_the_heap_is_first(void **state)
{
    (void)state;
    struct ht_region region = make_plain_region(1 << 20);
    struct ht_view view = view_of(&region);
    struct ht_kind kind;
    uint32_t id = 9;
    assert_int_equal(ht_view_kind_count(&view), 1);
    assert_true(ht_view_kind(&view, HT_KIND_HEAP, &kind));
    assert_memory_equal(&kind.form, &ht_kind_heap.form, sizeof kind.form);
    assert_int_equal(kind.drop_frames_bytes, ht_kind_heap.drop_frames_bytes);
    assert_memory_equal(kind.drop_frames, ht_kind_heap.drop_frames, kind.drop_frames_bytes);
    assert_true(ht_kind_add(&region, &ht_kind_heap, &id));
    assert_int_equal(id, HT_KIND_HEAP);
    assert_true(ht_view_find_kind(&view, "heap", &id));
    assert_false(ht_view_find_kind(&view, "mutex", &id));
    assert_false(ht_view_kind(&view, 1, &kind));
    region.header->kinds_ref = 0; // as an older build wrote it
    assert_int_equal(ht_view_kind_count(&view), 1);
    assert_true(ht_view_kind(&view, HT_KIND_HEAP, &kind));
    assert_false(ht_view_kind(&view, 1, &kind));
    ht_region_destroy(&region);
}

static void test_so_many_and_no_more(void **state)
{
    (void)state;
    struct ht_region region = make_plain_region(1 << 20);
    for (unsigned i = 1; i < HT_KIND_LIMIT; i++) {
        struct ht_kind kind = kind_of(i);
        uint32_t id = 0, again = 0;
        assert_true(ht_kind_add(&region, &kind, &id));
        assert_int_equal(id, i);
        kind.form.count_shift = 7; // a name keeps its form
        assert_true(ht_kind_add(&region, &kind, &again));
        assert_int_equal(again, i);
    }
    struct ht_kind kind = kind_of(HT_KIND_LIMIT);
    uint32_t id = 99;
    assert_false(ht_kind_add(&region, &kind, &id));
    assert_int_equal(id, 99);
    struct ht_view view = view_of(&region);
    assert_int_equal(ht_view_kind_count(&view), HT_KIND_LIMIT);
    for (unsigned i = 1; i < HT_KIND_LIMIT; i++) {
        assert_true(ht_view_kind(&view, i, &kind));
        assert_int_equal(kind.form.count_shift, 0);
        assert_true(ht_view_find_kind(&view, kind.form.name, &id));
        assert_int_equal(id, i);
    }
    ht_region_destroy(&region);
}

static struct ht_region shared;
static uint32_t ids_of_thread[4][HT_KIND_LIMIT];

static void *add_all(void *arg)
{
    uint32_t *ids = arg;
    for (unsigned i = 0; i < 20; i++) {
        struct ht_kind kind = kind_of(i);
        if (!ht_kind_add(&shared, &kind, &ids[i]))
            ids[i] = HT_KIND_LIMIT;
    }
    return NULL;
}

static void test_many_threads_agree(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        shared = make_plain_region(1 << 20);
        pthread_t threads[4];
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, add_all, ids_of_thread[i]), 0);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        uint32_t seen = 0;
        for (unsigned i = 0; i < 20; i++) {
            assert_in_range(ids_of_thread[0][i], 1, 20);
            seen |= UINT32_C(1) << ids_of_thread[0][i];
            for (unsigned other = 1; other < 4; other++)
                assert_int_equal(ids_of_thread[other][i], ids_of_thread[0][i]);
        }
        assert_int_equal(seen, (UINT32_C(1) << 21) - 2); // each its own
        ht_region_destroy(&shared);
    }
}

static double variance_of(const struct ht_entry *entry)
{
    double variance;
    memcpy(&variance, &entry->values[HT_ENTRY_VARIANCE], sizeof variance);
    return variance;
}

#define ADDS 20000u

static void *add_samples(void *arg)
{
    for (unsigned i = 0; i < ADDS; i++)
        ht_entry_add(&shared, *(uint32_t *)arg, 8, 2, 0);
    return NULL;
}

// No thread's part of the sum is lost; every step of it is a whole number, so that it is exact.
static void test_variances_add_up(void **state)
{
    (void)state;
    shared = make_plain_region(1 << 20);
    assert_int_equal(shared.header->keeps, HT_KEEPS_VARIANCE);
    uint32_t ref = ht_entry_intern(&shared, HT_KIND_HEAP, frames, 3, 0, ht_size_class(8), 0);
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_samples, &ref), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(variance_of(ht_region_at(&shared, ref)) == 4.0 * ADDS * 8 * 8 * 2);
    ht_region_destroy(&shared);
}

// The same stack under two kinds is two entries, also where there is no memory for stacks any more.
static void test_kinds_do_not_mix(void **state)
{
    (void)state;
    struct ht_region region = make_plain_region(1 << 18);
    struct ht_kind kind = kind_of(1);
    kind.form.count_shift = 4;
    uint32_t id = 0;
    assert_true(ht_kind_add(&region, &kind, &id));
    uint32_t heap = ht_entry_intern(&region, HT_KIND_HEAP, frames, 3, 0, 0, 0);
    uint32_t other = ht_entry_intern(&region, id, frames, 3, 0, 0, 0);
    assert_true(heap != 0 && other != 0 && heap != other);
    const struct ht_entry *heap_entry = ht_region_at(&region, heap),
                          *other_entry = ht_region_at(&region, other);
    assert_int_equal(heap_entry->stack_ref, other_entry->stack_ref);
    ht_entry_add(&region, other, 1000, 2.5, 0);
    assert_int_equal(other_entry->values[HT_ENTRY_COUNT], 2.5 * 16);
    assert_int_equal(other_entry->values[HT_ENTRY_AMOUNT], 2500);
    assert_int_equal(heap_entry->values[HT_ENTRY_COUNT], 0);
    assert_true(variance_of(other_entry) == 1000.0 * 1000 * 2.5 * 1.5);
    ht_entry_add(&region, other, 1000, 1, 0); // an exact sample has none
    assert_true(variance_of(other_entry) == 1000.0 * 1000 * 2.5 * 1.5);
    for (uint64_t i = 0; region.header->health[HT_HEALTH_OVERFLOW_STACKS] == 0; i++) {
        const uint64_t deep[] = {i, i + 1, i + 2, i + 3};
        assert_int_not_equal(ht_entry_intern(&region, HT_KIND_HEAP, deep, 4, 0, 0, 0), 0);
    }
    const uint64_t fresh[] = {0xdead0000, 0xbeef0000};
    heap = ht_entry_intern(&region, HT_KIND_HEAP, fresh, 2, 0, 0, 0);
    other = ht_entry_intern(&region, id, fresh, 2, 0, 0, 0);
    heap_entry = ht_region_at(&region, heap);
    other_entry = ht_region_at(&region, other);
    assert_true(heap != 0 && other != 0 && heap != other);
    assert_int_equal(heap_entry->stack_ref, 0);
    assert_int_equal(other_entry->stack_ref, 0);
    assert_int_equal(heap_entry->kind, HT_KIND_HEAP);
    assert_int_equal(other_entry->kind, id);
    assert_int_equal(ht_entry_intern(&region, id, fresh, 2, 0, 0, 0), other);
    assert_int_equal(ht_entry_intern(&region, id + 1, fresh, 2, 0, 0, 0), 0); // no such kind
    assert_int_equal(ht_entry_intern(&region, id, fresh, 2, 0, 9, 0), 0);     // it has no sizes
    ht_region_destroy(&region);
}

static struct ht_kind_row *row_of(struct ht_region *region, uint32_t id)
{
    return ht_region_at(region, region->kinds[id].row_ref);
}

static void test_damaged_rows(void **state)
{
    (void)state;
    struct ht_region region = make_plain_region(1 << 20);
    struct ht_kind kind = kind_of(1), read;
    uint32_t id = 0;
    assert_true(ht_kind_add(&region, &kind, &id));
    struct ht_view view = view_of(&region);
    struct ht_kind_row *row = row_of(&region, id), good = *row;
    memset(row->form.columns[0].type, 'x', sizeof row->form.columns[0].type);
    memset(row->form.name, 'y', sizeof row->form.name);
    assert_true(ht_view_kind(&view, id, &read));
    assert_int_equal(strlen(read.form.columns[0].type), sizeof read.form.columns[0].type - 1);
    assert_int_equal(strlen(read.form.name), sizeof read.form.name - 1);
    *row = good;
    row->form.column_count = 200;
    assert_false(ht_view_kind(&view, id, &read));
    *row = good;
    row->form.columns[0].source = 77;
    assert_false(ht_view_kind(&view, id, &read));
    *row = good;
    row->form.amount_shift = 64;
    assert_false(ht_view_kind(&view, id, &read));
    *row = good;
    row->next_ref = region.kinds[id].row_ref; // a circle; what the heap is is known all the same
    assert_true(ht_view_kind(&view, HT_KIND_HEAP, &read));
    assert_string_equal(read.form.name, "heap");
    assert_false(ht_view_kind(&view, 2, &read));
    assert_true(ht_view_kind(&view, id, &read));
    *row = good;
    row->next_ref = UINT32_MAX;
    assert_true(ht_view_kind(&view, HT_KIND_HEAP, &read));
    *row = good;
    row_of(&region, HT_KIND_HEAP)->drop_frames_ref = UINT32_MAX;
    assert_true(ht_view_kind(&view, HT_KIND_HEAP, &read));
    assert_null(read.drop_frames);
    // The recorder goes by what it knows itself.
    row->form.count_shift = 63;
    uint32_t ref = ht_entry_intern(&region, id, frames, 3, 0, 0, 0);
    ht_entry_add(&region, ref, 5, 1, 0);
    assert_int_equal(((const struct ht_entry *)ht_region_at(&region, ref))->values[HT_ENTRY_COUNT], 1);
    ht_region_destroy(&region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_heap_is_first),  cmocka_unit_test(test_so_many_and_no_more),
        cmocka_unit_test(test_many_threads_agree), cmocka_unit_test(test_kinds_do_not_mix),
        cmocka_unit_test(test_variances_add_up),   cmocka_unit_test(test_damaged_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
