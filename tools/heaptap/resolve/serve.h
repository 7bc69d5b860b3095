// The reader's side: a process that reads ELF files and debug info for the command.
#ifndef HT_RESOLVE_SERVE_H
#define HT_RESOLVE_SERVE_H

#include <stdint.h>

// The name that a reader is started with.
#define HT_READER_NAME "heaptap-reader"

// To be called first in main(): a process that was started as a reader serves, and ends here.
void ht_serve_if_reader(int argc, char **argv);

// Answers one question after the other until the socket ends. For the reader's process, and for tests that
// are both sides. `socket` stays open.
void ht_serve(int socket);

#endif
