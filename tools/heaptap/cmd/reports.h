// The reports by name: one table for the command line, the prompt, --help, the man pages and the completions.
#ifndef HT_CMD_REPORTS_H
#define HT_CMD_REPORTS_H

#include "view/reports.h"

extern const struct ht_report_kind ht_reports[]; // ends with an entry without name

// NULL: there is none of this name.
const struct ht_report_kind *ht_report_find(const char *name);

// What `go tool pprof` changes in the options for a kind of report: forced granularity, no trimming, limits
// by number. `node_count` and `node_fraction` below 0 stand for the defaults.
void ht_report_settle(const struct ht_report_kind *kind, struct ht_view_options *options);

#endif
