// The prompt: one profile, many reports, commands as of `go tool pprof FILE`. What its files share.
#ifndef HT_PROMPT_PROMPT_H
#define HT_PROMPT_PROMPT_H

#include "cmd/report.h"
#include "cmd/reports.h"

// Context: tool. Everything here belongs to the one prompt of the process.

struct ht_prompt {
    struct ht_profile *profile;         // loaded and symbolized once; reports work on copies
    struct ht_report_settings settings; // for every report from now on
    struct ht_arena texts;              // what settings points at
    const char **functions;             // names of the profile's functions, sorted, for completion
    size_t function_count;
    bool is_terminal; // a person types; else a script
    bool has_failed;  // any command so far
    bool has_ended;
};

// words.c: a line in words.

struct ht_prompt_word {
    char *text;
    bool is_quoted; // never a number or an option
};

struct ht_prompt_line {
    struct ht_prompt_word *words;
    size_t count, capacity;
    char *pipe; // what follows a word that begins with '|', NULL: nothing
};

// Splits at blanks. A word that begins (behind a '-' or '>') with a quotation mark reaches to the next one.
// Fails when that is missing.
int ht_prompt_split(const char *text, struct ht_prompt_line *ret_line);
void ht_prompt_line_free(struct ht_prompt_line *line);

// settings.c: the settings by name.

// An option that the prompt can change, as typed ('_' or '-'), or NULL.
const struct ht_option *ht_prompt_option(const char *name, size_t length);

// Whether there is an option of this name, also one that only counts when the profile is loaded.
bool ht_prompt_knows(const char *name, size_t length);

// Whether an option stands alone: a switch, or one of several words of which the last counts.
bool ht_prompt_stands_alone(const struct ht_option *option);

// Sets "name" or "name=value" in *settings, checked against the profile. Prints the error and returns -1 on
// failure; *settings is then unchanged.
int ht_prompt_set(struct ht_prompt *prompt, struct ht_report_settings *settings, const char *assignment);

// A word that is a sample type (or total_TYPE, mean_TYPE): selects it in the prompt's settings. False if it
// is none.
bool ht_prompt_select(struct ht_prompt *prompt, const char *word);

void ht_prompt_print_options(const struct ht_prompt *prompt);

// request.c: what a line asks for. Errors are printed, and noted in the prompt.

// A report, beside the settings.
struct ht_prompt_request {
    const struct ht_report_kind *kind;
    struct ht_report_settings settings;
    const char *expression, *focus, *ignore;
};

// The report that a word names, its digits behind ("top10") as a word of its own.
const struct ht_report_kind *ht_prompt_find_report(const char *word, int64_t *ret_number);

// The words behind a report's name; kind and settings are the caller's. Texts are those of the line or of the
// prompt.
int ht_prompt_read_request(struct ht_prompt *prompt, const struct ht_prompt_line *line,
                           struct ht_prompt_request *request);

// "name = value //: comment": true if the line is one, and the setting is then changed or the error told.
bool ht_prompt_assign(struct ht_prompt *prompt, const char *text);

// Prints an error, and returns -1.
int ht_prompt_fail(struct ht_prompt *prompt, const char *format, ...) __attribute__((format(printf, 2, 3)));

// complete.c: what a word could become.

struct ht_prompt_choices {
    char **items; // sorted, each once
    size_t count, capacity;
    size_t start; // they replace the text from here to the cursor
};

// For text[0 .. length), the part of the line in front of the cursor.
void ht_prompt_complete(const struct ht_prompt *prompt, const char *text, size_t length,
                        struct ht_prompt_choices *ret_choices);
// Length in bytes of what all choices begin with.
size_t ht_prompt_common(const struct ht_prompt_choices *choices);
void ht_prompt_choices_free(struct ht_prompt_choices *choices);

// Words that are commands of the prompt itself; ends with NULL.
extern const char *const ht_prompt_own_words[];

// lines.c: where lines come from.

// Starts reading; on a terminal with editing, completion and history where libedit is built in.
void ht_prompt_input_start(struct ht_prompt *prompt);
void ht_prompt_input_end(void);

// The next line without its end (free() it); NULL at the end. An interrupted line is "".
char *ht_prompt_input_next(void);

#endif
