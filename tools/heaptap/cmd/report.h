// What all reports share on the command line and at the prompt: options, loading, writing.
#ifndef HT_CMD_REPORT_H
#define HT_CMD_REPORT_H

#include "cmd/command.h"
#include "input/load.h"
#include "view/reports.h"

struct ht_report_settings {
    const char *command; // for messages
    struct ht_view_options view;
    struct ht_load load;
    const char *output;             // NULL: standard output
    const char *granularity, *sort; // as pprof's prompt spells them: granularity=lines, sort=cum
    int sample_shorthand;
    bool mean_delay;
    const char *tools, *http;
    bool intel_syntax, show_columns, no_browser;
    bool is_plain; // neither colour nor cut names, also on a terminal
    bool json, svg, icicle;
};

#define HT_REPORT_SETTINGS_DEFAULT(name)                                                                     \
    {                                                                                                        \
        .command = name, .view = HT_VIEW_OPTIONS_DEFAULT,                                                    \
    }

// The function and the options of every report, for its row.
extern const struct ht_option ht_options_report[];
int ht_cmd_report(int argc, char **argv);

// By enum ht_granularity.
extern const char *const ht_granularity_names[];

// Options that are words for people become what the layers below understand. Returns HT_PARSED, or the exit
// status after a message.
int ht_report_interpret(struct ht_report_settings *settings);

// Makes one report of a profile, which is changed (filters), and writes it. Returns the exit status, after a
// message if that is not 0.
int ht_report_run(const struct ht_report_settings *settings, const struct ht_report_kind *kind,
                  const char *expression, struct ht_profile *profile);

#endif
