// Each rule of a region is broken on purpose, one at a time, and its check says so, by number.
#include "record/filter.h"
#include "record/live.h"
#include "record/modules.h"
#include "record/stacks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checks.h"

#define LIVE 900u // of 1024 slots of the first level, so that buckets are passed

static struct ht_region region;
static struct ht_region_header *header;
static uint32_t entries[8], label_ref;

static uint64_t address_of(uint64_t i)
{
    return UINT64_C(0x7f0000000000) + i * 48;
}

static void fill(void)
{
    static struct ht_identity identity = {.pid = 1, .program = "test", .rate_bytes = 1, .active = 1};
    static const uint8_t build_id[32] = {1, 2, 3};
    const struct ht_module_desc modules[] = {
        {0x555500001000, 0x555500009000, 0x1000, 0, "/usr/bin/demo", build_id, 20, true},
        {0x7f0000000000, 0x7f0000002000, 0, 0, "/usr/lib/libone.so", build_id, 32, false},
        {0x7f0000001000, 0x7f0000003000, 0, 0, "/usr/lib/libtwo.so", NULL, 0, false},
    };
    ht_filter_reset();
    assert_true(ht_region_create(&identity, NULL, 1 << 20, 1, &region));
    header = region.header;
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        int64_t delta;
        assert_true(ht_modules_add(&region, &modules[i], &delta));
    }
    label_ref = ht_string_intern(&region, "worker", 6);
    for (uint64_t i = 0; i < 8; i++) {
        const uint64_t frames[] = {0x555500001010 + i, 0x555500001020, 0x7f0000001000};
        entries[i] = ht_entry_intern(&region, HT_KIND_HEAP, frames, 3, i == 3 ? HT_STACK_FAILED : 0,
                                     ht_size_class(64 + i * 64), i % 2 == 0 ? label_ref : 0);
    }
    for (uint64_t i = 0; i < LIVE; i++) {
        uint64_t size = 64 + i % 8 * 64;
        struct ht_live_copy live = {address_of(i), size, i, 4096, 8192 + (float)i, entries[i % 8]};
        ht_entry_add(&region, live.entry_ref, size, ht_live_weight(&live, 0), 0.5);
        assert_true(ht_live_insert(&region, &live));
    }
}

static void *at(uint32_t ref)
{
    return ht_region_at(&region, ref);
}

static struct ht_entry *entry(unsigned i)
{
    return at(entries[i]);
}

static struct ht_stack *stack(unsigned i)
{
    return at(entry(i)->stack_ref);
}

static struct ht_module *module(unsigned i)
{
    struct ht_module *module = at(header->modules_ref);
    while (i-- > 0)
        module = at(module->next_ref);
    return module;
}

static uint32_t *heads(uint32_t ref)
{
    return at(ref);
}

static uint64_t *keys(void)
{
    return (uint64_t *)(void *)(region.base + region.levels[0].keys_offset);
}

static struct ht_live_slot *slots(void)
{
    return (struct ht_live_slot *)(void *)(region.base + region.levels[0].slots_offset);
}

static uint32_t *passed(void)
{
    return (uint32_t *)(void *)(region.base + region.levels[0].passed_offset);
}

static uint32_t home_of(uint64_t key)
{
    return (uint32_t)(ht_address_hash(key) >> 32) & (region.levels[0].bucket_count - 1);
}

// A slot of the first level whose record stands `behind` its home or not.
static uint32_t slot_behind(bool behind)
{
    for (uint32_t i = 0; i < region.levels[0].bucket_count * HT_BUCKET_SLOTS; i++)
        if (keys()[i] != 0 && (home_of(keys()[i]) != i / HT_BUCKET_SLOTS) == behind)
            return i;
    fail_msg("no such record");
    return 0;
}

static uint32_t empty_slot(uint32_t not_near)
{
    for (uint32_t i = 0; i < region.levels[0].bucket_count * HT_BUCKET_SLOTS; i++)
        if (keys()[i] == 0 && (i / HT_BUCKET_SLOTS - not_near) % region.levels[0].bucket_count > 16)
            return i;
    fail_msg("no empty slot");
    return 0;
}

