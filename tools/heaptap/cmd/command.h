// The commands of heaptap: the table entry, the functions, and what they share.
#ifndef HT_CMD_COMMAND_H
#define HT_CMD_COMMAND_H

#include "base/error.h"
#include "base/memory.h"
#include "base/options.h"

#include <stdio.h>

enum ht_exit {
    HT_EXIT_DONE = 0,
    HT_EXIT_FAILED = 1,
    HT_EXIT_USAGE = 2,
    HT_EXIT_THRESHOLD = 3, // a threshold given on the command line was exceeded
};

// Where a command stands in `heaptap --help`.
enum ht_group_of {
    HT_GROUP_LOOK,
    HT_GROUP_RUN,
    HT_GROUP_SHARE,
};

// What a command is: a row that stands at the end of its file.
struct ht_command {
    const char *name;
    const char *summary;  // one line, lower case, for `heaptap --help`
    const char *usage;    // what follows "heaptap NAME "
    const char *text;     // paragraphs of `heaptap NAME --help`
    const char *examples; // lines "  command\n      what it does\n"
    const struct ht_option *options;
    enum ht_group_of group;
    enum ht_parse_mode mode;
    int (*run)(int argc, char **argv); // argv[0] is the command's name; returns the exit status
};

// All of them, in the order of --help: a new command is a file in cmd/ and a name here.
#define HT_COMMANDS(X)                                                                                       \
    X(run)                                                                                                   \
    X(doctor)                                                                                                \
    X(ps)                                                                                                    \
    X(snap)                                                                                                  \
    X(start)                                                                                                 \
    X(stop)                                                                                                  \
    X(rate)                                                                                                  \
    X(top)                                                                                                   \
    X(text)                                                                                                  \
    X(peek)                                                                                                  \
    X(tree)                                                                                                  \
    X(traces)                                                                                                \
    X(tags)                                                                                                  \
    X(raw)                                                                                                   \
    X(comments)                                                                                              \
    X(proto)                                                                                                 \
    X(symbolize)                                                                                             \
    X(list)                                                                                                  \
    X(dot)                                                                                                   \
    X(svg)                                                                                                   \
    X(callgrind)                                                                                             \
    X(folded)                                                                                                \
    X(flame)                                                                                                 \
    X(diff)                                                                                                  \
    X(growth)                                                                                                \
    X(check)                                                                                                 \
    X(leaks)
#define X(name) extern const struct ht_command ht_command_##name;
HT_COMMANDS(X)
#undef X
extern const struct ht_command *const ht_commands[]; // ends with NULL

const struct ht_command *ht_command_find(const char *name); // NULL: there is none

struct ht_group {
    enum ht_group_of group;
    const char *title;
};
extern const struct ht_group ht_groups[]; // in the order of --help; ends with an entry without title

// Texts about the whole, in the form of a row's `text` and `examples`.
extern const char ht_about_text[], ht_prompt_text[], ht_inputs_text[], ht_start_examples[];

void ht_help_print(FILE *out);              // `heaptap --help`
int ht_cmd_generate(int argc, char **argv); // `heaptap --generate`, for the build: man pages and completions
int ht_cmd_prompt(int argc, char **argv);   // `heaptap FILE...`, without a command
bool ht_prompt_is_input(const char *argument); // a file, PID or URL; not a misspelt command
int ht_cmd_json_help(void);                    // `heaptap help json`: the words that reports use with --json

// For the name of a report that pprof has and heaptap has not: what does its work here. NULL: it is no such
// name.
const char *ht_cmd_instead(const char *word, size_t length);

#define HT_PARSED (-1)

// Parses argv by the table row `name` into *settings (defaults set by the caller). Returns HT_PARSED to go
// on, or the exit status to return at once: 0 after --help was printed, 2 after a usage error was.
int ht_cmd_parse(const char *name, int argc, char **argv, void *settings, struct ht_operands *ret_operands);

// Before anything else: from here on the rooms below have somebody who prints for them.
void ht_cmd_set_up(void);

// Prints a line of results, whose end is added. What others may have written in it, names or paths, is shown
// by base/text.h, so that it stays one line and does nothing to a terminal.
void ht_cmd_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Prints "heaptap: NAME: ..." on standard error: news that are no failure.
void ht_cmd_say(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Prints "heaptap: NAME: ..." on standard error and returns HT_EXIT_FAILED. Write "OBJECT: what is wrong;
// what to do", for example ht_cmd_error("top", "%s: %s", file, ht_error()).
int ht_cmd_error(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The same with a pointer to `heaptap NAME --help`; returns HT_EXIT_USAGE.
int ht_cmd_usage_error(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Prints what the rooms below had to warn of: before the results that it is about. Errors and ht_cmd_write
// do so first, ht_cmd_finish at the end.
void ht_cmd_tell_notes(const char *name);

// Ends a command that wrote to standard output: flushes; HT_EXIT_FAILED with a message if that failed (a full
// disk), HT_EXIT_DONE otherwise. A reader that went away (SIGPIPE's EPIPE) is no failure.
int ht_cmd_finish(const char *name);

// Ends a command by writing what it has to say to a file, or to standard output (output NULL or "-"). Returns
// the exit status, after a message if that is not 0.
int ht_cmd_write(const char *name, const char *output, const struct ht_buffer *text);

#endif
