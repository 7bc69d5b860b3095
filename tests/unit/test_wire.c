// Tests the reader and the writer of protobuf messages that tables of fields drive.
#include "base/error.h"
#include "profile/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

// A message with a field of each kind, one of them with a large number, and one that is not in its place.
struct inner {
    uint64_t number;
    uint32_t string;
};

struct outer {
    uint64_t number;
    bool flag;
    uint32_t string;
    struct ht_wire_bytes bytes;
    struct inner inside;
};

enum { NUMBERS, MESSAGES, TEXTS };

#define AT(member) offsetof(struct inner, member)
static const struct ht_wire_field inner_fields[] = {
    {1, HT_WIRE_NUMBER, AT(number), NULL},
    {2, HT_WIRE_STRING, AT(string), NULL},
};
static const struct ht_wire_message inner_message = {inner_fields, 2, sizeof(struct inner)};
#undef AT
#define AT(member) offsetof(struct outer, member)
static const struct ht_wire_field outer_fields[] = {
    {1, HT_WIRE_NUMBER, AT(number), NULL}, {2, HT_WIRE_FLAG, AT(flag), NULL},
    {3, HT_WIRE_NUMBERS, NUMBERS, NULL},   {5, HT_WIRE_MESSAGES, MESSAGES, &inner_message},
    {4, HT_WIRE_STRING, AT(string), NULL}, {6, HT_WIRE_INSIDE, AT(inside), &inner_message},
    {7, HT_WIRE_TEXTS, TEXTS, NULL},       {1000, HT_WIRE_BYTES, AT(bytes), NULL},
};
static const struct ht_wire_message outer_message = {outer_fields, 8, sizeof(struct outer)};
#undef AT

// What was handed over.
struct seen {
    struct ht_wire_reader reader;
    struct ht_arena arena;
    uint64_t sum;
    size_t numbers, messages, texts;
    struct inner last;
    char text[32];
    const struct outer *record;
};

static int add_number(void *arg, uint64_t number)
{
    struct seen *seen = arg;
    seen->sum += number;
    seen->numbers++;
    return number == 666 ? ht_fail("refused") : 0;
}

static int take_element(struct ht_wire_reader *reader, const struct ht_wire_field *field,
                        const struct ht_wire_value *value, void *record)
{
    struct seen *seen = (struct seen *)reader;
    assert_ptr_equal(record, seen->record);
    if (field->offset == NUMBERS)
        return ht_wire_each(value, add_number, seen);
    assert_int_equal(field->offset, TEXTS);
    size_t length = (size_t)(value->end - value->at);
    assert_true(length < sizeof seen->text);
    memcpy(seen->text, value->at, length);
    seen->text[length] = '\0';
    seen->texts++;
    return 0;
}

static int take_message(struct ht_wire_reader *reader, const struct ht_wire_field *field, void *element,
                        void *record)
{
    struct seen *seen = (struct seen *)reader;
    assert_int_equal(field->offset, MESSAGES);
    assert_ptr_equal(record, seen->record);
    seen->last = *(struct inner *)element;
    seen->messages++;
    return 0;
}

static int read_into(struct seen *seen, struct outer *record, const char *bytes, size_t length)
{
    *seen = (struct seen){.record = record};
    seen->reader =
        (struct ht_wire_reader){.arena = &seen->arena, .message = take_message, .element = take_element};
    *record = (struct outer){0};
    return ht_wire_read(&seen->reader, &outer_message, (const uint8_t *)bytes,
                        (const uint8_t *)bytes + length, record);
}

#define READ(text) read_into(&seen, &record, text, sizeof(text) - 1)

