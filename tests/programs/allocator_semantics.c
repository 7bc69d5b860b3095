// The allocator's own promises: alignment, zeroing, failure values, errno, usable size, realloc's contents.
//@ skip jemalloc: it tests glibc's failure values
#include "check.h"

#include <malloc.h>

static void failures(void)
{
    volatile size_t huge = SIZE_MAX / 2 + 1;
    void *p = (void *)(uintptr_t)0x1234;
    errno = 0;
    CHECK(malloc(huge) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(huge, 4) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(reallocarray(NULL, huge, 4) == NULL && errno == ENOMEM);
    CHECK(posix_memalign(&p, 3, 100) == EINVAL && p == (void *)(uintptr_t)0x1234);
    CHECK(posix_memalign(&p, 64, huge) == ENOMEM && p == (void *)(uintptr_t)0x1234);
    char *kept = malloc(100);
    fill(kept, 100, 7);
    errno = 0;
    char *moved = realloc(kept, huge);
    CHECK(moved == NULL && errno == ENOMEM && filled(kept, 100, 7));
    free(kept);
}

static void errno_is_kept(void)
{
    void *blocks[300];
    errno = 4711;
    for (size_t i = 0; i < 300; i++) {
        blocks[i] = i % 3 ? malloc(i * 100) : calloc(i, 7);
        CHECK(blocks[i] != NULL && errno == 4711);
    }
    for (size_t i = 0; i < 300; i++) {
        blocks[i] = realloc(blocks[i], i + 5000);
        CHECK(blocks[i] != NULL && errno == 4711);
    }
    for (size_t i = 0; i < 300; i++)
        free(blocks[i]);
    CHECK(errno == 4711);
}

static void alignments(void)
{
    for (size_t alignment = 8; alignment <= 1 << 16; alignment *= 2) {
        void *p = NULL, *q = aligned_alloc(alignment, alignment * 2), *r = memalign(alignment, 100);
        CHECK(posix_memalign(&p, alignment, 1000) == 0);
        CHECK((uintptr_t)p % alignment == 0 && (uintptr_t)q % alignment == 0 &&
              (uintptr_t)r % alignment == 0);
        fill(p, 1000, 1);
        fill(q, alignment * 2, 2);
        fill(r, 100, 3);
        CHECK(filled(p, 1000, 1) && filled(q, alignment * 2, 2) && filled(r, 100, 3));
        free(p);
        free(q);
        free(r);
    }
    void *v = valloc(10), *w = pvalloc(10);
    CHECK((uintptr_t)v % 4096 == 0 && (uintptr_t)w % 4096 == 0 && malloc_usable_size(w) >= 10);
    free(v);
    free(w);
}

static void contents(void)
{
    for (size_t size = 1; size < 200000; size = size * 3 + 1) {
        unsigned char *p = calloc(1, size), *q = malloc(size);
        CHECK(filled(p, size, 0) && malloc_usable_size(p) >= size);
        fill(p, size, 0x5a);
        p = realloc(p, size * 4);
        CHECK(filled(p, size, 0x5a));
        p = realloc(p, size / 2 + 1);
        CHECK(filled(p, size / 2 + 1, 0x5a));
        // A program may use all of malloc_usable_size.
        fill(q, malloc_usable_size(q), 0x77);
        free(q);
        free(p);
    }
    void *none = malloc(0), *other = malloc(0);
    CHECK(none != NULL && other != NULL && none != other);
    free(none);
    free(other);
    free(NULL);
    CHECK(malloc_usable_size(NULL) == 0);
    void *fresh = realloc(NULL, 10);
    CHECK(fresh != NULL);
    free(fresh);
}

int main(void)
{
    failures();
    errno_is_kept();
    alignments();
    contents();
    puts("ok");
    return 0;
}
