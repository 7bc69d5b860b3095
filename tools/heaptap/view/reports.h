// What a report is, and the functions that write one each; the table of them is cmd/reports.
#ifndef HT_VIEW_REPORTS_H
#define HT_VIEW_REPORTS_H

#include "view/report.h"

// How a report is written.
struct ht_report_form {
    const char *name; // of the report
    bool json;
    bool colour;            // of a terminal
    int columns;            // names are cut to fit; 0: never
    const char *expression; // of the reports that take one; else NULL
    bool svg, root_on_top;  // flame: a static picture; an icicle
};

enum {
    HT_REPORT_EXPRESSION = 1, // the first operand is a regular expression
    HT_REPORT_OPTIONAL = 2,   // ... that may be left out
    HT_REPORT_BINARY = 4,     // not for a terminal
    HT_REPORT_UNTRIMMED = 8,  // shows everything, whatever --trim and the limits say
    HT_REPORT_LIMITED = 16,   // at most 80 nodes unless --nodecount says otherwise (the others: all)
    HT_REPORT_INLINES = 32,   // shows inlined frames, whatever --noinlines says
    HT_REPORT_AS_IS =
        128, // its writer gets names as they are: it escapes them, or what it writes is a profile
    HT_REPORT_FLAME = 64, // at most 20,000 frames, however small; the base is kept apart; --svg, --icicle
};

struct ht_report_kind {
    const char *name;
    unsigned flags;
    int granularity; // enum ht_granularity that it always has, or -1: the user's
    // Appends the report to *out. `report` is initialised: filters are applied, the total is known. Fails on
    // an expression that matches nothing or is none.
    int (*write)(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
};

// Each in a file of its name; peek is tree with an expression, text is top, flame is in flame/page.c, and svg
// draws what the report's name says: png, pdf, ps, gif, too.
int ht_write_flame(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_callgrind(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_dot(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_folded(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_list(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_svg(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_comments(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_proto(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_raw(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_tags(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_traces(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_tree(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);
int ht_write_top(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out);

#endif
