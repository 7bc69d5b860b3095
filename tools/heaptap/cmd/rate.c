// heaptap rate: shows or changes the rate of a running program.
#include "cmd/control.h"
#include "region/copy.h"

#include <fcntl.h>
#include <inttypes.h>

static int show_rate(const char *argument)
{
    struct ht_target target;
    struct ht_region_copy copy;
    if (ht_target_open(argument, O_RDONLY, &target) != 0)
        return ht_cmd_error("rate", "%s: %s", argument, ht_error());
    int read = ht_region_read(target.fd, &copy);
    ht_target_close(&target);
    if (read != 0)
        return ht_cmd_error("rate", "%s: %s", argument, ht_error());
    char rate[HT_RATE_TEXT_BYTES];
    ht_control_rate_text(copy.view.header->rate_bytes, rate);
    ht_cmd_print("%s", rate);
    ht_region_copy_free(&copy);
    return ht_cmd_finish("rate");
}

static int command(int argc, char **argv)
{
    struct ht_control_settings settings = {0};
    struct ht_operands operands;
    struct ht_control_result result = {0};
    struct ht_target target;
    int status = ht_cmd_parse("rate", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status;
    if (operands.count != 1 && operands.count != 2)
        return ht_cmd_usage_error("rate", "name one process and a size");
    if (operands.count == 1)
        return show_rate(operands.items[0]);
    if (ht_parse_size(operands.items[1], &result.new_rate_bytes) != 0)
        return ht_cmd_usage_error("rate", "%s", ht_error());
    if (result.new_rate_bytes == 0)
        return ht_cmd_usage_error("rate",
                                  "a rate of 0 bytes records nothing; 'heaptap stop %s' does that, and "
                                  "'heaptap rate %s 1' records every allocation",
                                  operands.items[0], operands.items[0]);
    status = ht_cmd_control("rate", operands.items[0], ht_control_rate, &result, &target);
    if (status != HT_PARSED)
        return status;
    char before[HT_RATE_TEXT_BYTES], after[HT_RATE_TEXT_BYTES];
    ht_control_rate_text(result.old_rate_bytes, before);
    ht_control_rate_text(result.new_rate_bytes, after);
    if (!settings.quiet)
        ht_cmd_print("%s (%" PRIu32 "): rate %s, was %s%s", target.process.program, target.process.pid, after,
                     before, result.was_active != 0 ? "" : " (not recording at present: 'heaptap start')");
    return ht_cmd_finish("rate");
}

const struct ht_command ht_command_rate = {
    .name = "rate",
    .summary = "show or change how often a running program is sampled",
    .usage = "PID [SIZE]",
    .text =
        "SIZE is the mean number of bytes between two samples: smaller is finer and costs more; 1 records every\n"
        "allocation. Each sample carries the rate it was drawn with, so figures stay unbiased over the change. Without\n"
        "SIZE the present rate is printed.\n",
    .examples = "  heaptap rate 4242\n"
                "  heaptap rate 4242 64K\n",
    .group = HT_GROUP_RUN,
    .options = ht_options_control,
    .run = command,
};
