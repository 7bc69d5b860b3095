// Encodes a profile as profile.proto: ids 1..n in order, only strings that are used, each valid UTF-8.
//
// Field numbers: google/pprof's profile.proto. Parca wants ids in the order of writing, Pyroscope valid
// UTF-8.
#include "profile/profile.h"

#include "base/error.h"
#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

enum { FLUSH_BYTES = 1 << 18 };

struct encoder {
    const struct ht_profile *profile;
    struct ht_buffer out;     // encoded, not yet flushed
    struct ht_buffer message; // scratch: the message being built
    struct ht_buffer inner;   // scratch: a message inside it
    uint32_t *string_number;  // by string: number in the file, HT_NONE: not used yet
    uint32_t *used;           // strings by number
    size_t used_count;
    int fd; // -1: none
    struct ht_buffer
        *sink; // where compressed bytes go without a file; NULL without both: `out` keeps everything
    z_stream deflater;
    bool failed; // ht_error() says why
};

static void put_varint(struct ht_buffer *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        ht_buffer_byte(out, (char)(value | 0x80));
    ht_buffer_byte(out, (char)value);
}

static void put_number(struct ht_buffer *out, uint32_t tag, uint64_t value)
{
    if (value == 0)
        return;
    put_varint(out, (uint64_t)tag << 3);
    put_varint(out, value);
}

static void put_bytes(struct ht_buffer *out, uint32_t tag, const void *bytes, size_t length)
{
    put_varint(out, (uint64_t)tag << 3 | 2);
    put_varint(out, length);
    ht_buffer_add(out, bytes, length);
}

static uint64_t number_of(struct encoder *encoder, uint32_t string)
{
    if (encoder->string_number[string] == HT_NONE) {
        encoder->string_number[string] = (uint32_t)encoder->used_count;
        encoder->used[encoder->used_count++] = string;
    }
    return encoder->string_number[string];
}

static void put_string(struct encoder *encoder, struct ht_buffer *out, uint32_t tag, uint32_t string)
{
    put_number(out, tag, number_of(encoder, string));
}

