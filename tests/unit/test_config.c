// The parsers behind the environment variables, and what a wrong value does.
#include "trigger/config.h"

#include "record/layout.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"1", 1},
                {"512K", 524288},
                {"512k", 524288},
                {"512KiB", 524288},
                {"3M", 3145728},
                {"2G", 2147483648u},
                {"17179869183G", UINT64_C(17179869183) << 30}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t bytes = 99;
        assert_true(ht_config_parse_size(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    static const char *const bad[] = {
        "", "K", "-1", "1.5M", "12X", "1KK", "99999999999999999999", "17179869184G", " 1", "1 "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes = 99;
        assert_false(ht_config_parse_size(bad[i], &bytes));
        assert_int_equal(bytes, 99);
    }
}

static void test_durations(void **state)
{
    (void)state;
    uint64_t ns = 0;
    assert_true(ht_config_parse_duration("500ms", &ns) && ns == 500000000);
    assert_true(ht_config_parse_duration("30s", &ns) && ns == UINT64_C(30000000000));
    assert_true(ht_config_parse_duration("2", &ns) && ns == UINT64_C(2000000000));
    assert_true(ht_config_parse_duration("5m", &ns) && ns == UINT64_C(300000000000));
    assert_true(ht_config_parse_duration("1h", &ns) && ns == UINT64_C(3600000000000));
    assert_false(ht_config_parse_duration("", &ns));
    assert_false(ht_config_parse_duration("10d", &ns));
    assert_false(ht_config_parse_duration("s", &ns));
    assert_false(ht_config_parse_duration("9999999999999h", &ns));
}

static void test_signals(void **state)
{
    (void)state;
    int number = -1;
    assert_true(ht_parse_signal("USR2", &number) && number == SIGUSR2);
    assert_true(ht_parse_signal("SIGUSR1", &number) && number == SIGUSR1);
    assert_true(ht_parse_signal("none", &number) && number == 0);
    assert_true(ht_parse_signal("40", &number) && number == 40);
    assert_false(ht_parse_signal("KILL", &number));
    assert_false(ht_parse_signal("9", &number));
    assert_false(ht_parse_signal("32", &number));
    assert_false(ht_parse_signal("65", &number));
    assert_false(ht_parse_signal("", &number));
}

static void test_globs(void **state)
{
    (void)state;
    assert_true(ht_glob_matches("redis*", "redis-server"));
    assert_true(ht_glob_matches("*server", "redis-server"));
    assert_true(ht_glob_matches("r?dis", "redis"));
    assert_true(ht_glob_matches("*", ""));
    assert_true(ht_glob_matches("a*b*c", "aXbXbXc"));
    assert_false(ht_glob_matches("redis", "redis-server"));
    assert_false(ht_glob_matches("", "x"));
    assert_false(ht_glob_matches("?", ""));
}

// Reads the environment with the log in a file, and gives the log's text.
static void read_with_log(struct ht_config *config, char *log, size_t size)
{
    char path[] = "/tmp/heaptap-test-config.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    setenv("HEAPTAP_LOG", path, 1);
    ht_config_read(config);
    ssize_t got = read(fd, log, size - 1);
    log[got > 0 ? got : 0] = '\0';
    close(fd);
    unlink(path);
    unsetenv("HEAPTAP_LOG");
}

static void test_defaults(void **state)
{
    (void)state;
    struct ht_config config;
    char log[4096];
    read_with_log(&config, log, sizeof log);
    assert_string_equal(log, "");
    assert_int_equal(config.rate_bytes, 524288);
    assert_true(config.active);
    assert_int_equal(config.signal, SIGUSR2);
    assert_int_equal(config.interval_ns, 0);
    assert_true(config.exit);
    assert_string_equal(config.live_dir, "/dev/shm");
    char cwd[1024];
    assert_non_null(getcwd(cwd, sizeof cwd));
    assert_string_equal(config.out_dir, cwd);
}

static void test_wrong_values_say_one_line_each(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } wrong[] = {{"HEAPTAP_RATE", "fast"},     {"HEAPTAP_ACTIVE", "yes"},   {"HEAPTAP_SIGNAL", "KILL"},
                 {"HEAPTAP_INTERVAL", "soon"}, {"HEAPTAP_GROWTH", "-1"},    {"HEAPTAP_EXIT", "2"},
                 {"HEAPTAP_KEEP", "all"},      {"HEAPTAP_ONLY", "a/b"},     {"HEAPTAP_LIVE", "somewhere"},
                 {"HEAPTAP_MEMORY", "1K"},     {"HEAPTAP_UNWIND", "dwarf"}, {"HEAPTAP_LABELS", "pid"},
                 {"HEAPTAP_SEED", "0"},        {"HEAPTAP_OUT", ""},         {"HEAPTAP_VERBOSE", "2"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ht_config config, plain;
        char log[4096];
        read_with_log(&plain, log, sizeof log);
        setenv(wrong[i].name, wrong[i].value, 1);
        read_with_log(&config, log, sizeof log);
        unsetenv(wrong[i].name);
        assert_memory_equal(&config, &plain, sizeof config);
        assert_non_null(strstr(log, wrong[i].name));
        assert_ptr_equal(strchr(log, '\n'), log + strlen(log) - 1); // exactly one line
    }
}

static void test_values(void **state)
{
    (void)state;
    struct ht_config config;
    char log[4096];
    setenv("HEAPTAP_RATE", "1", 1);
    setenv("HEAPTAP_OUT", "sub/dir", 1);
    setenv("HEAPTAP_LABELS", "thread,user", 1);
    setenv("HEAPTAP_LIVE", "off", 1);
    setenv("HEAPTAP_MEMORY", "2M", 1);
    read_with_log(&config, log, sizeof log);
    unsetenv("HEAPTAP_RATE");
    unsetenv("HEAPTAP_OUT");
    unsetenv("HEAPTAP_LABELS");
    unsetenv("HEAPTAP_LIVE");
    unsetenv("HEAPTAP_MEMORY");
    assert_string_equal(log, "");
    assert_int_equal(config.rate_bytes, 1);
    assert_int_equal(config.out_dir[0], '/');
    assert_string_equal(config.out_dir + strlen(config.out_dir) - 8, "/sub/dir");
    assert_int_equal(config.labels, HT_LABELS_THREAD | HT_LABELS_USER);
    assert_string_equal(config.live_dir, "");
    assert_int_equal(config.memory_bytes, 2 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_durations),
        cmocka_unit_test(test_signals),  cmocka_unit_test(test_globs),
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_wrong_values_say_one_line_each),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
