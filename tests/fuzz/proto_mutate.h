// Changes a profile.proto message as a message, for libFuzzer: fields are added, removed, repeated, moved and
// altered while the lengths around them stay right, so that most inputs get past the wire format.
//
// Format: protobuf's encoding of proto/profile.proto. What does not parse as such is left to libFuzzer's own
// mutations.
#ifndef HT_TESTS_FUZZ_PROTO_MUTATE_H
#define HT_TESTS_FUZZ_PROTO_MUTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PROTO_MAX_BYTES  8192u
#define PROTO_MAX_FIELDS 512u
#define PROTO_MAX_DEPTH  4u

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545F4914F6CDD1D) >> 16;
}

// What a field holds, and for each message what its fields are, by number.
enum proto_kind {
    NUMBER,
    TEXT,
    NUMBERS,
    PROFILE,
    VALUE_TYPE,
    SAMPLE,
    LABEL,
    MAPPING,
    LOCATION,
    LINE,
    FUNCTION
};

static const struct {
    uint8_t count, kinds[16];
} proto_schema[] = {
    [PROFILE] = {15,
                 {0, VALUE_TYPE, SAMPLE, MAPPING, LOCATION, FUNCTION, TEXT, NUMBER, NUMBER, NUMBER, NUMBER,
                  VALUE_TYPE, NUMBER, NUMBERS, NUMBER, NUMBER}},
    [VALUE_TYPE] = {2, {0, NUMBER, NUMBER}},
    [SAMPLE] = {3, {0, NUMBERS, NUMBERS, LABEL}},
    [LABEL] = {4, {0, NUMBER, NUMBER, NUMBER, NUMBER}},
    [MAPPING] = {10, {0, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER}},
    [LOCATION] = {5, {0, NUMBER, NUMBER, NUMBER, LINE, NUMBER}},
    [LINE] = {3, {0, NUMBER, NUMBER, NUMBER}},
    [FUNCTION] = {5, {0, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER}},
};

struct proto_field {
    size_t start, body, end; // key, then the number or the length's bytes, then the body
    uint32_t tag, type;
};

static size_t proto_put(uint8_t *to, uint64_t value)
{
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        to[length++] = (uint8_t)(value | 0x80);
    to[length++] = (uint8_t)value;
    return length;
}

