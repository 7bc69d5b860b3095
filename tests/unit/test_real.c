// The table of the host's allocator where libc lacks members of the family: nothing calls itself.
#include "heap/real.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sanitized.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *knows_nothing(const char *name)
{
    (void)name;
    return NULL;
}

// What every libc has.
static void *knows_posix(const char *name)
{
    static const struct {
        const char *name;
        void (*function)(void);
    } known[] = {
        {"malloc", (void (*)(void))malloc},   {"calloc", (void (*)(void))calloc},
        {"realloc", (void (*)(void))realloc}, {"posix_memalign", (void (*)(void))posix_memalign},
        {"free", (void (*)(void))free},
    };
    void *at = NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, name) == 0)
            memcpy(&at, &known[i].function, sizeof at);
    return at;
}

static void need_no_memory(void *block)
{
    assert_null(block);
    assert_int_equal(errno, ENOMEM);
    errno = 0;
}

static void nothing_is_there(void **state)
{
    (void)state;
    void *untouched = &state;
    ht_real_take(knows_nothing);
    errno = 0;
    need_no_memory(ht_real.malloc(1));
    need_no_memory(ht_real.calloc(1, 1));
    need_no_memory(ht_real.realloc(NULL, 1));
    need_no_memory(ht_real.reallocarray(NULL, 1, 1));
    need_no_memory(ht_real.aligned_alloc(16, 16));
    need_no_memory(ht_real.memalign(16, 1));
    need_no_memory(ht_real.valloc(1));
    need_no_memory(ht_real.pvalloc(1));
    assert_int_equal(ht_real.posix_memalign(&untouched, 16, 1), ENOMEM);
    assert_ptr_equal(untouched, &state);
    assert_int_equal(ht_real.malloc_usable_size(&state), 0);
    ht_real.free(NULL);
    ht_real.free_sized(NULL, 1);
    ht_real.free_aligned_sized(NULL, 16, 16);
}

static void need_aligned(void *block, size_t align)
{
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % align, 0);
    ht_real.free_aligned_sized(block, align, 1);
}

static void made_of_others(void **state)
{
    (void)state;
    ht_real_take(knows_posix);
    errno = 0;
    need_aligned(ht_real.aligned_alloc(4096, 4096), 4096);
    need_aligned(ht_real.memalign(64, 1), 64);
    need_aligned(ht_real.memalign(1, 1), 1);
    need_aligned(ht_real.valloc(1), 4096);
    need_aligned(ht_real.pvalloc(0), 4096);
    need_aligned(ht_real.reallocarray(NULL, 3, 5), 8);
    assert_int_equal(errno, 0);
    need_no_memory(ht_real.pvalloc(SIZE_MAX));
    need_no_memory(ht_real.reallocarray(NULL, SIZE_MAX, 2));
#ifndef UNDER_SANITIZER                   // they end the process for it
    assert_null(ht_real.memalign(24, 1)); // no power of two
    assert_int_equal(errno, EINVAL);
#endif
    char *block = ht_real.malloc(8);
    assert_non_null(block);
    ht_real.free_sized(block, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_there),
        cmocka_unit_test(made_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
