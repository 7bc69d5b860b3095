// Snapshot files and whole snapshots: names, numbers, rotation, full disks, limits, and from the bare thread
// under load.
#include "snapshot/snapshot.h"

#include "record/filter.h"
#include "record/live.h"
#include "record/stacks.h"
#include "record/view.h"
#include "sys/clock.h"
#include "trigger/thread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "regions.h"
#include "sanitized.h"

#include "checks.h"

#include "profile.pb-c.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/heaptap-test-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

// The names in the folder, sorted, joined by spaces; points to a static buffer.
static const char *list(void)
{
    static char joined[8192];
    struct dirent **names;
    int count = scandir(folder, &names, NULL, alphasort);
    assert_true(count >= 0);
    joined[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
            strcat(joined, joined[0] != '\0' ? " " : "");
            strcat(joined, names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
    return joined;
}

static void touch(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static const struct ht_file_name demo = {"demo", 42, HT_TRIGGER_SIGNAL, NULL};

static void test_names(void **state)
{
    (void)state;
    char name[HT_NAME_BYTES];
    ht_file_format_name(&demo, 7, name, sizeof name);
    assert_string_equal(name, "heaptap.demo.42.0007.signal.pb.gz");
    ht_file_format_name(&demo, 123456, name, sizeof name);
    assert_string_equal(name, "heaptap.demo.42.123456.signal.pb.gz");
    struct ht_file_name odd = {"../e\nvil", 1, HT_TRIGGER_RECOVERED, "own/one"};
    ht_file_format_name(&odd, 0, name, sizeof name);
    assert_string_equal(name, "heaptap..._e_vil.1.0000.recovered.own_one.pb.gz");
    char unterminated[HT_PROGRAM_BYTES];
    memset(unterminated, 'x', sizeof unterminated);
    odd.program = unterminated;
    ht_file_format_name(&odd, 0, name, sizeof name);
    assert_int_equal(strspn(name + 8, "x"), HT_PROGRAM_BYTES);
}

static uint32_t write_file(const struct ht_file_name *name, uint32_t wanted, struct ht_rotation *rotation,
                           uint32_t keep)
{
    struct ht_file file;
    uint32_t seq = 0;
    assert_int_equal(ht_file_begin(&file, folder, name), 0);
    assert_int_equal(ht_file_write(&file, "content", 7), 0);
    assert_int_equal(ht_file_commit(&file, name, ht_file_free_seq(&file, name, wanted), &seq), 0);
    if (rotation != NULL) {
        enum ht_trigger removed_trigger;
        uint32_t removed_seq;
        ht_file_rotate(&file, rotation, keep, name, seq, &removed_trigger, &removed_seq);
    }
    ht_file_end(&file);
    return seq;
}

static void test_numbers(void **state)
{
    (void)state;
    assert_int_equal(write_file(&demo, 0, NULL, 0), 0);
    assert_int_equal(write_file(&demo, 0, NULL, 0), 1);
    touch("heaptap.demo.42.0002.exit.pb.gz");   // another trigger takes the number as well
    touch("heaptap.demo.43.0003.signal.pb.gz"); // another process does not
    assert_int_equal(write_file(&demo, 0, NULL, 0), 3);
    assert_int_equal(write_file(&demo, 9, NULL, 0), 9);
    struct stat status;
    char path[256];
    snprintf(path, sizeof path, "%s/heaptap.demo.42.0000.signal.pb.gz", folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 7);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_string_equal(list(), "heaptap.demo.42.0000.signal.pb.gz heaptap.demo.42.0001.signal.pb.gz "
                                "heaptap.demo.42.0002.exit.pb.gz heaptap.demo.42.0003.signal.pb.gz "
                                "heaptap.demo.42.0009.signal.pb.gz heaptap.demo.43.0003.signal.pb.gz");
}

// Somebody takes the name between the look and the renaming: the next one is used and nothing is overwritten.
static void test_taken_meanwhile(void **state)
{
    (void)state;
    struct ht_file file;
    uint32_t seq = 0;
    assert_int_equal(ht_file_begin(&file, folder, &demo), 0);
    assert_int_equal(ht_file_write(&file, "content", 7), 0);
    assert_int_equal(ht_file_free_seq(&file, &demo, 0), 0);
    touch("heaptap.demo.42.0000.signal.pb.gz");
    assert_int_equal(ht_file_commit(&file, &demo, 0, &seq), 0);
    ht_file_end(&file);
    assert_int_equal(seq, 1);
    assert_string_equal(list(), "heaptap.demo.42.0000.signal.pb.gz heaptap.demo.42.0001.signal.pb.gz");
}

static void test_rotation(void **state)
{
    (void)state;
    static struct ht_rotation rotation;
    memset(&rotation, 0, sizeof rotation);
    touch("heaptap.demo.42.0001.interval.pb.gz"); // of an earlier process with the same pid
    struct ht_file_name name = demo;
    for (uint32_t i = 0; i < 6; i++) {
        name.trigger = i % 2 == 0 ? HT_TRIGGER_INTERVAL : HT_TRIGGER_GROWTH;
        write_file(&name, i, &rotation, 2);
    }
    // Numbers 0, 2, 3, 4, 5, 6 were ours: the first and the newest two are left, and what was there before.
    assert_string_equal(list(), "heaptap.demo.42.0000.interval.pb.gz heaptap.demo.42.0001.interval.pb.gz "
                                "heaptap.demo.42.0005.interval.pb.gz heaptap.demo.42.0006.growth.pb.gz");
    // A forked child begins anew and leaves its parent's files alone.
    name.pid = 44;
    for (uint32_t i = 0; i < 4; i++) {
        write_file(&name, i, &rotation, 1);
    }
    assert_string_equal(list(), "heaptap.demo.42.0000.interval.pb.gz heaptap.demo.42.0001.interval.pb.gz "
                                "heaptap.demo.42.0005.interval.pb.gz heaptap.demo.42.0006.growth.pb.gz "
                                "heaptap.demo.44.0000.growth.pb.gz heaptap.demo.44.0003.growth.pb.gz");
}

static struct ht_identity identity = {.pid = 42,
                                      .start_ticks = 1,
                                      .program = "demo",
                                      .program_path = "/usr/bin/demo",
                                      .rate_bytes = 1,
                                      .active = 1};

static struct ht_region make_region(void)
{
    struct ht_region region;
    strcpy(identity.out_dir, folder);
    ht_filter_reset();
    assert_true(ht_region_create(&identity, NULL, 64 << 20, 1, &region));
    return region;
}

static void add_samples(struct ht_region *region, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++) {
        const uint64_t frames[] = {0x10000 + i, 0x20000 + i % 100, 0x30000};
        uint32_t ref = ht_entry_intern(region, HT_KIND_HEAP, frames, 3, 0, ht_size_class(100), 0);
        ht_entry_add(region, ref, 100, 1, 0);
        struct ht_live_copy live = {0x600000000000 + i * 16, 100, 1, 1, 1e30f, ref};
        ht_live_insert(region, &live);
    }
}

static Perftools__Profiles__Profile *read_profile(const char *path)
{
    size_t capacity = 16 << 20, length = 0;
    uint8_t *bytes = malloc(capacity);
    gzFile file = gzopen(path, "rb");
    assert_non_null(file);
    int got;
    while ((got = gzread(file, bytes + length, 65536)) > 0) {
        length += (size_t)got;
    }
    assert_int_equal(got, 0);
    assert_int_equal(gzclose(file), Z_OK);
    Perftools__Profiles__Profile *profile = perftools__profiles__profile__unpack(NULL, length, bytes);
    free(bytes);
    assert_non_null(profile);
    return profile;
}

static int64_t total_of(const Perftools__Profiles__Profile *profile, size_t column)
{
    int64_t total = 0;
    for (size_t i = 0; i < profile->n_sample; i++) {
        total += profile->sample[i]->value[column];
    }
    return total;
}

static bool has_comment(const Perftools__Profiles__Profile *profile, const char *line)
{
    for (size_t i = 0; i < profile->n_comment; i++) {
        if (strcmp(profile->string_table[profile->comment[i]] + 11, line) == 0) {
            return true;
        }
    }
    return false;
}

static void test_snapshot(void **state)
{
    (void)state;
    struct ht_region region = make_region();
    add_samples(&region, 0, 1000);
    struct ht_view view = view_of(&region);
    struct ht_snapshot_target target = {.header = region.header, .rss_bytes = ht_snapshot_rss(0)};
    assert_true(target.rss_bytes > 1 << 20);
    assert_int_equal(ht_snapshot_rss((uint32_t)getpid()) >> 24, target.rss_bytes >> 24);
    char path[HT_PATH_BYTES];
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ht_snapshot_write(&view, HT_TRIGGER_MANUAL, &target, path, sizeof path), 0);
    }
    assert_string_equal(list(), "heaptap.demo.42.0000.manual.pb.gz heaptap.demo.42.0001.manual.pb.gz "
                                "heaptap.demo.42.0002.manual.pb.gz");
    assert_non_null(strstr(path, "/heaptap.demo.42.0002.manual.pb.gz"));
    assert_int_equal(region.header->seq, 3);
    assert_int_equal(region.header->health[HT_HEALTH_SNAPSHOTS], 3);
    assert_true(region.header->health[HT_HEALTH_SNAPSHOT_NS] > 0);
    Perftools__Profiles__Profile *profile = read_profile(path);
    assert_int_equal(total_of(profile, 0), 1000);
    assert_int_equal(total_of(profile, 3), 100000);
    assert_true(has_comment(profile, "seq=2"));
    assert_true(has_comment(profile, "snapshots=2"));
    perftools__profiles__profile__free_unpacked(profile, NULL);

    // Elsewhere, into a directory that is made.
    char elsewhere[128];
    snprintf(elsewhere, sizeof elsewhere, "%s/x/y/", folder);
    struct ht_snapshot_target other = {.directory = elsewhere};
    assert_int_equal(ht_snapshot_write(&view, HT_TRIGGER_RECOVERED, &other, path, sizeof path), 0);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(region.header->seq, 3);
    checks_pass_own(&region);
    ht_region_destroy(&region);
}

