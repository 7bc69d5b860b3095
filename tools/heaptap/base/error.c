// One-line errors and warnings: formats and keeps them until somebody asks.
#include "base/error.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char error_text[1024];

static void set_error(const char *format, va_list args)
{
    char text[sizeof error_text];                    // the arguments may point into error_text itself
    ht_text_vprint(text, sizeof text, format, args); // one line, whatever names are in it
    memcpy(error_text, text, sizeof text);
}

int(ht_fail)(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_error(format, args);
    va_end(args);
    return -1;
}

int(ht_fail_errno)(const char *format, ...)
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

// What is still to be told. Beyond the limit nobody would read on.
enum { MAX_NOTES = 200 };
static struct note {
    enum ht_note kind;
    char *text;
} notes[MAX_NOTES];
static size_t note_count, left_out;

static void add_note(enum ht_note kind, const char *format, va_list args)
{
    char text[1024];
    ht_text_vprint(text, sizeof text, format, args);
    for (size_t i = 0; i < note_count; i++)
        if (notes[i].kind == kind && strcmp(notes[i].text, text) == 0)
            return;
    char *copy = note_count < MAX_NOTES ? strdup(text) : NULL; // without memory it is one of those left out
    if (copy == NULL)
        left_out++;
    else
        notes[note_count++] = (struct note){kind, copy};
}

void ht_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_note(HT_NOTE_WARNING, format, args);
    va_end(args);
}

void ht_note_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_note(HT_NOTE_ERROR, format, args);
    va_end(args);
}

void ht_notes_take(void (*tell)(enum ht_note kind, const char *text, void *arg), void *arg)
{
    for (size_t i = 0; i < note_count; i++) {
        tell(notes[i].kind, notes[i].text, arg);
        free(notes[i].text);
    }
    char text[64];
    snprintf(text, sizeof text, "%zu more warnings are left out", left_out);
    if (left_out > 0)
        tell(HT_NOTE_WARNING, text, arg);
    note_count = left_out = 0;
}

static void (*last_words)(const char *text);

void ht_die_with(void (*tell)(const char *text))
{
    last_words = tell;
}

void ht_die(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    ht_text_vprint(text, sizeof text, format, args);
    va_end(args);
    if (last_words != NULL)
        last_words(text);
    exit(1);
}
