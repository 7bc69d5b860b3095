// Foreign bytes for the decoder: a file or memory, gzip or plain, as a window that moves over the
// uncompressed stream.
#ifndef HT_PROFILE_BYTES_H
#define HT_PROFILE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

struct ht_bytes {
    int fd;                // -1: memory
    const uint8_t *memory; // what is left of it
    size_t memory_length;
    uint8_t *input; // compressed bytes read from fd
    z_stream inflater;
    bool is_gzip, input_ended, output_ended;
    uint8_t *window; // uncompressed; [start, end) is unread
    size_t start, end, capacity;
    uint64_t source_bytes; // read from fd or memory so far
    uint64_t raw_bytes;    // uncompressed so far
    uint64_t raw_limit;
};

// Context: tool. fd stays the caller's. Fails when nothing can be read.
int ht_bytes_open(struct ht_bytes *bytes, int fd, const uint8_t *memory, size_t length, uint64_t raw_limit);
void ht_bytes_close(struct ht_bytes *bytes);

// Tries to have `wanted` unread bytes in the window; fewer only at the end of the stream. Fails on read
// errors, broken or truncated gzip, beyond the limit, and when what comes out is out of all proportion to
// what goes in (a gzip bomb). Memory grows with the bytes that really come, not with `wanted`.
int ht_bytes_want(struct ht_bytes *bytes, size_t wanted);

static inline size_t ht_bytes_unread(const struct ht_bytes *bytes)
{
    return bytes->end - bytes->start;
}

#endif
