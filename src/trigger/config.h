// The environment of the shim, read once.
#ifndef HT_TRIGGER_CONFIG_H
#define HT_TRIGGER_CONFIG_H

#include "unwind/unwind.h"

#include <stdbool.h>
#include <stdint.h>

struct ht_config {
    char out_dir[1024]; // absolute; "" when not even the working directory is known
    uint64_t rate_bytes;
    bool active;
    int signal;            // 0: none
    uint64_t interval_ns;  // 0: off
    uint64_t growth_bytes; // 0: off
    bool exit;
    uint32_t keep;
    bool argv;
    char only[256];     // "": all
    char live_dir[256]; // "": off
    uint64_t memory_bytes;
    enum ht_unwind_mode unwind;
    uint32_t labels;
    uint64_t seed;   // 0: random
    uint64_t run_id; // 0: not under `heaptap run`
};

// Reads every HEAPTAP_ variable; a wrong value means the default and one line in the log, which is set up
// here too. Context: the first allocation or the constructor, once. The environment is not changed.
void ht_config_read(struct ht_config *ret_config);

// Whether `name` matches the glob (* and ?). Any context.
bool ht_glob_matches(const char *glob, const char *name);

// Parsers, for the tests: false when the whole of `text` is not one.
bool ht_config_parse_size(const char *text, uint64_t *ret_bytes);  // 512K, 1M, 2G, 100
bool ht_config_parse_duration(const char *text, uint64_t *ret_ns); // 500ms, 30s, 5m, 1h, 10 (seconds)
bool ht_parse_signal(const char *text, int *ret_signal);           // USR2, SIGUSR2, 12, none

#endif
