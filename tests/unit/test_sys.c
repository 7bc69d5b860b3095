// The floor: formatter, raw I/O with its signal guard, clocks, log, memory.
#include "sys/clock.h"
#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/log.h"
#include "sys/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void make_folder(char *path)
{
    strcpy(path, "/tmp/heaptap-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static void remove_folder(const char *path)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static void test_text(void **state)
{
    (void)state;
    char buffer[128];
    struct ht_text text = ht_text_init(buffer, sizeof buffer);
    ht_text_add(&text, "a");
    ht_text_add_char(&text, '=');
    ht_text_add_u64(&text, UINT64_MAX);
    ht_text_add_char(&text, ' ');
    ht_text_add_i64(&text, INT64_MIN);
    ht_text_add_char(&text, ' ');
    ht_text_add_padded(&text, 7, 4);
    ht_text_add_char(&text, ' ');
    ht_text_add_padded(&text, 12345, 4);
    ht_text_add_char(&text, ' ');
    ht_text_add_hex(&text, 0xdeadBEEF);
    ht_text_add_char(&text, ' ');
    ht_text_add_hex_bytes(&text, (const uint8_t[]){0, 0xAB, 9}, 3);
    ht_text_add_max(&text, "xyz", 2);
    assert_string_equal(buffer, "a=18446744073709551615 -9223372036854775808 0007 12345 deadbeef 00ab09xy");
    assert_int_equal(text.length, strlen(buffer));
    assert_false(text.cut);

    char small[5];
    text = ht_text_init(small, sizeof small);
    ht_text_add(&text, "abc");
    ht_text_add_u64(&text, 123);
    assert_string_equal(small, "abc1");
    assert_true(text.cut);
}

static void test_parse(void **state)
{
    (void)state;
    uint64_t value = 5;
    assert_true(ht_text_parse_u64("18446744073709551615 kB", &value));
    assert_true(value == UINT64_MAX);
    assert_false(ht_text_parse_u64("18446744073709551616", &value));
    assert_false(ht_text_parse_u64("", &value));
    assert_false(ht_text_parse_u64("-1", &value));
    assert_true(value == UINT64_MAX);
    const char *stat = "17 (a) b (c)) S 1 17 -2 52\n"; // the name is `a) b (c)`
    assert_true(*ht_text_stat_field(stat, 3) == 'S');
    assert_string_equal(ht_text_stat_field(stat, 6), "-2 52\n");
    assert_string_equal(ht_text_stat_field(stat, 7), "52\n");
    assert_null(ht_text_stat_field(stat, 8));
    assert_null(ht_text_stat_field("17", 3));
}

static void test_files(void **state)
{
    (void)state;
    char folder[64], path[256], buffer[64];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/a/b/c", folder);
    mode_t old = umask(0);
    assert_int_equal(ht_io_make_directory(path, 0700), 0);
    assert_int_equal(ht_io_make_directory(path, 0700), 0);
    umask(old);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);

    snprintf(path, sizeof path, "%s/a/file", folder);
    int fd = ht_io_open(HT_IO_CWD, path, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd > 2);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(ht_io_write(fd, "hello", 5), 0);
    ht_io_close(fd);
    assert_int_equal(ht_io_open(HT_IO_CWD, path, O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
    assert_int_equal(ht_io_read_file(path, buffer, sizeof buffer), 5);
    assert_string_equal(buffer, "hello");
    assert_int_equal(ht_io_read_file(path, buffer, 4), 3);
    assert_string_equal(buffer, "hel");
    snprintf(path, sizeof path, "%s/a/nothing", folder);
    assert_int_equal(ht_io_read_file(path, buffer, sizeof buffer), -ENOENT);
    snprintf(path, sizeof path, "%s/a/file/x/y", folder);
    assert_int_equal(ht_io_make_directory(path, 0700), -ENOTDIR);
    assert_int_equal(ht_io_make_directory("", 0700), -ENOENT);
    remove_folder(folder);
}

static void test_never_a_standard_descriptor(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(0);
        close(1);
        close(2);
        int fd = ht_io_open(HT_IO_CWD, "/dev/null", O_RDONLY, 0);
        bool right =
            fd > 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(0, F_GETFD) == -1 && fcntl(1, F_GETFD) == -1;
        _exit(right ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void ignore_signal(int signal)
{
    (void)signal;
}

// A pipe that is read slowly, while a timer interrupts the writer all the time.
static void test_interrupted_writes(void **state)
{
    (void)state;
    enum { TOTAL = 1 << 20 };
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[1]);
        static char got[TOTAL];
        long length = ht_io_read(fds[0], got, sizeof got);
        bool right = length == TOTAL;
        for (long i = 0; i < length; i++) {
            right = right && got[i] == (char)(i % 251);
        }
        _exit(right ? 0 : 1);
    }
    close(fds[0]);
    struct sigaction action = {.sa_handler = ignore_signal}, old; // without SA_RESTART
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    struct itimerspec every = {{0, 100000}, {0, 100000}};
    timer_t timer;
    assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
    static char bytes[TOTAL];
    for (int i = 0; i < TOTAL; i++) {
        bytes[i] = (char)(i % 251);
    }
    assert_int_equal(ht_io_write(fds[1], bytes, sizeof bytes), 0);
    close(fds[1]);
    timer_delete(timer);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sigaction(SIGALRM, &old, NULL);
}

static bool is_pending(int signal)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, signal) == 1;
}

// In a child: SIGXFSZ and SIGPIPE have their default, deadly action.
static int guarded_writes(const char *path)
{
    struct rlimit limit = {1000, 1000};
    char bytes[4096] = {0};
    int fds[2];
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || pipe(fds) != 0) {
        return 10;
    }
    close(fds[0]);
    struct ht_io_guard guard;
    ht_io_guard_begin(&guard);
    int fd = ht_io_open(HT_IO_CWD, path, O_WRONLY | O_CREAT, 0600);
    int file_result = ht_io_write(fd, bytes, sizeof bytes);
    int pipe_result = ht_io_write(fds[1], bytes, sizeof bytes);
    ht_io_guard_end(&guard);
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    if (file_result != -EFBIG || pipe_result != -EPIPE || sigismember(&mask, SIGPIPE) ||
        is_pending(SIGPIPE)) {
        return 11;
    }
    // What the host had blocked and pending stays so.
    sigemptyset(&mask);
    sigaddset(&mask, SIGPIPE);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    kill(getpid(), SIGPIPE);
    ht_io_guard_begin(&guard);
    ht_io_write(fds[1], bytes, 1);
    ht_io_guard_end(&guard);
    return is_pending(SIGPIPE) && !is_pending(SIGXFSZ) ? 0 : 12;
}