static void used_beyond_backed(void)
{
    header->used_bytes = header->backed_bytes + 8;
}
static void backed_beyond_size(void)
{
    header->backed_bytes = header->size_bytes + 8;
}
static void no_levels(void)
{
    header->level_count = 0;
}
static void odd_buckets(void)
{
    header->levels[0].bucket_count = 100;
}
static void level_outside(void)
{
    header->levels[0].slots_offset = header->used_bytes;
}
static void tables_overlap(void)
{
    header->levels[0].passed_offset = header->levels[0].keys_offset;
}
static void heads_overlap(void)
{
    header->stack_heads_ref = header->entry_heads_ref;
}
static void floor_of_nobody(void)
{
    header->floor_bytes = 4;
}
static void floor_is_nan(void)
{
    header->floor_bytes = nanf("");
}
static void stacks_in_a_circle(void)
{
    stack(0)->next_ref = entry(0)->stack_ref;
}
static void stacks_lead_out(void)
{
    stack(0)->next_ref = (uint32_t)(header->used_bytes / HT_REF_UNIT);
}
static void strings_in_a_circle(void)
{
    ((struct ht_string *)at(label_ref))->next_ref = label_ref;
}
static void modules_in_a_circle(void)
{
    module(2)->next_ref = header->modules_ref;
}
static void modules_lead_out(void)
{
    module(2)->next_ref = UINT32_MAX;
}
static void entries_in_a_circle(void)
{
    entry(0)->next_ref = entries[0];
}
static void entries_lead_out(void)
{
    entry(0)->next_ref = UINT32_MAX;
}
static void stack_is_cut(void)
{
    // The last thing that was taken is an entry; a stack that began there would have no room.
    uint32_t ref = (uint32_t)((header->used_bytes - sizeof(struct ht_stack)) / HT_REF_UNIT);
    struct ht_stack *made = at(ref);
    *made = (struct ht_stack){.frame_count = 3};
    heads(header->stack_heads_ref)[0] = ref;
}
static void frame_changes(void)
{
    stack(0)->frames[1]++;
}
static void stack_in_another_chain(void)
{
    uint32_t *head = heads(header->stack_heads_ref);
    uint32_t own = (uint32_t)(stack(0)->hash >> 20) & (header->head_count - 1);
    head[own ^ 1] = head[own];
    head[own] = 0;
}
static void too_many_frames(void)
{
    stack(0)->frame_count = HT_MAX_FRAMES + 1;
}
static void unknown_flag(void)
{
    stack(0)->flags |= 4;
}
static void stack_twice(void)
{
    uint64_t bytes = sizeof(struct ht_stack) + 3 * sizeof(uint64_t);
    uint64_t offset = ht_region_take(&region, bytes, HT_REF_UNIT, false);
    memcpy(region.base + offset, stack(0), bytes);
    uint32_t *head = &heads(header->stack_heads_ref)[(stack(0)->hash >> 20) & (header->head_count - 1)];
    ((struct ht_stack *)(void *)(region.base + offset))->next_ref = *head;
    *head = (uint32_t)(offset / HT_REF_UNIT);
}
static void string_without_end(void)
{
    ((struct ht_string *)at(label_ref))->bytes[6] = 'x';
}
static void string_too_long(void)
{
    ((struct ht_string *)at(label_ref))->length_bytes = UINT32_MAX;
}
static void module_id_zero(void)
{
    module(0)->id = 0;
}
static void module_id_twice(void)
{
    module(0)->id = module(1)->id;
}
static void module_is_empty(void)
{
    module(0)->limit = module(0)->start;
}
static void build_id_too_long(void)
{
    module(0)->build_id_bytes = 33;
}
static void path_is_none(void)
{
    module(0)->path_ref = UINT32_MAX;
}
static void modules_overlap(void)
{
    module(0)->profile_start = module(0)->start;
}
static void class_out_of_range(void)
{
    entry(0)->size_class = HT_SIZE_CLASSES;
}
static void entry_without_stack(void)
{
    entry(0)->stack_ref = UINT32_MAX;
}
static void label_is_none(void)
{
    entry(0)->label_ref = UINT32_MAX;
}
static void entry_of_another_label(void)
{
    entry(0)->label_ref = 0;
}
static void entry_of_no_kind(void)
{
    entry(0)->kind = 7;
}
static struct ht_kind_row *kind(void)
{
    return at(header->kinds_ref);
}
static void kind_id_odd(void)
{
    kind()->id = 3;
}
static void kind_without_name(void)
{
    kind()->form.name[0] = '\0';
}
static void kind_name_unending(void)
{
    memset(kind()->form.name, 'x', sizeof kind()->form.name);
}
static void kind_twice(void)
{
    struct ht_kind other = {
        .form = {.name = "other", .column_count = 1, .columns = {{"a", "b", HT_COLUMN_COUNT}}}};
    uint32_t id;
    assert_true(ht_kind_add(&region, &other, &id));
    memcpy(kind()->form.name, "heap", 5);
}
static void kind_in_a_circle(void)
{
    kind()->next_ref = header->kinds_ref;
}
static void kind_drops_no_string(void)
{
    kind()->drop_frames_ref = UINT32_MAX;
}
static void overflow_of_another(void)
{
    kind()->overflow_refs[5] = entries[0];
}
static void sample_of_another_kind(void)
{
    uint32_t slot = 0; // in the next bucket, where its new home may be
    while (keys()[slot] == 0 || home_of(keys()[slot]) != slot / HT_BUCKET_SLOTS ||
           home_of(keys()[slot] | UINT64_C(1) << HT_KIND_KEY_SHIFT) != home_of(keys()[slot]))
        slot++;
    keys()[slot] |= UINT64_C(1) << HT_KIND_KEY_SHIFT;
}
static void entry_in_another_chain(void)
{
    uint32_t *head = heads(header->entry_heads_ref);
    uint32_t own = (uint32_t)(entry(0)->hash >> 20) & (header->head_count - 1);
    head[own ^ 1] = head[own];
    head[own] = 0;
}
static void entry_id_out_of_range(void)
{
    entry(0)->id = header->entry_count + 1;
}
static void entry_id_twice(void)
{
    entry(0)->id = entry(1)->id;
}
static void too_many_entries(void)
{
    header->entry_count = UINT32_MAX;
}
static void more_samples_than_objects(void)
{
    entry(0)->values[HT_ENTRY_SAMPLES] *= 1000;
}
static void set_variance(unsigned i, double variance)
{
    memcpy(&entry(i)->values[HT_ENTRY_VARIANCE], &variance, sizeof variance);
}
static void variance_is_nan(void)
{
    set_variance(0, NAN);
}
static void variance_is_infinite(void)
{
    set_variance(0, HUGE_VAL);
}
static void variance_below_zero(void)
{
    set_variance(0, -1);
}
static void variance_too_large(void)
{
    set_variance(0, 1e30);
}
static void variance_too_small(void)
{
    set_variance(0, 1);
}
static void variance_of_exact_samples(void)
{
    const uint64_t frames[] = {0x555500001010};
    uint32_t ref = ht_entry_intern(&region, HT_KIND_HEAP, frames, 1, 0, ht_size_class(100), 0);
    ht_entry_add(&region, ref, 100, 1, 0);
    entries[0] = ref;
    set_variance(0, 100);
}
static void began_nowhere(void)
{
    entry(0)->inherited_ref = UINT32_MAX;
}
static void began_with_more(void)
{
    ht_entries_began(&region);
    entry(0)->values[HT_ENTRY_COUNT] /= 2;
    entry(0)->values[HT_ENTRY_AMOUNT] /= 2;
}
static void more_bytes_than_objects(void)
{
    entry(0)->values[HT_ENTRY_AMOUNT] *= 2;
}
static void fewer_bytes_than_objects(void)
{
    entry(0)->values[HT_ENTRY_AMOUNT] /= 2;
}
static void key_of_another_bucket(void)
{
    uint32_t from = slot_behind(false), to = empty_slot(home_of(keys()[from]));
    slots()[to] = slots()[from];
    keys()[to] = keys()[from];
    keys()[from] = 0;
}
static void passed_too_low(void)
{
    passed()[home_of(keys()[slot_behind(true)])]--;
}
static void passed_too_high(void)
{
    passed()[0]++;
}
static void slot_busy(void)
{
    uint32_t slot = slot_behind(false);
    keys()[slot] = HT_SLOT_BUSY;
}
static void slot_marked(void)
{
    keys()[slot_behind(false)] |= HT_SWEEP_MARK;
}
static void stripe_off(void)
{
    header->stripes[3].live++;
}
static void key_twice(void)
{
    uint32_t from = slot_behind(true), home = home_of(keys()[from]);
    // Another in its home bucket makes room: there it has passed nobody.
    uint32_t to = home * HT_BUCKET_SLOTS;
    while (home_of(keys()[to]) != home)
        to++;
    slots()[to] = slots()[from];
    keys()[to] = keys()[from];
}
static void never_settled(void)
{
    slots()[slot_behind(false)].rank_bytes = 0;
}
static void sample_of_no_entry(void)
{
    slots()[slot_behind(false)].entry_ref++;
}
static void sample_of_another_class(void)
{
    slots()[slot_behind(false)].size_bytes *= 2;
}
static void rank_is_nan(void)
{
    slots()[slot_behind(false)].rank_bytes = nanf("");
}
static void rank_below_rate(void)
{
    slots()[slot_behind(false)].rank_bytes = 100;
}
static void more_live_than_ever(void)
{
    double variance;
    memcpy(&variance, &entry(0)->values[HT_ENTRY_VARIANCE], sizeof variance);
    for (int i = HT_ENTRY_SAMPLES; i < HT_ENTRY_VALUES; i++)
        entry(0)->values[i] /= 2;
    set_variance(0, variance / 2);
}
static void level_of_nobody(void)
{
    region.levels[0].passed_offset += 8;
}
static void byte_too_low(void)
{
    uint64_t key = keys()[slot_behind(false)];
    ht_filter_bytes[ht_filter_hash((uintptr_t)key) & ht_filter_mask]--;
}
static void pin_comes_off(void)
{
    static char block;
    ht_filter_pin((uintptr_t)&block);
    ht_filter_bytes[ht_filter_hash((uintptr_t)&block) & ht_filter_mask] = 1;
}

