// heaptap start: a program that was loaded dormant, or stopped, records from now on.
#include "cmd/control.h"

#include <inttypes.h>

static int command(int argc, char **argv)
{
    struct ht_control_result result = {0};
    struct ht_target target;
    int status = ht_cmd_control_one(argc, argv, ht_control_start, &result, &target);
    if (status != HT_PARSED)
        return status;
    char text[HT_RATE_TEXT_BYTES];
    ht_control_rate_text(result.old_rate_bytes, text);
    if (result.was_active != 0)
        ht_cmd_print("%s (%" PRIu32 ") is recording already, at rate %s", target.process.program,
                     target.process.pid, text);
    else
        ht_cmd_print("%s (%" PRIu32 ") records from now on, at rate %s%s", target.process.program,
                     target.process.pid, text,
                     result.first_active_ns == 0 ? "; blocks that it already holds stay unknown" : "");
    return ht_cmd_finish("start");
}

const struct ht_command ht_command_start = {
    .name = "start",
    .summary = "start recording in a program that was loaded dormant or stopped",
    .usage = "PID",
    .text =
        "Programs started with HEAPTAP_ACTIVE=0 or `heaptap run --dormant` record nothing until then. Blocks that are\n"
        "older than the first start are unknown to the profile, which says so; so is what was allocated while recording\n"
        "was stopped.\n",
    .examples = "  heaptap run --dormant ./server &\n"
                "  heaptap start 4242\n",
    .group = HT_GROUP_RUN,
    .options = ht_options_control,
    .run = command,
};
