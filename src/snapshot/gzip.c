// Deflates into chunks of HT_GZIP_OUT_BYTES and hands them to the sink.
#include "snapshot/gzip.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

// A profile is mostly small integers and repeated strings: level 1 costs a third of level 6 and gives 10 to
// 15 % more.
#define LEVEL       1
#define GZIP_FORMAT 16 // added to the window's bits (zlib.h, deflateInit2)

// Window and hash table: 268 KB, or 30 KB where the limit is tight (zconf.h gives the formula).
#define ROOMY_BYTES (2u * 1024u * 1024u)

static void *ht_zalloc(void *memory, unsigned count, unsigned size)
{
    return ht_bump_take(memory, (uint64_t)count * size);
}

// The arena gives everything back at once.
static void ht_zfree(void *memory, void *block)
{
    (void)memory;
    (void)block;
}

int ht_gzip_begin(struct ht_gzip *gzip, struct ht_sink *sink, struct ht_bump *memory)
{
    gzip->sink = sink;
    gzip->out = ht_bump_take(memory, HT_GZIP_OUT_BYTES);
    gzip->stream = (z_stream){.zalloc = ht_zalloc, .zfree = ht_zfree, .opaque = memory};
    bool roomy = memory->limit_bytes >= ROOMY_BYTES;
    if (gzip->out == NULL || deflateInit2(&gzip->stream, LEVEL, Z_DEFLATED, (roomy ? 15 : 12) + GZIP_FORMAT,
                                          roomy ? 8 : 4, Z_DEFAULT_STRATEGY) != Z_OK) {
        return -ENOMEM;
    }
    gzip->stream.next_out = gzip->out;
    gzip->stream.avail_out = HT_GZIP_OUT_BYTES;
    return 0;
}

static int ht_gzip_flush(struct ht_gzip *gzip)
{
    size_t size_bytes = HT_GZIP_OUT_BYTES - gzip->stream.avail_out;
    int result = size_bytes == 0 ? 0 : gzip->sink->write(gzip->sink->arg, gzip->out, size_bytes);
    gzip->stream.next_out = gzip->out;
    gzip->stream.avail_out = HT_GZIP_OUT_BYTES;
    return result;
}

int ht_gzip_write(struct ht_gzip *gzip, const void *bytes, uint32_t size_bytes)
{
    gzip->stream.next_in = (z_const Bytef *)bytes;
    gzip->stream.avail_in = size_bytes;
    while (gzip->stream.avail_in > 0) {
        if (deflate(&gzip->stream, Z_NO_FLUSH) != Z_OK) {
            return -EIO;
        }
        int result = gzip->stream.avail_out == 0 ? ht_gzip_flush(gzip) : 0;
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

int ht_gzip_end(struct ht_gzip *gzip)
{
    int state;
    do {
        state = deflate(&gzip->stream, Z_FINISH);
        if (state != Z_OK && state != Z_STREAM_END) {
            return -EIO;
        }
        int result = ht_gzip_flush(gzip);
        if (result != 0) {
            return result;
        }
    } while (state != Z_STREAM_END);
    return 0;
}
