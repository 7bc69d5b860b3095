// Reads parts of HTTP answers.
#include "net/answer.h"

#include <stdbool.h>
#include <string.h>

static void keep(const char *bytes, size_t length, char *ret, size_t size)
{
    length = strnlen(bytes, length);
    length = length < size ? length : size - 1;
    memcpy(ret, bytes, length);
    ret[length] = '\0';
}

static bool is_end(char byte)
{
    return byte == '\r' || byte == '\n' || byte == ' ' || byte == '\t';
}

void ht_answer_status(const char *bytes, size_t length, char *ret_status, size_t size)
{
    if (length <= 5 || memcmp(bytes, "HTTP/", 5) != 0)
        return;
    const char *space = memchr(bytes, ' ', length), *start = space != NULL ? space + 1 : bytes + length;
    size_t left = length - (size_t)(start - bytes);
    while (left > 0 && is_end(start[left - 1]))
        left--;
    keep(start, left, ret_status, size);
}

void ht_answer_type(const char *type, char *ret_type, size_t size)
{
    keep(type != NULL ? type : "", type != NULL ? strcspn(type, "; \t") : 0, ret_type, size);
    for (char *at = ret_type; *at != '\0'; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
}

void ht_answer_said(const char *bytes, size_t length, char *ret_said, size_t size)
{
    size_t line = 0;
    while (line < length && bytes[line] != '\r' && bytes[line] != '\n')
        line++;
    keep(bytes, line, ret_said, size);
}