static void test_guard(void **state)
{
    (void)state;
    char folder[64], path[128];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/file", folder);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(guarded_writes(path));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    remove_folder(folder);
}

static void test_clocks(void **state)
{
    (void)state;
    uint64_t a = ht_clock_monotonic_ns();
    uint64_t b = ht_clock_raw_monotonic_ns();
    uint64_t c = ht_clock_monotonic_ns();
    assert_true(a > 0 && a <= b && b <= c);
    uint64_t now = (uint64_t)time(NULL);
    assert_in_range(ht_clock_realtime_ns() / 1000000000, now - 1, now + 2);
    assert_in_range(ht_clock_raw_realtime_ns() / 1000000000, now - 1, now + 2);
    assert_true(ht_clock_raw_thread_cpu_ns() > 0);
}

static void test_memory(void **state)
{
    (void)state;
    uint8_t *page = ht_memory_map(8192);
    assert_non_null(page);
    assert_int_equal(page[8191], 0);
    int populated = ht_memory_populate(page, 8192);
    assert_true(populated == 0 || populated == -EINVAL);
    ht_memory_unmap(page, 8192);
    ht_memory_unmap(NULL, 1);
    assert_null(ht_memory_map(UINT64_C(1) << 62));

    struct ht_bump bump;
    ht_bump_init(&bump, 1 << 20);
    uint8_t *small = ht_bump_take(&bump, 3);
    uint8_t *next = ht_bump_take(&bump, 100);
    uint8_t *large = ht_bump_take(&bump, 600000);
    assert_true(small != NULL && next == small + 16 && large != NULL && (uintptr_t)large % 16 == 0);
    assert_int_equal(large[599999], 0);
    memset(large, 1, 600000);
    assert_null(ht_bump_take(&bump, 600000)); // over the limit
    assert_null(ht_bump_take(&bump, UINT64_MAX));
    assert_non_null(ht_bump_take(&bump, 10));
    assert_true(bump.mapped_bytes <= bump.limit_bytes);
    ht_bump_release(&bump);
    assert_int_equal(bump.mapped_bytes, 0);
    assert_non_null(ht_bump_take(&bump, 600000));
    ht_bump_release(&bump);
}

static void test_log(void **state)
{
    (void)state;
    char folder[64], path[128], buffer[512], other[128];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/log", folder);
    ht_log_setup(HT_LOG_FILE, path, false);
    errno = 77;
    ht_log_error("cannot write", "/some\nwhere", -ENOSPC);
    ht_log_note("not said", NULL);
    ht_log_setup(HT_LOG_FILE, path, true);
    ht_log_note("said", NULL);
    assert_int_equal(errno, 77);
    assert_true(ht_io_read_file(path, buffer, sizeof buffer) > 0);
    assert_string_equal(buffer,
                        "heaptap: cannot write: /some?where: no space left (errno 28)\nheaptap: said\n");

    // Standard error while it is what it was at setup, and not any more when the host has put something else
    // there.
    int kept = dup(2);
    snprintf(path, sizeof path, "%s/stderr", folder);
    snprintf(other, sizeof other, "%s/database", folder);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    dup2(fd, 2);
    ht_log_setup(HT_LOG_STDERR, NULL, false);
    ht_log_error("one", NULL, 0);
    close(2);
    ht_log_error("two", NULL, 0);
    int database = open(other, O_RDWR | O_CREAT, 0600);
    assert_int_equal(database, 2);
    ht_log_error("three", NULL, 0);
    dup2(kept, 2);
    close(kept);
    close(fd);
    assert_int_equal(ht_io_read_file(path, buffer, sizeof buffer), 13);
    assert_string_equal(buffer, "heaptap: one\n");
    assert_int_equal(ht_io_read_file(other, buffer, sizeof buffer), 0);
    ht_log_setup(HT_LOG_NONE, NULL, true);
    ht_log_error("never", NULL, 0);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_never_a_standard_descriptor),
        cmocka_unit_test(test_interrupted_writes),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
