// Where encoded bytes go: a file, a buffer, a socket.
#ifndef HT_SNAPSHOT_SINK_H
#define HT_SNAPSHOT_SINK_H

#include <stddef.h>

struct ht_sink {
    // 0, or a negative errno, which ends the encoding and is its result.
    int (*write)(void *arg, const void *bytes, size_t size_bytes);
    void *arg;
};

#endif
