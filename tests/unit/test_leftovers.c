// Cleaning up behind the dead: how many may stay, and everything that must not be touched.
#include "trigger/leftovers.h"

#include "core/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY 12u // dead ones in a test, more than may stay

static char directory[64];
static struct ht_region own;
static uint64_t next_unique, next_created_ns;
static uint32_t dead_pid;
static uint64_t dead_start;

static struct ht_identity identity_of(uint32_t pid, uint64_t start_ticks)
{
    struct ht_identity identity = {.pid = pid, .uid = geteuid(), .start_ticks = start_ticks, .rate_bytes = 1};
    struct stat status;
    assert_int_equal(stat("/proc/self/ns/pid", &status), 0);
    identity.pid_namespace = status.st_ino;
    snprintf(identity.program, sizeof identity.program, "leftover");
    return identity;
}

static struct ht_region make_region(const struct ht_identity *identity)
{
    struct ht_region region;
    assert_true(ht_region_create(identity, directory, 1 << 20, ++next_unique, &region));
    assert_true(region.shared);
    region.header->created_unix_ns = ++next_created_ns;
    return region;
}

// A region that a dead process left; its path goes to ret_path (256 bytes) if that is not NULL.
static void leave(const struct ht_identity *identity, char *ret_path)
{
    struct ht_region region = make_region(identity);
    if (ret_path != NULL)
        snprintf(ret_path, 256, "%s", region.header->region_path);
    munmap(region.base, region.mapped_bytes);
}

static void leave_many(unsigned count, char paths[][256])
{
    struct ht_identity dead = identity_of(dead_pid, dead_start);
    for (unsigned i = 0; i < count; i++)
        leave(&dead, paths != NULL ? paths[i] : NULL);
}

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

static unsigned count_existing(char paths[][256], unsigned count)
{
    unsigned existing = 0;
    for (unsigned i = 0; i < count; i++)
        existing += exists(paths[i]);
    return existing;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/dev/shm/heaptap-leftovers-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    // What this test leaves for dead: a process that was there a moment ago.
    pid_t pid = fork();
    if (pid == 0)
        pause();
    dead_pid = (uint32_t)pid;
    dead_start = ht_process_start_ticks(dead_pid);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    struct ht_identity identity = identity_of((uint32_t)getpid(), ht_process_start_ticks((uint32_t)getpid()));
    own = make_region(&identity);
    return dead_start != 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    ht_region_destroy(&own);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static void test_the_oldest_go_first(void **state)
{
    (void)state;
    char paths[MANY][256];
    leave_many(HT_LEFTOVER_FILES, paths);
    ht_leftovers_clean(&own);
    assert_int_equal(count_existing(paths, HT_LEFTOVER_FILES), HT_LEFTOVER_FILES);
    leave_many(MANY - HT_LEFTOVER_FILES, paths + HT_LEFTOVER_FILES);
    ht_leftovers_clean(&own);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(exists(paths[i]), i >= MANY - HT_LEFTOVER_FILES);
    assert_true(exists(own.header->region_path));
}

// A process that died between making the file and writing whose it is.
static void leave_without_header(const char *name, off_t size_bytes, time_t age_seconds, char ret_path[256])
{
    snprintf(ret_path, 256, "%s/%s", directory, name);
    int fd = open(ret_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct timespec times[2] = {{time(NULL) - age_seconds, 0}, {time(NULL) - age_seconds, 0}};
    assert_int_equal(ftruncate(fd, size_bytes), 0);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void test_files_without_a_header(void **state)
{
    (void)state;
    char gone[3][256], kept[4][256];
    time_t old = HT_REGION_MAKING_SECONDS + 100;
    leave_without_header("heaptap.a.4000001.1.new", 0, old, gone[0]);
    leave_without_header("heaptap.a.4000001.2.new", 1 << 20, old, gone[1]);
    leave_without_header("heaptap.a.4000001.7.live", 0, old, gone[2]); // emptied by somebody
    leave_without_header("heaptap.a.4000001.3.new", 0, HT_REGION_MAKING_SECONDS - 100, kept[0]);
    leave_without_header("heaptap.a.4000001.4.new", 1 << 20, 0, kept[1]);
    leave_without_header("heaptap.a.4000001.5.live", 1 << 20, old, kept[2]);
    leave_without_header("heaptap.a.4000001.6.new", 1 << 20, old, kept[3]);
    int fd = open(kept[3], O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "somebody's own", 14), 14);
    struct timespec times[2] = {{time(NULL) - old, 0}, {time(NULL) - old, 0}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
    ht_leftovers_clean(&own);
    assert_int_equal(count_existing(gone, 3), 0);
    assert_int_equal(count_existing(kept, 4), 4);
}

static void test_bounded_in_bytes(void **state)
{
    (void)state;
    struct statvfs room;
    assert_int_equal(statvfs(directory, &room), 0);
    if ((uint64_t)room.f_bavail * room.f_frsize < UINT64_C(2) << 30) {
        print_message("skipped: %s has less than 2 GB\n", directory);
        return;
    }
    char paths[3][256];
    leave_many(3, paths);
    for (unsigned i = 0; i < 3; i++) {
        int fd = open(paths[i], O_RDWR | O_CLOEXEC);
        assert_int_equal(posix_fallocate(fd, 0, (off_t)(HT_LEFTOVER_BYTES / 2 - (1 << 20))), 0);
        close(fd);
    }
    ht_leftovers_clean(&own);
    assert_false(exists(paths[0]));
    assert_true(exists(paths[1]) && exists(paths[2]));
}

static void test_the_living_stay(void **state)
{
    (void)state;
    char paths[MANY][256], dead[MANY][256];
    pid_t pids[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); // also when this test fails
            pause();
        }
        struct ht_identity alive = identity_of((uint32_t)pids[i], ht_process_start_ticks((uint32_t)pids[i]));
        leave(&alive, paths[i]);
    }
    leave_many(MANY, dead);
    ht_leftovers_clean(&own);
    assert_int_equal(count_existing(paths, MANY), MANY);
    assert_int_equal(count_existing(dead, MANY), HT_LEFTOVER_FILES);
    // Zombies hold no memory: they count as dead, and are younger than none of the others.
    for (unsigned i = 0; i < MANY; i++) {
        siginfo_t info;
        kill(pids[i], SIGKILL);
        waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT);
    }
    ht_leftovers_clean(&own);
    assert_int_equal(count_existing(paths, MANY) + count_existing(dead, MANY), HT_LEFTOVER_FILES);
    for (unsigned i = 0; i < MANY; i++)
        waitpid(pids[i], NULL, 0);
}