#define ROW(rule, damage)                                                                                    \
    {                                                                                                        \
        rule, #damage, damage                                                                                \
    }
static const struct damage {
    const char *rule, *name;
    void (*make)(void);
} damages[] = {
    ROW("R1", used_beyond_backed),
    ROW("R1", backed_beyond_size),
    ROW("R5", no_levels),
    ROW("R5", odd_buckets),
    ROW("R5", level_outside),
    ROW("R5", tables_overlap),
    ROW("R5", heads_overlap),
    ROW("L7", floor_of_nobody),
    ROW("L7", floor_is_nan),
    ROW("R4", stacks_in_a_circle),
    ROW("R4", stacks_lead_out),
    ROW("R4", strings_in_a_circle),
    ROW("R4", modules_in_a_circle),
    ROW("R4", modules_lead_out),
    ROW("R4", entries_in_a_circle),
    ROW("R4", entries_lead_out),
    ROW("R2", stack_is_cut),
    ROW("S1", frame_changes),
    ROW("S1", stack_in_another_chain),
    ROW("S2", too_many_frames),
    ROW("S2", unknown_flag),
    ROW("S2", stack_twice),
    ROW("T1", string_without_end),
    ROW("T1", string_too_long),
    ROW("M1", module_id_zero),
    ROW("M1", module_id_twice),
    ROW("M1", module_is_empty),
    ROW("M1", build_id_too_long),
    ROW("M1", path_is_none),
    ROW("M2", modules_overlap),
    ROW("E1", class_out_of_range),
    ROW("E1", entry_without_stack),
    ROW("E1", label_is_none),
    ROW("E1", entry_of_another_label),
    ROW("E1", entry_of_no_kind),
    ROW("K1", kind_id_odd),
    ROW("K1", kind_in_a_circle),
    ROW("K2", kind_without_name),
    ROW("K2", kind_name_unending),
    ROW("K2", kind_twice),
    ROW("K3", overflow_of_another),
    ROW("T1", kind_drops_no_string),
    ROW("L8", sample_of_another_kind),
    ROW("E1", entry_in_another_chain),
    ROW("E2", entry_id_out_of_range),
    ROW("E2", entry_id_twice),
    ROW("E2", too_many_entries),
    ROW("E3", more_samples_than_objects),
    ROW("E3", more_bytes_than_objects),
    ROW("E3", fewer_bytes_than_objects),
    ROW("E6", variance_is_nan),
    ROW("E6", variance_is_infinite),
    ROW("E6", variance_below_zero),
    ROW("E6", variance_too_large),
    ROW("E6", variance_too_small),
    ROW("E6", variance_of_exact_samples),
    ROW("E5", began_nowhere),
    ROW("E5", began_with_more),
    ROW("L1", key_of_another_bucket),
    ROW("L1", passed_too_low),
    ROW("L1", passed_too_high),
    ROW("L2", slot_busy),
    ROW("L2", slot_marked),
    ROW("L3", stripe_off),
    ROW("L5", key_twice),
    ROW("L6", never_settled),
    ROW("L8", sample_of_no_entry),
    ROW("L8", sample_of_another_class),
    ROW("L8", rank_is_nan),
    ROW("L8", rank_below_rate),
    ROW("E4", more_live_than_ever),
    ROW("L4", level_of_nobody),
    ROW("F1", byte_too_low),
    ROW("F3", pin_comes_off),
};

