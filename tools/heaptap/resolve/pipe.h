// Messages between the command and its reader (resolve/reader.h), over a stream socket: a head, bytes, and
// maybe an open file.
#ifndef HT_RESOLVE_PIPE_H
#define HT_RESOLVE_PIPE_H

#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>

enum ht_message_type {
    // To the reader.
    HT_MESSAGE_OPEN,     // text: name; with the file
    HT_MESSAGE_RESOLVE,  // number: whether readable names are wanted; then numbers: addresses, sorted
    HT_MESSAGE_DEMANGLE, // number: enum ht_demangle; then texts
    HT_MESSAGE_FILE,     // with the file
    HT_MESSAGE_NO_FILE,  // nothing is at that place
    HT_MESSAGE_NO_MORE,  // and there are no more places
    // From it.
    HT_MESSAGE_FAILED, // text: why
    HT_MESSAGE_OPENED, // text: build id; numbers: is_debug_only, segments; the segments
    HT_MESSAGE_ANSWER, // numbers: has_dwarf, is_complete; text: what it lacks; a file of the cache
    HT_MESSAGE_NAMES,  // texts, "" for what stays as it is
    HT_MESSAGE_WANT,   // numbers: enum ht_wish_kind, ordinal; texts: name, folder, build id
    HT_MESSAGE_TYPES,
};

// The longest message; a reader that claims more is taken for broken.
#define HT_MESSAGE_LIMIT_BYTES (UINT64_C(1) << 30)

// Context: tool and reader. Functions that return int give 0, or -1 with errno: the other side is gone, or no
// message came. `file` is -1 where there is none.
int ht_message_send(int socket, enum ht_message_type type, const struct ht_buffer *content, int file);

// What was received: fields are taken off its front. Beyond the end everything is 0, "" and is_bad.
struct ht_message {
    enum ht_message_type type;
    struct ht_buffer content;
    size_t at;
    bool is_bad;
    int file; // -1: none; the receiver's to close
};

// Called when nothing has come for a second; not 0: the waiting ends (ETIMEDOUT). NULL: waits for ever.
typedef int (*ht_message_patience)(void *arg);
int ht_message_receive(int socket, ht_message_patience patience, void *arg, struct ht_message *ret_message);
void ht_message_free(struct ht_message *message);

void ht_message_put_number(struct ht_buffer *content, uint64_t number);
void ht_message_put_text(struct ht_buffer *content, const char *text);
uint64_t ht_message_number(struct ht_message *message);
const char *ht_message_text(struct ht_message *message);                // part of the message
const void *ht_message_bytes(struct ht_message *message, size_t bytes); // the same; NULL: not so many
static inline size_t ht_message_rest(const struct ht_message *message)
{
    return message->content.length - message->at;
}

#endif
