// One-line errors: what went wrong, in words for a person, kept until somebody prints them.
#ifndef HT_BASE_ERROR_H
#define HT_BASE_ERROR_H

// Context: tool, any thread (the text is per thread). No function here fails.
// A function of base/, profile/, resolve/ or view/ that fails returns -1 after ht_fail(); the command prints
// ht_error() after the file or process that it was about.

// Formats the reason, without a newline and without the program's name. Always returns -1.
int ht_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// The same with ": " and the text of errno at the end.
int ht_fail_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

// The reason of this thread's last failure; valid until its next one.
const char *ht_error(void);

// Prints "heaptap: warning: ..." and a newline to standard error.
void ht_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Prints "heaptap: ..." and ends the process with status 1: for what cannot be continued (no memory left).
void ht_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
