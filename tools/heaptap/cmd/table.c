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
            "Starts PROGRAM with the profiler preloaded. Profiles go to the current directory or to -o DIR: one at\n"
            "exit, one for each SIGUSR2, and more by --interval and --growth. Programs that PROGRAM starts are profiled\n"
            "as well; --only picks some. Whatever is not given as an option can be set by the HEAPTAP_ variables.\n"
            "\n"
            "Programs that cannot be profiled are refused with the reason and the remedy: static, 32-bit and sanitizer\n"
            "builds, those that define malloc themselves, setuid and setgid programs, and those with file capabilities.\n"
            "\n"
            "The program keeps its terminal, its standard streams and its process group. Signals sent to heaptap by other\n"
            "processes are passed on (SIGCONT only to a stopped program); those that the terminal sends reach the program\n"
            "without help; one sent to the whole process group by another process arrives twice. When the program dies of a\n"
            "signal, its heap is saved from its live region as a profile with the trigger `recovered`.\n"
            "\n"
            "The exit status is the program's own, 128 plus the signal's number when it was killed, 126 when PROGRAM cannot\n"
            "be executed, 127 when there is no such program, and 125 when heaptap itself failed or refused.\n"
            "\n"
            "--interval takes its snapshots from outside, exactly on time, of the program and everything it started that is\n"
            "still below it in the process tree; what has sampled nothing yet is left out.\n",
        .examples = "  heaptap run ./server --port 8080\n"
                    "      profile the server; a profile is written when it exits\n"
                    "  heaptap run -o /tmp/prof --interval 30s --keep 20 -- ./server\n"
                    "      a snapshot every 30 seconds into /tmp/prof: the first and the newest 20 stay\n"
                    "  heaptap run --rate 1 -- ./unit_test\n"
                    "      record every allocation exactly\n"
                    "  heaptap run --only 'server*' -- ./start.sh\n"
                    "      leave out the shells and tools that the script runs\n",
        .options = ht_options_run,
        .mode = HT_PARSE_BEFORE_OPERAND,
        .run = ht_cmd_run,
    },
    {
        .name = "ps",
        .summary = "list the programs that are being profiled",
        .usage = "[options] [PID...]",
        .text =
            "Shows every process that has the profiler loaded: live heap (estimated from the samples), growth per minute,\n"
            "rate, age, the number of snapshots written and the memory that its region takes. Programs are read from outside;\n"
            "they notice nothing. Other users' processes need root.\n"
            "\n"
            "Growth is the change of the live heap between two looks (--over, 1 second apart by default), scaled to a minute.\n"
            "Blocks that live through both looks cancel exactly, so only what came and went in between makes noise; the\n"
            "figure after +- is one standard error of that. For a slow leak look longer: --over 1m. A change of less than\n"
            "the rate between the looks is mostly seen as 0. A leak over hours is for `heaptap diff` of two snapshots.\n"
            "\n"
            "-v adds where profiles go, and everything that was lost or estimated. --dead adds regions that dead processes\n"
            "left behind: `heaptap top FILE.live` shows what they held, `heaptap snap FILE.live` makes a profile of one.\n",
        .examples = "  heaptap ps\n"
                    "  heaptap ps -v 4242\n"
                    "  heaptap ps --over 1m\n"
                    "      growth over a whole minute\n"
                    "  heaptap ps --json --over 0\n"
                    "      figures for a script, without waiting\n",
        .options = ht_options_ps,
        .run = ht_cmd_ps,
    },
    {
        .name = "snap",
        .summary = "take a snapshot of a running program now",
        .usage = "[options] PID|FILE.live...",
        .text =
            "Reads the program's live region from outside, without stopping it, writes a profile where the program writes\n"
            "its own (HEAPTAP_OUT) or to -o DIR, and prints its path. This works whatever the program does with its signals.\n"
            "A region file left by a program that was killed becomes a normal profile with the trigger `recovered`; the file\n"
            "stays. As root, a file in the program's own directory is made with the rights of the program's user. For a\n"
            "program in a container the path leads through /proc/PID/root.\n"
            "\n"
            "A program that has sampled nothing yet has no region; its snapshot signal writes an empty profile all the same.\n",
        .examples = "  heaptap snap 4242\n"
                    "      prints /srv/prof/heaptap.server.4242.0003.manual.pb.gz\n"
                    "  heaptap snap 4242 -o /tmp/prof\n"
                    "  heaptap snap /dev/shm/heaptap.server.4242.9f3c.live\n"
                    "      what a killed program held\n",
        .options = ht_options_snap,
        .run = ht_cmd_snap,
    },
    {
        .name = "start",
        .summary = "start recording in a program that was loaded dormant or stopped",
        .usage = "PID",
        .text =
            "Programs started with HEAPTAP_ACTIVE=0 or `heaptap run --dormant` record nothing until then. Blocks that are\n"
            "older than the first start are unknown to the profile, which says so; so is what was allocated while recording\n"
            "was stopped.\n",
        .examples = "  heaptap run --dormant ./server &\n"
                    "  heaptap start 4242\n",
        .options = ht_options_start,
        .run = ht_cmd_start,
    },
    {
        .name = "stop",
        .summary = "stop recording new allocations in a running program",
        .usage = "PID",
        .text =
            "No new allocation is recorded from then on. Frees of recorded blocks are still seen, so that in-use figures\n"
            "stay true. The program keeps its profiler; `heaptap start` goes on.\n",
        .examples = "  heaptap stop 4242\n",
        .options = ht_options_stop,
        .run = ht_cmd_stop,
    },
    {
        .name = "rate",
        .summary = "show or change how often a running program is sampled",
        .usage = "PID [SIZE]",
        .text =
            "SIZE is the mean number of bytes between two samples: smaller is finer and costs more; 1 records every\n"
            "allocation. Each sample carries the rate it was drawn with, so figures stay unbiased over the change. Without\n"
            "SIZE the present rate is printed.\n",
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
