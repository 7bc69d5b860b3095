// One-line errors and warnings: what went wrong, in words for a person, kept until cmd/ or prompt/ prints
// them.
#ifndef HT_BASE_ERROR_H
#define HT_BASE_ERROR_H

// Context: tool, any thread (the text is per thread). No function here fails.
// A function of a room below cmd/ that fails returns -1 after ht_fail(); the command prints ht_error() after
// the file or process that it was about. None of them writes to standard error.

// Formats the reason, without a newline and without the program's name. Always returns -1.
int ht_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// The same with ": " and the text of errno at the end.
int ht_fail_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

// That they return -1 stands where the compiler sees it. It would take what a caller sets only on success for
// unset otherwise, and say so when it inlines.
#define ht_fail(...)                                                                                         \
    __extension__({                                                                                          \
        ht_fail(__VA_ARGS__);                                                                                \
        -1;                                                                                                  \
    })
#define ht_fail_errno(...)                                                                                   \
    __extension__({                                                                                          \
        ht_fail_errno(__VA_ARGS__);                                                                          \
        -1;                                                                                                  \
    })

// The reason of this thread's last failure; valid until its next one.
const char *ht_error(void);

// What does not end the work, but is to be told beside its results: kept in order, each text once, until
// ht_notes_take(). Beyond 200 they are only counted. Context: tool, one thread.
enum ht_note {
    HT_NOTE_WARNING,
    HT_NOTE_ERROR, // a part of the work failed
};
void ht_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ht_note_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Hands them over, oldest first, and forgets them.
void ht_notes_take(void (*tell)(enum ht_note kind, const char *text, void *arg), void *arg);

// Ends the process with status 1, for what cannot be continued (no memory left), after telling why to whom
// ht_die_with() named.
void ht_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void ht_die_with(void (*tell)(const char *text));

#endif
