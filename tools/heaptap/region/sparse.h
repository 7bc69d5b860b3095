// Memory for copies of sparse files: what holds nothing in the file takes nothing here.
#ifndef HT_REGION_SPARSE_H
#define HT_REGION_SPARSE_H

#include <stddef.h>
#include <stdint.h>

// A file can claim any size and hold little. Context: tool; without memory the command ends.

// Zeros, aligned to a page, that take memory page by page when they are written to.
uint8_t *ht_sparse_new(uint64_t bytes);
// The same with more zeros behind the end; it may move.
uint8_t *ht_sparse_grow(uint8_t *memory, uint64_t bytes, uint64_t grown_bytes);
void ht_sparse_free(uint8_t *memory, uint64_t bytes);

// Reads [offset, offset + bytes) of a file into zeros; where it has no data, or has ended, they are left as
// they are. 0, or -1 with the reason in ht_error().
int ht_sparse_read(int fd, uint8_t *to, uint64_t bytes, uint64_t offset);

// Makes `to` equal to `from`, and writes only where they differ.
void ht_sparse_put(uint8_t *to, const uint8_t *from, uint64_t bytes);

#endif
