// The rows of heaptap ps: which processes and regions, and what two looks at each say.
#ifndef HT_CMD_PS_ROWS_H
#define HT_CMD_PS_ROWS_H

#include "base/options.h"
#include "region/process.h"
#include "stats/live_set.h"

// One line of the table.
struct ht_ps_row {
    struct ht_process process;        // of a dead one: only pid, user, program and path
    char *note;                       // what stands in place of figures
    struct ht_live_set first, second; // empty where they are not compared: of the dead, and beyond a limit
    struct ht_estimate live;          // at the last look
    uint64_t first_ns, second_ns;     // CLOCK_MONOTONIC of the looks; second_ns 0: there was one
    char user[64], arguments[1024];   // arguments: as they are now
    uint64_t rss_bytes;               // 0: unknown
    uint64_t region_bytes;            // memory that it takes
    uint64_t rate_bytes;
    uint64_t health[HT_HEALTH_COUNT];
    char out_dir[sizeof((struct ht_region_header *)NULL)->out_dir + 1];
    bool alive;
    bool has_figures; // a region that could be read
    bool active, failed;
    enum ht_signal_owner signal_owner;
    int signal_number;
    bool is_compared; // its first look was kept
    bool noted;       // in the lines below the table
};

struct ht_ps_rows {
    struct ht_ps_row *items;
    size_t count, capacity;
    uint64_t kept_bytes; // of the first looks that are kept
};

// Context: tool. Messages about what was named and is not there go to standard error.

// Live processes: all, or those that were named, by pid or name. False: one of the named is not profiled.
bool ht_ps_collect_live(struct ht_ps_rows *rows, const struct ht_operands *operands);
// Regions of the dead that no row is about yet.
void ht_ps_collect_dead(struct ht_ps_rows *rows);
// The second look, after this time.
void ht_ps_look_again(struct ht_ps_rows *rows, uint64_t over_ns);
void ht_ps_free(struct ht_ps_rows *rows);

// Growth per minute; false: there was one look, or it is not the process's own.
bool ht_ps_growth(const struct ht_ps_row *row, struct ht_estimate *ret);
// Age of the process, ns; -1 unknown.
int64_t ht_ps_age(const struct ht_ps_row *row);

#endif
