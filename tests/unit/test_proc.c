// What /proc and the clocks say, and the list of warnings that the commands print.
#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/search.h"
#include "base/text.h"
#include "sys/fmt.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_stat(void **state)
{
    (void)state;
    struct ht_proc_stat own, other;
    uint32_t pid = (uint32_t)getpid();
    prctl(PR_SET_NAME, "a) Z (b 1", 0, 0, 0); // a name may look like fields
    assert_true(ht_proc_stat(pid, &own));
    assert_true(ht_proc_stat(0, &other));
    assert_int_equal(own.state, 'R');
    assert_int_equal(own.parent, getppid());
    assert_int_equal(own.start_ticks, other.start_ticks);
    assert_int_equal(ht_proc_start_ticks(pid), own.start_ticks);
    assert_true(ht_proc_is_same(pid, own.start_ticks));
    assert_false(ht_proc_is_same(pid, own.start_ticks + 1));
    assert_false(ht_proc_stat(INT32_MAX, &other));
    assert_int_equal(ht_proc_start_ticks(INT32_MAX), 0);
}

static void test_exit_status_of_a_zombie(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(7);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    struct ht_proc_stat stat;
    assert_true(ht_proc_stat((uint32_t)child, &stat));
    assert_int_equal(stat.state, 'Z');
    assert_true(WIFEXITED(stat.exit_status));
    assert_int_equal(WEXITSTATUS(stat.exit_status), 7);
    waitpid(child, NULL, 0);
    assert_false(ht_proc_stat((uint32_t)child, &stat));
}

static void test_status_lines(void **state)
{
    (void)state;
    char text[] = "Name:\tx\nUid:\t12\t34\t56\t78\nNSpid:\t4000\t17\t1\nSigCgt:\t00000000000004a0\n";
    struct ht_buffer status = {.data = text, .length = sizeof text - 1};
    uint64_t number = 99;
    assert_true(strncmp(ht_proc_status_line(&status, "Name"), "x\n", 2) == 0);
    assert_null(ht_proc_status_line(&status, "Nam"));
    assert_true(ht_proc_status_number(&status, "Uid", 10, &number));
    assert_int_equal(number, 12);
    assert_true(ht_proc_status_number(&status, "SigCgt", 16, &number));
    assert_int_equal(number, 0x4a0);
    assert_false(ht_proc_status_number(&status, "Gid", 10, &number));
    assert_int_equal(number, 0x4a0);
    assert_int_equal(ht_proc_inner_pid(&status, 4000), 1);
    struct ht_buffer old = {.data = text + 8, .length = 3};
    text[11] = '\0';
    assert_int_equal(ht_proc_inner_pid(&old, 4000), 4000);
}

