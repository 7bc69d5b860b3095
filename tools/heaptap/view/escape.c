// Escapes names for markup and script elements.
#include "view/escape.h"

#include "base/text.h"

// Controls; invisible joiners and noncharacters, too, which markup may not have or nobody would see.
static bool is_unprintable(uint32_t c)
{
    return ht_text_is_control(c) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2060 && c <= 0x206f) ||
           c == 0xfeff || c == 0xfffe || c == 0xffff;
}

void ht_escape_markup(const char *text, size_t length, struct ht_buffer *out)
{
    const unsigned char *at = (const unsigned char *)text;
    for (size_t left = length, used; left > 0; left -= used, at += used) {
        size_t bytes = ht_utf8_length(at, left);
        used = bytes > 0 ? bytes : 1;
        if (bytes == 0)
            ht_buffer_text(out, "\ufffd");
        else if (is_unprintable(ht_utf8_character(at, bytes)))
            ht_buffer_printf(out, "\\u%04x", ht_utf8_character(at, bytes));
        else if (*at == '<')
            ht_buffer_text(out, "&lt;");
        else if (*at == '>')
            ht_buffer_text(out, "&gt;");
        else if (*at == '&')
            ht_buffer_text(out, "&amp;");
        else if (*at == '"')
            ht_buffer_text(out, "&quot;");
        else if (*at == '\'')
            ht_buffer_text(out, "&#39;");
        else
            ht_buffer_add(out, at, bytes);
    }
}

void ht_escape_script(const char *json, size_t length, struct ht_buffer *out)
{
    for (size_t i = 0; i < length; i++) {
        if (json[i] == '<' || json[i] == '>' || json[i] == '&') // only within strings
            ht_buffer_printf(out, "\\u%04x", json[i]);
        else
            ht_buffer_byte(out, json[i]);
    }
}
