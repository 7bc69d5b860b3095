// What cannot be allocated fails in each member of the family with libc's own results, and touches nothing.
//@ skip jemalloc: it holds the family against glibc's own entry points
#include "check.h"

#include <malloc.h>

// glibc's allocator under names that nobody interposes.
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t), *__libc_valloc(size_t), *__libc_pvalloc(size_t);

// Volatile, or the compiler sees what is wrong.
static volatile size_t sixteenth = SIZE_MAX / 16 + 2, half = SIZE_MAX / 2 + 1;

static void *const sentinel = (void *)(uintptr_t)0x1234;

#define SAME(ours, theirs)                                                                                   \
    do {                                                                                                     \
        errno = 4711;                                                                                        \
        void *expected_ = (theirs);                                                                          \
        int expected_errno_ = errno;                                                                         \
        errno = 4711;                                                                                        \
        void *got_ = (ours);                                                                                 \
        __asm__ volatile("" : : : "memory"); /* clang takes it that valloc leaves errno alone */             \
        int got_errno_ = errno;                                                                              \
        CHECK((got_ == NULL) == (expected_ == NULL) && got_errno_ == expected_errno_);                       \
        free(got_);                                                                                          \
        free(expected_);                                                                                     \
    } while (0)

static void single_sizes(size_t size)
{
    SAME(malloc(size), __libc_malloc(size));
    SAME(realloc(NULL, size), __libc_realloc(NULL, size));
    SAME(valloc(size), __libc_valloc(size));
    SAME(pvalloc(size), __libc_pvalloc(size));
    SAME(calloc(1, size), __libc_calloc(1, size));
    SAME(calloc(size, 2), __libc_calloc(size, 2));
    SAME(calloc(size, size), __libc_calloc(size, size));
    SAME(calloc(sixteenth, 16), __libc_calloc(sixteenth, 16));
    for (size_t alignment = 1; alignment != 0; alignment <<= 7)
        SAME(memalign(alignment, size), __libc_memalign(alignment, size));
    SAME(aligned_alloc(64, size), __libc_memalign(64, size));
}

static void posix(void)
{
    const size_t wrong[] = {0, 1, 2, 3, 4, 7, 12, 24, 100, SIZE_MAX, SIZE_MAX / 2};
    void *p = sentinel;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        errno = 4711;
        CHECK(posix_memalign(&p, wrong[i], 100) == EINVAL && p == sentinel && errno == 4711);
    }
    CHECK(posix_memalign(&p, 8, SIZE_MAX) == ENOMEM && p == sentinel);
    CHECK(posix_memalign(&p, SIZE_MAX / 2 + 1, 100) == ENOMEM && p == sentinel);
    CHECK(posix_memalign(&p, 8, 0) == 0 && p != sentinel);
    free(p);
}

// realloc and reallocarray that fail leave the block as it was; with size 0 the block is freed.
static void reallocations(size_t huge)
{
    const size_t sizes[] = {1, 24, 1000, 200000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        char *p = malloc(sizes[i]);
        fill(p, sizes[i], 0x42);
        void *volatile same = p;
        errno = 0;
        CHECK(realloc(same, huge) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(reallocarray(same, huge, 3) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(reallocarray(same, huge / 4, 4) == NULL && errno == ENOMEM);
        // Products that wrap around to something small.
        errno = 0;
        CHECK(reallocarray(same, sixteenth, 16) == NULL && errno == ENOMEM);
        CHECK(reallocarray(same, 2, half) == NULL && reallocarray(NULL, 2, half + 2) == NULL);
        CHECK(filled(p, sizes[i], 0x42) && malloc_usable_size(p) >= sizes[i]);
        errno = 4711;
        CHECK(realloc(same, 0) == NULL && errno == 4711);
        CHECK((p = malloc(sizes[i])) != NULL);
        same = p;
        CHECK(reallocarray(same, 0, 17) == NULL && errno == 4711);
    }
}

int main(void)
{
    const size_t huge[] = {PTRDIFF_MAX,     (size_t)PTRDIFF_MAX + 1, (size_t)PTRDIFF_MAX + 2,
                           SIZE_MAX - 4096, SIZE_MAX - 15,           SIZE_MAX - 1,
                           SIZE_MAX};
    for (size_t i = 0; i < sizeof(huge) / sizeof(*huge); i++) {
        single_sizes(huge[i]);
        reallocations(huge[i]);
    }
    for (volatile size_t small = 0; small < 3; small++)
        single_sizes(small);
    posix();
    puts("ok");
    return 0;
}
