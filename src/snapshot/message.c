// Packs parts with protobuf-c into a staging buffer in front of the gzip stream; makes strings valid UTF-8.
#include "snapshot/message.h"

#include "record/hash.h"

#include <errno.h>
#include <string.h>

#define STAGING_BYTES (32u * 1024u)
#define REPLACEMENT   "\xEF\xBF\xBD" // U+FFFD

void ht_message_begin(struct ht_message *message, struct ht_sink *sink, struct ht_bump *memory)
{
    memset(message, 0, sizeof *message);
    message->staging = ht_bump_take(memory, STAGING_BYTES);
    message->strings.memory = memory;
    message->text = ht_bump_take(memory, HT_MESSAGE_TEXT_BYTES * (sizeof REPLACEMENT - 1) + 1);
    bool known = ht_numbers_at(&message->strings, 1) != NULL; // there is room for some, whatever follows
    message->error = message->staging == NULL || message->text == NULL || !known
                         ? -ENOMEM
                         : ht_gzip_begin(&message->gzip, sink, memory);
    // Index 0 must be the empty string.
    char *empty = (char[]){""};
    HT_PB_PROFILE part = PERFTOOLS__PROFILES__PROFILE__INIT;
    part.string_table = &empty;
    part.n_string_table = 1;
    ht_message_add(message, &part);
    message->string_count = 1;
}

static void ht_message_flush(struct ht_message *message)
{
    if (message->error == 0) {
        message->error = ht_gzip_write(&message->gzip, message->staging, message->staged_bytes);
    }
    message->staged_bytes = 0;
}

int ht_message_end(struct ht_message *message)
{
    ht_message_flush(message);
    if (message->error == 0) {
        message->error = ht_gzip_end(&message->gzip);
    }
    return message->error;
}

void ht_message_add(struct ht_message *message, const HT_PB_PROFILE *part)
{
    if (message->error != 0) {
        return;
    }
    size_t size_bytes = perftools__profiles__profile__get_packed_size(part);
    if (size_bytes > STAGING_BYTES) {
        message->error = -EMSGSIZE;
        return;
    }
    if (size_bytes > STAGING_BYTES - message->staged_bytes) {
        ht_message_flush(message);
    }
    // Packing into a buffer that is large enough takes no memory.
    perftools__profiles__profile__pack(part, message->staging + message->staged_bytes);
    message->staged_bytes += (uint32_t)size_bytes;
}

// Length of the valid UTF-8 sequence at `bytes` (RFC 3629: no surrogates, nothing overlong, at most
// U+10FFFF), or 0.
static size_t ht_utf8_sequence(const unsigned char *bytes, size_t left)
{
    if (bytes[0] < 0x80) {
        return 1;
    }
    size_t length = bytes[0] >= 0xF0 ? 4 : bytes[0] >= 0xE0 ? 3 : 2;
    if (bytes[0] < 0xC2 || bytes[0] > 0xF4 || length > left) {
        return 0;
    }
    unsigned char low = 0x80, high = 0xBF; // of the second byte
    switch (bytes[0]) {
    case 0xE0:
        low = 0xA0;
        break;
    case 0xED:
        high = 0x9F;
        break;
    case 0xF0:
        low = 0x90;
        break;
    case 0xF4:
        high = 0x8F;
        break;
    default:
        break;
    }
    if (bytes[1] < low || bytes[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

// Returns the length of the valid text.
static size_t ht_make_utf8(char *text, const char *bytes, size_t max_bytes)
{
    size_t used = 0;
    for (size_t i = 0; i < max_bytes && bytes[i] != '\0';) {
        size_t length = ht_utf8_sequence((const unsigned char *)bytes + i, max_bytes - i);
        if (length == 0) {
            memcpy(text + used, REPLACEMENT, sizeof REPLACEMENT - 1);
            used += sizeof REPLACEMENT - 1;
            i++;
        } else {
            memcpy(text + used, bytes + i, length);
            used += length;
            i += length;
        }
    }
    text[used] = '\0';
    return used;
}

// Of 64 bits: what was written cannot be compared any more. FNV-1a, and ht_mix for the high bits.
static uint64_t ht_hash_text(const char *text, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    }
    hash = ht_mix(hash, length);
    return hash != 0 ? hash : 1;
}

int64_t ht_message_string(struct ht_message *message, const char *bytes, size_t max_bytes)
{
    if (message->error != 0) {
        return 0;
    }
    if (max_bytes > HT_MESSAGE_TEXT_BYTES) {
        max_bytes = HT_MESSAGE_TEXT_BYTES;
    }
    size_t length = ht_make_utf8(message->text, bytes, max_bytes);
    if (length == 0) {
        return 0;
    }
    uint32_t *known = ht_numbers_at(&message->strings, ht_hash_text(message->text, length));
    if (known != NULL && *known != 0) {
        return *known;
    }
    if (known != NULL) {
        *known = message->string_count;
    }
    HT_PB_PROFILE part = PERFTOOLS__PROFILES__PROFILE__INIT;
    part.string_table = &message->text;
    part.n_string_table = 1;
    ht_message_add(message, &part);
    return message->string_count++;
}