static void test_each_kind(void **state)
{
    (void)state;
    struct seen seen;
    struct outer record;
    assert_int_equal(READ("\x08\xac\x02\x10\x02\x20\x07"), 0);
    assert_int_equal(record.number, 300);
    assert_true(record.flag);
    assert_int_equal(record.string, 7);
    assert_int_equal(READ("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0);
    assert_true(record.number == UINT64_MAX);
    assert_int_equal(READ("\x1a\x07\x01\x80\x01\x80\x80\x01\x05\x18\x02"), 0); // packed, and one alone
    assert_int_equal(seen.numbers, 5);
    assert_int_equal(seen.sum, 1 + 128 + 16384 + 5 + 2);
    assert_int_equal(READ("\x2a\x04\x08\x09\x10\x03\x2a\x00"), 0); // the second begins as zeros
    assert_int_equal(seen.messages, 2);
    assert_int_equal(seen.last.number, 0);
    assert_int_equal(READ("\x32\x02\x08\x05\x32\x02\x10\x06"), 0); // the last one counts, whole
    assert_int_equal(record.inside.number, 0);
    assert_int_equal(record.inside.string, 6);
    assert_int_equal(READ("\x3a\x02hi"), 0);
    assert_string_equal(seen.text, "hi");
    // Numbers 16,000 and 8: nobody knows them, of whatever type they are.
    assert_int_equal(READ("\x80\xe8\x07\x05\x45wxyz\x41"
                          "12345678\x42\x01q\x10\x01"),
                     0);
    assert_true(record.flag);
}

// A field of bytes stays when what it was read from is gone.
static void test_bytes_are_kept(void **state)
{
    (void)state;
    struct seen seen;
    struct outer record;
    char input[] = "\xc2\x3e\x05"
                   "a\0bcd\x08\x01";
    assert_int_equal(read_into(&seen, &record, input, sizeof input - 1), 0);
    memset(input, 0xff, sizeof input);
    assert_int_equal(record.bytes.length, 5);
    assert_memory_equal(record.bytes.data, "a\0bcd", 5);
    assert_int_equal(record.number, 1);
    ht_arena_free(&seen.arena);
}

static void test_what_is_no_message(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *error;
    } cases[] = {
#define CASE(text, error) {text, sizeof(text) - 1, error}
        CASE("\x08", "bad varint"),
        CASE("\x08\x80\x80", "bad varint"),
        CASE("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "bad varint"),
        CASE("\x80", "bad varint"),
        CASE("\x00\x01", "a field without a number"),
        CASE("\x0b", "unknown wire type"),
        CASE("\x09"
             "1234",
             "a field is cut off"),
        CASE("\x3a\x03hi", "a field is longer than what is around it"),
        CASE("\x2a\x02\x08", "a field is longer than what is around it"),
        CASE("\x2a\x03\x12\x02q", "a field is longer than what is around it"),
        CASE("\x1a\x02\x01\x80", "bad varint"),
        CASE("\x09"
             "12345678",
             "a field has the wrong type"),
        CASE("\x0a\x00", "a field has the wrong type"),
        CASE("\x12\x01\x01", "a field has the wrong type"),
        CASE("\x1d"
             "1234",
             "a field has the wrong type"),
        CASE("\x19"
             "12345678",
             "a field has the wrong type"),
        CASE("\x22\x00", "a field has the wrong type"),
        CASE("\x28\x01", "a field has the wrong type"),
        CASE("\x30\x01", "a field has the wrong type"),
        CASE("\x38\x01", "a field has the wrong type"),
        CASE("\xc0\x3e\x01", "a field has the wrong type"),
        CASE("\x20\xff\xff\xff\xff\x0f", "a string index is out of range"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen seen;
        struct outer record;
        char *copy = malloc(cases[i].length); // exactly: valgrind and ASan see a byte too many
        memcpy(copy, cases[i].bytes, cases[i].length);
        assert_int_equal(read_into(&seen, &record, copy, cases[i].length), -1);
        assert_non_null(strstr(ht_error(), cases[i].error));
        free(copy);
    }
    struct seen seen;
    struct outer record;
    assert_int_equal(READ("\x1a\x03\x9a\x05\x01"), -1); // what an element's taker says
    assert_string_equal(ht_error(), "refused");
    assert_int_equal(seen.numbers, 1);
}

static uint64_t string_number(struct ht_wire_writer *writer, uint32_t string)
{
    (void)writer;
    return string == 0 ? 0 : string + 100;
}

static void put_elements(struct ht_wire_writer *writer, const struct ht_wire_field *field, const void *record,
                         struct ht_buffer *out)
{
    (void)record;
    if (field->kind == HT_WIRE_NUMBERS)
        ht_wire_put_bytes(out, field->number, "\x01\x02", 2);
    if (field->kind == HT_WIRE_TEXTS)
        ht_wire_put_bytes(out, field->number, "hi", 2);
    if (field->kind == HT_WIRE_MESSAGES) {
        struct ht_buffer element = {0};
        ht_wire_write(writer, field->message, &(struct inner){.number = 300}, &element);
        ht_wire_put_bytes(out, field->number, element.data, element.length);
        ht_buffer_free(&element);
    }
}

// What was written is read again.
static void test_written_and_read(void **state)
{
    (void)state;
    struct ht_wire_writer writer = {.string = string_number, .elements = put_elements};
    const struct outer given = {.number = UINT64_MAX,
                                .flag = true,
                                .string = 5,
                                .bytes = {"\0\x01\x02", 3},
                                .inside = {.number = 1ull << 40, .string = 1}};
    struct ht_buffer out = {0};
    ht_wire_write(&writer, &outer_message, &given, &out);
    struct seen seen;
    struct outer record;
    assert_int_equal(read_into(&seen, &record, out.data, out.length), 0);
    assert_true(record.number == UINT64_MAX && record.flag);
    assert_int_equal(record.string, 105);
    assert_int_equal(record.bytes.length, 3);
    assert_memory_equal(record.bytes.data, "\0\x01\x02", 3);
    assert_true(record.inside.number == 1ull << 40);
    assert_int_equal(record.inside.string, 101);
    assert_int_equal(seen.last.number, 300);
    assert_int_equal(seen.sum, 3);
    assert_string_equal(seen.text, "hi");
    ht_arena_free(&seen.arena);
    // Zeros are left out; what is inside and what is repeated is there.
    out.length = 0;
    ht_wire_write(&writer, &outer_message, &(struct outer){0}, &out);
    assert_int_equal(out.length, 15);
    assert_memory_equal(out.data, "\x1a\x02\x01\x02\x2a\x03\x08\xac\x02\x32\x00\x3a\x02hi", 15);
    ht_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_bytes_are_kept),
        cmocka_unit_test(test_what_is_no_message),
        cmocka_unit_test(test_written_and_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