static void test_environment_and_root(void **state)
{
    (void)state;
    char text[64], folder[PATH_MAX], first[] = "A=1", second[] = "AB=", *list[] = {second, first, NULL};
    assert_string_equal(ht_proc_value_in(list, "A"), "1");
    assert_string_equal(ht_proc_value_in(list, "AB"), "");
    assert_null(ht_proc_value_in(list, "B"));
    ht_proc_root(0, text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(ht_proc_own_folder(folder), 0);
    assert_int_equal(access(folder, X_OK), 0);
    assert_true(ht_proc_namespace(0, "pid") != 0);
    assert_int_equal(ht_proc_namespace(0, "pid"), ht_proc_namespace((uint32_t)getpid(), "pid"));
    assert_int_equal(ht_proc_namespace(INT32_MAX, "pid"), 0);
}

// As a program that shows a title leaves it: written over from the front.
static void test_environment_under_a_title(void **state)
{
    (void)state;
    struct ht_proc_environment whole, left;
    struct ht_buffer text = {0};
    uint64_t start;
    int fds[2];
    char byte;
    ht_proc_environment_read(0, &whole);
    assert_true(whole.is_whole);
    assert_null(ht_proc_value_in(whole.items, "HEAPTAP_NO_SUCH_VARIABLE"));
    assert_non_null(whole.items[0]);
    assert_non_null(whole.items[1]);
    assert_true(ht_proc_read(0, "stat", &text));
    assert_true(ht_text_parse_u64(ht_text_stat_field(text.data, 50), &start)); // env_start
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        memset((void *)(uintptr_t)start, 0, strlen(whole.items[0]));
        memcpy((void *)(uintptr_t)start, "ti", 2);
        if (write(fds[1], "x", 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    ht_proc_environment_read((uint32_t)child, &left);
    assert_false(left.is_whole);
    assert_string_equal(left.items[0], whole.items[1]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(fds[0]);
    close(fds[1]);
    ht_proc_environment_free(&left);
    ht_proc_environment_free(&whole);
    ht_buffer_free(&text);
}

static void test_pids(void **state)
{
    (void)state;
    uint32_t pid = 5, *pids;
    static const char *const none[] = {"", "0", "4x", "-4", "+4", " 4", "99999999999", "2147483648"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(ht_proc_parse_pid(none[i], &pid));
    assert_int_equal(pid, 5);
    assert_true(ht_proc_parse_pid("4242", &pid));
    assert_int_equal(pid, 4242);
    assert_true(ht_proc_is_pid("99999999999")); // no file: a process that cannot be
    assert_false(ht_proc_is_pid("./4242"));
    size_t count = ht_proc_list(&pids), own = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || pids[i] > pids[i - 1]);
        own += pids[i] == (uint32_t)getpid();
    }
    assert_int_equal(own, 1);
    free(pids);
}

static void test_texts(void **state)
{
    (void)state;
    char removed[] = "/x (deleted)", mark[] = " (deleted)";
    assert_true(ht_proc_take_deleted(removed));
    assert_string_equal(removed, "/x");
    assert_false(ht_proc_take_deleted(removed));
    assert_false(ht_proc_take_deleted(mark));
    assert_true(ht_text_ends_with("x.live", ".live"));
    assert_false(ht_text_ends_with("live", ".live"));
    assert_string_equal(ht_path_name("a/b"), "b");
    assert_string_equal(ht_path_name("b"), "b");
    assert_string_equal(ht_path_name("a/"), "");
    char lines[] = "one\n\nthree", *rest = lines;
    assert_string_equal(ht_text_take_line(&rest), "one");
    assert_string_equal(ht_text_take_line(&rest), "");
    assert_string_equal(ht_text_take_line(&rest), "three");
    assert_null(ht_text_take_line(&rest));
}

static void test_clock(void **state)
{
    (void)state;
    uint64_t before = ht_clock_ns(CLOCK_MONOTONIC);
    ht_clock_wait(2000000);
    assert_true(ht_clock_ns(CLOCK_MONOTONIC) - before >= 2000000);
    assert_int_equal(ht_clock_ns((clockid_t)1000), 0);
    struct timespec time = ht_timespec_of(UINT64_C(3000000007));
    assert_int_equal(time.tv_sec, 3);
    assert_int_equal(time.tv_nsec, 7);
    assert_int_equal(ht_ns_of(time), UINT64_C(3000000007));
}

static void test_search(void **state)
{
    (void)state;
    const struct {
        uint64_t number;
        char other;
    } items[] = {{3, 'a'}, {5, 'b'}, {5, 'c'}, {UINT64_MAX, 'd'}};
    assert_int_equal(ht_lower_bound(items, sizeof items[0], 0, 4, 0), 0);
    assert_int_equal(ht_lower_bound(items, sizeof items[0], 0, 4, 4), 1);
    assert_int_equal(ht_lower_bound(items, sizeof items[0], 0, 4, 5), 1);
    assert_int_equal(ht_lower_bound(items, sizeof items[0], 2, 4, 5), 2);
    assert_int_equal(ht_lower_bound(items, sizeof items[0], 0, 3, 6), 3);
    assert_int_equal(ht_lower_bound(items, sizeof items[0], 0, 4, UINT64_MAX), 3);
}

static void take_note(enum ht_note kind, const char *text, void *out)
{
    ht_buffer_printf(out, "%c:%s|", kind == HT_NOTE_ERROR ? 'E' : 'W', text);
}

static void test_notes(void **state)
{
    (void)state;
    struct ht_buffer out = {0};
    ht_warn("%d", 1);
    ht_note_error("a\nfile");
    ht_warn("2");
    ht_warn("1"); // said already
    ht_note_error("1");
    ht_notes_take(take_note, &out);
    assert_string_equal(out.data, "W:1|E:a\\nfile|W:2|E:1|");
    out.length = 0;
    ht_notes_take(take_note, &out);
    assert_int_equal(out.length, 0);
    for (int i = 0; i < 250; i++)
        ht_warn("%d", i);
    ht_notes_take(take_note, &out);
    assert_true(ht_text_ends_with(out.data, "W:199|W:50 more warnings are left out|"));
    out.length = 0;
    ht_warn("1"); // what was told is forgotten
    ht_notes_take(take_note, &out);
    assert_string_equal(out.data, "W:1|");
    ht_buffer_free(&out);
}

static int last_words = -1;

static void write_last_words(const char *text)
{
    if (write(last_words, text, strlen(text)) < 0)
        _exit(9);
}

static void test_die(void **state)
{
    (void)state;
    int ends[2], status;
    char text[64] = "";
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        last_words = ends[1];
        ht_die_with(write_last_words);
        ht_die("no %s\n", "memory");
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], text, sizeof text - 1), 11);
    assert_string_equal(text, "no memory\\n");
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stat),
        cmocka_unit_test(test_exit_status_of_a_zombie),
        cmocka_unit_test(test_status_lines),
        cmocka_unit_test(test_environment_and_root),
        cmocka_unit_test(test_environment_under_a_title),
        cmocka_unit_test(test_pids),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
