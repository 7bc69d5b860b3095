// What `heaptap doctor` reads out of /proc, and how its findings are kept.
#include "base/proc.h"
#include "doctor/doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static void test_lines_of_status(void **state)
{
    (void)state;
    char text[] =
        "Name:\tSeccomp: 7\nUid:\t1000\t0\nSigCgt:\t0000000000000800\nSeccomp_filters:\t3\nSeccomp:\t2\n";
    const struct ht_buffer status = {.data = text, .length = strlen(text)};
    uint64_t value = 99;
    assert_true(ht_proc_status_number(&status, "Seccomp", 10, &value)); // not the name's, nor the longer one
    assert_int_equal(value, 2);
    assert_true(ht_proc_status_number(&status, "Seccomp_filters", 10, &value));
    assert_int_equal(value, 3);
    assert_true(ht_proc_status_number(&status, "SigCgt", 16, &value));
    assert_int_equal(value, 0x800);
    assert_true(ht_proc_status_number(&status, "Uid", 10, &value));
    assert_int_equal(value, 1000);
    value = 99;
    assert_false(ht_proc_status_number(&status, "SigBlk", 16, &value));
    const struct ht_buffer empty = {0};
    assert_false(ht_proc_status_number(&empty, "Uid", 10, &value));
    assert_int_equal(value, 99); // untouched on failure
}

static void test_findings(void **state)
{
    (void)state;
    struct ht_doctor doctor = {.check = "output", .image = {.fd = -1}};
    char advice[] = "do this";
    for (int i = 0; i < 40; i++) { // the list moves while it grows
        struct ht_doctor_finding *finding =
            ht_doctor_say(&doctor, HT_DOCTOR_WARNING, advice, "file %d\033[31m%s", i, "\n");
        assert_string_equal(finding->name, "output");
    }
    advice[0] = 'X';
    assert_int_equal(doctor.finding_count, 40);
    assert_string_equal(doctor.findings[7].seen, "file 7\\x1b[31m\\n"); // nothing that a terminal obeys
    assert_string_equal(doctor.findings[7].advice, "do this");
    for (size_t i = 0; i < doctor.finding_count; i++) {
        free(doctor.findings[i].seen);
        free(doctor.findings[i].advice);
    }
    free(doctor.findings);
}

static void test_limits_of_a_process_are_those_it_has(void **state)
{
    (void)state;
    struct ht_doctor program = {0}, process = {.pid = (uint32_t)getpid()};
    struct rlimit before, other;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    other = before;
    other.rlim_cur = 123;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &other), 0);
    assert_int_equal(ht_doctor_limit(&program, RLIMIT_NOFILE), 123);
    assert_int_equal(ht_doctor_limit(&process, RLIMIT_NOFILE), 123);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(ht_doctor_limit(&process, RLIMIT_FSIZE) == ht_doctor_limit(&program, RLIMIT_FSIZE));
    assert_true(ht_doctor_limit(&process, RLIMIT_AS) == ht_doctor_limit(&program, RLIMIT_AS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_status),
        cmocka_unit_test(test_findings),
        cmocka_unit_test(test_limits_of_a_process_are_those_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
