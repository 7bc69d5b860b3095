// The whole profile as JSON, for the reports that leave nothing out.
#ifndef HT_VIEW_TEXT_RAW_H
#define HT_VIEW_TEXT_RAW_H

#include "view/report.h"

// Context: tool. Appends the report, whose name is given.
void ht_raw_json(const struct ht_report *report, const char *name, struct ht_buffer *out);

#endif
