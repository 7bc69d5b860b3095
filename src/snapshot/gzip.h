// A gzip stream into a sink, with zlib's memory from a bump arena.
#ifndef HT_SNAPSHOT_GZIP_H
#define HT_SNAPSHOT_GZIP_H

#include "snapshot/sink.h"
#include "sys/memory.h"

#include <stdint.h>
#include <zlib.h>

#define HT_GZIP_OUT_BYTES (64u * 1024u)

// Context: exit, bare thread, tool. 0 or a negative errno; after a failure the stream must not be used.
struct ht_gzip {
    z_stream stream;
    struct ht_sink *sink;
    uint8_t *out; // HT_GZIP_OUT_BYTES
};

int ht_gzip_begin(struct ht_gzip *gzip, struct ht_sink *sink, struct ht_bump *memory);
int ht_gzip_write(struct ht_gzip *gzip, const void *bytes, uint32_t size_bytes);
int ht_gzip_end(struct ht_gzip *gzip);

#endif
