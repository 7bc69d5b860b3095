// What mimalloc has beside malloc, as of its versions 1.7 to 2. Left out are the few that return less plainly
// (mi_realpath, mi_reallocarr, mi_dupenv_s, and the wide strings).
#include "companion/hook.h"

#include <limits.h>

// NOLINTBEGIN(misc-unused-parameters): rows name all parameters, whatever their form needs of them

static size_t ht_text_bytes(const char *text, size_t most)
{
    return text != NULL ? strnlen(text, most) + 1 : 0;
}

// The family under other names.
HT_ALLOCATES(mi_malloc, (size_t size), (size), size)
HT_ALLOCATES(mi_malloc_small, (size_t size), (size), size)
HT_ALLOCATES(mi_zalloc, (size_t size), (size), size)
HT_ALLOCATES(mi_zalloc_small, (size_t size), (size), size)
HT_ALLOCATES(mi_valloc, (size_t size), (size), size)
HT_ALLOCATES(mi_pvalloc, (size_t size), (size), size)
HT_ALLOCATES(mi_calloc, (size_t count, size_t size), (count, size), ht_product(count, size))
HT_ALLOCATES(mi_mallocn, (size_t count, size_t size), (count, size), ht_product(count, size))
HT_ALLOCATES(mi_memalign, (size_t align, size_t size), (align, size), size)
HT_ALLOCATES(mi_aligned_alloc, (size_t align, size_t size), (align, size), size)
HT_ALLOCATES_INTO(mi_posix_memalign, (void **ret_block, size_t align, size_t size), (ret_block, align, size),
                  ret_block, size)
HT_ALLOCATES(mi_malloc_aligned, (size_t size, size_t align), (size, align), size)
HT_ALLOCATES(mi_zalloc_aligned, (size_t size, size_t align), (size, align), size)
HT_ALLOCATES(mi_calloc_aligned, (size_t count, size_t size, size_t align), (count, size, align),
             ht_product(count, size))
HT_ALLOCATES(mi_malloc_aligned_at, (size_t size, size_t align, size_t offset), (size, align, offset), size)
HT_ALLOCATES(mi_zalloc_aligned_at, (size_t size, size_t align, size_t offset), (size, align, offset), size)
HT_ALLOCATES(mi_calloc_aligned_at, (size_t count, size_t size, size_t align, size_t offset),
             (count, size, align, offset), ht_product(count, size))
HT_ALLOCATES(mi_strdup, (const char *text), (text), ht_text_bytes(text, SSIZE_MAX))
HT_ALLOCATES(mi_strndup, (const char *text, size_t most), (text, most), ht_text_bytes(text, most))
HT_ALLOCATES(mi_mbsdup, (const char *text), (text), ht_text_bytes(text, SSIZE_MAX))
HT_REALLOCATES(mi_realloc, (void *block, size_t size), (block, size), block, size, false)
HT_REALLOCATES(mi_rezalloc, (void *block, size_t size), (block, size), block, size, false)
HT_REALLOCATES(mi_reallocf, (void *block, size_t size), (block, size), block, size, true)
HT_REALLOCATES(reallocf, (void *block, size_t size), (block, size), block, size, true)
HT_REALLOCATES(mi_reallocn, (void *block, size_t count, size_t size), (block, count, size), block,
               ht_product(count, size), false)
HT_REALLOCATES(mi_reallocarray, (void *block, size_t count, size_t size), (block, count, size), block,
               ht_product(count, size), false)
HT_REALLOCATES(mi_recalloc, (void *block, size_t count, size_t size), (block, count, size), block,
               ht_product(count, size), false)
HT_REALLOCATES(mi_realloc_aligned, (void *block, size_t size, size_t align), (block, size, align), block,
               size, false)
HT_REALLOCATES(mi_rezalloc_aligned, (void *block, size_t size, size_t align), (block, size, align), block,
               size, false)
