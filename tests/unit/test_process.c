// Regions from outside: finding, opening, copying and switching them; hand-made ones, hostile ones, and our
// own process as the profiled one.
#include "region/control.h"
#include "region/process.h"
#include "region/snap.h"
#include "stats/live_set.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/proc.h"
#include "record/live.h"
#include "record/stacks.h"
#include "record/view.h"
#include "snapshot/snapshot.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "checks.h"

static char directory[] = "/tmp/heaptap-process-XXXXXX";
static char live_directory[] = "/dev/shm/heaptap-process-XXXXXX";

static struct ht_identity own_identity(void)
{
    struct ht_identity identity = {.pid = (uint32_t)getpid(), .uid = getuid(), .rate_bytes = 1, .active = 1};
    struct stat stat_of;
    identity.start_ticks = ht_proc_start_ticks(identity.pid);
    if (stat("/proc/self/ns/pid", &stat_of) == 0)
        identity.pid_namespace = stat_of.st_ino;
    identity.memory_limit_bytes = 4 << 20;
    snprintf(identity.program, sizeof identity.program, "tester");
    snprintf(identity.program_path, sizeof identity.program_path, "/bin/tester");
    snprintf(identity.out_dir, sizeof identity.out_dir, "%s", directory);
    return identity;
}

static uint64_t next_unique = 1;

static struct ht_region make_region(const struct ht_identity *identity)
{
    struct ht_region region;
    assert_true(ht_region_create(identity, live_directory, 4 << 20, next_unique++, &region));
    assert_true(region.shared);
    return region;
}

static void add_live(struct ht_region *region, uint64_t address, uint64_t size_bytes, float rate_bytes)
{
    static uint64_t births_ns;
    uint64_t frames[2] = {0x1000, 0x2000};
    struct ht_live_copy live = {.address = address,
                                .size_bytes = size_bytes,
                                .birth_ns = ++births_ns,
                                .rate_bytes = rate_bytes,
                                .rank_bytes = 1e30f};
    live.entry_ref = ht_entry_intern(region, HT_KIND_HEAP, frames, 2, 0, ht_size_class(size_bytes), 0);
    assert_true(live.entry_ref != 0);
    ht_entry_add(region, live.entry_ref, size_bytes, ht_live_weight(&live, 0), 0.5);
    assert_true(ht_live_insert(region, &live));
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) != NULL && mkdtemp(live_directory) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s %s", directory, live_directory);
    return system(command);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(ht_region_is_name("/dev/shm/heaptap.redis.12.abc.live"));
    assert_true(ht_region_is_name("heaptap.x.1.2.live"));
    assert_false(ht_region_is_name("heaptap.live"));
    assert_false(ht_region_is_name("/dev/shm/heaptap.redis.12.abc.pb.gz"));
    assert_false(ht_region_is_name("xheaptap.a.1.2.live"));
    assert_true(ht_target_matches("4242"));
    assert_true(ht_target_matches("a/b.live"));
    assert_false(ht_target_matches(""));
    assert_false(ht_target_matches("42a"));
    assert_false(ht_target_matches(".live"));
    assert_false(ht_target_matches("a.pb.gz"));
}

static void test_our_own_region_is_found(void **state)
{
    (void)state;
    struct ht_identity identity = own_identity();
    struct ht_region region = make_region(&identity);
    struct ht_process process;
    assert_int_equal(ht_process_find((uint32_t)getpid(), &process), 0);
    assert_true(process.has_region);
    assert_string_equal(process.program, "tester");
    assert_string_equal(process.region_path, region.header->region_path);
    assert_int_equal(process.uid, geteuid());
    struct ht_process *all;
    size_t count, seen = 0;
    assert_int_equal(ht_process_list(&all, &count), 0);
    for (size_t i = 0; i < count; i++)
        seen += all[i].pid == (uint32_t)getpid();
    assert_int_equal(seen, 1);
    free(all);
    // A forked child has the mapping, but the region is not its own.
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(fds[0]);
    assert_int_equal(ht_process_find((uint32_t)child, &process), 0);
    assert_false(process.has_region);
    char text[512];
    ht_process_explain_no_region(&process, text, sizeof text);
    assert_non_null(strstr(text, "nothing that it allocated was sampled"));
    close(fds[1]);
    waitpid(child, NULL, 0);
    checks_pass_own(&region);
    ht_region_destroy(&region);
    assert_int_equal(ht_process_find((uint32_t)getpid(), &process), -1);
    assert_non_null(strstr(ht_error(), "not being profiled"));
}

