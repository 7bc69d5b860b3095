// A live region as input of a report: a PID or a *.live file becomes a profile in memory.
#ifndef HT_INPUT_REGION_H
#define HT_INPUT_REGION_H

struct ht_profile;

// Context: tool. Returns 0, or -1 with the reason and the remedy in ht_error(), written to follow "PID: " or
// "FILE: ".

// The snapshot that `heaptap snap` would write, decoded.
int ht_region_input_load(const char *argument, struct ht_profile **ret_profile);

#endif
