// Memory for copies of sparse files.
#include "region/sparse.h"

#include "base/error.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE_BYTES = 4096 };
#define READ_STEP_BYTES (UINT64_C(64) << 20)

static size_t mapped(uint64_t bytes)
{
    return (size_t)((bytes + PIECE_BYTES) & ~(uint64_t)(PIECE_BYTES - 1)); // never nothing
}

uint8_t *ht_sparse_new(uint64_t bytes)
{
    void *memory =
        mmap(NULL, mapped(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        ht_die("no memory for a copy of the region");
    madvise(memory, mapped(bytes), MADV_NOHUGEPAGE); // a page of data would take 2 MB
    return memory;
}

uint8_t *ht_sparse_grow(uint8_t *memory, uint64_t bytes, uint64_t grown_bytes)
{
    void *grown = mremap(memory, mapped(bytes), mapped(grown_bytes), MREMAP_MAYMOVE);
    if (grown == MAP_FAILED)
        ht_die("no memory for a copy of the region");
    return grown;
}

void ht_sparse_free(uint8_t *memory, uint64_t bytes)
{
    if (memory != NULL)
        munmap(memory, mapped(bytes));
}

// Where data begins at or behind `from`, and where it ends; false: there is none before `end`.
static bool next_data(int fd, uint64_t from, uint64_t end, uint64_t *ret_from, uint64_t *ret_end)
{
    off_t data = lseek(fd, (off_t)from, SEEK_DATA);
    if (data < 0 && errno == ENXIO)
        return false;
    *ret_from = data < 0 ? from : (uint64_t)data; // a file system that does not tell
    if (*ret_from >= end)
        return false;
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    *ret_end = hole < 0 || (uint64_t)hole > end ? end : (uint64_t)hole;
    if (*ret_end <= *ret_from) // somebody is at it
        *ret_end = end - *ret_from < PIECE_BYTES ? end : *ret_from + PIECE_BYTES;
    return true;
}

int ht_sparse_read(int fd, uint8_t *to, uint64_t bytes, uint64_t offset)
{
    uint64_t at = offset, end = offset + bytes, stop;
    while (at < end && next_data(fd, at, end, &at, &stop))
        while (at < stop) {
            uint64_t step = stop - at < READ_STEP_BYTES ? stop - at : READ_STEP_BYTES;
            ssize_t got = pread(fd, to + (at - offset), step, (off_t)at);
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                return ht_fail_errno("cannot be read");
            if (got == 0)
                return 0;
            at += (uint64_t)got;
        }
    return 0;
}

void ht_sparse_put(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += PIECE_BYTES) {
        size_t piece = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        if (memcmp(to + at, from + at, piece) != 0)
            memcpy(to + at, from + at, piece);
    }
}
