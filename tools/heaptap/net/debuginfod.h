// Debug info from servers, for those who ask for it: never longer than they allow.
#ifndef HT_NET_DEBUGINFOD_H
#define HT_NET_DEBUGINFOD_H

#include <stdbool.h>
#include <stdint.h>

// Between begin and end ht_debuginfod_fetch() asks, when it was `wanted`, and all its downloads together take
// at most timeout_ns (in whole seconds). libdwfl, which would ask by itself, runs where it knows of no server
// (resolve/reader.c). Context: tool, one thread: libdebuginfod is told its limits by our environment.
void ht_debuginfod_begin(bool wanted, uint64_t timeout_ns);
void ht_debuginfod_end(void);

// The debug info of a build id (lower-case hex) as an open file; -1: not found, or no time is left. Needs
// libdebuginfod.
int ht_debuginfod_fetch(const char *build_id);

#endif
