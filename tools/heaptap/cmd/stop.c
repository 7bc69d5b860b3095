// heaptap stop: a running program records no new allocations.
#include "cmd/control.h"

#include <inttypes.h>

static int command(int argc, char **argv)
{
    struct ht_control_result result = {0};
    struct ht_target target;
    int status = ht_cmd_control_one(argc, argv, ht_control_stop, &result, &target);
    if (status != HT_PARSED)
        return status;
    if (result.was_active == 0)
        ht_cmd_print("%s (%" PRIu32 ") was not recording", target.process.program, target.process.pid);
    else
        ht_cmd_print("%s (%" PRIu32 ") records no new allocations; frees of recorded blocks are still seen",
                     target.process.program, target.process.pid);
    return ht_cmd_finish("stop");
}

const struct ht_command ht_command_stop = {
    .name = "stop",
    .summary = "stop recording new allocations in a running program",
    .usage = "PID",
    .text =
        "No new allocation is recorded from then on. Frees of recorded blocks are still seen, so that in-use figures\n"
        "stay true. The program keeps its profiler; `heaptap start` goes on.\n",
    .examples = "  heaptap stop 4242\n",
    .group = HT_GROUP_RUN,
    .options = ht_options_control,
    .run = command,
};
