// The one table of commands: names, help by example, options and functions; and what every command shares.
#include "cmd/cmd.h"

#include "base/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct ht_command ht_commands[] = {
    {
        .name = "run",
        .summary = "run a program under the profiler",
        .usage = "[options] [--] PROGRAM [ARGS...]",
        .text =
            "Starts PROGRAM with the profiler preloaded. Profiles go to the current directory or to -o DIR: "
            "one at\n"
            "exit, one for each SIGUSR2, and more by --interval. Signals and the exit status pass through.\n",
        .examples = "  heaptap run ./server --port 8080\n"
                    "      profile the server; a profile is written when it exits\n"
                    "  heaptap run -o /tmp/prof --interval 30s -- ./server\n"
                    "      a snapshot every 30 seconds into /tmp/prof\n"
                    "  heaptap run --rate 1 -- ./unit_test\n"
                    "      record every allocation exactly\n",
        .options = ht_options_run,
        .mode = HT_PARSE_BEFORE_OPERAND,
        .run = ht_cmd_run,
    },
    {
        .name = "ps",
        .summary = "list the programs that are being profiled",
        .usage = "[options] [PID...]",
        .text = "Shows every profiled process with its live heap, growth per minute, rate and age.\n",
        .examples = "  heaptap ps\n"
                    "  heaptap ps --json\n",
        .options = ht_options_ps,
        .run = ht_cmd_ps,
    },
    {
        .name = "snap",
        .summary = "take a snapshot of a running program now",
        .usage = "[options] PID|FILE.live...",
        .text = "Reads the program's live region from outside, without stopping it, writes a profile and "
                "prints its\n"
                "file name. A region file left by a program that was killed becomes a normal profile too.\n",
        .examples = "  heaptap snap 4242\n"
                    "      prints heaptap.server.4242.0003.manual.pb.gz\n"
                    "  heaptap snap 4242 -o /tmp/prof\n",
        .options = ht_options_snap,
        .run = ht_cmd_snap,
    },
    {
        .name = "start",
        .summary = "start recording in a program that was loaded dormant or stopped",
        .usage = "PID",
        .text = "Programs started with HEAPTAP_ACTIVE=0 record nothing until then. Blocks that are older "
                "than the start\n"
                "are unknown to the profile, which says so.\n",
        .examples = "  HEAPTAP_ACTIVE=0 LD_PRELOAD=libheaptap.so ./server &\n"
                    "  heaptap start $!\n",
        .options = ht_options_start,
        .run = ht_cmd_start,
    },
    {
        .name = "stop",
        .summary = "stop recording new allocations in a running program",
        .usage = "PID",
        .text = "Frees of blocks that were recorded are still seen, so that in-use figures stay true.\n",
        .examples = "  heaptap stop 4242\n",
        .options = ht_options_stop,
        .run = ht_cmd_stop,
    },
    {
        .name = "rate",
        .summary = "show or change how often a running program is sampled",
        .usage = "PID [SIZE]",
        .text =
            "SIZE is the mean number of bytes between two samples. Figures stay unbiased over the change.\n",
        .examples = "  heaptap rate 4242\n"
                    "  heaptap rate 4242 64K\n",
        .options = ht_options_rate,
        .run = ht_cmd_rate,
    },
    {
        .name = "top",
        .summary = "show the functions that hold or allocate the most",
        .usage = "[options] FILE|PID...",
        .text = "Reads pprof profiles of any writer (.pb.gz or plain), region files (*.live) and running "
                "processes.\n"
                "Several inputs are added up. The report is that of `go tool pprof -top`, with native names: "
                "ELF\n"
                "symbols and DWARF, inlined functions included.\n",
        .examples = "  heaptap top heap.pb.gz\n"
                    "      live bytes by function\n"
                    "  heaptap top --cum -n 20 heap.pb.gz\n"
                    "      the 20 functions below which the most is held\n"
                    "  heaptap top --alloc-space --lines heap.pb.gz\n"
                    "      all bytes ever allocated, by line\n"
                    "  heaptap top --focus parse 4242\n"
                    "      only stacks through functions, files or libraries that match, in process 4242\n"
                    "  heaptap top --diff-base first.pb.gz last.pb.gz\n"
                    "      what changed between the two\n",
        .options = ht_options_top,
        .run = ht_cmd_top,
    },
    {
        .name = "diff",
        .summary = "show what grew between two snapshots, the leak on top",
        .usage = "[options] OLD NEW",
        .text = "One row for each allocating call site (allocator wrappers left out), sorted by growth of "
                "live bytes:\n"
                "old, new, change, and change per minute from the times of the two profiles. NEW may be a "
                "running\n"
                "process.\n",
        .examples = "  heaptap diff first.pb.gz last.pb.gz\n"
                    "  heaptap diff --inuse-objects first.pb.gz last.pb.gz\n"
                    "      count objects instead of bytes\n"
                    "  heaptap diff --fail-above 1M/min first.pb.gz last.pb.gz\n"
                    "      exit with status 3 when the heap grows faster than that\n",
        .options = ht_options_diff,
        .run = ht_cmd_diff,
    },
    {.name = NULL},
};

