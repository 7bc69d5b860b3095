// Debug info from servers, for those who ask for it: never longer than they allow.
#ifndef HT_NET_DEBUGINFOD_H
#define HT_NET_DEBUGINFOD_H

#include <stdbool.h>
#include <stdint.h>

// libdwfl asks servers by itself whenever DEBUGINFOD_URLS is set, up to 90 seconds for each question and the
// same question again and again. Between begin and end it does not know about them; ht_debuginfod_fetch()
// asks, when it was `wanted`, and all its downloads together take at most timeout_ns (in whole seconds).
// Context: tool, one thread: it is the environment that changes.
void ht_debuginfod_begin(bool wanted, uint64_t timeout_ns);
void ht_debuginfod_end(void);

// The debug info of a build id (lower-case hex) as an open file; -1: not found, or no time is left. Needs
// libdebuginfod.
int ht_debuginfod_fetch(const char *build_id);

#endif