HT_REALLOCATES(mi_recalloc_aligned, (void *block, size_t count, size_t size, size_t align),
               (block, count, size, align), block, ht_product(count, size), false)
HT_REALLOCATES(mi_realloc_aligned_at, (void *block, size_t size, size_t align, size_t offset),
               (block, size, align, offset), block, size, false)
HT_REALLOCATES(mi_rezalloc_aligned_at, (void *block, size_t size, size_t align, size_t offset),
               (block, size, align, offset), block, size, false)
HT_REALLOCATES(mi_recalloc_aligned_at, (void *block, size_t count, size_t size, size_t align, size_t offset),
               (block, count, size, align, offset), block, ht_product(count, size), false)
HT_REALLOCATES(mi_aligned_recalloc, (void *block, size_t count, size_t size, size_t align),
               (block, count, size, align), block, ht_product(count, size), false)
HT_REALLOCATES(mi_aligned_offset_recalloc,
               (void *block, size_t count, size_t size, size_t align, size_t offset),
               (block, count, size, align, offset), block, ht_product(count, size), false)
HT_RESIZES(mi_expand, void *, (void *block, size_t size), (block, size), block, size, made != NULL)
HT_RESIZES(mi__expand, void *, (void *block, size_t size), (block, size), block, size, made != NULL)
HT_FREES(mi_free, (void *block), (block), block)
HT_FREES(mi_cfree, (void *block), (block), block)
HT_FREES(cfree, (void *block), (block), block)
HT_FREES(vfree, (void *block), (block), block)
HT_FREES(mi_free_size, (void *block, size_t size), (block, size), block)
HT_FREES(mi_free_aligned, (void *block, size_t align), (block, align), block)
HT_FREES(mi_free_size_aligned, (void *block, size_t size, size_t align), (block, size, align), block)

// Those of C++.
HT_ALLOCATES(mi_new, (size_t size), (size), size)
HT_ALLOCATES(mi_new_nothrow, (size_t size), (size), size)
HT_ALLOCATES(mi_new_aligned, (size_t size, size_t align), (size, align), size)
HT_ALLOCATES(mi_new_aligned_nothrow, (size_t size, size_t align), (size, align), size)
HT_ALLOCATES(mi_new_n, (size_t count, size_t size), (count, size), ht_product(count, size))
HT_REALLOCATES(mi_new_realloc, (void *block, size_t size), (block, size), block, size, false)
HT_REALLOCATES(mi_new_reallocn, (void *block, size_t count, size_t size), (block, count, size), block,
               ht_product(count, size), false)

// From a heap that the caller names.
HT_ALLOCATES(mi_heap_malloc, (void *heap, size_t size), (heap, size), size)
HT_ALLOCATES(mi_heap_malloc_small, (void *heap, size_t size), (heap, size), size)
HT_ALLOCATES(mi_heap_zalloc, (void *heap, size_t size), (heap, size), size)
HT_ALLOCATES(mi_heap_calloc, (void *heap, size_t count, size_t size), (heap, count, size),
             ht_product(count, size))
HT_ALLOCATES(mi_heap_mallocn, (void *heap, size_t count, size_t size), (heap, count, size),
             ht_product(count, size))
HT_ALLOCATES(mi_heap_malloc_aligned, (void *heap, size_t size, size_t align), (heap, size, align), size)
HT_ALLOCATES(mi_heap_zalloc_aligned, (void *heap, size_t size, size_t align), (heap, size, align), size)
HT_ALLOCATES(mi_heap_calloc_aligned, (void *heap, size_t count, size_t size, size_t align),
             (heap, count, size, align), ht_product(count, size))
HT_ALLOCATES(mi_heap_malloc_aligned_at, (void *heap, size_t size, size_t align, size_t offset),
             (heap, size, align, offset), size)
HT_ALLOCATES(mi_heap_zalloc_aligned_at, (void *heap, size_t size, size_t align, size_t offset),
             (heap, size, align, offset), size)
