// What tcmalloc (gperftools) has beside malloc. nallocx and tc_nallocx only ask.
#include "companion/hook.h"

// NOLINTBEGIN(misc-unused-parameters): rows name all parameters, whatever their form needs of them

HT_ALLOCATES(tc_malloc, (size_t size), (size), size)
HT_ALLOCATES(tc_malloc_skip_new_handler, (size_t size), (size), size)
HT_ALLOCATES(tc_calloc, (size_t count, size_t size), (count, size), ht_product(count, size))
HT_REALLOCATES(tc_realloc, (void *block, size_t size), (block, size), block, size, false)
HT_ALLOCATES(tc_memalign, (size_t align, size_t size), (align, size), size)
HT_ALLOCATES_INTO(tc_posix_memalign, (void **ret_block, size_t align, size_t size), (ret_block, align, size),
                  ret_block, size)
HT_ALLOCATES(tc_valloc, (size_t size), (size), size)
HT_ALLOCATES(tc_pvalloc, (size_t size), (size), size)
HT_FREES(tc_free, (void *block), (block), block)
HT_FREES(tc_free_sized, (void *block, size_t size), (block, size), block)
HT_FREES(tc_cfree, (void *block), (block), block)
HT_FREES(cfree, (void *block), (block), block)

HT_ALLOCATES(tc_new, (size_t size), (size), size)
HT_ALLOCATES(tc_newarray, (size_t size), (size), size)
HT_ALLOCATES(tc_new_nothrow, (size_t size, const void *tag), (size, tag), size)
HT_ALLOCATES(tc_newarray_nothrow, (size_t size, const void *tag), (size, tag), size)
HT_ALLOCATES(tc_new_aligned, (size_t size, size_t align), (size, align), size)
HT_ALLOCATES(tc_newarray_aligned, (size_t size, size_t align), (size, align), size)
HT_ALLOCATES(tc_new_aligned_nothrow, (size_t size, size_t align, const void *tag), (size, align, tag), size)
HT_ALLOCATES(tc_newarray_aligned_nothrow, (size_t size, size_t align, const void *tag), (size, align, tag),
             size)
HT_FREES(tc_delete, (void *block), (block), block)
HT_FREES(tc_deletearray, (void *block), (block), block)
HT_FREES(tc_delete_sized, (void *block, size_t size), (block, size), block)
HT_FREES(tc_deletearray_sized, (void *block, size_t size), (block, size), block)
HT_FREES(tc_delete_nothrow, (void *block, const void *tag), (block, tag), block)
HT_FREES(tc_deletearray_nothrow, (void *block, const void *tag), (block, tag), block)
HT_FREES(tc_delete_aligned, (void *block, size_t align), (block, align), block)
HT_FREES(tc_deletearray_aligned, (void *block, size_t align), (block, align), block)
HT_FREES(tc_delete_sized_aligned, (void *block, size_t size, size_t align), (block, size, align), block)
HT_FREES(tc_deletearray_sized_aligned, (void *block, size_t size, size_t align), (block, size, align), block)
HT_FREES(tc_delete_aligned_nothrow, (void *block, size_t align, const void *tag), (block, align, tag), block)
HT_FREES(tc_deletearray_aligned_nothrow, (void *block, size_t align, const void *tag), (block, align, tag),
         block)
// NOLINTEND(misc-unused-parameters)
