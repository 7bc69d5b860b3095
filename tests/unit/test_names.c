// What is said of functions without names: of a runtime's, also where a stack was cut.
#include "stats/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char said[4096];

static void hear(const char *text)
{
    strncat(said, text, sizeof said - strlen(said) - 1);
}

// Half of it passes through node's interpreter, the other half through a stack that ends in a frame of no
// file.
static const char *judge(uint64_t address, const char *name)
{
    struct ht_profile *profile = ht_profile_new();
    ht_profile_add_sample_type(profile, "inuse_space", "bytes");
    struct ht_profile_mapping mapping = {
        .start = 0x1000, .limit = 0x100000, .file = ht_profile_intern_text(profile, "/usr/bin/node")};
    uint32_t node = ht_profile_add_mapping(profile, &mapping);
    uint32_t function = ht_profile_add_function(profile, "Builtins_InterpreterEntryTrampoline", "", "", 0);
    uint32_t other = ht_profile_add_function(profile, name, "", "", 0);
    uint32_t stack[2] = {
        ht_profile_add_location(profile, node, 0x2000, &(struct ht_line){.function = function}, 1),
        ht_profile_add_location(profile, HT_NONE, address, &(struct ht_line){.function = other}, 1)};
    int64_t value = 1000;
    ht_profile_add_sample(profile, stack, 1, &value, NULL, 0);
    ht_profile_add_sample(profile, stack, 2, &value, NULL, 0);
    said[0] = '\0';
    ht_names_judge(profile, NULL, hear);
    ht_profile_free(profile);
    return said;
}

static void test_interpreter(void **state)
{
    (void)state;
    assert_non_null(strstr(judge(UINT64_C(0x8000000000000002), "[truncated]"),
                           "100% passes through JavaScript functions"));
    assert_string_equal(judge(0x7f0000001000, "grow"), ""); // a map for perf was there
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_interpreter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