static void test_a_number_used_again(void **state)
{
    (void)state;
    char paths[MANY][256];
    struct ht_identity reused =
        identity_of((uint32_t)getpid(), ht_process_start_ticks((uint32_t)getpid()) - 1);
    for (unsigned i = 0; i < MANY; i++)
        leave(&reused, paths[i]);
    ht_leftovers_clean(&own);
    assert_int_equal(count_existing(paths, MANY), HT_LEFTOVER_FILES);
}

static void test_from_before_exec(void **state)
{
    (void)state;
    char path[256];
    struct ht_identity before = identity_of((uint32_t)getpid(), ht_process_start_ticks((uint32_t)getpid()));
    leave(&before, path);
    ht_leftovers_clean(&own);
    assert_false(exists(path));
    assert_true(exists(own.header->region_path));
}

static void test_unfinished_ones_are_ours(void **state)
{
    (void)state;
    char paths[MANY][256];
    struct ht_identity dead = identity_of(dead_pid, dead_start);
    for (unsigned i = 0; i < MANY; i++) {
        struct ht_region region;
        assert_true(ht_region_make(&dead, directory, 1 << 20, ++next_unique, &region));
        assert_int_equal(region.header->magic, HT_REGION_MAKING);
        assert_non_null(strstr(region.header->region_path, HT_REGION_MAKING_SUFFIX));
        snprintf(paths[i], sizeof paths[i], "%s", region.header->region_path);
        munmap(region.base, region.mapped_bytes);
    }
    ht_leftovers_clean(&own);
    assert_int_equal(count_existing(paths, MANY), HT_LEFTOVER_FILES);
}

static void write_file(const char *path, const void *bytes, size_t length, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    close(fd);
}