static void test_each_rule_is_seen_to_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        fill();
        checks_pass_own(&region);
        struct ht_view view;
        struct ht_check check;
        assert_int_equal(ht_view_init(&view, region.base, region.backed_bytes), HT_VIEW_OK);
        damages[i].make();
        const char *rule = checks_find(&view, HT_CHECK_QUIET, &region, &check);
        if (strcmp(rule, damages[i].rule) != 0)
            fail_msg("%s: expected %s, found %s", damages[i].name, damages[i].rule,
                     *rule != '\0' ? check.wrong : "nothing");
        // That its row finds it, and that the text begins with the rule.
        assert_memory_equal(check.wrong, rule, strlen(rule));
        header->size_bytes = region.size_bytes;
        ht_region_destroy(&region);
        ht_filter_reset();
    }
}

// What a process leaves that ends in the middle of a change is no damage of a region that it has left behind,
// and is damage where nothing was under way.
static void test_half_done_changes(void **state)
{
    (void)state;
    static void (*const half_done[])(void) = {passed_too_high, slot_busy, slot_marked, stripe_off,
                                              never_settled};
    for (size_t i = 0; i < sizeof half_done / sizeof half_done[0]; i++) {
        fill();
        half_done[i]();
        struct ht_view view;
        struct ht_check check;
        assert_int_equal(ht_view_init(&view, region.base, region.backed_bytes), HT_VIEW_OK);
        checks_pass(&view, HT_CHECK_STOPPED, NULL);
        checks_pass(&view, HT_CHECK_RUNNING, NULL);
        assert_string_not_equal(checks_find(&view, HT_CHECK_QUIET, NULL, &check), "");
        ht_region_destroy(&region);
    }
}

