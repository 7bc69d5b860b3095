// Rows of option tables that several commands have: the same names, meaning and words in all of them.
#ifndef HT_CMD_SHARED_OPTIONS_H
#define HT_CMD_SHARED_OPTIONS_H

#include "base/options.h"

// Each macro is rows of a struct ht_option table for a command whose settings are `type`; the other
// parameters are members of it, also nested ones (compare.filter).

// What the int behind the shorthands stands for, from 1 on.
extern const char *const ht_sample_shorthands[];

// clang-format off

#define HT_OPTION_TITLE(title) {title, 0, HT_OPT_HEADING, 0, 0, NULL, NULL}

// const char *index; int shorthand.
#define HT_OPTIONS_SAMPLE_TYPE(type, index, shorthand)                                                       \
    {"sample-index", 0, HT_OPT_STRING, offsetof(type, index), 0, "NAME",                                     \
     "one of the profile's values, by name or number"},                                                      \
    {"inuse-space", 0, HT_OPT_SET, offsetof(type, shorthand), 1, NULL,                                       \
     "live bytes (the default of heap profiles)"},                                                           \
    {"inuse-objects", 0, HT_OPT_SET, offsetof(type, shorthand), 2, NULL, "live objects"},                    \
    {"alloc-space", 0, HT_OPT_SET, offsetof(type, shorthand), 3, NULL, "all bytes ever allocated"},          \
    {"alloc-objects", 0, HT_OPT_SET, offsetof(type, shorthand), 4, NULL, "all objects ever allocated"}

// int granularity. The texts go behind the help of --functions and --lines: "" or " (default)".
#define HT_OPTIONS_GRANULARITY(type, granularity, at_functions, at_lines)                                    \
    {"functions", 0, HT_OPT_SET, offsetof(type, granularity), HT_BY_FUNCTIONS, NULL,                         \
     "a row for each function" at_functions},                                                                \
    {"filefunctions", 0, HT_OPT_SET, offsetof(type, granularity), HT_BY_FILEFUNCTIONS, NULL,                 \
     "a row for each function in each file"},                                                                \
    {"files", 0, HT_OPT_SET, offsetof(type, granularity), HT_BY_FILES, NULL, "a row for each source file"},  \
    {"lines", 0, HT_OPT_SET, offsetof(type, granularity), HT_BY_LINES, NULL,                                 \
     "a row for each source line" at_lines}

// struct ht_filter filter.
#define HT_OPTIONS_FILTER(type, filter)                                                                      \
    {"focus", 0, HT_OPT_STRING, offsetof(type, filter.focus), 0, "RE",                                       \
     "only stacks through a matching function, file or library"},                                            \
    {"ignore", 0, HT_OPT_STRING, offsetof(type, filter.ignore), 0, "RE", "without stacks through a match"},  \
    {"hide", 0, HT_OPT_STRING, offsetof(type, filter.hide), 0, "RE",                                         \
     "leave matching frames out of the stacks"},                                                             \
    {"show", 0, HT_OPT_STRING, offsetof(type, filter.show), 0, "RE",                                         \
     "leave all other frames out of the stacks"},                                                            \
    {"show-from", 0, HT_OPT_STRING, offsetof(type, filter.show_from), 0, "RE",                               \
     "leave out what is above the highest match"},                                                           \
    {"prune-from", 0, HT_OPT_STRING, offsetof(type, filter.prune_from), 0, "RE",                             \
     "leave out what is below the lowest match"},                                                            \
    {"tagfocus", 0, HT_OPT_STRING, offsetof(type, filter.tag_focus), 0, "TAG",                               \
     "only samples with a label: bytes=64kb:, thread=io"},                                                   \
    {"tagignore", 0, HT_OPT_STRING, offsetof(type, filter.tag_ignore), 0, "TAG",                             \
     "without samples with such a label"}

// bool leaf: of commands whose rows are call sites (stats/site.h).
#define HT_OPTIONS_LEAF(type, leaf)                                                                          \
    {"leaf", 0, HT_OPT_FLAG, offsetof(type, leaf), 0, NULL,                                                  \
     "take the frame next to the allocation, even in a container or the C library"}

// const char *trim_path.
#define HT_OPTIONS_TRIM_PATH(type, trim_path)                                                                \
    {"trim-path", 0, HT_OPT_STRING, offsetof(type, trim_path), 0, "DIRS",                                    \
     "take these prefixes off source file names (default: the current folder)"}

// struct ht_load load: how names are found.
#define HT_OPTIONS_NAMES(type, load)                                                                         \
    {"symbolize", 0, HT_OPT_STRING, offsetof(type, load.symbolize), 0, "HOW",                                \
     "local, remote (the URL's server), debuginfod or none: whom to ask for names"},         \
    {"demangle", 0, HT_OPT_STRING, offsetof(type, load.demangle), 0, "simple|templates|full|none",           \
     "how much of C++ and Rust names is shown"},                                                             \
    {"debug-dir", 0, HT_OPT_STRING, offsetof(type, load.resolve.debug_path), 0, "DIRS",                      \
     "folders with separate debug info, besides /usr/lib/debug (a list with ':')"},                          \
    {"no-cache", 0, HT_OPT_FLAG, offsetof(type, load.resolve.no_cache), 0, NULL,                             \
     "neither use nor fill the cache of names (see `heaptap symbolize`)"}

// struct ht_load load: how URLs are fetched.
#define HT_OPTIONS_URL(type, load)                                                                           \
    {"timeout", 0, HT_OPT_DURATION, offsetof(type, load.input.timeout_ns), 1, "TIME",                        \
     "give up after TIME (60s, or 1.5 times the seconds asked for)"},                                            \
    {"insecure", 0, HT_OPT_FLAG, offsetof(type, load.input.insecure), 0, NULL,                               \
     "accept any certificate, as https+insecure:// does"},                                                   \
    {"tls-ca", 0, HT_OPT_STRING, offsetof(type, load.input.authorities), 0, "FILE",                          \
     "the certificates to believe in (PEM)"},                                                                \
    {"tls-cert", 0, HT_OPT_STRING, offsetof(type, load.input.certificate), 0, "FILE",                        \
     "a certificate to show to servers (PEM)"},                                                              \
    {"tls-key", 0, HT_OPT_STRING, offsetof(type, load.input.key), 0, "FILE", "its private key (PEM)"}

// clang-format on

#endif
