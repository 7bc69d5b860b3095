// Memory straight from the kernel: mappings, backing of pages, and a bump arena on top.
#ifndef HT_SYS_MEMORY_H
#define HT_SYS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Context of everything here: any (hook, signal handler, bare thread, tool); raw system calls, errno
// untouched.

#define HT_BUMP_CHUNK_BYTES (256u * 1024u)

// Private, zeroed, readable and writable memory; NULL when the kernel refuses.
void *ht_memory_map(uint64_t size_bytes);

// `base` and `size_bytes` as given to or got from a mapping. NULL is ignored.
void ht_memory_unmap(void *base, uint64_t size_bytes);

// All that is mapped by ht_memory_map at this moment.
uint64_t ht_memory_mapped_bytes(void);

// How much of [base, base + size_bytes) is in memory, in whole pages of 4 KiB; 0 where the kernel does not
// say.
uint64_t ht_memory_resident_bytes(const void *base, uint64_t size_bytes);

// Backs the pages of [base, base + size_bytes) for writing, page aligned, without touching them: 0, or a
// negative errno (-EFAULT: a full tmpfs; -EINVAL: a kernel before 5.14).
int ht_memory_populate(void *base, uint64_t size_bytes);

// Takes memory in chunks and gives all of it back at once. Zero-initialise with ht_bump_init. One thread at a
// time.
struct ht_bump {
    uint64_t limit_bytes;  // of all chunks together
    uint64_t mapped_bytes; // so far
    struct ht_bump_chunk *newest;
    uint8_t *next, *end; // the rest of the newest chunk
};

void ht_bump_init(struct ht_bump *bump, uint64_t limit_bytes);

// Zeroed memory, aligned to 16; NULL when the limit or the kernel says no.
void *ht_bump_take(struct ht_bump *bump, uint64_t size_bytes);

// Unmaps everything that was taken; the arena can be used again.
void ht_bump_release(struct ht_bump *bump);

#endif
