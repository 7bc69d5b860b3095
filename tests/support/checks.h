// All checks of a region, for a test: asserts that nothing is wrong, or that a rule is found broken.
#ifndef HT_TESTS_CHECKS_H
#define HT_TESTS_CHECKS_H

#include "record/check.h"

#include <string.h>

// The rule that is broken ("" for none) and, in `ret`, the whole of what is wrong. `region`: the process's
// own, which is quiet, or NULL.
static inline const char *checks_find(const struct ht_view *view, enum ht_check_moment moment,
                                      const struct ht_region *region, struct ht_check *ret)
{
    struct ht_bump memory;
    ht_bump_init(&memory, UINT64_C(1) << 32);
    bool wrong = ht_check_all(ret, view, moment, &memory) != NULL ||
                 (region != NULL && ht_check_own(ret, region) != NULL);
    ht_bump_release(&memory);
    return wrong ? ret->rule : "";
}

#define checks_pass(view, moment, region)                                                                    \
    do {                                                                                                     \
        struct ht_check checks_found;                                                                        \
        if (*checks_find(view, moment, region, &checks_found) != '\0')                                       \
            fail_msg("%s", checks_found.wrong);                                                              \
    } while (0)

// The same of the process's own region, whole.
#define checks_pass_own(region)                                                                              \
    do {                                                                                                     \
        struct ht_view checks_view;                                                                          \
        assert_int_equal(ht_view_init(&checks_view, (region)->base, (region)->backed_bytes), HT_VIEW_OK);    \
        checks_pass(&checks_view, HT_CHECK_QUIET, region);                                                   \
    } while (0)

#endif
