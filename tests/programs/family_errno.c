// Every member of the family leaves errno alone when it succeeds, and free in any case, at every size.
#include "check.h"

#include <malloc.h>

// C23; only where somebody below has them.
void free_sized(void *block, size_t size) __attribute__((weak));
void free_aligned_sized(void *block, size_t align, size_t size) __attribute__((weak));

static const int values[] = {0, 4711, ENOMEM, EINTR, -1};
static const size_t sizes[] = {0, 1, 24, 1000, 5000, 140000, 3000000};

// The call's result, with errno held against what it was before.
#define KEPT(call)                                                                                           \
    ({                                                                                                       \
        errno = value;                                                                                       \
        __typeof__(call) result_ = (call);                                                                   \
        CHECK(errno == value);                                                                               \
        result_;                                                                                             \
    })
#define KEPT_FREE(call)                                                                                      \
    do {                                                                                                     \
        errno = value;                                                                                       \
        (call);                                                                                              \
        CHECK(errno == value);                                                                               \
    } while (0)

static void *keep(void *p)
{
    CHECK(p != NULL);
    return p;
}

static void each_call(int value, size_t size)
{
    void *p = NULL;
    KEPT_FREE(free(KEPT(keep(malloc(size)))));
    KEPT_FREE(free(KEPT(keep(calloc(size, 1)))));
    KEPT_FREE(free(KEPT(keep(aligned_alloc(64, size + 1)))));
    KEPT_FREE(free(KEPT(keep(memalign(256, size + 1)))));
    KEPT_FREE(free(KEPT(keep(valloc(size + 1)))));
    CHECK(KEPT(posix_memalign(&p, 32, size + 1)) == 0);
    CHECK(KEPT(malloc_usable_size(p)) > size);
    p = KEPT(keep(realloc(p, size * 2 + 1)));
    p = KEPT(keep(realloc(p, size / 2 + 1)));
    p = KEPT(keep(realloc(p, size / 2 + 1)));
    p = KEPT(keep(reallocarray(p, size + 1, 3)));
    KEPT_FREE(free(p));
    p = KEPT(keep(realloc(NULL, size)));
    KEPT_FREE(free(p));
    p = KEPT(keep(reallocarray(NULL, size + 1, 2)));
    KEPT_FREE(free(p));
    KEPT_FREE(free(NULL));
    CHECK(KEPT(malloc_usable_size(NULL)) == 0);
    if (free_sized && free_aligned_sized) {
        KEPT_FREE(free_sized(KEPT(keep(malloc(size))), size));
        KEPT_FREE(free_aligned_sized(KEPT(keep(aligned_alloc(64, 640))), 64, 640));
        KEPT_FREE(free_sized(NULL, 0));
    }
}

// Frees that the kernel can refuse in part: the mapping count is no business of errno's either.
static void many(int value)
{
    void *blocks[400];
    for (size_t i = 0; i < 400; i++)
        blocks[i] = KEPT(keep(malloc(i * 331)));
    for (size_t i = 0; i < 400; i += 2)
        blocks[i] = KEPT(keep(realloc(blocks[i], i * 700 + 1)));
    for (size_t i = 0; i < 400; i++)
        KEPT_FREE(free(blocks[i * 7 % 400]));
}

int main(void)
{
    free(malloc(1)); // an allocator may find its settings at its first call
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++)
            each_call(values[i], sizes[j]);
        many(values[i]);
    }
    puts("ok");
    return 0;
}
