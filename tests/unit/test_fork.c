// What a copied process takes over, at the moments of fork that are hard to hit from outside: the handlers
// are called by hand, around _Fork, which runs none.
#include "core/owner.h"
#include "core/process.h"

#include "record/kinds.h"
#include "record/live.h"
#include "record/stacks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "checks.h"

static char live_directory[] = "/dev/shm/heaptap-fork-XXXXXX";

// Records so many blocks as this process's own. False: it could not.
static bool record(uint64_t first_address, unsigned count)
{
    struct ht_region *region = ht_process_region();
    for (unsigned i = 0; i < count && region != NULL; i++) {
        uint64_t frames[2] = {0x1000, 0x2000};
        struct ht_live_copy live = {.address = first_address + i * UINT64_C(64),
                                    .size_bytes = 48,
                                    .birth_ns = 1,
                                    .rate_bytes = 1,
                                    .rank_bytes = 1e30f};
        live.entry_ref = ht_entry_intern(region, HT_KIND_HEAP, frames, 2, 0, ht_size_class(48), 0);
        if (live.entry_ref == 0)
            return false;
        ht_entry_add(region, live.entry_ref, live.size_bytes, 1, 0);
        if (!ht_live_insert(region, &live))
            return false;
    }
    return region != NULL;
}

// Whether this process, which has made no region yet, starts from so many live blocks.
static bool starts_from(uint64_t count, bool raw)
{
    if (ht_process_region_if_made() != NULL || !ht_process_is_copy())
        return false;
    const struct ht_region *region = ht_process_region();
    if (region == NULL || region->header->pid != (uint32_t)getpid())
        return false;
    const uint64_t *health = region->header->health;
    uint64_t live = (uint64_t)ht_live_count(region->header);
    if (live != count || health[HT_HEALTH_INHERITED] != count || health[HT_HEALTH_INHERIT_LOST] != 0 ||
        health[HT_HEALTH_RAW_FORK] != raw) {
        fprintf(stderr, "live %llu, inherited %llu, lost %llu, raw %llu; expected %llu\n",
                (unsigned long long)live, (unsigned long long)health[HT_HEALTH_INHERITED],
                (unsigned long long)health[HT_HEALTH_INHERIT_LOST],
                (unsigned long long)health[HT_HEALTH_RAW_FORK], (unsigned long long)count);
        return false;
    }
    struct ht_view view;
    struct ht_check check;
    if (ht_view_init(&view, region->base, region->backed_bytes) != HT_VIEW_OK ||
        *checks_find(&view, HT_CHECK_QUIET, region, &check) != '\0') {
        fprintf(stderr, "%s\n", check.wrong);
        return false;
    }
    return true;
}

// Ends a process of a test: its region goes with it.
static void leave(bool right)
{
    struct ht_region *region = ht_process_region_if_made();
    if (region != NULL)
        ht_region_unlink(region);
    _exit(right ? 0 : 1);
}

