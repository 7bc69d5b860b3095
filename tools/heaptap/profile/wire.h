// Protobuf's wire format, read and written by tables of fields.
#ifndef HT_PROFILE_WIRE_H
#define HT_PROFILE_WIRE_H

#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A message is read into a record, a struct that begins as zeros, and written from one. The table of a
// message has a row for each field: its number, its kind, and where it goes. What no row names is skipped.
enum ht_wire_kind {
    HT_WIRE_NUMBER, // int64_t or uint64_t at the row's offset in the record
    HT_WIRE_FLAG,   // bool likewise
    HT_WIRE_STRING, // uint32_t: a string of the string table; read, its index there as it is
    HT_WIRE_BYTES,  // struct ht_wire_bytes; read, a copy in the reader's arena
    HT_WIRE_INSIDE, // a message whose record is a member of this one
    // Repeated fields, whose elements are handed over:
    HT_WIRE_MESSAGES, // in a record of its own each
    HT_WIRE_NUMBERS,  // packed or not: as they stand in the file
    HT_WIRE_TEXTS,    // likewise
};

struct ht_wire_bytes {
    const char *data;
    size_t length;
};

struct ht_wire_message;

struct ht_wire_field {
    uint32_t number;
    uint16_t kind;   // enum ht_wire_kind
    uint16_t offset; // in the record; of repeated fields: what the two sides call the element
    const struct ht_wire_message *message;
};

enum { HT_WIRE_RECORD_BYTES = 64 }; // at most

struct ht_wire_message {
    const struct ht_wire_field *fields; // written in this order; found fastest where field n is the nth row
    uint32_t field_count, record_bytes;
};

// One field as it stands in a message: numbers have `integer`, and its bytes are [at, end), as are those of
// length-delimited fields.
struct ht_wire_value {
    uint32_t number, type;
    uint64_t integer;
    const uint8_t *at, *end;
};

enum { HT_WIRE_VARINT = 0, HT_WIRE_FIXED64 = 1, HT_WIRE_LENGTH = 2, HT_WIRE_FIXED32 = 5 }; // types

// Context: tool; pure but for memory. Whatever is read may be foreign: what is no protobuf fails.

struct ht_wire_reader {
    struct ht_arena *arena; // of HT_WIRE_BYTES
    // One element of HT_WIRE_MESSAGES, read into `element`; `record` is that of the message around it.
    int (*message)(struct ht_wire_reader *reader, const struct ht_wire_field *field, void *element,
                   void *record);
    // HT_WIRE_NUMBERS (one or a packed piece: ht_wire_each()) and HT_WIRE_TEXTS.
    int (*element)(struct ht_wire_reader *reader, const struct ht_wire_field *field,
                   const struct ht_wire_value *value, void *record);
};

// Reads all fields of a message.
int ht_wire_read(struct ht_wire_reader *reader, const struct ht_wire_message *message, const uint8_t *at,
                 const uint8_t *end, void *record);

// Takes one field of a message, for callers that do not have all of it in memory.
int ht_wire_take(struct ht_wire_reader *reader, const struct ht_wire_message *message,
                 const struct ht_wire_value *value, void *record);

// Reads the field at *at and moves behind it.
int ht_wire_next(const uint8_t **at, const uint8_t *end, struct ht_wire_value *ret_value);

// "malformed profile: ...", -1.
int ht_wire_malformed(const char *what);

const uint8_t *ht_wire_varint_slow(const uint8_t *at, const uint8_t *end, uint64_t *ret);

// Behind the number at `at`; NULL: there is none. Most numbers have one to three bytes.
static inline const uint8_t *ht_wire_varint(const uint8_t *at, const uint8_t *end, uint64_t *ret)
{
    if (at < end && at[0] < 0x80) {
        *ret = at[0];
        return at + 1;
    }
    if (end - at >= 3 && at[1] < 0x80) {
        *ret = (uint64_t)(at[0] & 0x7f) | (uint64_t)at[1] << 7;
        return at + 2;
    }
    if (end - at >= 3 && at[2] < 0x80) {
        *ret = (uint64_t)(at[0] & 0x7f) | (uint64_t)(at[1] & 0x7f) << 7 | (uint64_t)at[2] << 14;
        return at + 3;
    }
    return ht_wire_varint_slow(at, end, ret);
}

// Calls `each` with every number of an HT_WIRE_NUMBERS field, packed or not, until it fails. Inline, so that
// `each` is.
static inline __attribute__((always_inline)) int
ht_wire_each(const struct ht_wire_value *value, int (*each)(void *arg, uint64_t number), void *arg)
{
    for (const uint8_t *at = value->at; at < value->end;) {
        uint64_t number;
        at = ht_wire_varint(at, value->end, &number);
        if (at == NULL)
            return ht_wire_malformed("bad varint");
        if (each(arg, number) < 0)
            return -1;
    }
    return 0;
}

struct ht_wire_writer {
    // The number that a string has in the file.
    uint64_t (*string)(struct ht_wire_writer *writer, uint32_t string);
    // Writes a repeated field, all of it.
    void (*elements)(struct ht_wire_writer *writer, const struct ht_wire_field *field, const void *record,
                     struct ht_buffer *out);
};

// Appends the message; fields that are zero are left out, those inside and repeated ones are not.
void ht_wire_write(struct ht_wire_writer *writer, const struct ht_wire_message *message, const void *record,
                   struct ht_buffer *out);

static inline void ht_wire_put_varint(struct ht_buffer *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        ht_buffer_byte(out, (char)(value | 0x80));
    ht_buffer_byte(out, (char)value);
}

void ht_wire_put_bytes(struct ht_buffer *out, uint32_t number, const void *bytes, size_t length);

#endif
