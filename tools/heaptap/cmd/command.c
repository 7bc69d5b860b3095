// What all commands share: finding one, parsing its line, its --help, messages, and the end of its output.
#include "cmd/command.h"

#include "base/clock.h"
#include "base/measure.h"
#include "base/output.h"
#include "base/terminal.h"
#include "base/text.h"
#include "net/http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct ht_command *ht_command_find(const char *name)
{
    for (const struct ht_command *const *command = ht_commands; *command != NULL; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

static void print_option(const struct ht_option *option)
{
    char left[80];
    const char *argument = option->argument != NULL ? option->argument : "";
    const char *separator = option->argument != NULL ? " " : "";
    if (option->letter != 0)
        snprintf(left, sizeof left, "-%c, --%s%s%s", option->letter, option->name, separator, argument);
    else
        snprintf(left, sizeof left, "    --%s%s%s", option->name, separator, argument);
    if (strlen(left) > 28)
        printf("  %s\n  %-28s  %s\n", left, "", option->help);
    else
        printf("  %-28s  %s\n", left, option->help);
}

static void print_help(const struct ht_command *command)
{
    printf("heaptap %s: %s\n\nusage: heaptap %s %s\n", command->name, command->summary, command->name,
           command->usage);
    if (command->examples != NULL)
        printf("\nexamples:\n%s", command->examples);
    printf("\n%s\noptions:\n", command->text);
    for (const struct ht_option *option = command->options; option->name != NULL; option++)
        if (option->kind == HT_OPT_HEADING)
            printf("\n %s\n", option->name);
        else if (option->help != NULL)
            print_option(option);
    printf("  %-28s  %s\n", "-h, --help", "this text");
}

int ht_cmd_parse(const char *name, int argc, char **argv, void *settings, struct ht_operands *ret_operands)
{
    const struct ht_command *command = ht_command_find(name);
    bool help = false;
    if (ht_options_parse(command->options, command->mode, argc, argv, settings, ret_operands, &help) < 0)
        return ht_cmd_usage_error(name, "%s", ht_error());
    if (help) {
        print_help(command);
        return ht_cmd_finish(name);
    }
    return HT_PARSED;
}

static void tell_note(enum ht_note kind, const char *text, void *name)
{
    fflush(stdout); // only where something follows: a write that fails there is told by ht_cmd_finish
    if (kind == HT_NOTE_ERROR && name != NULL)
        fprintf(stderr, "heaptap: %s: %s\n", (const char *)name, text);
    else
        fprintf(stderr, "heaptap: %s%s\n", kind == HT_NOTE_WARNING ? "warning: " : "", text);
}

void ht_cmd_tell_notes(const char *name)
{
    ht_notes_take(tell_note, (void *)(uintptr_t)name);
}

static void tell_last_words(const char *text)
{
    ht_cmd_tell_notes(NULL);
    fflush(stdout);
    fprintf(stderr, "heaptap: %s\n", text);
}

// One line that is written over itself while a server lets us wait.
static void show_waiting(const struct ht_http_waiting *waiting)
{
    char size[HT_MEASURE_TEXT_BYTES];
    unsigned long long seconds = waiting->elapsed_ns / HT_NS_PER_SECOND;
    ht_measure_bytes((int64_t)waiting->received_bytes, 0, size);
    if (waiting->left == 0)
        fprintf(stderr, "\r\033[K");
    else if (waiting->count == 1)
        fprintf(stderr, "\r\033[Kheaptap: waiting for the server, %llu s, %s ", seconds, size);
    else
        fprintf(stderr, "\r\033[Kheaptap: waiting for %zu of %zu servers, %llu s, %s ", waiting->left,
                waiting->count, seconds, size);
    fflush(stderr);
}

void ht_cmd_set_up(void)
{
    ht_die_with(tell_last_words);
    if (ht_terminal_of(STDERR_FILENO).is_terminal)
        ht_http_while_waiting(show_waiting);
}

void ht_cmd_print(const char *format, ...)
{
    struct ht_buffer line = {0};
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        ht_die("out of memory");
    ht_text_show(&line, text, (size_t)length, "");
    ht_buffer_byte(&line, '\n');
    fwrite(line.data, 1, line.length, stdout); // a failure is told by ht_cmd_finish
    ht_buffer_free(&line);
    free(text);
}

// A line of a command's own, after what is to be said before it.
static void say(const char *name, const char *format, va_list args)
{
    char text[1536];
    ht_text_vprint(text, sizeof text, format, args); // file names may hold anything; an error is one line
    ht_cmd_tell_notes(name);
    fflush(stdout);
    fprintf(stderr, "heaptap: %s: %s\n", name, text);
}

void ht_cmd_say(const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(name, format, args);
    va_end(args);
}

int ht_cmd_error(const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(name, format, args);
    va_end(args);
    return HT_EXIT_FAILED;
}

int ht_cmd_usage_error(const char *name, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool is_question = text[0] != '\0' && text[strlen(text) - 1] == '?';
    if (ht_command_find(name) == NULL) // the prompt
        ht_cmd_error(name, "%s", text);
    else
        ht_cmd_error(name, "%s%s 'heaptap %s --help'", text, is_question ? " See" : "; see", name);
    return HT_EXIT_USAGE;
}

// `error`: errno of the first write that failed, 0: none has, as far as we know.
static int finish(const char *name, int error)
{
    errno = 0;
    bool is_done = fflush(stdout) == 0 && !ferror(stdout);
    if (error == 0)
        error = errno != 0 ? errno : EIO;
    ht_cmd_tell_notes(name);
    if (is_done)
        return HT_EXIT_DONE;
    return error == EPIPE ? HT_EXIT_DONE : ht_cmd_error(name, "cannot write the output: %s", strerror(error));
}

int ht_cmd_finish(const char *name)
{
    return finish(name, 0);
}

int ht_cmd_write(const char *name, const char *output, const struct ht_buffer *text)
{
    ht_cmd_tell_notes(name);
    if (output != NULL && strcmp(output, "-") != 0)
        return ht_output_write(output, text->data, text->length) < 0
                   ? ht_cmd_error(name, "%s: %s", output, ht_error())
                   : HT_EXIT_DONE;
    int error = text->stream_error;
    if (fwrite(text->data, 1, text->length, stdout) < text->length && error == 0)
        error = errno;
    return finish(name, error);
}
