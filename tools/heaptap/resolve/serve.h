// The reader's side: a process that reads ELF files and debug info for the command.
#ifndef HT_RESOLVE_SERVE_H
#define HT_RESOLVE_SERVE_H

#include <stdint.h>

// The name that a reader is started with.
#define HT_READER_NAME "heaptap-reader"

// To be called first in main(): a process that was started as a reader answers one question after the other
// until its socket ends, and ends.
void ht_serve_if_reader(int argc, char **argv);

// The same without a process of its own, until the socket ends: for tests.
void ht_serve(int socket);

#endif