static bool proto_get(const uint8_t *data, size_t size, size_t *at, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && *at < size; shift += 7) {
        uint8_t byte = data[(*at)++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

// The fields of a message as far as it makes sense.
static size_t proto_split(const uint8_t *data, size_t size, struct proto_field *fields)
{
    size_t count = 0;
    for (size_t at = 0; at < size && count < PROTO_MAX_FIELDS;) {
        struct proto_field field = {.start = at};
        uint64_t key, number = 0;
        if (!proto_get(data, size, &at, &key))
            break;
        field.tag = (uint32_t)(key >> 3);
        field.type = key & 7;
        field.body = at;
        if (field.type == 0 || field.type == 2) {
            if (!proto_get(data, size, &at, &number))
                break;
        } else if (field.type == 1 || field.type == 5) {
            number = field.type == 1 ? 8 : 4;
        } else {
            break;
        }
        if (field.type != 0) {
            field.body = at;
            if (number > size - at)
                break;
            at += number;
        }
        field.end = at;
        fields[count++] = field;
    }
    return count;
}

// Replaces [start, end) of the message; what does not fit is not done.
static size_t proto_splice(uint8_t *data, size_t size, size_t max_size, size_t start, size_t end,
                           const uint8_t *bytes, size_t length)
{
    if (size - (end - start) + length > max_size)
        return size;
    memmove(data + start + length, data + end, size - end);
    memcpy(data + start, bytes, length);
    return size - (end - start) + length;
}

static uint64_t proto_number(uint64_t *random, uint64_t old)
{
    static const uint64_t odd[] = {0,          127,       128,        UINT32_MAX - 1, UINT32_MAX,
                                   UINT64_MAX, INT64_MAX, 1ull << 63, 1ull << 22,     1ull << 32};
    switch (draw(random) % 6) {
    case 0:
        return odd[draw(random) % (sizeof odd / sizeof odd[0])];
    case 1:
        return old + 1;
    case 2:
        return old - 1;
    case 3:
        return draw(random) << draw(random) % 32;
    default:
        return draw(random) % 12; // ids, string indices and counts are small
    }
}

// A new field of the message, at most 64 bytes.
static size_t proto_make(uint8_t *to, enum proto_kind kind, uint64_t *random, unsigned depth)
{
    uint32_t tag = 1 + (uint32_t)(draw(random) % proto_schema[kind].count);
    enum proto_kind inner = proto_schema[kind].kinds[tag];
    if (inner == NUMBER || (inner == NUMBERS && draw(random) % 4 == 0)) {
        size_t length = proto_put(to, tag << 3);
        return length + proto_put(to + length, proto_number(random, 0));
    }
    uint8_t body[64];
    size_t body_bytes = 0, wanted = draw(random) % 4;
    for (size_t i = 0; i < wanted && body_bytes < 24; i++) {
        if (inner == TEXT)
            body[body_bytes++] = (uint8_t)("abc:(/ \n"[draw(random) % 8]);
        else if (inner == NUMBERS)
            body_bytes += proto_put(body + body_bytes, proto_number(random, 0));
        else if (depth < 2) {
            uint8_t field[64];
            size_t length = proto_make(field, inner, random, depth + 1);
            if (length < 24) {
                memcpy(body + body_bytes, field, length);
                body_bytes += length;
            }
        }
    }
    size_t length = proto_put(to, tag << 3 | 2);
    length += proto_put(to + length, body_bytes);
    memcpy(to + length, body, body_bytes);
    return length + body_bytes;
}

static size_t proto_mutate(uint8_t *data, size_t size, size_t max_size, enum proto_kind kind,
                           uint64_t *random, unsigned depth);

// Packed numbers: one is changed, added or taken away.
static size_t proto_mutate_numbers(uint8_t *data, size_t size, size_t max_size, uint64_t *random)
{
    size_t wanted = draw(random) % (size + 1), start = 0, at = 0;
    uint64_t number = 0;
    while (at < size && at <= wanted) {
        start = at;
        if (!proto_get(data, size, &at, &number))
            break;
    }
    uint8_t bytes[16];
    switch (draw(random) % 4) {
    case 0:
        return proto_splice(data, size, max_size, start, at, bytes, 0);
    case 1:
        return proto_splice(data, size, max_size, at, at, bytes, proto_put(bytes, number));
    default:
        return proto_splice(data, size, max_size, start, at, bytes,
                            proto_put(bytes, proto_number(random, number)));
    }
}

// Changes what is inside of one field and writes its length anew.
static size_t proto_alter(uint8_t *data, size_t size, size_t max_size, const struct proto_field *field,
                          enum proto_kind kind, uint64_t *random, unsigned depth)
{
    static uint8_t bodies[PROTO_MAX_DEPTH][PROTO_MAX_BYTES + 32];
    uint8_t *made = bodies[depth];
    bool known = field->tag != 0 && field->tag <= proto_schema[kind].count;
    enum proto_kind inner = known ? proto_schema[kind].kinds[field->tag] : TEXT;
    if (kind == PROFILE && (field->tag == 1000 || field->tag == 1001)) // ours: births, inherited samples
        inner = field->tag == 1000 ? NUMBERS : SAMPLE;
    size_t length = proto_put(made, (uint64_t)field->tag << 3 | field->type);
    if (field->type == 0) {
        uint64_t number = 0;
        size_t at = field->body;
        proto_get(data, size, &at, &number);
        length += proto_put(made + length, proto_number(random, number));
    } else if (field->type == 2 && field->end - field->body <= PROTO_MAX_BYTES - 64) {
        uint8_t *body = made + 16;
        size_t body_bytes = field->end - field->body, room = PROTO_MAX_BYTES - 32;
        memcpy(body, data + field->body, body_bytes);
        if (inner == NUMBERS)
            body_bytes = proto_mutate_numbers(body, body_bytes, room, random);
        else if (inner > NUMBERS && depth + 1 < PROTO_MAX_DEPTH)
            body_bytes = proto_mutate(body, body_bytes, room, inner, random, depth + 1);
        else
            body_bytes = LLVMFuzzerMutate(body, body_bytes, body_bytes + 8 < room ? body_bytes + 8 : room);
        length += proto_put(made + length, body_bytes);
        memmove(made + length, body, body_bytes);
        length += body_bytes;
    } else {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    return proto_splice(data, size, max_size, field->start, field->end, made, length);
}

// One change somewhere in the message. Context: fuzzing, one thread.
static size_t proto_mutate(uint8_t *data, size_t size, size_t max_size, enum proto_kind kind,
                           uint64_t *random, unsigned depth)
{
    static struct proto_field all[PROTO_MAX_DEPTH][PROTO_MAX_FIELDS];
    static uint8_t copies[PROTO_MAX_DEPTH][PROTO_MAX_BYTES];
    struct proto_field *fields = all[depth];
    size_t count = proto_split(data, size, fields);
    uint64_t choice = draw(random) % 16;
    uint8_t made[64];
    if (count == 0 || choice == 0) {
        size_t at = count == 0 ? 0 : fields[draw(random) % count].start;
        return proto_splice(data, size, max_size, at, at, made, proto_make(made, kind, random, depth));
    }
    const struct proto_field *field = &fields[draw(random) % count], *other = &fields[draw(random) % count];
    uint8_t *copy = copies[depth];
    size_t length = field->end - field->start;
    switch (choice) {
    case 1:
        return proto_splice(data, size, max_size, field->start, field->end, made, 0);
    case 2: // again, somewhere else
    case 3: // instead of another
        if (length > sizeof copies[0])
            return size;
        memcpy(copy, data + field->start, length);
        return proto_splice(data, size, max_size, other->start, choice == 2 ? other->start : other->end, copy,
                            length);
    default:
        return proto_alter(data, size, max_size, field, kind, random, depth);
    }
}

// Some fields of one message among those of another.
static size_t proto_cross(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out,
                          size_t max_size, uint64_t *random)
{
    static struct proto_field of_a[PROTO_MAX_FIELDS], of_b[PROTO_MAX_FIELDS];
    size_t a_count = proto_split(a, a_size, of_a), b_count = proto_split(b, b_size, of_b);
    size_t size = 0, keep = 1 + draw(random) % 8;
    for (size_t i = 0, j = 0; i < a_count || j < b_count;) {
        bool from_a = j == b_count || (i < a_count && draw(random) % 8 < 4);
        const struct proto_field *field = from_a ? &of_a[i++] : &of_b[j++];
        const uint8_t *from = (from_a ? a : b) + field->start;
        size_t length = field->end - field->start;
        if (draw(random) % 8 >= keep || length > max_size - size)
            continue;
        memcpy(out + size, from, length);
        size += length;
    }
    return size;
}

#endif
