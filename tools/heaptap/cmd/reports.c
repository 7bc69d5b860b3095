// The table of reports.
#include "cmd/reports.h"

#include "view/flame/flame.h"

#include <string.h>

const struct ht_report_kind ht_reports[] = {
    {"top", 0, -1, ht_write_top},
    {"text", 0, -1, ht_write_top},
    {"peek", HT_REPORT_EXPRESSION | HT_REPORT_UNTRIMMED, -1, ht_write_tree},
    {"tree", HT_REPORT_LIMITED, -1, ht_write_tree},
    {"traces", 0, -1, ht_write_traces},
    {"tags", 0, -1, ht_write_tags},
    {"raw", HT_REPORT_UNTRIMMED | HT_REPORT_INLINES, HT_BY_ADDRESSES, ht_write_raw},
    {"comments", HT_REPORT_UNTRIMMED, -1, ht_write_comments},
    {"proto", HT_REPORT_AS_IS | HT_REPORT_BINARY | HT_REPORT_UNTRIMMED | HT_REPORT_INLINES, HT_BY_ADDRESSES,
     ht_write_proto},
    {"flame", HT_REPORT_AS_IS | HT_REPORT_BINARY | HT_REPORT_FLAME, -1, ht_write_flame},
    {"list", HT_REPORT_EXPRESSION | HT_REPORT_UNTRIMMED, HT_BY_LINES, ht_write_list},
    {"dot", HT_REPORT_LIMITED, -1, ht_write_dot},
    {"svg", HT_REPORT_BINARY | HT_REPORT_LIMITED, -1, ht_write_svg},
    {"png", HT_REPORT_BINARY | HT_REPORT_LIMITED, -1,
     ht_write_svg}, // these four as options and at the prompt
    {"pdf", HT_REPORT_BINARY | HT_REPORT_LIMITED, -1, ht_write_svg},
    {"ps", HT_REPORT_BINARY | HT_REPORT_LIMITED, -1, ht_write_svg},
    {"gif", HT_REPORT_BINARY | HT_REPORT_LIMITED, -1, ht_write_svg},
    {"callgrind", HT_REPORT_UNTRIMMED | HT_REPORT_INLINES, HT_BY_ADDRESSES, ht_write_callgrind},
    {"folded", HT_REPORT_UNTRIMMED, -1, ht_write_folded},
    {.name = NULL},
};

const struct ht_report_kind *ht_report_find(const char *name)
{
    for (const struct ht_report_kind *kind = ht_reports; kind->name != NULL; kind++)
        if (strcmp(kind->name, name) == 0)
            return kind;
    return NULL;
}

void ht_report_settle(const struct ht_report_kind *kind, struct ht_view_options *options)
{
    enum { GRAPH_NODES = 80 };
    static const double NODE_FRACTION = 0.005;
    if (kind->granularity >= 0)
        options->granularity = kind->granularity;
    if (kind->flags & HT_REPORT_INLINES)
        options->noinlines = false;
    if (kind->flags & HT_REPORT_UNTRIMMED)
        options->trim = false;
    if (options->node_count < 0)
        options->node_count = kind->flags & HT_REPORT_LIMITED ? GRAPH_NODES
                              : kind->flags & HT_REPORT_FLAME ? HT_FLAME_NODES
                                                              : 0;
    if (options->node_fraction < 0)
        options->node_fraction = kind->flags & HT_REPORT_FLAME ? 0 : NODE_FRACTION;
    if (kind->flags & HT_REPORT_FLAME) // shows no labels, and one of them marks the base
        options->filter.tag_show = options->filter.tag_hide = NULL;
}
