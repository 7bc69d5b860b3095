// Writes JSON: stable, one line per array element at the top levels, always valid UTF-8 without control
// characters (base/text.h has them).
#ifndef HT_BASE_JSON_H
#define HT_BASE_JSON_H

#include "base/memory.h"

#include <stdbool.h>

// All zero but `out` is ready. Context: tool; pure (writes into the buffer). A key is NULL inside arrays.
struct ht_json {
    struct ht_buffer *out;
    int depth;
    bool has_member[32];
};

void ht_json_begin_object(struct ht_json *json, const char *key);
void ht_json_end_object(struct ht_json *json);
void ht_json_begin_array(struct ht_json *json, const char *key);
void ht_json_end_array(struct ht_json *json);
void ht_json_string(struct ht_json *json, const char *key, const char *value); // NULL writes null
void ht_json_int(struct ht_json *json, const char *key, int64_t value);
void ht_json_number(struct ht_json *json, const char *key, double value); // not finite writes null
void ht_json_bool(struct ht_json *json, const char *key, bool value);

#endif
