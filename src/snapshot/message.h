// Pieces of a profile message, packed one after another: protobuf lets a message be written as the
// concatenation of its parts, so no part of a profile has to be held in memory.
#ifndef HT_SNAPSHOT_MESSAGE_H
#define HT_SNAPSHOT_MESSAGE_H

#include "profile.pb-c.h"
#include "snapshot/gzip.h"
#include "snapshot/numbers.h"

#include <stddef.h>
#include <stdint.h>

// Names of protoc-c, shortened.
#define HT_PB_PROFILE    Perftools__Profiles__Profile
#define HT_PB_VALUE_TYPE Perftools__Profiles__ValueType
#define HT_PB_SAMPLE     Perftools__Profiles__Sample
#define HT_PB_LABEL      Perftools__Profiles__Label
#define HT_PB_MAPPING    Perftools__Profiles__Mapping
#define HT_PB_LOCATION   Perftools__Profiles__Location
#define HT_PB_LINE       Perftools__Profiles__Line
#define HT_PB_FUNCTION   Perftools__Profiles__Function

#define HT_MESSAGE_TEXT_BYTES 4096u // longer strings are cut

// The first failure stays in `error` (a negative errno) and makes everything after it do nothing.
struct ht_message {
    struct ht_gzip gzip;
    uint8_t *staging; // packed, not yet deflated
    uint32_t staged_bytes;
    uint32_t string_count;
    struct ht_numbers strings; // hash of a string -> its index
    char *text;                // a string being made valid UTF-8
    int error;
};

// Context: exit, bare thread, tool.
void ht_message_begin(struct ht_message *message, struct ht_sink *sink, struct ht_bump *memory);
int ht_message_end(struct ht_message *message); // the first failure, or 0

// Appends a part, which must be small (one sample, one location, ...).
void ht_message_add(struct ht_message *message, const HT_PB_PROFILE *part);

// The index of a string in the table, where it is put when it is new (or where there is no memory to know);
// bytes that are no UTF-8 become U+FFFD (readers reject
// the whole profile otherwise), a NUL ends it. "" is always 0.
int64_t ht_message_string(struct ht_message *message, const char *bytes, size_t max_bytes);

#endif
