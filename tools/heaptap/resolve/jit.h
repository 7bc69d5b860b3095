// Names for code that a program made while it ran, from the map that it wrote for perf.
#ifndef HT_RESOLVE_JIT_H
#define HT_RESOLVE_JIT_H

#include "resolve/locate.h"

struct ht_jit_query {
    uint64_t address; // of the process
    uint32_t tag;
    char *name; // found; free() it. NULL: none
};

// Context: tool. Reads /tmp/perf-PID.map (the process's own /tmp if it lives in a container) and names the
// queries, sorted by address. Where entries overlap the last one in the file counts: code is replaced. A file
// that is older than the process, or belongs to neither its reader nor root nor the profile's owner, with
// whose rights it is opened, is not used. Returns the number of names.
size_t ht_jit_resolve(const struct ht_origin *origin, struct ht_owner owner, const char *root,
                      struct ht_jit_query *queries, size_t count);

// The same from an open file, closed then.
size_t ht_jit_read(int fd, struct ht_jit_query *queries, size_t count);

#endif
