// The lines of `heaptap ps` about processes most of whose memory is not live heap.
#ifndef HT_CMD_UNSEEN_H
#define HT_CMD_UNSEEN_H

#include <stddef.h>
#include <stdint.h>

struct ht_unseen_row {
    uint32_t pid;
    const char *program;
    char *text; // stats/unseen.h; NULL: there is nothing to say
};

// One line for each program, with the words of its first process, on standard output.
void ht_unseen_print(const struct ht_unseen_row *rows, size_t count);

#endif
