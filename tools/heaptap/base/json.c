// Writes JSON into a buffer.
#include "base/json.h"

#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void write_string(struct ht_buffer *out, const char *value)
{
    ht_buffer_byte(out, '"');
    const unsigned char *at = (const unsigned char *)value;
    size_t left = strlen(value);
    while (left > 0) {
        size_t length = ht_utf8_length(at, left);
        if (length == 0) {
            ht_buffer_text(out, "\\ufffd");
            length = 1;
        } else if (*at == '"' || *at == '\\') {
            ht_buffer_printf(out, "\\%c", *at);
        } else if (ht_text_is_control(ht_utf8_character(at, length))) {
            ht_buffer_printf(out, "\\u%04x", ht_utf8_character(at, length));
        } else {
            ht_buffer_add(out, at, length);
        }
        at += length;
        left -= length;
    }
    ht_buffer_byte(out, '"');
}

static void begin_value(struct ht_json *json, const char *key)
{
    if (json->has_member[json->depth])
        ht_buffer_byte(json->out, ',');
    json->has_member[json->depth] = true;
    if (json->depth > 0 && json->depth <= 2) {
        ht_buffer_byte(json->out, '\n');
        for (int i = 0; i < json->depth; i++)
            ht_buffer_text(json->out, "  ");
    } else if (json->out->length > 0 && json->out->data[json->out->length - 1] == ',') {
        ht_buffer_byte(json->out, ' ');
    }
    if (key != NULL) {
        write_string(json->out, key);
        ht_buffer_text(json->out, ": ");
    }
}

static void begin_nested(struct ht_json *json, const char *key, char bracket)
{
    begin_value(json, key);
    ht_buffer_byte(json->out, bracket);
    if (json->depth + 1 >= (int)(sizeof json->has_member / sizeof json->has_member[0]))
        abort(); // a report nests as deep as its source code says
    json->has_member[++json->depth] = false;
}

static void end_nested(struct ht_json *json, char bracket)
{
    bool any = json->has_member[json->depth--];
    if (any && json->depth < 2) {
        ht_buffer_byte(json->out, '\n');
        for (int i = 0; i < json->depth; i++)
            ht_buffer_text(json->out, "  ");
    }
    ht_buffer_byte(json->out, bracket);
    if (json->depth == 0)
        ht_buffer_byte(json->out, '\n');
}

void ht_json_begin_object(struct ht_json *json, const char *key)
{
    begin_nested(json, key, '{');
}

void ht_json_end_object(struct ht_json *json)
{
    end_nested(json, '}');
}

void ht_json_begin_array(struct ht_json *json, const char *key)
{
    begin_nested(json, key, '[');
}

void ht_json_end_array(struct ht_json *json)
{
    end_nested(json, ']');
}

void ht_json_string(struct ht_json *json, const char *key, const char *value)
{
    begin_value(json, key);
    if (value == NULL)
        ht_buffer_text(json->out, "null");
    else
        write_string(json->out, value);
}

void ht_json_int(struct ht_json *json, const char *key, int64_t value)
{
    begin_value(json, key);
    ht_buffer_printf(json->out, "%" PRId64, value);
}

void ht_json_number(struct ht_json *json, const char *key, double value)
{
    begin_value(json, key);
    if (isfinite(value))
        ht_buffer_printf(json->out, "%.10g", value);
    else
        ht_buffer_text(json->out, "null");
}

void ht_json_bool(struct ht_json *json, const char *key, bool value)
{
    begin_value(json, key);
    ht_buffer_text(json->out, value ? "true" : "false");
}
