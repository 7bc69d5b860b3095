// The functions that allocators have beside malloc, asked for as weak symbols as programs do: each block is
// counted once, also where one function of the allocator goes on to another by its name, and is gone when it
// is freed.
//@ allocators jemalloc tcmalloc mimalloc alone
//@ inuse 1000000 1090000
#include "self.h"

#define WEAK __attribute__((weak))
WEAK void *mallocx(size_t size, int flags);
WEAK void *rallocx(void *block, size_t size, int flags);
WEAK size_t xallocx(void *block, size_t size, size_t extra, int flags);
WEAK size_t sallocx(const void *block, int flags);
WEAK void dallocx(void *block, int flags);
WEAK void sdallocx(void *block, size_t size, int flags);
WEAK void *tc_malloc(size_t size);
WEAK void *tc_calloc(size_t count, size_t size);
WEAK void *tc_realloc(void *block, size_t size);
WEAK void *tc_memalign(size_t align, size_t size);
WEAK int tc_posix_memalign(void **block, size_t align, size_t size);
WEAK void *tc_newarray(size_t size);
WEAK void tc_deletearray(void *block);
WEAK void tc_free(void *block);
WEAK size_t tc_malloc_size(void *block);
WEAK void *mi_malloc(size_t size);
WEAK void *mi_zalloc_aligned(size_t size, size_t align);
WEAK void *mi_calloc(size_t count, size_t size);
WEAK void *mi_realloc(void *block, size_t size);
WEAK void *mi_rezalloc(void *block, size_t size);
WEAK void *mi_expand(void *block, size_t size);
WEAK char *mi_strdup(const char *text);
WEAK int mi_posix_memalign(void **block, size_t align, size_t size);
WEAK void *mi_new_n(size_t count, size_t size);
WEAK void mi_free(void *block);
WEAK void mi_free_size(void *block, size_t size);
WEAK size_t mi_usable_size(const void *block);
WEAK void *mi_heap_new(void);
WEAK void mi_heap_destroy(void *heap);
WEAK void *mi_heap_malloc(void *heap, size_t size);

static void with_jemalloc(void)
{
    for (size_t i = 1; i <= 1000; i++) {
        void *block = mallocx(i, 0x40); // zeroed
        CHECK(block && filled(block, i, 0));
        block = rallocx(block, 2 * i, 0);
        CHECK(block && filled(block, i, 0));
        size_t now = xallocx(block, 2 * i + 1, 0, 0);
        CHECK(now >= 2 * i);
        if (i % 2)
            dallocx(block, 0);
        else
            sdallocx(block, now > 2 * i ? 2 * i + 1 : 2 * i, 0);
        block = mallocx(100, 8); // aligned to 256
        CHECK(block && (uintptr_t)block % 256 == 0);
        free(block);
        block = mallocx(1000, 0);
        CHECK(block);
        fill(block, 1000, 4);
    }
}

static void with_tcmalloc(void)
{
    for (size_t i = 1; i <= 1000; i++) {
        void *block = tc_malloc(i);
        block = tc_realloc(block, 3 * i);
        CHECK(block && tc_malloc_size(block) >= 3 * i);
        tc_free(block);
        tc_free(tc_calloc(i, 3));
        free(tc_memalign(64, i));
        CHECK(!tc_posix_memalign(&block, 128, i));
        tc_free(block);
        tc_deletearray(tc_newarray(i));
        block = tc_malloc(1000);
        CHECK(block);
        fill(block, 1000, 4);
    }
}

static void with_mimalloc(void)
{
    void *heap = mi_heap_new();
    for (size_t i = 1; i <= 1000; i++) {
        void *block = mi_malloc(i);
        block = mi_realloc(block, 3 * i);
        CHECK(block && mi_usable_size(block) >= 3 * i);
        mi_expand(block, 3 * i);
        mi_free(block);
        block = mi_rezalloc(mi_calloc(i, 3), 4 * i);
        CHECK(block && filled(block, 4 * i, 0));
        mi_free_size(block, 4 * i);
        free(mi_zalloc_aligned(i, 64));
        CHECK(!mi_posix_memalign(&block, 128, i));
        mi_free(block);
        mi_free(mi_strdup("a text"));
        mi_free(mi_new_n(i, 2));
        CHECK(mi_heap_malloc(heap, 5000));
        block = mi_malloc(1000);
        CHECK(block);
        fill(block, 1000, 4);
    }
    mi_heap_destroy(heap);
}

int main(void)
{
    // Each allocator has something beside what a companion sees, by which it can be told from that one alone.
    if (mallocx && sallocx)
        with_jemalloc();
    else if (tc_malloc && tc_malloc_size)
        with_tcmalloc();
    else if (mi_malloc && mi_usable_size)
        with_mimalloc();
    else if (mallocx)
        with_jemalloc(); // with libc's memory
    for (size_t i = 0;
         !(mallocx || (tc_malloc && tc_malloc_size) || (mi_malloc && mi_usable_size)) && i < 1000; i++) {
        void *block = malloc(1000);
        CHECK(block);
        fill(block, 1000, 4);
    }
    puts("ok");
    return 0;
}