static void test_dead_and_alive(void **state)
{
    (void)state;
    struct ht_identity identity = own_identity();
    struct ht_region region = make_region(&identity);
    struct ht_process process;
    struct stat stat_of;
    assert_int_equal(stat(region.header->region_path, &stat_of), 0);
    assert_true(ht_region_is_alive(region.header, &stat_of, NULL, &process));
    assert_int_equal(process.pid, getpid());
    struct ht_region_header header = *region.header;
    char path[256];
    snprintf(path, sizeof path, "%s", region.header->region_path);
    munmap(region.base, region.header->size_bytes); // as after exec: our pid and start, but not mapped
    assert_false(ht_region_is_alive(&header, &stat_of, NULL, &process));
    struct ht_target target;
    assert_int_equal(ht_target_open(path, O_RDONLY, &target), 0);
    assert_false(target.alive);
    ht_target_close(&target);
    unlink(path);
}

static void assert_open_fails(const char *path, const char *why)
{
    struct stat stat_of;
    assert_int_equal(ht_region_open(path, O_RDONLY, &stat_of), -1);
    assert_non_null(strstr(ht_error(), why));
}

static void test_what_is_no_region_file(void **state)
{
    (void)state;
    char path[256], link[256];
    snprintf(path, sizeof path, "%s/heaptap.a.1.2.live", directory);
    snprintf(link, sizeof link, "%s/heaptap.b.1.2.live", directory);
    assert_open_fails(path, "No such file");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_open_fails(path, "not a regular file"); // and no waiting for a writer
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_open_fails(link, "link");
    assert_open_fails(directory, "not a regular file");
    assert_open_fails("/dev/null", "not a regular file");
    unlink(path);
    unlink(link);
}

static int read_file(const char *path)
{
    struct stat stat_of;
    struct ht_region_copy copy;
    int fd = ht_region_open(path, O_RDONLY, &stat_of);
    assert_true(fd >= 0);
    int result = ht_region_read(fd, &copy);
    close(fd);
    if (result == 0) {
        struct ht_check check; // whatever they say, without a crash
        ht_region_check(&copy.view);
        checks_find(&copy.view, HT_CHECK_STOPPED, NULL, &check);
        struct ht_live_set set = {0};
        ht_live_set_fill(&set, &copy.view);
        ht_live_set_total(&set);
        ht_live_set_free(&set);
        ht_region_copy_free(&copy);
    }
    return result;
}