HT_ALLOCATES(mi_heap_calloc_aligned_at, (void *heap, size_t count, size_t size, size_t align, size_t offset),
             (heap, count, size, align, offset), ht_product(count, size))
HT_ALLOCATES(mi_heap_alloc_new, (void *heap, size_t size), (heap, size), size)
HT_ALLOCATES(mi_heap_alloc_new_n, (void *heap, size_t count, size_t size), (heap, count, size),
             ht_product(count, size))
HT_ALLOCATES(mi_heap_strdup, (void *heap, const char *text), (heap, text), ht_text_bytes(text, SSIZE_MAX))
HT_ALLOCATES(mi_heap_strndup, (void *heap, const char *text, size_t most), (heap, text, most),
             ht_text_bytes(text, most))
HT_REALLOCATES(mi_heap_realloc, (void *heap, void *block, size_t size), (heap, block, size), block, size,
               false)
HT_REALLOCATES(mi_heap_rezalloc, (void *heap, void *block, size_t size), (heap, block, size), block, size,
               false)
HT_REALLOCATES(mi_heap_reallocf, (void *heap, void *block, size_t size), (heap, block, size), block, size,
               true)
HT_REALLOCATES(mi_heap_reallocn, (void *heap, void *block, size_t count, size_t size),
               (heap, block, count, size), block, ht_product(count, size), false)
HT_REALLOCATES(mi_heap_recalloc, (void *heap, void *block, size_t count, size_t size),
               (heap, block, count, size), block, ht_product(count, size), false)
HT_REALLOCATES(mi_heap_realloc_aligned, (void *heap, void *block, size_t size, size_t align),
               (heap, block, size, align), block, size, false)
HT_REALLOCATES(mi_heap_rezalloc_aligned, (void *heap, void *block, size_t size, size_t align),
               (heap, block, size, align), block, size, false)
HT_REALLOCATES(mi_heap_recalloc_aligned, (void *heap, void *block, size_t count, size_t size, size_t align),
               (heap, block, count, size, align), block, ht_product(count, size), false)
HT_REALLOCATES(mi_heap_realloc_aligned_at,
               (void *heap, void *block, size_t size, size_t align, size_t offset),
               (heap, block, size, align, offset), block, size, false)
HT_REALLOCATES(mi_heap_rezalloc_aligned_at,
               (void *heap, void *block, size_t size, size_t align, size_t offset),
               (heap, block, size, align, offset), block, size, false)
HT_REALLOCATES(mi_heap_recalloc_aligned_at,
               (void *heap, void *block, size_t count, size_t size, size_t align, size_t offset),
               (heap, block, count, size, align, offset), block, ht_product(count, size), false)

typedef bool (*ht_visitor)(const void *heap, const void *area, void *block, size_t block_bytes, void *arg);
extern bool mi_heap_visit_blocks(const void *heap, bool all_blocks, ht_visitor visitor, void *arg)
    __attribute__((weak));

// A heap that is destroyed takes its blocks along. (mimalloc's walk takes 8 KiB of the stack.)
static void (*ht_next_mi_heap_destroy)(void *heap);
HT_WITHOUT(mi_heap_destroy, void, (void *heap), (heap), (void)0)
HT_ROW(mi_heap_destroy, false);

static bool ht_forget_block(const void *heap, const void *area, void *block, size_t block_bytes, void *arg)
{
    struct ht_live_copy old;
    if (ht_hit_linked(block) && ht_take(block, &old)) {
        ht_is_gone();
    }
    return true;
}

HT_HOOK void mi_heap_destroy(void *heap)
{
    ht_find();
    if (mi_heap_visit_blocks != NULL) {
        mi_heap_visit_blocks(heap, true, ht_forget_block, NULL);
    }
    ht_next_mi_heap_destroy(heap);
}
// NOLINTEND(misc-unused-parameters)
