// Whose the snapshot signal of a profiled process is: ours, or the program's own.
#ifndef HT_REGION_SIGNAL_H
#define HT_REGION_SIGNAL_H

#include "record/layout.h"

#include <stdbool.h>
#include <stdint.h>

// Context: tool. The kernel says what becomes of a signal, but nobody outside whose a handler is; so the
// process is asked, through its region. It answers at its next sample or free of a sampled block; one that
// does neither keeps its last answer.

// What becomes of a signal that is sent to a process.
enum ht_signal_state {
    HT_SIGNAL_IS_HANDLED, // by us or by the program
    HT_SIGNAL_IS_IGNORED,
    HT_SIGNAL_IS_BLOCKED, // in all threads: nobody but a sigwait or signalfd ever gets it
    HT_SIGNAL_IS_DEFAULT,
};

// By the text of /proc/PID/status and, unless pid is 0, the process's threads.
struct ht_buffer;
enum ht_signal_state ht_signal_state(uint32_t pid, const struct ht_buffer *status, int signal);

// HEAPTAP_SIGNAL (NULL: unset) as the shim reads it; 0: none.
int ht_signal_wanted(const char *value);

// Asks the process of the region `path`; false when it cannot be asked (not ours to write, gone). *ret_asked
// is for ht_signal_is_fresh.
bool ht_signal_ask(const char *path, uint32_t *ret_asked);

// Whether the header that was read later has the answer.
bool ht_signal_is_fresh(const struct ht_region_header *header, uint32_t asked);

// Asks and waits for the answer, timeout_ms at most. False: there is none; *ret_owner is then what it said
// last.
bool ht_signal_owner(const char *path, int timeout_ms, enum ht_signal_owner *ret_owner);

// What the process said last, against what the kernel says now: a signal that is ignored or at its default is
// that, and one that was and is handled since is the program's, for we never take it a second time.
enum ht_signal_owner ht_signal_owner_now(uint32_t pid, int signal, enum ht_signal_owner said);

// "SIGUSR2", "signal 40".
enum { HT_SIGNAL_NAME_BYTES = 32 };
void ht_signal_name(int number, char name[HT_SIGNAL_NAME_BYTES]);

// USR2, usr2: 12; 0: no such name.
int ht_signal_number(const char *name);

#endif