// Writes `bytes` at `offset` of a copy of the region and reads that.
static int read_changed(const struct ht_region *region, uint64_t offset, const void *bytes, size_t length)
{
    char path[256];
    snprintf(path, sizeof path, "%s/heaptap.c.1.2.live", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    uint64_t used = region->header->used_bytes;
    assert_int_equal(write(fd, region->base, used), (ssize_t)used);
    assert_int_equal(pwrite(fd, bytes, length, (off_t)offset), (ssize_t)length);
    close(fd);
    int result = read_file(path);
    struct ht_buffer out = {0};
    if (result == 0) { // and all the way to a profile
        struct ht_owner owner;
        assert_true(ht_snap_encode(path, &out, &owner) == 0 || ht_error()[0] != '\0');
        ht_buffer_free(&out);
    }
    unlink(path);
    return result;
}

#define FIELD(name) offsetof(struct ht_region_header, name)

static void test_hostile_regions(void **state)
{
    (void)state;
    struct ht_identity identity = own_identity();
    struct ht_region region = make_region(&identity);
    for (uint64_t i = 1; i < 200; i++)
        add_live(&region, i * 64, 100, 1);
    uint32_t version = 7, zero = 0, huge = UINT32_MAX;
    uint64_t wide = UINT64_MAX, half = UINT64_C(1) << 62;
    assert_int_equal(read_changed(&region, FIELD(version), &version, 4), -1);
    assert_non_null(strstr(ht_error(), "version 7"));
    assert_int_equal(read_changed(&region, FIELD(magic), &wide, 8), -1);
    assert_non_null(strstr(ht_error(), "not a heaptap region"));
    assert_int_equal(read_changed(&region, FIELD(header_bytes), &zero, 4), -1);
    assert_int_equal(read_changed(&region, FIELD(head_count), &zero, 4), -1);
    read_changed(&region, FIELD(head_count), &huge, 4);
    read_changed(&region, FIELD(used_bytes), &wide, 8);
    read_changed(&region, FIELD(used_bytes), &half, 8);
    read_changed(&region, FIELD(level_count), &huge, 4);
    read_changed(&region, FIELD(levels) + offsetof(struct ht_live_level, bucket_count), &huge, 4);
    read_changed(&region, FIELD(levels) + offsetof(struct ht_live_level, keys_offset), &wide, 8);
    read_changed(&region, FIELD(levels) + offsetof(struct ht_live_level, slots_offset), &half, 8);
    read_changed(&region, FIELD(modules_ref), &huge, 4);
    read_changed(&region, FIELD(entry_heads_ref), &huge, 4);
    read_changed(&region, FIELD(entry_count), &huge, 4);
    char letters[2048];
    memset(letters, 'x', sizeof letters); // names without an end
    read_changed(&region, FIELD(program), letters, sizeof region.header->program);
    read_changed(&region, FIELD(out_dir), letters, sizeof region.header->out_dir);
    // Noise everywhere, always the same.
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 300; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t offset = 24 + random % (region.header->used_bytes - 32);
        read_changed(&region, offset, &random, 8);
    }
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

static void test_truncated_regions(void **state)
{
    (void)state;
    struct ht_identity identity = own_identity();
    struct ht_region region = make_region(&identity);
    for (uint64_t i = 1; i < 200; i++)
        add_live(&region, i * 64, 100, 1);
    char path[256];
    snprintf(path, sizeof path, "%s/heaptap.t.1.2.live", directory);
    for (uint64_t length = 0; length <= region.header->used_bytes; length += 3001) {
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(write(fd, region.base, length), (ssize_t)length);
        close(fd);
        int result = read_file(path);
        if (length < HT_REGION_HEADER_BYTES) {
            assert_int_equal(result, -1);
            assert_non_null(strstr(ht_error(), "too short"));
        }
    }
    // A sparse file of 8 GiB that claims to be full of records is not copied.
    int fd = open(path, O_RDWR);
    uint64_t claim = UINT64_C(8) << 30;
    assert_int_equal(ftruncate(fd, (off_t)claim), 0);
    assert_int_equal(pwrite(fd, &claim, 8, FIELD(used_bytes)), 8);
    close(fd);
    assert_int_equal(read_file(path), -1);
    // Nor is a table of live samples of 4 GiB that lies in the hole.
    struct ht_live_level level = region.header->levels[0];
    level.bucket_count = 1u << 26;
    level.slots_offset = UINT64_C(6) << 30;
    fd = open(path, O_RDWR);
    uint64_t used = region.header->used_bytes;
    assert_int_equal(pwrite(fd, region.base, used, 0), (ssize_t)used);
    assert_int_equal(pwrite(fd, &level, sizeof level, FIELD(levels)), sizeof level);
    close(fd);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    read_file(path); // whatever it says
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 200 * 1024);
    unlink(path);
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

static void test_figures(void **state)
{
    (void)state;
    struct ht_identity identity = own_identity();
    struct ht_region region = make_region(&identity);
    struct ht_view view;
    struct ht_live_set before = {0}, after = {0};
    add_live(&region, 64, 1000, 1);
    add_live(&region, 128, 500, 1);
    assert_int_equal(ht_view_init(&view, region.base, region.header->size_bytes), HT_VIEW_OK);
    ht_live_set_fill(&before, &view);
    assert_int_equal(before.count, 2);
    struct ht_estimate total = ht_live_set_total(&before);
    assert_true(total.bytes == 1500 && total.error_bytes == 0); // exact
    struct ht_live_copy gone;
    assert_true(ht_live_remove(&region, 64, &gone));
    add_live(&region, 64, 10, 4096); // the same address, another block, sampled
    ht_live_set_fill(&after, &view);
    struct ht_estimate change = ht_live_set_change(&before, &after);
    double probability = ht_probability(10, 4096), weight = 1 / probability;
    assert_true(fabs(change.bytes - (10 * weight - 1000)) < 1e-6);
    assert_true(fabs(change.error_bytes - 10 * sqrt(1 - probability) / probability) < 1e-6);
    struct ht_estimate none = ht_live_set_change(&after, &after);
    assert_true(none.bytes == 0 && none.error_bytes == 0);
    ht_live_set_free(&before);
    ht_live_set_free(&after);
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

static int open_own(const struct ht_region *region)
{
    struct stat stat_of;
    int fd = ht_region_open(region->header->region_path, O_RDWR, &stat_of);
    assert_true(fd >= 0);
    return fd;
}

static void test_control_words(void **state)
{
    (void)state;
    struct ht_identity identity = own_identity();
    identity.active = 0;
    struct ht_region region = make_region(&identity);
    struct ht_control_result result = {.new_rate_bytes = 65536};
    int fd = open_own(&region);
    assert_int_equal(region.header->first_active_ns, 0);
    assert_int_equal(ht_control_apply(fd, ht_control_start, &result), 0);
    assert_int_equal(region.header->active, 1);
    assert_int_equal(result.was_active, 0);
    assert_true(region.header->first_active_ns != 0);
    assert_int_equal(region.header->inactive_ns, 0);
    uint64_t first = region.header->first_active_ns;
    uint64_t begun_ns = ht_clock_raw_monotonic_ns();
    assert_int_equal(ht_control_apply(fd, ht_control_stop, &result), 0);
    assert_int_equal(region.header->active, 0);
    uint64_t stopped_ns = ht_clock_raw_monotonic_ns();
    while (ht_clock_raw_monotonic_ns() < stopped_ns + 2000000) {
    }
    uint64_t least_ns = ht_clock_raw_monotonic_ns() - stopped_ns;
    assert_int_equal(ht_control_apply(fd, ht_control_stop, &result), 0); // twice: the first time counts
    assert_int_equal(ht_control_apply(fd, ht_control_start, &result), 0);
    assert_in_range(region.header->inactive_ns, least_ns, ht_clock_raw_monotonic_ns() - begun_ns);
    assert_int_equal(region.header->first_active_ns, first);
    uint64_t inactive = region.header->inactive_ns;
    assert_int_equal(ht_control_apply(fd, ht_control_start, &result), 0); // twice: nothing more
    assert_int_equal(result.was_active, 1);
    assert_int_equal(region.header->inactive_ns, inactive);
    assert_int_equal(ht_control_apply(fd, ht_control_rate, &result), 0);
    assert_int_equal(result.old_rate_bytes, 1);
    assert_int_equal(region.header->rate_bytes, 65536);
    struct ht_control_written written = {.seq = 7};
    assert_int_equal(ht_control_apply(fd, ht_control_count_snapshot, &written), 0);
    assert_int_equal(region.header->seq, 8);
    assert_int_equal(region.header->health[HT_HEALTH_SNAPSHOTS], 1);
    written.seq = 3;
    ht_control_apply(fd, ht_control_count_snapshot, &written);
    assert_int_equal(region.header->seq, 8); // never back
    close(fd);
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

static void test_control_of_a_cut_file(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s/heaptap.cut.1.2.live", live_directory);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct ht_control_result result = {0};
    struct sigaction before, after;
    sigaction(SIGBUS, NULL, &before);                                      // cmocka has a handler of its own
    assert_int_equal(ht_control_apply(fd, ht_control_start, &result), -1); // SIGBUS, caught
    assert_non_null(strstr(ht_error(), "cut off"));
    sigaction(SIGBUS, NULL, &after);
    assert_true(after.sa_handler == before.sa_handler);
    assert_int_equal(ftruncate(fd, HT_REGION_HEADER_BYTES), 0);
    assert_int_equal(ht_control_apply(fd, ht_control_start, &result), -1); // not a region
    close(fd);
    unlink(path);
}

static void test_rate_text(void **state)
{
    (void)state;
    static const struct {
        uint64_t rate_bytes;
        const char *text;
    } cases[] = {{1, "1 (exact)"},    {1000, "1000"},  {4096, "4K"},
                 {512 << 10, "512K"}, {3 << 20, "3M"}, {UINT64_C(1) << 40, "1T"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[HT_RATE_TEXT_BYTES];
        ht_control_rate_text(cases[i].rate_bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_snapshots(void **state)
{
    (void)state;
    struct ht_identity identity = own_identity();
    struct ht_region region = make_region(&identity);
    char name[16], path[PATH_MAX], other[512];
    add_live(&region, 64, 1000, 1);
    snprintf(name, sizeof name, "%d", (int)getpid());
    struct ht_target target;
    assert_int_equal(ht_target_open(name, O_RDONLY, &target), 0);
    assert_true(target.alive);
    struct ht_snap snap = {.trigger = HT_TRIGGER_MANUAL};
    assert_int_equal(ht_snap_write(&target, &snap, path), 0);
    assert_true(strncmp(path, directory, strlen(directory)) == 0);
    assert_non_null(strstr(path, ".0000.manual.pb.gz"));
    assert_int_equal(region.header->seq, 1);
    assert_int_equal(ht_snap_write(&target, &snap, path), 0);
    assert_non_null(strstr(path, ".0001.manual.pb.gz"));
    snprintf(other, sizeof other, "%s/other", directory);
    snap.directory = other;
    assert_int_equal(ht_snap_write(&target, &snap, path), 0);
    assert_true(strncmp(path, other, strlen(other)) == 0);
    snap.directory = "/proc/nonexistent";
    assert_int_equal(ht_snap_write(&target, &snap, path), -1);
    assert_int_equal(region.header->health[HT_HEALTH_SNAPSHOTS], 3);
    assert_int_equal(region.header->health[HT_HEALTH_SNAPSHOT_FAILURES], 1);
    // Its last snapshot is begun: none by the interval comes behind that, one that a person asks for does.
    uint32_t seq = region.header->seq;
    region.header->exiting = 1;
    snap.directory = NULL;
    snap.trigger = HT_TRIGGER_INTERVAL;
    assert_int_equal(ht_snap_write(&target, &snap, path), -1);
    assert_non_null(strstr(ht_error(), "writes its last profile itself"));
    assert_int_equal(region.header->seq, seq);
    assert_int_equal(region.header->health[HT_HEALTH_SNAPSHOT_FAILURES], 1);
    snap.trigger = HT_TRIGGER_MANUAL;
    assert_int_equal(ht_snap_write(&target, &snap, path), 0);
    region.header->exiting = 0;
    ht_target_close(&target);
    struct ht_buffer out = {0};
    struct ht_owner owner;
    assert_int_equal(ht_snap_encode(name, &out, &owner), 0);
    assert_int_equal(owner.uid, geteuid());
    assert_true(out.length > 20 && (unsigned char)out.data[0] == 0x1f);
    ht_buffer_free(&out);
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

// Blocks whose fields all follow from the address come and go while the region is copied: no copy may hold a
// torn one.
struct churn {
    struct ht_region region;
    uint32_t entry_ref;
    bool stop;
};

static void *churn(void *arg)
{
    struct churn *churning = arg;
    for (uint64_t round = 1; !__atomic_load_n(&churning->stop, __ATOMIC_RELAXED); round++) {
        for (uint64_t i = 1; i <= 64; i++) {
            struct ht_live_copy gone, live = {.address = i * 64,
                                              .size_bytes = 1025 + round % 127, // of one class
                                              .birth_ns = round,
                                              .rate_bytes = 1,
                                              .rank_bytes = 1e30f,
                                              .entry_ref = churning->entry_ref};
            ht_entry_add(&churning->region, churning->entry_ref, live.size_bytes, 1, 0);
            ht_live_remove(&churning->region, i * 64, &gone);
            ht_live_insert(&churning->region, &live);
        }
    }
    return NULL;
}

static bool check_churned(void *arg, const struct ht_live_copy *live)
{
    size_t *seen = arg;
    assert_int_equal(live->size_bytes, 1025 + live->birth_ns % 127);
    ++*seen;
    return true;
}

static void test_copies_are_never_torn(void **state)
{
    (void)state;
    struct ht_identity identity = own_identity();
    struct churn churning = {.region = make_region(&identity)};
    uint64_t frame = 0x1000;
    churning.entry_ref =
        ht_entry_intern(&churning.region, HT_KIND_HEAP, &frame, 1, 0, ht_size_class(1025), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, churn, &churning), 0);
    int fd = open_own(&churning.region);
    size_t seen = 0;
    // Enough of them, however the machine divides its time.
    for (int i = 0; i < 1000 || (seen <= 1000 && i < 1000000); i++) {
        struct ht_region_copy copy;
        assert_int_equal(ht_region_read(fd, &copy), 0);
        ht_view_each_live(&copy.view, check_churned, &seen);
        checks_pass(&copy.view, HT_CHECK_RUNNING, NULL);
        ht_region_copy_free(&copy);
    }
    __atomic_store_n(&churning.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_true(seen > 1000); // and most are there
    checks_pass_own(&churning.region);
    close(fd);
    ht_region_destroy(&churning.region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_our_own_region_is_found),
        cmocka_unit_test(test_dead_and_alive),
        cmocka_unit_test(test_what_is_no_region_file),
        cmocka_unit_test(test_hostile_regions),
        cmocka_unit_test(test_truncated_regions),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_control_words),
        cmocka_unit_test(test_control_of_a_cut_file),
        cmocka_unit_test(test_rate_text),
        cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_copies_are_never_torn),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
