// A program that records two kinds of profile beside the heap, into a region of its own making: what the
// kinds of a later day do through the shim. Its frames are functions of its own.
//@ ldflags ht_command
#include "record/kinds.h"
#include "record/live.h"
#include "record/modules.h"
#include "record/stacks.h"
#include "record/view.h"
#include "snapshot/snapshot.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((noinline)) static int take_lock(int value)
{
    return value + 1;
}

__attribute__((noinline)) static int open_connection(int value)
{
    return value * 3;
}

__attribute__((noinline)) static int serve(int value)
{
    return take_lock(value) + open_connection(value);
}

static const struct ht_kind waits = {.form = {.name = "waits",
                                              .count_shift = 16,
                                              .column_count = 2,
                                              .default_column = 1,
                                              .columns = {{"contentions", "count", HT_COLUMN_COUNT},
                                                          {"delay", "nanoseconds", HT_COLUMN_AMOUNT}},
                                              .period_type = "contentions",
                                              .period_unit = "count",
                                              .period = 7,
                                              .label_key = "lock"}};
static const struct ht_kind connections = {.form = {.name = "connections",
                                                    .flags = HT_KIND_HAS_LIVE,
                                                    .column_count = 3,
                                                    .default_column = 2,
                                                    .columns = {{"opened", "count", HT_COLUMN_COUNT},
                                                                {"open", "count", HT_COLUMN_LIVE_COUNT},
                                                                {"held", "bytes", HT_COLUMN_LIVE_AMOUNT}},
                                                    .period_type = "connections",
                                                    .period_unit = "count",
                                                    .period = 1}};
static struct ht_region region;

static uint64_t inside(int (*function)(int))
{
    return (uint64_t)(uintptr_t)function + 1;
}

static bool add_program(void)
{
    char line[512], path[256];
    uint64_t start, limit, offset;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " r-xp %" SCNx64 " %*s %*s %255s", &start, &limit, &offset,
                   path) == 4 &&
            start <= inside(serve) && inside(serve) < limit) {
            struct ht_module_desc desc = {
                .start = start, .limit = limit, .file_offset = offset, .path = path, .is_program = true};
            int64_t delta;
            fclose(maps);
            return ht_modules_add(&region, &desc, &delta) && delta == 0;
        }
    }
    return false;
}

static bool make_region(const char *live_dir, const char *out_dir)
{
    static struct ht_identity identity = {.program = "kinds_host", .rate_bytes = 4096, .active = 1};
    identity.pid = (uint32_t)getpid();
    identity.uid = geteuid();
    snprintf(identity.out_dir, sizeof identity.out_dir, "%s", out_dir);
    FILE *stat = fopen("/proc/self/stat", "r"), *boot = fopen("/proc/sys/kernel/random/boot_id", "r");
    return stat != NULL && boot != NULL &&
           fscanf(
               stat,
               "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
               &identity.start_ticks) == 1 &&
           fscanf(boot, "%39s", identity.boot_id) == 1 &&
           ht_region_create(&identity, live_dir, 8 << 20, 77, &region);
}

static bool add(uint32_t kind, int (*leaf)(int), uint32_t size_class, const char *label, uint64_t amount,
                double weight, uint64_t key)
{
    uint64_t frames[2] = {inside(leaf), inside(serve)};
    uint32_t label_ref = label != NULL ? ht_string_intern(&region, label, (uint32_t)strlen(label)) : 0;
    uint32_t ref = ht_entry_intern(&region, kind, frames, 2, 0, size_class, label_ref);
    if (ref == 0)
        return false;
    ht_entry_add(&region, ref, amount, weight, 0.5);
    struct ht_live_copy live = {.address = ht_kind_live_key(kind, key),
                                .size_bytes = amount,
                                .birth_ns = 1,
                                .rate_bytes = 1,
                                .rank_bytes = FLT_MAX,
                                .entry_ref = ref};
    return key == 0 || ht_live_insert(&region, &live);
}

// The connections' keys are addresses of blocks of the heap as well.
static bool record(uint32_t kind_waits, uint32_t kind_connections, uint64_t first_key)
{
    bool good = true;
    for (uint64_t i = 0; i < 100; i++)
        good = good && add(kind_waits, take_lock, 0, i % 2 == 0 ? "cache" : "log", 1500, 2.0, 0);
    for (uint64_t i = 0; i < 5; i++) {
        good = good && add(kind_connections, open_connection, 0, NULL, 4096, 1.0, first_key + i * 16);
        good = good &&
               add(HT_KIND_HEAP, open_connection, ht_size_class(100), "main", 100, 1.0, first_key + i * 16);
    }
    struct ht_live_copy closed;
    return good && ht_live_remove(&region, ht_kind_live_key(kind_connections, first_key), &closed) &&
           closed.size_bytes == 4096;
}

static bool snapshot(void)
{
    struct ht_view view;
    struct ht_snapshot_target target = {.header = region.header};
    return ht_view_init(&view, region.base, region.backed_bytes) == HT_VIEW_OK &&
           ht_snapshot_write(&view, HT_TRIGGER_SIGNAL, &target, NULL, 0) == 0;
}

int main(int argc, char **argv)
{
    uint32_t kind_waits, kind_connections, again;
    char line[16];
    if (argc != 3 || !make_region(argv[1], argv[2]) || !add_program() || serve(1) == 0)
        return 1;
    if (!ht_kind_add(&region, &waits, &kind_waits) ||
        !ht_kind_add(&region, &connections, &kind_connections) || !ht_kind_add(&region, &waits, &again) ||
        again != kind_waits || kind_waits == kind_connections)
        return 1;
    for (uint64_t round = 1; round <= 2; round++) {
        if (!record(kind_waits, kind_connections, round << 20) || !snapshot())
            return 1;
        puts("ready");
        fflush(stdout);
        if (fgets(line, sizeof line, stdin) == NULL)
            return 1;
    }
    return 0; // the region stays behind
}