// Everything with a region's name that is none of ours; many dead regions around it are to be removed
// meanwhile.
static void test_what_is_not_ours(void **state)
{
    (void)state;
    char hostile[10][256], target[3][256], dead[MANY][256], moved[256];
    char foreign[256];
    struct ht_region_header header = {.magic = HT_REGION_MAGIC};
    for (unsigned i = 0; i < 10; i++)
        snprintf(hostile[i], sizeof hostile[i], "%s/heaptap.leftover.%u.%x.live", directory, dead_pid,
                 0xbad0 + i);
    leave_many(3, target);
    snprintf(moved, sizeof moved, "%s/target", directory);
    assert_int_equal(rename(target[0], moved), 0);
    assert_int_equal(symlink(moved, hostile[0]), 0);          // to a region that could be removed
    assert_int_equal(symlink("/nonexistent", hostile[1]), 0); // to nothing
    assert_int_equal(mkfifo(hostile[2], 0600), 0);            // would be waited for
    assert_int_equal(mkdir(hostile[3], 0700), 0);             // not to be emptied or removed
    assert_int_equal(link(target[1], hostile[4]), 0);         // two names of one region: neither goes
    write_file(hostile[5], "not a region at all", 19, 0600);  // too short
    struct ht_identity dead_one = identity_of(dead_pid, dead_start);
    leave(&dead_one, foreign);
    assert_int_equal(rename(foreign, hostile[6]), 0);
    int fd = open(hostile[6], O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "ZZZZZZZZ", 8, 0), 8); // all is right but the magic
    close(fd);
    write_file(hostile[7], &header, sizeof header, 0600); // magic and nothing else: no pid, no namespace
    struct ht_identity elsewhere = identity_of(dead_pid, dead_start);
    elsewhere.pid_namespace ^= 1;
    leave(&elsewhere, foreign);
    assert_int_equal(rename(foreign, hostile[8]), 0); // of another pid namespace
    assert_int_equal(rename(target[2], hostile[9]), 0);
    bool is_root = geteuid() == 0;
    if (is_root)
        assert_int_equal(chown(hostile[9], 65534, 65534), 0); // somebody else's
    else
        assert_int_equal(chmod(hostile[9], 0), 0); // not to be read
    leave_many(MANY, dead);
    ht_leftovers_clean(&own);
    assert_int_equal(count_existing(hostile, 10), 10);
    assert_true(exists(moved) && exists(target[1]));
    assert_int_equal(count_existing(dead, MANY), HT_LEFTOVER_FILES);
}

static void test_more_files_than_are_looked_at_once(void **state)
{
    (void)state;
    char dead[MANY][256], path[256], copy[300];
    struct ht_identity alive = identity_of((uint32_t)getppid(), ht_process_start_ticks((uint32_t)getppid()));
    leave(&alive, path);
    // Copies of its beginning are as good: regions of a living process.
    char bytes[HT_REGION_HEADER_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, bytes, sizeof bytes), sizeof bytes);
    close(fd);
    for (unsigned i = 0; i < 400; i++) {
        snprintf(copy, sizeof copy, "%s/heaptap.leftover.%d.c%u.live", directory, getppid(), i);
        write_file(copy, bytes, sizeof bytes, 0600);
    }
    leave_many(MANY, dead);
    ht_leftovers_clean(&own);
    assert_int_equal(count_existing(dead, MANY), HT_LEFTOVER_FILES);
    assert_true(exists(path) && exists(copy));
}

// Who fills the directory does not make every process that samples look at all of it; together they do.
static void test_a_directory_full_of_others(void **state)
{
    (void)state;
    char dead[MANY][256], path[256];
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(path, sizeof path, "%s/foreign.%u", directory, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    unsigned found = 0, looks = 0;
    leave_many(MANY, dead);
    for (; found == 0 && looks < 1000; looks++) {
        ht_leftovers_clean(&own);
        found += count_existing(dead, MANY) == HT_LEFTOVER_FILES;
    }
    assert_int_equal(found, 1);
    // A fifth of the directory at a time: not every look finds them.
    for (looks = 0; looks < 100; looks++) {
        leave_many(MANY, dead);
        ht_leftovers_clean(&own);
        found += count_existing(dead, MANY) < MANY;
    }
    assert_true(found < 101);
}

static void test_without_proc_everybody_lives(void **state)
{
    (void)state;
    char dead[MANY][256];
    leave_many(MANY, dead);
    uint64_t pid_namespace = own.header->pid_namespace;
    own.header->pid_namespace = 0; // what a process without /proc knows of its own
    ht_leftovers_clean(&own);
    own.header->pid_namespace = pid_namespace;
    assert_int_equal(count_existing(dead, MANY), MANY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_oldest_go_first),
        TEST(test_files_without_a_header),
        TEST(test_bounded_in_bytes),
        TEST(test_the_living_stay),
        TEST(test_a_number_used_again),
        TEST(test_from_before_exec),
        TEST(test_unfinished_ones_are_ours),
        TEST(test_what_is_not_ours),
        TEST(test_more_files_than_are_looked_at_once),
        TEST(test_a_directory_full_of_others),
        TEST(test_without_proc_everybody_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
