// A live region as input of a report: a PID or a *.live file becomes a profile in memory.
#ifndef HT_INPUT_REGION_H
#define HT_INPUT_REGION_H

#include <stdbool.h>

struct ht_buffer;
struct ht_profile;

// Context: tool. Return 0, or -1 with the reason and the remedy in ht_error(), written to follow "PID: " or
// "FILE: ".

// "4242", or a name that ends with ".live".
bool ht_region_input_matches(const char *argument);

// The snapshot that `heaptap snap` would write, decoded.
int ht_region_input_load(const char *argument, struct ht_profile **ret_profile);

// The same, encoded (gzip'ed profile.proto), added to `out`.
int ht_region_input_encode(const char *argument, struct ht_buffer *out);

#endif
