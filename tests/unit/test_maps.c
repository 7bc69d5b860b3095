// The reader of /proc/PID/maps: lines as the kernel writes them, lines that are none, and windows of any
// size.
#include "sys/maps.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_lines(void **state)
{
    (void)state;
    struct ht_maps_line line;
    assert_true(ht_maps_parse(
        "7f00c0de1000-7f00c0de3000 r-xp 0001f000 fd:1b 4711                       /usr/lib/a b.so", &line));
    assert_int_equal(line.start, 0x7f00c0de1000);
    assert_int_equal(line.limit, 0x7f00c0de3000);
    assert_true(line.readable && line.executable);
    assert_int_equal(line.file_offset, 0x1f000);
    assert_int_equal(line.device_major, 0xfd);
    assert_int_equal(line.device_minor, 0x1b);
    assert_int_equal(line.inode, 4711);
    assert_string_equal(line.path, "/usr/lib/a b.so");
    assert_true(ht_maps_parse("1000-2000 -w-p 00000000 00:00 0 ", &line));
    assert_false(line.readable || line.executable);
    assert_string_equal(line.path, "");
    assert_true(ht_maps_parse("ffffffffff600000-ffffffffff601000 --xp 0 0:0 18446744073709551615", &line));
    assert_int_equal(line.inode, UINT64_MAX);
    assert_string_equal(line.path, "");
}

static void test_what_is_no_line(void **state)
{
    static const char *const wrong[] = {
        "",
        "1000",
        "1000-",
        "1000-2000",
        "1000-2000 r-x",
        "1000-2000 r-xp",
        "1000-2000 r-xp 0",
        "1000-2000 r-xp 0 8",
        "1000-2000 r-xp 0 8:1",
        "1000-2000 r-xp 0 8:1 x",
        "1000-2000 r-xp 0 8:1 1/lib",
        "-1000-2000 r-xp 0 8:1 1",
        "2000-1000 r-xp 0 8:1 1",
        "1000-1000 r-xp 0 8:1 1",
        "0x1000-2000 r-xp 0 8:1 1",
        "1000-10000000000000000 r-xp 0 8:1 1",
        "1000-2000 r-xp 0 8:100000000 1",
        "1000-2000 r-xp 0 8:1 18446744073709551616",
        "1000-2000 r-xp  0 8:1 1",
    };
    struct ht_maps_line line = {.inode = 5};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (ht_maps_parse(wrong[i], &line)) {
            fail_msg("taken for a line: %s", wrong[i]);
        }
        assert_int_equal(line.inode, 5);
    }
}

// How many lines come out of a text that is read in pieces; the inodes must rise.
static size_t count_lines(const char *text, char *buffer, size_t window_bytes, size_t piece)
{
    struct ht_maps_window window = ht_maps_window(buffer, window_bytes);
    struct ht_maps_line line;
    size_t count = 0, left = strlen(text);
    uint64_t last_inode = 0;
    for (;;) {
        while (ht_maps_take(&window, &line)) {
            assert_true(line.inode > last_inode);
            last_inode = line.inode;
            count++;
        }
        size_t room;
        char *to = ht_maps_room(&window, &room);
        size_t length = piece < room ? piece : room;
        length = length < left ? length : left;
        if (length == 0) {
            return count;
        }
        memcpy(to, text, length);
        window.end += length;
        text += length;
        left -= length;
    }
}

// A path full of escaped newlines is longer than any sensible window: it alone is missing.
static void test_windows(void **state)
{
    static char text[24000], buffer[8192];
    (void)state;
    int length = snprintf(text, sizeof text, "1000-2000 r-xp 0 8:1 1 /a\n2000-3000 r-xp 0 8:1 2 /");
    memset(text + length, 'x', 16000);
    length += 16000;
    snprintf(text + length, sizeof text - (size_t)length,
             "\nnonsense\n3000-4000 r-xp 0 8:1 3 /c\n4000-5000 r-xp 0 8:1 4 /d\n5000-6000 r-xp 0 8:1 5 /cut");
    static const size_t windows[] = {26, 27, 64, 4096, 8192};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        for (size_t piece = 1; piece < 40; piece += 6) {
            assert_int_equal(count_lines(text, buffer, windows[i], piece), 3);
        }
    }
    assert_int_equal(count_lines(text, buffer, 25, 7), 0);
}

static void test_our_own(void **state)
{
    (void)state;
    static char buffer[600];
    int fd = open("/proc/self/maps", O_RDONLY);
    struct ht_maps_window window = ht_maps_window(buffer, sizeof buffer);
    struct ht_maps_line line;
    bool found = false;
    for (ssize_t got = 1; got > 0; window.end += (size_t)(got > 0 ? got : 0)) {
        while (ht_maps_take(&window, &line)) {
            uint64_t here = (uint64_t)(uintptr_t)&test_our_own;
            found |= here >= line.start && here < line.limit && line.executable &&
                     strstr(line.path, "test_maps") != NULL;
        }
        size_t room;
        char *to = ht_maps_room(&window, &room);
        got = read(fd, to, room);
    }
    close(fd);
    assert_true(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_what_is_no_line),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