static int write_all(int fd, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return ht_fail_errno("cannot write");
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

static void flush(struct encoder *encoder, bool last)
{
    bool keeps = encoder->fd < 0 && encoder->sink == NULL;
    if (keeps || encoder->failed || (!last && encoder->out.length < FLUSH_BYTES))
        return;
    uint8_t compressed[1 << 16];
    encoder->deflater.next_in = (Bytef *)encoder->out.data;
    encoder->deflater.avail_in = (uInt)encoder->out.length;
    do {
        encoder->deflater.next_out = compressed;
        encoder->deflater.avail_out = sizeof compressed;
        deflate(&encoder->deflater, last ? Z_FINISH : Z_NO_FLUSH);
        size_t length = sizeof compressed - encoder->deflater.avail_out;
        if (encoder->sink != NULL) {
            ht_buffer_add(encoder->sink, compressed, length);
        } else if (write_all(encoder->fd, compressed, length) < 0) {
            encoder->failed = true;
            break;
        }
    } while (encoder->deflater.avail_out == 0);
    encoder->out.length = 0;
}

// Ends the message in the scratch buffer: appends it as field `tag`.
static void end_message(struct encoder *encoder, uint32_t tag)
{
    put_bytes(&encoder->out, tag, encoder->message.data, encoder->message.length);
    encoder->message.length = 0;
    flush(encoder, false);
}

static void put_value_type(struct encoder *encoder, uint32_t tag, const struct ht_value_type *type)
{
    put_string(encoder, &encoder->message, 1, type->type);
    put_string(encoder, &encoder->message, 2, type->unit);
    end_message(encoder, tag);
}

static void put_label(struct encoder *encoder, const struct ht_label *label)
{
    struct ht_buffer *inner = &encoder->inner;
    inner->length = 0;
    put_string(encoder, inner, 1, label->key);
    put_string(encoder, inner, 2, label->text);
    if (label->text == 0) {
        put_number(inner, 3, (uint64_t)label->number);
        put_string(encoder, inner, 4, label->unit);
    }
    put_bytes(&encoder->message, 3, inner->data, inner->length);
}

static void put_sample(struct encoder *encoder, size_t position)
{
    const struct ht_profile *profile = encoder->profile;
    const struct ht_sample *sample = &profile->samples[position];
    struct ht_buffer *inner = &encoder->inner;
    inner->length = 0;
    for (uint32_t i = 0; i < sample->frame_count; i++)
        put_varint(inner, (uint64_t)profile->frames[sample->frames + i] + 1);
    if (inner->length > 0)
        put_bytes(&encoder->message, 1, inner->data, inner->length);
    inner->length = 0;
    for (size_t i = 0; i < profile->sample_type_count; i++)
        put_varint(inner, (uint64_t)ht_profile_values(profile, position)[i]);
    put_bytes(&encoder->message, 2, inner->data, inner->length);
    for (uint32_t i = 0; i < sample->label_count; i++)
        put_label(encoder, &profile->labels[sample->labels + i]);
    end_message(encoder, 2);
}

static void put_mapping(struct encoder *encoder, size_t position)
{
    const struct ht_profile_mapping *mapping = &encoder->profile->mappings[position];
    struct ht_buffer *message = &encoder->message;
    put_number(message, 1, position + 1);
    put_number(message, 2, mapping->start);
    put_number(message, 3, mapping->limit);
    put_number(message, 4, mapping->offset);
    put_string(encoder, message, 5, mapping->file);
    put_string(encoder, message, 6, mapping->build_id);
    put_number(message, 7, mapping->has_functions);
    put_number(message, 8, mapping->has_filenames);
    put_number(message, 9, mapping->has_line_numbers);
    put_number(message, 10, mapping->has_inline_frames);
    end_message(encoder, 3);
}

static void put_location(struct encoder *encoder, size_t position)
{
    const struct ht_profile *profile = encoder->profile;
    const struct ht_location *location = &profile->locations[position];
    struct ht_buffer *message = &encoder->message, *inner = &encoder->inner;
    put_number(message, 1, position + 1);
    put_number(message, 2, location->mapping == HT_NONE ? 0 : (uint64_t)location->mapping + 1);
    put_number(message, 3, location->address);
    for (uint32_t i = 0; i < location->line_count; i++) {
        const struct ht_line *line = &profile->lines[location->lines + i];
        inner->length = 0;
        put_number(inner, 1, (uint64_t)line->function + 1);
        put_number(inner, 2, (uint64_t)line->line);
        put_number(inner, 3, (uint64_t)line->column);
        put_bytes(message, 4, inner->data, inner->length);
    }
    put_number(message, 5, location->is_folded);
    end_message(encoder, 4);
}

static void put_function(struct encoder *encoder, size_t position)
{
    const struct ht_function *function = &encoder->profile->functions[position];
    put_number(&encoder->message, 1, position + 1);
    put_string(encoder, &encoder->message, 2, function->name);
    put_string(encoder, &encoder->message, 3, function->system_name);
    put_string(encoder, &encoder->message, 4, function->file);
    put_number(&encoder->message, 5, (uint64_t)function->start_line);
    end_message(encoder, 5);
}

static void put_header(struct encoder *encoder)
{
    const struct ht_profile *profile = encoder->profile;
    struct ht_buffer *out = &encoder->out, *inner = &encoder->inner;
    put_string(encoder, out, 7, profile->drop_frames);
    put_string(encoder, out, 8, profile->keep_frames);
    put_number(out, 9, (uint64_t)profile->time_ns);
    put_number(out, 10, (uint64_t)profile->duration_ns);
    put_value_type(encoder, 11, &profile->period_type);
    put_number(out, 12, (uint64_t)profile->period);
    inner->length = 0;
    for (size_t i = 0; i < profile->comment_count; i++)
        put_varint(inner, number_of(encoder, profile->comments[i]));
    if (inner->length > 0)
        put_bytes(out, 13, inner->data, inner->length);
    put_string(encoder, out, 14, profile->default_sample_type);
    put_string(encoder, out, 15, profile->doc_url);
}

// Each byte that is not part of a UTF-8 character becomes U+FFFD.
static void put_string_table(struct encoder *encoder)
{
    struct ht_buffer *message = &encoder->message;
    for (size_t i = 0; i < encoder->used_count; i++) {
        const struct ht_profile_string *string = &encoder->profile->strings[encoder->used[i]];
        const unsigned char *at = (const unsigned char *)string->text;
        for (size_t left = string->length; left > 0;) {
            size_t length = ht_utf8_length(at, left);
            if (length == 0)
                ht_buffer_add(message, "\xef\xbf\xbd", 3);
            else
                ht_buffer_add(message, at, length);
            length = length == 0 ? 1 : length;
            at += length;
            left -= length;
        }
        end_message(encoder, 6);
    }
}

static void encode(struct encoder *encoder)
{
    const struct ht_profile *profile = encoder->profile;
    encoder->string_number = ht_realloc_array(NULL, profile->string_count, sizeof *encoder->string_number);
    encoder->used = ht_realloc_array(NULL, profile->string_count, sizeof *encoder->used);
    memset(encoder->string_number, 0xff, profile->string_count * sizeof *encoder->string_number);
    number_of(encoder, 0);
    for (size_t i = 0; i < profile->sample_type_count; i++)
        put_value_type(encoder, 1, &profile->sample_types[i]);
    for (size_t i = 0; i < profile->sample_count && !encoder->failed; i++)
        put_sample(encoder, i);
    for (size_t i = 0; i < profile->mapping_count; i++)
        put_mapping(encoder, i);
    for (size_t i = 0; i < profile->location_count && !encoder->failed; i++)
        put_location(encoder, i);
    for (size_t i = 0; i < profile->function_count && !encoder->failed; i++)
        put_function(encoder, i);
    put_header(encoder);
    put_string_table(encoder);
    flush(encoder, true);
    ht_buffer_free(&encoder->message);
    ht_buffer_free(&encoder->inner);
    free(encoder->string_number);
    free(encoder->used);
}

void ht_profile_encode(const struct ht_profile *profile, struct ht_buffer *out)
{
    struct encoder encoder = {.profile = profile, .fd = -1};
    encode(&encoder);
    ht_buffer_add(out, encoder.out.data, encoder.out.length);
    ht_buffer_free(&encoder.out);
}

static int write_compressed(const struct ht_profile *profile, int fd, struct ht_buffer *sink)
{
    struct encoder encoder = {.profile = profile, .fd = fd, .sink = sink};
    // Level 4 takes half of the time of the default, for a twentieth more bytes.
    if (deflateInit2(&encoder.deflater, 4, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return ht_fail("cannot compress: zlib failed");
    encode(&encoder);
    deflateEnd(&encoder.deflater);
    ht_buffer_free(&encoder.out);
    return encoder.failed ? -1 : 0;
}

int ht_profile_write(const struct ht_profile *profile, int fd)
{
    return write_compressed(profile, fd, NULL);
}

int ht_profile_compress(const struct ht_profile *profile, struct ht_buffer *out)
{
    return write_compressed(profile, -1, out);
}
