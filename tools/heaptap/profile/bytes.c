// Foreign bytes for the decoder: reading, inflating, and the moving window.
#include "profile/bytes.h"

#include "base/error.h"
#include "base/measure.h"
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { INPUT_BYTES = 1 << 16, WINDOW_STEP_BYTES = 1 << 17 };

// Profiles shrink to a fifth or a twentieth, those of one stack over and over to a hundredth; deflate's limit
// is 1,032.
enum { BOMB_RATIO = 200, BOMB_BYTES = 1 << 26 };

// Next piece of the source as it is (compressed or not); 0 bytes at its end.
static int read_source(struct ht_bytes *bytes, uint8_t *to, size_t room, size_t *ret_length)
{
    if (bytes->fd < 0) {
        size_t length = bytes->memory_length < room ? bytes->memory_length : room;
        if (length > 0)
            memcpy(to, bytes->memory, length);
        bytes->memory += length;
        bytes->memory_length -= length;
        bytes->source_bytes += length;
        *ret_length = length;
        return 0;
    }
    for (;;) {
        ssize_t length = read(bytes->fd, to, room);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return ht_fail_errno("cannot read");
        bytes->source_bytes += (size_t)length;
        *ret_length = (size_t)length;
        return 0;
    }
}

static int refill_input(struct ht_bytes *bytes)
{
    size_t length;
    if (read_source(bytes, bytes->input, INPUT_BYTES, &length) < 0)
        return -1;
    bytes->inflater.next_in = bytes->input;
    bytes->inflater.avail_in = (uInt)length;
    bytes->input_ended = length == 0;
    return 0;
}

// A gzip file may hold several members one after another; the uncompressed stream is their concatenation.
static int next_member(struct ht_bytes *bytes)
{
    if (bytes->inflater.avail_in == 0 && refill_input(bytes) < 0)
        return -1;
    if (bytes->inflater.avail_in == 0) {
        bytes->output_ended = true;
        return 0;
    }
    if (inflateReset(&bytes->inflater) != Z_OK)
        return ht_fail("cannot decompress: %s", "zlib failed");
    return 0;
}

static int inflate_some(struct ht_bytes *bytes, uint8_t *to, size_t room, size_t *ret_length)
{
    *ret_length = 0;
    while (*ret_length == 0 && !bytes->output_ended) {
        if (bytes->inflater.avail_in == 0 && !bytes->input_ended && refill_input(bytes) < 0)
            return -1;
        bytes->inflater.next_out = to;
        bytes->inflater.avail_out = (uInt)room;
        int result = inflate(&bytes->inflater, Z_NO_FLUSH);
        *ret_length = room - bytes->inflater.avail_out;
        if (result == Z_STREAM_END) {
            if (next_member(bytes) < 0)
                return -1;
        } else if (result == Z_OK || result == Z_BUF_ERROR) {
            if (*ret_length == 0 && bytes->input_ended)
                return ht_fail("truncated: the gzip stream ends early");
        } else {
            const char *reason = bytes->inflater.msg != NULL ? bytes->inflater.msg : "damaged data";
            return ht_fail("cannot decompress: %s", reason);
        }
    }
    return 0;
}

int ht_bytes_open(struct ht_bytes *bytes, int fd, const uint8_t *memory, size_t length, uint64_t raw_limit)
{
    *bytes = (struct ht_bytes){.fd = fd, .memory = memory, .memory_length = length, .raw_limit = raw_limit};
    bytes->capacity = WINDOW_STEP_BYTES;
    bytes->window = ht_alloc(bytes->capacity);
    while (bytes->end < 2) { // the magic
        size_t more;
        if (read_source(bytes, bytes->window + bytes->end, INPUT_BYTES - bytes->end, &more) < 0) {
            ht_bytes_close(bytes);
            return -1;
        }
        bytes->end += more;
        if (more == 0)
            break;
    }
    bytes->raw_bytes = bytes->end;
    if (bytes->end < 2 || bytes->window[0] != 0x1f || bytes->window[1] != 0x8b)
        return 0;
    if (inflateInit2(&bytes->inflater, 15 + 16) != Z_OK) {
        ht_bytes_close(bytes);
        return ht_fail("cannot decompress: zlib failed");
    }
    bytes->is_gzip = true;
    bytes->input = ht_alloc(INPUT_BYTES);
    memcpy(bytes->input, bytes->window, bytes->end);
    bytes->inflater.next_in = bytes->input;
    bytes->inflater.avail_in = (uInt)bytes->end;
    bytes->end = 0;
    bytes->raw_bytes = 0;
    return 0;
}

void ht_bytes_close(struct ht_bytes *bytes)
{
    if (bytes->is_gzip)
        inflateEnd(&bytes->inflater);
    free(bytes->input);
    free(bytes->window);
    bytes->input = bytes->window = NULL;
}

static int check_size(const struct ht_bytes *bytes)
{
    char raw[HT_MEASURE_TEXT_BYTES], source[HT_MEASURE_TEXT_BYTES];
    if (bytes->raw_bytes > bytes->raw_limit) {
        ht_measure_bytes((int64_t)bytes->raw_limit, 0, raw);
        return ht_fail("too large: more than %s uncompressed", raw);
    }
    if (bytes->is_gzip && bytes->raw_bytes > BOMB_BYTES &&
        bytes->raw_bytes / BOMB_RATIO > bytes->source_bytes) {
        ht_measure_bytes((int64_t)bytes->raw_bytes, 0, raw);
        ht_measure_bytes((int64_t)bytes->source_bytes, 0, source);
        return ht_fail("a gzip bomb: the first %s become %s", source, raw);
    }
    return 0;
}

int ht_bytes_want(struct ht_bytes *bytes, size_t wanted)
{
    if (ht_bytes_unread(bytes) >= wanted)
        return 0;
    if (bytes->start > 0) {
        memmove(bytes->window, bytes->window + bytes->start, ht_bytes_unread(bytes));
        bytes->end -= bytes->start;
        bytes->start = 0;
    }
    while (bytes->end < wanted && !bytes->output_ended) {
        if (bytes->capacity - bytes->end < INPUT_BYTES)
            HT_RESERVE(bytes->window, bytes->capacity, bytes->end + WINDOW_STEP_BYTES);
        size_t more;
        uint8_t *to = bytes->window + bytes->end;
        size_t room = bytes->capacity - bytes->end;
        if (bytes->is_gzip ? inflate_some(bytes, to, room, &more) < 0
                           : read_source(bytes, to, room, &more) < 0)
            return -1;
        if (!bytes->is_gzip && more == 0)
            bytes->output_ended = true;
        bytes->end += more;
        bytes->raw_bytes += more;
        if (check_size(bytes) < 0)
            return -1;
    }
    return 0;
}
