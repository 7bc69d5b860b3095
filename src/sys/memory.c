// Mappings by system call, and the bump arena that takes them in chunks.
#include "sys/memory.h"

#include "sys/atomic.h"
#include "sys/raw.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define BUMP_ALIGN_BYTES 16u
#define PAGE_BYTES       4096u
#define RESIDENT_PAGES   256u
#define BUSY_TRIES       16u

struct ht_bump_chunk {
    struct ht_bump_chunk *older;
    uint64_t size_bytes;
};
_Static_assert(sizeof(struct ht_bump_chunk) % BUMP_ALIGN_BYTES == 0,
               "what follows a chunk's head is aligned");

static uint64_t ht_mapped_bytes; // relaxed adds: what stands mapped by ht_memory_map

void *ht_memory_map(uint64_t size_bytes)
{
    long base =
        ht_raw6(SYS_mmap, 0, (long)size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base < 0 && base >= -4095) {
        return NULL;
    }
    ht_add_relaxed(&ht_mapped_bytes, size_bytes);
    return (void *)base;
}

void ht_memory_unmap(void *base, uint64_t size_bytes)
{
    if (base != NULL && ht_raw2(SYS_munmap, (long)base, (long)size_bytes) == 0) {
        ht_sub_relaxed(&ht_mapped_bytes, size_bytes);
    }
}

uint64_t ht_memory_mapped_bytes(void)
{
    return ht_load_relaxed(&ht_mapped_bytes);
}

uint64_t ht_memory_resident_bytes(const void *base, uint64_t size_bytes)
{
    uintptr_t page = (uintptr_t)base & ~(uintptr_t)(PAGE_BYTES - 1);
    uintptr_t limit = (uintptr_t)base + size_bytes;
    uint64_t resident = 0;
    uint8_t pages[RESIDENT_PAGES];
    for (; page < limit; page += RESIDENT_PAGES * PAGE_BYTES) {
        uint64_t count = (limit - page + PAGE_BYTES - 1) / PAGE_BYTES;
        count = count < RESIDENT_PAGES ? count : RESIDENT_PAGES;
        if (ht_raw3(SYS_mincore, (long)page, (long)(count * PAGE_BYTES), (long)pages) != 0) {
            break;
        }
        for (uint64_t i = 0; i < count; i++) {
            resident += (pages[i] & 1) * (uint64_t)PAGE_BYTES;
        }
    }
    return resident;
}

int ht_memory_populate(void *base, uint64_t size_bytes)
{
    long result;
    unsigned busy = 0; // the host waits for us: what the kernel has not now, it may not have for long
    do {
        result = ht_raw3(SYS_madvise, (long)base, (long)size_bytes, MADV_POPULATE_WRITE);
    } while (result == -EINTR || (result == -EAGAIN && ++busy < BUSY_TRIES));
    return (int)result;
}

void ht_bump_init(struct ht_bump *bump, uint64_t limit_bytes)
{
    *bump = (struct ht_bump){.limit_bytes = limit_bytes};
}

// A large request gets a chunk of its own size, behind which nothing is left; the rest of the chunk before is
// lost.
static bool ht_bump_grow(struct ht_bump *bump, uint64_t size_bytes)
{
    uint64_t left = bump->limit_bytes > bump->mapped_bytes ? bump->limit_bytes - bump->mapped_bytes : 0;
    uint64_t needed = (size_bytes + sizeof(struct ht_bump_chunk) + 4095) & ~UINT64_C(4095);
    if (needed > left) {
        return false;
    }
    uint64_t chunk_bytes =
        needed < HT_BUMP_CHUNK_BYTES && left >= HT_BUMP_CHUNK_BYTES ? HT_BUMP_CHUNK_BYTES : needed;
    struct ht_bump_chunk *chunk = ht_memory_map(chunk_bytes);
    if (chunk == NULL) {
        return false;
    }
    chunk->older = bump->newest;
    chunk->size_bytes = chunk_bytes;
    bump->newest = chunk;
    bump->mapped_bytes += chunk_bytes;
    bump->next = (uint8_t *)(chunk + 1);
    bump->end = (uint8_t *)chunk + chunk_bytes;
    return true;
}

void *ht_bump_take(struct ht_bump *bump, uint64_t size_bytes)
{
    if (size_bytes > bump->limit_bytes) {
        return NULL;
    }
    uint64_t rounded = (size_bytes + BUMP_ALIGN_BYTES - 1) & ~(uint64_t)(BUMP_ALIGN_BYTES - 1);
    if (rounded > (uint64_t)(bump->end - bump->next) && !ht_bump_grow(bump, rounded)) {
        return NULL;
    }
    void *taken = bump->next;
    bump->next += rounded;
    return taken;
}

void ht_bump_release(struct ht_bump *bump)
{
    struct ht_bump_chunk *chunk = bump->newest;
    while (chunk != NULL) {
        struct ht_bump_chunk *older = chunk->older;
        ht_memory_unmap(chunk, chunk->size_bytes);
        chunk = older;
    }
    ht_bump_init(bump, bump->limit_bytes);
}
