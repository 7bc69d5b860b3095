// What the commands that switch a running program share: heaptap start, stop and rate.
#ifndef HT_CMD_CONTROL_H
#define HT_CMD_CONTROL_H

#include "cmd/command.h"
#include "region/control.h"
#include "region/target.h"

struct ht_control_settings {
    bool quiet;
};
extern const struct ht_option ht_options_control[];

// Makes a change in the region of the process that is named. HT_PARSED to go on (`target` is closed, and says
// whose it was), or the exit status after a message.
int ht_cmd_control(const char *name, const char *argument, void (*change)(struct ht_region_header *, void *),
                   struct ht_control_result *result, struct ht_target *ret_target);

// The same with the line of a command that takes one process and nothing else. Also 0 with --quiet, when it
// is done.
int ht_cmd_control_one(int argc, char **argv, void (*change)(struct ht_region_header *, void *),
                       struct ht_control_result *result, struct ht_target *ret_target);

#endif