static void test_empty(void **state)
{
    (void)state;
    strcpy(identity.out_dir, folder);
    uint32_t seq = 5;
    struct ht_snapshot_target target = {.seq = &seq};
    char path[HT_PATH_BYTES];
    assert_int_equal(ht_snapshot_empty(&identity, HT_TRIGGER_SIGNAL, &target, path, sizeof path), 0);
    assert_int_equal(seq, 6);
    assert_string_equal(list(), "heaptap.demo.42.0005.signal.pb.gz");
    Perftools__Profiles__Profile *profile = read_profile(path);
    assert_int_equal(profile->n_sample, 0);
    assert_int_equal(profile->n_sample_type, 4);
    assert_int_equal(profile->period, 1);
    assert_true(has_comment(profile, "program=demo"));
    perftools__profiles__profile__free_unpacked(profile, NULL);
}

// The counters say so, the signal does not arrive, and nothing is left behind.
static int limited_file_size(void)
{
    struct ht_region region = make_region();
    add_samples(&region, 0, 20000);
    struct ht_view view = view_of(&region);
    struct ht_snapshot_target target = {.header = region.header};
    struct rlimit limit = {10000, 10000};
    setrlimit(RLIMIT_FSIZE, &limit);
    int result = ht_snapshot_write(&view, HT_TRIGGER_EXIT, &target, NULL, 0);
    return result == -EFBIG && region.header->health[HT_HEALTH_SNAPSHOT_FAILURES] == 1 && list()[0] == '\0'
               ? 0
               : 1;
}

