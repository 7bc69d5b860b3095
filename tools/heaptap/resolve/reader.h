// The process that reads ELF files and debug info for the command: started when it is first needed, with the
// rights of whose files they are, in a sandbox. Its crash, its hanging or a file that swells beyond all
// bounds cost the names of that file, and nothing else.
#ifndef HT_RESOLVE_READER_H
#define HT_RESOLVE_READER_H

#include "base/rights.h"
#include "elf/image.h"
#include "resolve/cache.h"
#include "resolve/resolve.h"
#include "resolve/wish.h"

#include <sys/types.h>

struct ht_reader {
    struct ht_owner owner;
    int socket; // 0: no process
    pid_t pid;
    unsigned deaths;
    uint64_t processor_ns, quiet_ns; // of its processor time, at the last look; for how long it stood still
};

// A file that the reader has open; one at a time. Of its own: the segments.
struct ht_reader_module {
    char build_id[HT_BUILD_ID_TEXT_BYTES]; // lower-case hex, "" if there is none
    struct ht_layout layout;
};

// Answers: by address, as the cache keeps them. `lacks`: what of its debug info cannot be read, NULL:
// nothing.
struct ht_reader_answers {
    struct ht_cache cache;
    bool has_dwarf, is_complete;
    char *lacks;
};

// Context: tool, one thread. Functions that return int fail with ht_error(), and with HT_READER_DIED if it
// was the reader that failed, not the file.
#define HT_READER_DIED (-2)

// Opens a file (fd is taken over). `wishes` says where the others are that belong to it, until the next is
// opened.
int ht_reader_open(struct ht_reader *reader, int fd, const char *name, const struct ht_wishes *wishes,
                   struct ht_reader_module *ret_module);
void ht_reader_module_free(struct ht_reader_module *module);

// Names for addresses (sorted) of the open file. with_names: readable ones as well, of HT_DEMANGLE_SIMPLE.
int ht_reader_resolve(struct ht_reader *reader, const uint64_t *addresses, size_t count, bool with_names,
                      const struct ht_reader_module *module, const struct ht_wishes *wishes,
                      struct ht_reader_answers *ret_answers);
void ht_reader_answers_free(struct ht_reader_answers *answers);

// Readable names of `count` symbols: free() each, NULL: it is none that can be made readable.
int ht_reader_demangle(struct ht_reader *reader, const char *const *symbols, size_t count,
                       enum ht_demangle mode, char **ret_names);

void ht_reader_end(struct ht_reader *reader);

#endif
