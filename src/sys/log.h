// What the shim says: one line per error to standard error or the file of HEAPTAP_LOG, or nothing.
#ifndef HT_SYS_LOG_H
#define HT_SYS_LOG_H

#include <stdbool.h>

enum ht_log_where { HT_LOG_STDERR, HT_LOG_NONE, HT_LOG_FILE };

// Once, at load. `path` is absolute and copied (HT_LOG_FILE only). Remembers what standard error is, so that
// nothing is written into a file that the host opens later under descriptor 2.
void ht_log_setup(enum ht_log_where where, const char *path, bool verbose);

// Writes "heaptap: WHAT: OBJECT: reason of ERROR\n" in one system call; `object` may be NULL, `error` 0 or an
// errno of either sign. Context: any but a sampled path (a slow reader of standard error would stall it);
// SIGPIPE and SIGXFSZ are kept away, errno untouched. The file is opened, appended to and closed.
void ht_log_error(const char *what, const char *object, int error);

// The same, only with HEAPTAP_VERBOSE=1.
void ht_log_note(const char *what, const char *object);

#endif
