// Protobuf's wire format: the one reader and the one writer that tables of fields drive.
#include "profile/wire.h"

#include "base/error.h"

int ht_wire_malformed(const char *what)
{
    return ht_fail("malformed profile: %s", what);
}

const uint8_t *ht_wire_varint_slow(const uint8_t *at, const uint8_t *end, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && at < end; shift += 7, at++) {
        value |= (uint64_t)(*at & 0x7f) << shift;
        if (*at < 0x80) {
            *ret = value;
            return at + 1;
        }
    }
    return NULL;
}

static inline int next(const uint8_t **at, const uint8_t *end, struct ht_wire_value *value)
{
    uint64_t key;
    const uint8_t *behind = ht_wire_varint(*at, end, &key);
    if (behind == NULL)
        return ht_wire_malformed("bad varint");
    if (key >> 3 == 0)
        return ht_wire_malformed("a field without a number");
    value->number = key >> 3 > UINT32_MAX ? UINT32_MAX : (uint32_t)(key >> 3);
    value->type = (uint32_t)(key & 7);
    value->integer = 0;
    value->at = value->end = behind;
    switch (value->type) {
    case HT_WIRE_VARINT:
        behind = ht_wire_varint(behind, end, &value->integer);
        if (behind == NULL)
            return ht_wire_malformed("bad varint");
        value->end = behind;
        break;
    case HT_WIRE_FIXED64:
    case HT_WIRE_FIXED32: {
        size_t length = value->type == HT_WIRE_FIXED64 ? 8 : 4;
        if ((size_t)(end - behind) < length)
            return ht_wire_malformed("a field is cut off");
        behind += length;
        break;
    }
    case HT_WIRE_LENGTH: {
        uint64_t length;
        behind = ht_wire_varint(behind, end, &length);
        if (behind == NULL)
            return ht_wire_malformed("bad varint");
        if (length > (size_t)(end - behind))
            return ht_wire_malformed("a field is longer than what is around it");
        value->at = behind;
        value->end = behind += length;
        break;
    }
    default:
        return ht_wire_malformed("unknown wire type");
    }
    *at = behind;
    return 0;
}

int ht_wire_next(const uint8_t **at, const uint8_t *end, struct ht_wire_value *ret_value)
{
    return next(at, end, ret_value);
}

static inline const struct ht_wire_field *find(const struct ht_wire_message *message, uint32_t number)
{
    const struct ht_wire_field *fields = message->fields;
    if (number - 1 < message->field_count && fields[number - 1].number == number)
        return &fields[number - 1];
    for (uint32_t i = 0; i < message->field_count; i++)
        if (fields[i].number == number)
            return &fields[i];
    return NULL;
}

// HT_WIRE_NUMBERS may be packed or not.
static inline bool has_type(uint16_t kind, uint32_t type)
{
    bool number = kind <= HT_WIRE_STRING || kind == HT_WIRE_NUMBERS;
    return type == HT_WIRE_LENGTH ? kind > HT_WIRE_STRING : type == HT_WIRE_VARINT && number;
}

// Fields of more than one number.
static int take_long(struct ht_wire_reader *reader, const struct ht_wire_field *field,
                     const struct ht_wire_value *value, void *record)
{
    char *member = (char *)record + field->offset; // of the kinds that have one
    size_t length = (size_t)(value->end - value->at);
    switch (field->kind) {
    case HT_WIRE_BYTES:
        *(struct ht_wire_bytes *)member =
            (struct ht_wire_bytes){ht_arena_copy(reader->arena, (const char *)value->at, length), length};
        return 0;
    case HT_WIRE_INSIDE:
        memset(member, 0, field->message->record_bytes);
        return ht_wire_read(reader, field->message, value->at, value->end, member);
    case HT_WIRE_MESSAGES: {
        union {
            char bytes[HT_WIRE_RECORD_BYTES];
            max_align_t aligned;
        } element = {{0}};
        return ht_wire_read(reader, field->message, value->at, value->end, &element) < 0
                   ? -1
                   : reader->message(reader, field, &element, record);
    }
    default:
        return reader->element(reader, field, value, record);
    }
}

static inline int take(struct ht_wire_reader *reader, const struct ht_wire_message *message,
                       const struct ht_wire_value *value, void *record)
{
    const struct ht_wire_field *field = find(message, value->number);
    if (field == NULL)
        return 0;
    if (!has_type(field->kind, value->type))
        return ht_wire_malformed("a field has the wrong type");
    char *member = (char *)record + field->offset;
    switch (field->kind) {
    case HT_WIRE_NUMBER:
        *(uint64_t *)member = value->integer;
        return 0;
    case HT_WIRE_FLAG:
        *(bool *)member = value->integer != 0;
        return 0;
    case HT_WIRE_STRING:
        if (value->integer >= UINT32_MAX)
            return ht_wire_malformed("a string index is out of range");
        *(uint32_t *)member = (uint32_t)value->integer;
        return 0;
    default:
        return take_long(reader, field, value, record);
    }
}

int ht_wire_take(struct ht_wire_reader *reader, const struct ht_wire_message *message,
                 const struct ht_wire_value *value, void *record)
{
    return take(reader, message, value, record);
}

int ht_wire_read(struct ht_wire_reader *reader, const struct ht_wire_message *message, const uint8_t *at,
                 const uint8_t *end, void *record)
{
    struct ht_wire_value value;
    while (at < end)
        if (next(&at, end, &value) < 0 || take(reader, message, &value, record) < 0)
            return -1;
    return 0;
}

static void put_number(struct ht_buffer *out, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    ht_wire_put_varint(out, (uint64_t)number << 3);
    ht_wire_put_varint(out, value);
}

void ht_wire_put_bytes(struct ht_buffer *out, uint32_t number, const void *bytes, size_t length)
{
    ht_wire_put_varint(out, (uint64_t)number << 3 | HT_WIRE_LENGTH);
    ht_wire_put_varint(out, length);
    ht_buffer_add(out, bytes, length);
}

void ht_wire_write(struct ht_wire_writer *writer, const struct ht_wire_message *message, const void *record,
                   struct ht_buffer *out)
{
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct ht_wire_field *field = &message->fields[i];
        const char *member = (const char *)record + field->offset;
        switch (field->kind) {
        case HT_WIRE_NUMBER:
            put_number(out, field->number, *(const uint64_t *)member);
            break;
        case HT_WIRE_FLAG:
            put_number(out, field->number, *(const bool *)member);
            break;
        case HT_WIRE_STRING:
            put_number(out, field->number, writer->string(writer, *(const uint32_t *)member));
            break;
        case HT_WIRE_BYTES: {
            const struct ht_wire_bytes *bytes = (const struct ht_wire_bytes *)member;
            if (bytes->length > 0)
                ht_wire_put_bytes(out, field->number, bytes->data, bytes->length);
            break;
        }
        case HT_WIRE_INSIDE: {
            struct ht_buffer inside = {0};
            ht_wire_write(writer, field->message, member, &inside);
            ht_wire_put_bytes(out, field->number, inside.data, inside.length);
            ht_buffer_free(&inside);
            break;
        }
        default:
            writer->elements(writer, field, record, out);
        }
    }
}
