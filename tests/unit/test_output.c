// Output files: whole or unchanged, links followed, devices and pipes written to and never replaced.
#include "base/error.h"
#include "base/output.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <signal.h>

#include <cmocka.h>

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void assert_holds(const char *path, const char *text)
{
    char bytes[64] = "";
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, bytes, sizeof bytes - 1), strlen(text));
    close(fd);
    assert_string_equal(bytes, text);
}

static void test_files(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(ht_output_write(in_folder("new"), "one", 3), 0);
    assert_holds(in_folder("new"), "one");
    assert_int_equal(chmod(in_folder("new"), 0640), 0);
    assert_int_equal(symlink("new", in_folder("link")), 0);
    assert_int_equal(ht_output_write(in_folder("link"), "second", 6), 0);
    assert_holds(in_folder("new"), "second");
    assert_int_equal(lstat(in_folder("link"), &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat(in_folder("new"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(ht_output_write(in_folder("no/such"), "x", 1), -1);
    assert_non_null(strstr(ht_error(), "cannot be written"));
    assert_int_equal(ht_output_write(folder, "x", 1), -1);
}

static void test_devices(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(ht_output_write("/dev/null", "x", 1), 0);
    assert_int_equal(stat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
    assert_int_equal(ht_output_write("/dev/full", "x", 1), -1);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    int reader = open(in_folder("pipe"), O_RDONLY | O_NONBLOCK);
    char bytes[8] = "";
    assert_int_equal(ht_output_write(in_folder("pipe"), "abc", 3), 0);
    assert_int_equal(read(reader, bytes, sizeof bytes), 3);
    close(reader);
}

static void test_full(void **state)
{
    (void)state;
    struct rlimit before, limit = {4, 4};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int result = ht_output_write(in_folder("new"), "too long", 8);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(result, -1);
    assert_holds(in_folder("new"), "second"); // what was there
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/heaptap-output-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        unlink(in_folder((const char *[]){"new", "link", "pipe"}[i]));
    return rmdir(folder); // nothing else was left
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
