// Many snapshots as input of a report: folders, files and processes, told apart by process and in the order
// of time.
#ifndef HT_INPUT_SERIES_H
#define HT_INPUT_SERIES_H

#include "input/load.h"
#include "stats/series.h"

// One process's snapshots.
struct ht_series_of {
    struct ht_series series;
    char *key;     // names the process
    char *process; // for people: "webd 19974"
    uint32_t pid;  // as it names itself; 0: unknown
    uint64_t start_ticks;
    char boot_id[40];
};

struct ht_series_list {
    struct ht_series_of *items; // most snapshots first
    size_t count;
    size_t left_out; // snapshots written at an exit: they show what the exit left over
};

// Context: tool. An argument is a folder (its heaptap.*.pb.gz), a snapshot, or a process (the snapshots that
// it has written, and what it holds now). Files of a folder that cannot be read are left out with a warning.
// Fails if one that is named cannot be read, there is none, or the options are wrong.
int ht_series_load(const struct ht_load *load, const struct ht_series_options *options,
                   char *const *arguments, size_t count, struct ht_series_list *ret_list);
void ht_series_list_free(struct ht_series_list *list);

#endif