// A check has the memory that it is given.
static void test_no_memory(void **state)
{
    (void)state;
    fill();
    struct ht_view view;
    struct ht_check check;
    struct ht_bump memory;
    assert_int_equal(ht_view_init(&view, region.base, region.backed_bytes), HT_VIEW_OK);
    ht_bump_init(&memory, 0);
    assert_non_null(ht_check_all(&check, &view, HT_CHECK_QUIET, &memory));
    assert_string_equal(check.rule, "memory");
    ht_region_destroy(&region);
}

// A cut file: what is used is not all there.
static void test_cut(void **state)
{
    (void)state;
    fill();
    struct ht_view view;
    struct ht_check check;
    assert_int_equal(ht_view_init(&view, region.base, header->used_bytes - 8), HT_VIEW_OK);
    assert_string_equal(checks_find(&view, HT_CHECK_STOPPED, NULL, &check), "R1");
    ht_region_destroy(&region);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static int compare(const void *arg, uint64_t a, uint64_t b)
{
    ++*(uint64_t *)(uintptr_t)arg;
    return a < b ? -1 : a > b;
}

static void test_sort(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    static uint64_t items[COUNT];
    uint64_t random = 1;
    for (unsigned kind = 0; kind < 4; kind++)
        for (uint64_t count = 0; count <= COUNT; count = count * 2 + 1) {
            uint64_t sum = 0, compared = 0;
            for (uint64_t i = 0; i < count; i++)
                sum += items[i] = kind == 0   ? next_random(&random)
                                  : kind == 1 ? i
                                  : kind == 2 ? count - i
                                              : i % 3;
            ht_check_sort(items, count, compare, &compared);
            for (uint64_t i = 0; i < count; i++) {
                assert_true(i == 0 || items[i - 1] <= items[i]);
                sum -= items[i];
            }
            assert_int_equal(sum, 0);
            assert_true(compared <= 2 * count * 14);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule_is_seen_to_fail),
        cmocka_unit_test(test_half_done_changes),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
