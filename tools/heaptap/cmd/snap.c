// heaptap snap: takes a snapshot of a program from outside, through its region, alive or dead.
#include "region/snap.h"
#include "cmd/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct snap_settings {
    const char *out;
};

static const struct ht_option option_table[] = {
    {"out", 'o', HT_OPT_STRING, offsetof(struct snap_settings, out), 0, "DIR",
     "write there (default: the program's own HEAPTAP_OUT)"},
    {"output", 0, HT_OPT_STRING, offsetof(struct snap_settings, out), 0, "DIR", NULL},
    {.name = NULL},
};

static bool snap_one(const char *argument, const char *directory)
{
    struct ht_target target;
    char path[PATH_MAX];
    if (ht_target_open(argument, O_RDONLY, &target) != 0) {
        ht_cmd_error("snap", "%s: %s", argument, ht_error());
        return false;
    }
    struct ht_snap snap = {.trigger = target.alive ? HT_TRIGGER_MANUAL : HT_TRIGGER_RECOVERED,
                           .directory = directory};
    int result = ht_snap_write(&target, &snap, path);
    ht_target_close(&target);
    ht_cmd_tell_notes("snap");
    if (result != 0)
        ht_cmd_error("snap", "%s: %s", argument, ht_error());
    else
        ht_cmd_print("%s", path);
    return result == 0;
}

static int command(int argc, char **argv)
{
    struct snap_settings settings = {0};
    struct ht_operands operands;
    int status = ht_cmd_parse("snap", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status;
    if (operands.count == 0)
        return ht_cmd_usage_error("snap", "name a process or a region file");
    char directory[PATH_MAX] = "";
    if (settings.out != NULL && settings.out[0] != '/') {
        char here[PATH_MAX];
        if (getcwd(here, sizeof here) == NULL)
            return ht_cmd_error("snap", "the working directory is gone; give -o an absolute path");
        if ((size_t)snprintf(directory, sizeof directory, "%s/%s", here, settings.out) >= sizeof directory)
            return ht_cmd_error("snap", "%s: the path is too long", settings.out);
    } else if (settings.out != NULL) {
        snprintf(directory, sizeof directory, "%s", settings.out);
    }
    bool all = true;
    struct ht_strings names = ht_target_names(operands.items, (size_t)operands.count);
    for (size_t i = 0; i < names.count; i++)
        all &= snap_one(names.items[i], settings.out != NULL ? directory : NULL);
    ht_target_names_free(&names);
    int finished = ht_cmd_finish("snap");
    return all ? finished : HT_EXIT_FAILED;
}

const struct ht_command ht_command_snap = {
    .name = "snap",
    .summary = "take a snapshot of a running program now",
    .usage = "[options] PID|NAME|FILE.live...",
    .text =
        "Reads the program's live region from outside, without stopping it, writes a profile where the program writes\n"
        "its own (HEAPTAP_OUT) or to -o DIR, and prints its path. This works whatever the program does with its signals.\n"
        "NAME stands for all profiled processes that are called so, unless a file here has that name.\n"
        "\n"
        "A region file left by a program that was killed becomes a normal profile with the trigger `recovered`; the file\n"
        "stays. As root, a file in the program's own directory is made with the rights of the program's user. For a\n"
        "program in a container the path leads through /proc/PID/root.\n"
        "\n"
        "A forked child that has recorded nothing holds at least what its parent still holds of before the fork: that\n"
        "is what its snapshot shows, and says so; `inherited` stands in its name. Any other program that has sampled nothing\n"
        "yet has no region, and no snapshot is taken of it.\n",
    .examples = "  heaptap snap 4242\n"
                "      prints /srv/prof/heaptap.server.4242.0003.manual.pb.gz\n"
                "  heaptap snap 4242 -o /tmp/prof\n"
                "  heaptap snap redis-server\n"
                "      of every process of this name\n"
                "  heaptap snap /dev/shm/heaptap.server.4242.9f3c.live\n"
                "      what a killed program held\n",
    .group = HT_GROUP_RUN,
    .options = option_table,
    .run = command,
};
