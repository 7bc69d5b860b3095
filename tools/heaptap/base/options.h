// Command-line options as people type them: --sample-index=x, --sample_index x, -sample_index=x, -n20,
// anywhere.
#ifndef HT_BASE_OPTIONS_H
#define HT_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ht_option_kind {
    HT_OPT_FLAG,     // bool; also --no-NAME and --NAME=false
    HT_OPT_SET,      // int: NAME alone stores `value` (several names can share one int, the last one wins)
    HT_OPT_STRING,   // const char *, points into argv
    HT_OPT_LIST,     // struct ht_strings: every use appends
    HT_OPT_INT,      // int64_t
    HT_OPT_NUMBER,   // double
    HT_OPT_SIZE,     // uint64_t bytes: 512K, 1.5G
    HT_OPT_DURATION, // uint64_t ns: 30s, 200ms, 5m, 1h
    HT_OPT_HEADING,  // no option: `name` is the title of what follows in --help and the man page
};

// An option of a command. Tables end with an entry without name and are constant, so that --help, the man
// pages and the completions come from the same place as the parser.
struct ht_option {
    const char *name; // words joined by '-'; '_' is accepted for '-'
    char letter;      // one-letter form, or 0
    enum ht_option_kind kind;
    size_t offset;        // of the variable inside the command's settings
    int value;            // for HT_OPT_SET; HT_OPT_DURATION: not 0: a bare number is seconds
    const char *argument; // what the value is called in --help, NULL for flags
    const char *help;     // one line; NULL: works but is not listed (another spelling of a listed one)
};

struct ht_strings {
    const char **items;
    size_t count;
};

// What is left of argv after the options; points into argv, which the parser reorders.
struct ht_operands {
    char **items;
    int count;
};

enum ht_parse_mode {
    HT_PARSE_ANYWHERE,       // options may follow operands; "--" ends them
    HT_PARSE_BEFORE_OPERAND, // the first operand (or "--") ends the options: for `run PROGRAM -its -options`
};

// Context: tool. argv[0] is skipped. Stores into *settings, whose defaults the caller has set. Fails
// (ht_error()) on an unknown option (with the nearest known one), a missing, unwanted or unreadable value.
// --help and -h set *ret_help and end parsing.
int ht_options_parse(const struct ht_option *options, enum ht_parse_mode mode, int argc, char **argv,
                     void *settings, struct ht_operands *ret_operands, bool *ret_help);

// Sizes: digits with an optional fraction, then nothing, B, K, M, G or T (also KB, KiB, kb; 1024). Fails
// otherwise.
int ht_parse_size(const char *text, uint64_t *ret_bytes);

// Durations: digits with an optional fraction and ns, us, ms, s, m, h or d; of bare numbers only 0.
int ht_parse_duration(const char *text, uint64_t *ret_ns);

int ht_parse_int(const char *text, int64_t *ret);
int ht_parse_number(const char *text, double *ret);

// The entry of `names` (count of them) that is nearest to `word`, or NULL when none is near enough to
// suggest.
const char *ht_nearest(const char *word, const char *const *names, size_t count);

// Levenshtein distance in bytes with neighbouring swaps counted as one, cut off at 99.
int ht_edit_distance(const char *a, const char *b);

#endif