static const struct ht_command *find_command(const char *name)
{
    for (const struct ht_command *command = ht_commands; command->name != NULL; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

static void print_option(const struct ht_option *option)
{
    char left[80];
    const char *argument = option->argument != NULL ? option->argument : "";
    const char *separator = option->argument != NULL ? " " : "";
    if (option->letter != 0)
        snprintf(left, sizeof left, "-%c, --%s%s%s", option->letter, option->name, separator, argument);
    else
        snprintf(left, sizeof left, "    --%s%s%s", option->name, separator, argument);
    if (strlen(left) > 28)
        printf("  %s\n  %-28s  %s\n", left, "", option->help);
    else
        printf("  %-28s  %s\n", left, option->help);
}

static void print_help(const struct ht_command *command)
{
    printf("heaptap %s: %s\n\nusage: heaptap %s %s\n\n%s", command->name, command->summary, command->name,
           command->usage, command->text);
    if (command->examples != NULL)
        printf("\nexamples:\n%s", command->examples);
    printf("\noptions:\n");
    for (const struct ht_option *option = command->options; option->name != NULL; option++)
        if (option->help != NULL)
            print_option(option);
    printf("  %-28s  %s\n", "-h, --help", "this text");
}

int ht_cmd_parse(const char *name, int argc, char **argv, void *settings, struct ht_operands *ret_operands)
{
    const struct ht_command *command = find_command(name);
    bool help = false;
    if (ht_options_parse(command->options, command->mode, argc, argv, settings, ret_operands, &help) < 0)
        return ht_cmd_usage_error(name, "%s", ht_error());
    if (help) {
        print_help(command);
        return ht_cmd_finish(name);
    }
    return HT_PARSED;
}

static void print_error(const char *name, const char *format, va_list args)
{
    char text[1536];
    vsnprintf(text, sizeof text, format, args);
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' '; // file names may hold anything; an error is one line
    fflush(stdout);
    fprintf(stderr, "heaptap: %s: %s\n", name, text);
}

int ht_cmd_error(const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_error(name, format, args);
    va_end(args);
    return HT_EXIT_FAILED;
}

int ht_cmd_usage_error(const char *name, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool is_question = text[0] != '\0' && text[strlen(text) - 1] == '?';
    ht_cmd_error(name, "%s%s 'heaptap %s --help'", text, is_question ? " See" : "; see", name);
    return HT_EXIT_USAGE;
}

int ht_cmd_finish(const char *name)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return HT_EXIT_DONE;
    if (errno == EPIPE)
        return HT_EXIT_DONE;
    return ht_cmd_error(name, "cannot write the output: %s", strerror(errno != 0 ? errno : EIO));
}