static int full_disk(void)
{
    struct ht_region region = make_region();
    add_samples(&region, 0, 20000);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=16k") != 0) {
        return 77;
    }
    struct ht_view view = view_of(&region);
    struct ht_snapshot_target target = {.header = region.header};
    int result = ht_snapshot_write(&view, HT_TRIGGER_EXIT, &target, NULL, 0);
    return result == -ENOSPC && list()[0] == '\0' ? 0 : 1;
}

static int no_standard_descriptors(void)
{
    struct ht_region region = make_region();
    add_samples(&region, 0, 10);
    for (int fd = 0; fd < 4; fd++) {
        close(fd); // a test runner may have left 3 open
    }
    struct ht_view view = view_of(&region);
    struct ht_snapshot_target target = {.header = region.header};
    int result = ht_snapshot_write(&view, HT_TRIGGER_EXIT, &target, NULL, 0);
    bool closed =
        fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0 && fcntl(3, F_GETFD) < 0;
    return result == 0 && closed ? 0 : 1;
}

static int unwritable_directory(void)
{
    struct ht_region region = make_region();
    struct ht_view view = view_of(&region);
    struct ht_snapshot_target target = {.header = region.header, .directory = "/proc/nothing/here"};
    if (ht_snapshot_write(&view, HT_TRIGGER_EXIT, &target, NULL, 0) >= 0) {
        return 1;
    }
    char path[128];
    snprintf(path, sizeof path, "%s/file", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    target.directory = path;
    return ht_snapshot_write(&view, HT_TRIGGER_EXIT, &target, NULL, 0) == -ENOTDIR && region.header->seq == 0
               ? 0
               : 1;
}

static void in_child(int (*fn)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(fn());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_limited_file_size(void **state)
{
    (void)state;
    in_child(limited_file_size);
}

static void test_full_disk(void **state)
{
    (void)state;
    in_child(full_disk);
}

static void test_no_standard_descriptors(void **state)
{
    (void)state;
    in_child(no_standard_descriptors);
}

static void test_unwritable_directory(void **state)
{
    (void)state;
    in_child(unwritable_directory);
}

#ifndef UNDER_TSAN
struct job {
    struct ht_region *region;
    int result;
    char path[HT_PATH_BYTES];
};

static void write_snapshot(void *arg)
{
    struct job *job = arg;
    struct ht_view view;
    struct ht_snapshot_target target = {.header = job->region->header};
    job->result = -EIO;
    if (ht_view_init(&view, job->region->base, job->region->header->size_bytes) == HT_VIEW_OK) {
        job->result = ht_snapshot_write(&view, HT_TRIGGER_SIGNAL, &target, job->path, sizeof job->path);
    }
}

#define EARLY 5000
static uint32_t stop;

static void *keep_adding(void *arg)
{
    for (uint64_t i = 100000; __atomic_load_n(&stop, __ATOMIC_RELAXED) == 0 && i < 170000; i++) {
        add_samples(arg, i, 1);
    }
    return NULL;
}

// Of the stacks that were there before any of the snapshots began.
static unsigned count_early(const Perftools__Profiles__Profile *profile)
{
    unsigned count = 0;
    for (size_t i = 0; i < profile->n_sample; i++) {
        count += profile->location[profile->sample[i]->location_id[0] - 1]->address < 0x10000 + EARLY;
    }
    return count;
}

// From the bare thread, while another thread records new stacks: every file is whole, no stack is missing
// that was there, and totals never go backwards.
static void test_from_the_bare_thread(void **state)
{
    (void)state;
    struct ht_region region = make_region();
    add_samples(&region, 0, EARLY);
    stop = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keep_adding, &region), 0);
    int64_t last[4] = {EARLY, EARLY * 100, EARLY, EARLY * 100};
    for (unsigned i = 0; i < 20; i++) {
        static struct job job;
        job = (struct job){.region = &region};
        assert_true(ht_thread_run(write_snapshot, &job));
        assert_true(ht_thread_wait(ht_clock_raw_monotonic_ns() + UINT64_C(20000000000)));
        assert_int_equal(job.result, 0);
        Perftools__Profiles__Profile *profile = read_profile(job.path);
        assert_int_equal(count_early(profile), EARLY);
        for (size_t column = 0; column < 4; column++) {
            int64_t total = total_of(profile, column);
            assert_true(total >= last[column]);
            last[column] = total;
        }
        perftools__profiles__profile__free_unpacked(profile, NULL);
        unlink(job.path);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_string_equal(list(), "");
    checks_pass_own(&region);
    ht_region_destroy(&region);
}
#endif

int main(void)
{
#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        FOLDER_TEST(test_numbers),
        FOLDER_TEST(test_taken_meanwhile),
        FOLDER_TEST(test_rotation),
        FOLDER_TEST(test_snapshot),
        FOLDER_TEST(test_empty),
        FOLDER_TEST(test_limited_file_size),
        FOLDER_TEST(test_full_disk),
        FOLDER_TEST(test_no_standard_descriptors),
        FOLDER_TEST(test_unwritable_directory),
#ifndef UNDER_TSAN // the bare thread has none of the thread-locals that TSan's instrumentation needs
        FOLDER_TEST(test_from_the_bare_thread),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
