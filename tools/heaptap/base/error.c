// One-line errors: formats, keeps and prints them.
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char error_text[1024];

// Names and messages may come from foreign files: one error stays one line without control characters.
static void make_one_line(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = ' ';
}

static void set_error(const char *format, va_list args)
{
    char text[sizeof error_text]; // the arguments may point into error_text itself
    vsnprintf(text, sizeof text, format, args);
    make_one_line(text);
    memcpy(error_text, text, sizeof text);
}

int ht_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_error(format, args);
    va_end(args);
    return -1;
}

int ht_fail_errno(const char *format, ...)
{
    int saved_errno = errno;
    va_list args;
    va_start(args, format);
    set_error(format, args);
    va_end(args);
    size_t used = strlen(error_text);
    snprintf(error_text + used, sizeof error_text - used, ": %s", strerror(saved_errno));
    return -1;
}

const char *ht_error(void)
{
    return error_text;
}

static void print_line(const char *prefix, const char *format, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    make_one_line(text);
    fprintf(stderr, "heaptap: %s%s\n", prefix, text);
}

void ht_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    print_line("warning: ", format, args);
    va_end(args);
}

void ht_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_line("", format, args);
    va_end(args);
    exit(1);
}
