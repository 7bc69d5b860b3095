// A region that its owner writes to, in all ways, while it is read from outside: each copy is read, checked,
// summed and encoded to the end, without a fault, whatever it holds.
#include "base/memory.h"
#include "profile/profile.h"
#include "record/check.h"
#include "record/filter.h"
#include "record/live.h"
#include "record/region.h"
#include "record/stacks.h"
#include "record/view.h"
#include "region/copy.h"
#include "snapshot/encode.h"
#include "stats/live_set.h"
#include "storm.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define READS        2000
#define SAMPLES      2000
#define REGION_BYTES (UINT64_C(4) << 20)
#define ENCODE_BYTES (UINT64_C(8) << 20)

static char directory[] = "/dev/shm/heaptap-changed.XXXXXX";

static struct ht_region make_region(void)
{
    static struct ht_identity identity = {.pid = 1, .program = "changed", .rate_bytes = 1, .active = 1};
    struct ht_region region;
    identity.uid = geteuid();
    ht_filter_reset();
    assert_true(ht_region_create(&identity, directory, REGION_BYTES, 1, &region));
    assert_true(region.shared);
    for (uint64_t i = 0; i < SAMPLES; i++) {
        const uint64_t frames[] = {0x555500001010 + i % 200, 0x555500001020, 0x7f0000001000};
        uint32_t ref = ht_entry_intern(&region, HT_KIND_HEAP, frames, 3, 0, ht_size_class(i % 10 * 64), 0);
        const struct ht_live_copy live = {0x600000000000 + i * 64, i % 10 * 64, i, 1, 8192, ref};
        ht_entry_add(&region, ref, i % 10 * 64, ht_live_weight(&live, 0), 0.5);
        ht_live_insert(&region, &live);
    }
    return region;
}

// Another process, so that no sanitizer takes it for a mistake of ours.
static pid_t start_owner(const struct ht_region *region, uint64_t seed)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        storm(region->base, seed);
    }
    return pid;
}

static int keep(void *arg, const void *bytes, size_t size_bytes)
{
    ht_buffer_add(arg, bytes, size_bytes);
    return 0;
}

static void check_all(const struct ht_view *view)
{
    struct ht_bump memory;
    struct ht_check check = {.view = view, .moment = HT_CHECK_RUNNING, .memory = &memory};
    ht_bump_init(&memory, ENCODE_BYTES);
    for (size_t i = 0; i < HT_CHECK_ROWS; i++)
        ht_check_rows[i].run(&check);
    ht_bump_release(&memory);
}

// True: a profile came of it, and then one that can be read.
static bool encode(const struct ht_view *view)
{
    const struct ht_encode_options options = {.trigger = "manual", .time_unix_ns = 1};
    struct ht_buffer packed = {0};
    struct ht_sink sink = {keep, &packed};
    struct ht_bump memory;
    ht_bump_init(&memory, ENCODE_BYTES);
    bool done = ht_encode(view, &options, &sink, &memory) == 0;
    ht_bump_release(&memory);
    if (done) {
        struct ht_profile *profile = NULL;
        assert_int_equal(ht_profile_decode((const uint8_t *)packed.data, packed.length, NULL, &profile), 0);
        assert_int_equal(ht_profile_check(profile), 0);
        ht_profile_free(profile);
    }
    ht_buffer_free(&packed);
    return done;
}

static bool read_once(int fd)
{
    struct ht_region_copy copy;
    if (ht_region_read(fd, &copy) != 0)
        return false;
    struct ht_live_set now = {0}, before = {0};
    ht_live_set_fill(&now, &copy.view);
    ht_live_set_fill(&before, &copy.view);
    before.count /= 2;
    ht_live_set_change(&before, &now);
    ht_live_set_total(&now);
    ht_live_set_free(&now);
    ht_live_set_free(&before);
    check_all(&copy.view);
    bool done = encode(&copy.view);
    ht_region_copy_free(&copy);
    return done;
}

static void test_words_change_while_they_are_read(void **state)
{
    (void)state;
    struct ht_region region = make_region();
    struct ht_region_header header;
    int fd = open(region.header->region_path, O_RDONLY | O_CLOEXEC), whole = 0;
    assert_true(fd >= 0);
    char path[sizeof region.header->region_path];
    memcpy(path, region.header->region_path, sizeof path);
    pid_t owners[] = {start_owner(&region, 88172645463325252u), start_owner(&region, 4101842887655102017u)};
    for (int i = 0; i < READS || whole == 0;
         i++) { // until one was whole: else nothing but the header was ever looked at
        whole += read_once(fd);
        ht_region_read_header(path, &header, NULL);
    }
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        kill(owners[i], SIGKILL);
        assert_int_equal(waitpid(owners[i], NULL, 0), owners[i]);
    }
    close(fd);
    unlink(path);
    munmap(region.base, region.mapped_bytes);
}

// Cut off and made longer again, between any two calls of the reader's.
static void test_its_size_changes_while_it_is_read(void **state)
{
    (void)state;
    struct ht_region region = make_region();
    int fd = open(region.header->region_path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    char path[sizeof region.header->region_path];
    memcpy(path, region.header->region_path, sizeof path);
    pid_t owner = fork();
    assert_true(owner >= 0);
    if (owner == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (uint64_t random = 7;;) {
            if (ftruncate(fd, (off_t)(storm_draw(&random) % (REGION_BYTES * 2))) != 0)
                _exit(1);
        }
    }
    for (int i = 0; i < READS; i++)
        read_once(fd);
    kill(owner, SIGKILL);
    assert_int_equal(waitpid(owner, NULL, 0), owner);
    close(fd);
    unlink(path);
    munmap(region.base, region.mapped_bytes);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int clean_up(void **state)
{
    (void)state;
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_change_while_they_are_read),
        cmocka_unit_test(test_its_size_changes_while_it_is_read),
    };
    return cmocka_run_group_tests(tests, set_up, clean_up);
}