static bool ended_well(pid_t child)
{
    int status;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

// The samples stand for another thread's first ones, between our prepare handler and the copying.
static pid_t fork_with_handlers(unsigned samples_behind_prepare)
{
    ht_fork_prepare();
    bool recorded = samples_behind_prepare == 0 || record(0x30000, samples_behind_prepare);
    pid_t child = _Fork();
    if (child == 0)
        ht_fork_child();
    else
        ht_fork_parent();
    return recorded ? child : -1;
}

struct scenario {
    const char *name;
    bool (*run)(void);
};

// Each scenario in a process that has no region yet.
static void in_new_process(void **state)
{
    const struct scenario *scenario = *state;
    pid_t child = _Fork();
    if (child == 0)
        leave(scenario->run());
    assert_true(ended_well(child));
}

static bool live_blocks_go_on(void)
{
    if (!record(0x10000, 3))
        return false;
    pid_t child = fork_with_handlers(0);
    if (child == 0)
        leave(starts_from(3, false) && record(0x20000, 1));
    return ended_well(child) && ht_live_count(ht_process_region()->header) == 3;
}

static const struct ht_kind files = {.form = {.name = "files",
                                              .flags = HT_KIND_HAS_LIVE,
                                              .column_count = 1,
                                              .columns = {{"open", "count", HT_COLUMN_LIVE_COUNT}}}};

static bool is_of(void *arg, const struct ht_live_copy *live)
{
    const struct ht_entry *entry = ht_region_at(ht_process_region(), live->entry_ref);
    uint32_t *found = arg;
    found[entry->kind < 3 ? entry->kind : 0]++;
    return true;
}

// A live sample of another kind is inherited as one of that kind, whose id is the same, whatever else there
// is.
static bool other_kinds_go_on(void)
{
    struct ht_region *region = ht_process_region();
    uint32_t id = 0, unused = 0;
    static const struct ht_kind first = {
        .form = {.name = "unused", .column_count = 1, .columns = {{"events", "count", HT_COLUMN_COUNT}}}};
    uint64_t frame = 0x1000;
    if (region == NULL || !ht_kind_add(region, &first, &unused) || !ht_kind_add(region, &files, &id) ||
        id != 2 || !record(0x10000, 3))
        return false;
    struct ht_live_copy live = {
        .address = ht_kind_live_key(id, 0x10000), .size_bytes = 1, .rate_bytes = 1, .rank_bytes = 1e30f};
    live.entry_ref = ht_entry_intern(region, id, &frame, 1, 0, 0, 0);
    if (live.entry_ref == 0 || !ht_live_insert(region, &live))
        return false;
    pid_t child = fork_with_handlers(0);
    if (child == 0) {
        uint32_t found[3] = {0}, again = 0;
        bool started = starts_from(4, false);
        const struct ht_region *own = ht_process_region();
        struct ht_view view = {own->base, own->backed_bytes, own->header};
        ht_view_each_live(&view, is_of, found);
        leave(started && found[HT_KIND_HEAP] == 3 && found[2] == 1 &&
              ht_view_find_kind(&view, "files", &again) && again == id);
    }
    return ended_well(child);
}

// A child that records nothing hands on what it was handed.
static bool through_an_idle_child(void)
{
    if (!record(0x10000, 3))
        return false;
    pid_t child = fork_with_handlers(0);
    if (child == 0) {
        pid_t grandchild = fork_with_handlers(0);
        if (grandchild == 0)
            leave(starts_from(3, false));
        leave(ended_well(grandchild) && ht_process_region_if_made() == NULL);
    }
    return ended_well(child);
}

static bool made_behind_prepare(void)
{
    pid_t child = fork_with_handlers(3);
    if (child == 0)
        leave(starts_from(3, false));
    return ended_well(child);
}

static bool taken_over_behind_prepare(void)
{
    if (!record(0x10000, 3))
        return false;
    pid_t child = fork_with_handlers(0);
    if (child == 0) {
        pid_t grandchild = fork_with_handlers(2);
        if (grandchild == 0)
            leave(starts_from(5, false));
        leave(ended_well(grandchild));
    }
    return ended_well(child);
}

// Something allocates in a child's fork handler that runs before ours.
static bool before_our_handler(void)
{
    ht_fork_prepare();
    bool recorded = record(0x30000, 3);
    pid_t child = _Fork();
    if (child == 0) {
        bool right = starts_from(3, false);
        ht_fork_child();
        leave(right && record(0x40000, 1) && ht_live_count(ht_process_region()->header) == 4);
    }
    ht_fork_parent();
    return recorded && ended_well(child);
}

// What was copied without handlers starts empty, and so does its child: whatever its parent holds by then.
static bool without_handlers(void)
{
    if (!record(0x10000, 3))
        return false;
    pid_t child = _Fork();
    if (child == 0)
        leave(starts_from(0, true));
    pid_t idle = _Fork();
    if (idle == 0) {
        pid_t grandchild = fork_with_handlers(0);
        if (grandchild == 0)
            leave(starts_from(0, true));
        leave(ended_well(grandchild));
    }
    return ended_well(child) && ended_well(idle);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(live_directory) == NULL)
        return -1;
    ht_settings.rate_bytes = 1;
    ht_settings.memory_bytes = 4 << 20;
    snprintf(ht_settings.program, sizeof ht_settings.program, "forker");
    snprintf(ht_settings.live_dir, sizeof ht_settings.live_dir, "%s", live_directory);
    return ht_owner_start() ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(live_directory); // nothing was left behind
}

int main(void)
{
    struct scenario scenarios[] = {
        {"live blocks go on", live_blocks_go_on},
        {"other kinds go on", other_kinds_go_on},
        {"through an idle child", through_an_idle_child},
        {"made behind the prepare handler", made_behind_prepare},
        {"taken over behind the prepare handler", taken_over_behind_prepare},
        {"before our handler", before_our_handler},
        {"without handlers", without_handlers},
    };
    struct CMUnitTest tests[sizeof scenarios / sizeof *scenarios];
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        tests[i] = (struct CMUnitTest){scenarios[i].name, in_new_process, NULL, NULL, &scenarios[i]};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
