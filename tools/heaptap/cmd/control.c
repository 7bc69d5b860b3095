// What heaptap start, stop and rate share.
#include "cmd/control.h"

#include <fcntl.h>

const struct ht_option ht_options_control[] = {
    {"quiet", 'q', HT_OPT_FLAG, offsetof(struct ht_control_settings, quiet), 0, NULL,
     "print no confirmation"},
    {.name = NULL},
};

// Opens the one process that a control command is about; the exit status, or HT_PARSED to go on.
static int open_target(const char *name, const char *argument, struct ht_target *target)
{
    struct ht_strings names = ht_target_names((char *const[]){(char *)(uintptr_t)argument}, 1);
    bool is_one = names.count == 1;
    int opened = is_one ? ht_target_open(names.items[0], O_RDWR, target) : -1;
    ht_target_names_free(&names);
    if (!is_one)
        return ht_cmd_error(name,
                            "%s: several processes have this name; name one by its pid ('heaptap ps %s')",
                            argument, argument);
    if (opened != 0)
        return ht_cmd_error(name, "%s: %s", argument, ht_error());
    if (!target->alive) {
        ht_target_close(target);
        return ht_cmd_error(name,
                            "%s: its program has ended, so nothing can be switched; 'heaptap top %s' still "
                            "shows what it held",
                            argument, argument);
    }
    return HT_PARSED;
}

int ht_cmd_control(const char *name, const char *argument, void (*change)(struct ht_region_header *, void *),
                   struct ht_control_result *result, struct ht_target *ret_target)
{
    int status = open_target(name, argument, ret_target);
    if (status != HT_PARSED)
        return status;
    int applied = ht_control_apply(ret_target->fd, change, result);
    ht_target_close(ret_target);
    if (applied != 0)
        return ht_cmd_error(name, "%s: %s", argument, ht_error());
    if (result->failed != 0)
        return ht_cmd_error(name, "%s: recording was switched off for good after an error in %s; restart it",
                            argument, ret_target->process.program);
    return HT_PARSED;
}

int ht_cmd_control_one(int argc, char **argv, void (*change)(struct ht_region_header *, void *),
                       struct ht_control_result *result, struct ht_target *ret_target)
{
    struct ht_control_settings settings = {0};
    struct ht_operands operands;
    int status = ht_cmd_parse(argv[0], argc, argv, &settings, &operands);
    if (status == HT_PARSED && operands.count != 1)
        status = ht_cmd_usage_error(argv[0], "name one process");
    if (status == HT_PARSED)
        status = ht_cmd_control(argv[0], operands.items[0], change, result, ret_target);
    return status == HT_PARSED && settings.quiet ? HT_EXIT_DONE : status;
}
