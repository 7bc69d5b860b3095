// The one table of commands: names, help by example, options and functions; and what every command shares.
#include "cmd/command.h"

#include "base/output.h"

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
            "without help; one sent to the whole process group by another process arrives twice.\n"
            "\n"
            "When the program or a process that it started dies of a signal (kill -9, out of memory, a crash), its heap is\n"
            "saved from its live region as a profile with the trigger `recovered`; of the processes below the program at\n"
            "most 64. So it is when the program itself leaves by _exit. How a process below it ended, kernels before\n"
            "Linux 6.15 do not always tell: there up to 8 that left by _exit may be saved as well.\n"
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
        .group = HT_GROUP_RUN,
        .options = ht_options_run,
        .mode = HT_PARSE_BEFORE_OPERAND,
        .run = ht_cmd_run,
    },
    {
        .name = "doctor",
        .summary = "say whether profiling will work, and what to change",
        .usage = "[options] PROGRAM|PID",
        .text =
            "Looks at a program (found in PATH as the shell does; a script is followed to its interpreter) or at a running\n"
            "process, at its libraries, at this machine and at the HEAPTAP_ variables, and prints one line for each check: ok,\n"
            "warning or problem, what was seen, and what to do about it. Nothing of the program is run; the profiler itself is\n"
            "tried on a program of our own.\n"
            "\n"
            "The last line says whether profiling will work: yes, partly (some memory stays unseen, or profiles cannot be\n"
            "written) or no. For a process it is about the process as it runs, and about a new start where that differs. The\n"
            "exit status is 0 for yes and partly, 1 for no.\n",
        .examples = "  heaptap doctor ./server\n"
                    "  heaptap doctor nginx\n"
                    "  heaptap doctor 4242\n"
                    "      why does this process show up nowhere? will SIGUSR2 take a snapshot?\n"
                    "  heaptap doctor --json ./server\n",
        .group = HT_GROUP_RUN,
        .options = ht_options_doctor,
        .run = ht_cmd_doctor,
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
            "left behind: `heaptap top FILE.live` shows what they held, `heaptap snap FILE.live` makes a profile of one.\n"
            "At most 8 of them and 256 MB stay for a user, the oldest go first; --dead --clean removes them all (in\n"
            "/dev/shm, or where HEAPTAP_LIVE says). Regions of living processes, of other users and of other pid\n"
            "namespaces are not touched.\n",
        .examples = "  heaptap ps\n"
                    "  heaptap ps -v 4242\n"
                    "  heaptap ps --over 1m\n"
                    "      growth over a whole minute\n"
                    "  heaptap ps --dead --clean\n"
                    "      remove what killed programs left in memory\n"
                    "  heaptap ps --json --over 0\n"
                    "      figures for a script, without waiting\n",
        .group = HT_GROUP_RUN,
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
        .group = HT_GROUP_RUN,
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
        .group = HT_GROUP_RUN,
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
        .group = HT_GROUP_RUN,
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
        .group = HT_GROUP_RUN,
        .options = ht_options_rate,
        .run = ht_cmd_rate,
    },
    {
        .name = "top",
        .summary = "show the functions that hold or allocate the most",
        .usage = "[options] FILE|PID|URL...",
        .text =
            "One row for each function: `flat` is what it holds or allocates itself, `cum` what it and everything that it\n"
            "calls do. The report is that of `go tool pprof -top`, with native names: ELF symbols and DWARF, inlined\n"
            "functions included.\n"
            "\n"
            "Reads pprof profiles of any writer (.pb.gz or plain), running processes (PID), regions of dead ones (*.live)\n"
            "and the URLs of /debug/pprof endpoints. Several inputs are added up. The program's own file may stand in front\n"
            "of them, where it is no longer at the path that the profile names.\n",
        .examples = "  heaptap top heap.pb.gz\n"
                    "      live bytes by function\n"
                    "  heaptap top --cum -n 20 heap.pb.gz\n"
                    "      the 20 functions below which the most is held\n"
                    "  heaptap top --alloc-space --lines heap.pb.gz\n"
                    "      all bytes ever allocated, by line\n"
                    "  heaptap top --focus parse 4242\n"
                    "      only stacks through functions, files or libraries that match, in process 4242\n"
                    "  heaptap top --diff-base first.pb.gz last.pb.gz\n"
                    "      what changed between the two\n"
                    "  heaptap top ./build/server heap.pb.gz\n"
                    "      names from this copy of the program\n"
                    "  heaptap top --seconds 10 host:6060/debug/pprof/profile\n"
                    "      where a Go server spends its time in the next 10 seconds\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "text",
        .summary = "the same as top",
        .usage = "[options] FILE|PID|URL...",
        .text = "pprof's other name for `heaptap top`.\n",
        .examples = "  heaptap text --cum heap.pb.gz\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "peek",
        .summary = "show who calls a function and what it calls",
        .usage = "[options] RE FILE|PID|URL...",
        .text =
            "For each function whose name matches the regular expression: its callers above it and its callees below, each\n"
            "with what of the function's value came that way. Nothing is left out as negligible.\n",
        .examples = "  heaptap peek '^parse_request$' heap.pb.gz\n"
                    "      from where is it called, and where does its memory go\n"
                    "  heaptap peek --alloc-space --lines strdup 4242\n"
                    "      the lines that call strdup in process 4242\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "tree",
        .summary = "show every function between its callers and callees",
        .usage = "[options] FILE|PID|URL...",
        .text =
            "The call graph as text: what `heaptap peek` shows of one function, of the 80 heaviest (or -n N).\n",
        .examples = "  heaptap tree heap.pb.gz\n"
                    "  heaptap tree --cum -n 20 --focus parse heap.pb.gz\n"
                    "      the 20 functions with the most below them, only what goes through parse\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "traces",
        .summary = "show every stack with its value and labels",
        .usage = "[options] FILE|PID|URL...",
        .text =
            "One block for each sample: its labels (among them `bytes`, the size of the objects), its value, and the stack\n"
            "from the allocation up to the program's start. Samples that differ only in a label stay apart.\n",
        .examples = "  heaptap traces --lines heap.pb.gz\n"
                    "      with file and line\n"
                    "  heaptap traces --focus cache_add --tagfocus bytes=64kb: heap.pb.gz\n"
                    "      only stacks through cache_add that hold objects of 64 kB or more\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "tags",
        .summary = "show the labels' values and what each of them holds",
        .usage = "[options] FILE|PID|URL...",
        .text =
            "For each label (bytes, thread, those set by the program): its values, the heaviest first, with their share.\n",
        .examples = "  heaptap tags heap.pb.gz\n"
                    "      which object sizes hold the memory\n"
                    "  heaptap tags --focus cache_add --tagshow thread heap.pb.gz\n"
                    "      which threads did the allocations below cache_add\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "raw",
        .summary = "dump a profile as text",
        .usage = "[options] FILE|PID|URL...",
        .text =
            "Everything that is in the profile: header, samples with all their values and labels, locations with address,\n"
            "functions, files and lines, and mappings with build ids. With --json the same for scripts.\n",
        .examples = "  heaptap raw heap.pb.gz | less\n"
                    "  heaptap raw --json --symbolize none heap.pb.gz\n"
                    "      as it is in the file, for a script\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "comments",
        .summary = "show a profile's comments: how it was recorded",
        .usage = "[options] FILE|PID|URL...",
        .text =
            "The comments of all inputs, each once. Those of heaptap's own profiles (# heaptap: key=value) say which process\n"
            "it was, when, at which rate, why the snapshot was taken, and what was lost.\n",
        .examples = "  heaptap comments heap.pb.gz\n"
                    "  heaptap comments heap.pb.gz | grep rate=\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "proto",
        .summary = "write what filters leave of a profile, or several merged, as a profile",
        .usage = "[options] -o OUT.pb.gz FILE|PID|URL...",
        .text =
            "The output is a gzip'ed profile.proto with names, readable by every tool that reads pprof profiles. All sample\n"
            "types stay in it.\n",
        .examples = "  heaptap proto -o all.pb.gz heaptap.server.*.exit.pb.gz\n"
                    "      the sum of several processes\n"
                    "  heaptap proto --focus parse -o parse.pb.gz 4242\n"
                    "      only stacks through parse, of the running process 4242\n"
                    "  heaptap proto --base first.pb.gz last.pb.gz > growth.pb.gz\n"
                    "      the difference of two profiles as one\n",
        .group = HT_GROUP_SHARE,
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "symbolize",
        .summary = "write a profile that carries the names of its functions",
        .usage = "[options] -o OUT.pb.gz FILE|PID|URL",
        .text =
            "Function, file, line and the chain of inlined functions for every address that has none yet, so that any viewer\n"
            "on any machine shows them. `heaptap run` does it by itself with the profiles of its program.\n"
            "\n"
            "Names come from debug info (in the file, or found by build id or debug link in its folder, in /usr/lib/debug and in\n"
            "--debug-dir), from symbol tables (also .gnu_debugdata), and, for code that a program made itself, from its\n"
            "/tmp/perf-PID.map (node --perf-basic-prof, java with perf-map-agent). A file that changed since the profile was\n"
            "taken is known by its build id and never used. Servers are asked only with --debuginfod.\n"
            "\n"
            "What was read from debug info is kept in $XDG_CACHE_HOME/heaptap/symbols or ~/.cache/heaptap/symbols, a file of at\n"
            "most 64 MB for each build id and 512 MB in all (the oldest go), and used by all reports.\n",
        .examples = "  heaptap symbolize heap.pb.gz -o named.pb.gz\n"
                    "  heaptap symbolize heap.pb.gz -o heap.pb.gz\n"
                    "      in place: the file is replaced when the new one is whole\n"
                    "  heaptap symbolize --debug-dir ./debug -v heap.pb.gz -o named.pb.gz\n"
                    "      debug info kept elsewhere; says where the names of each module came from\n"
                    "  heaptap symbolize --debuginfod --debuginfod-timeout 1m heap.pb.gz -o named.pb.gz\n"
                    "      ask the servers of DEBUGINFOD_URLS for what is not here\n",
        .group = HT_GROUP_SHARE,
        .options = ht_options_symbolize,
        .run = ht_cmd_symbolize,
    },
    {
        .name = "list",
        .summary = "show the source of functions with the value of each line",
        .usage = "[options] RE FILE|PID|URL...",
        .text =
            "The source of every function whose name matches RE; in front of each line its own value (flat) and that with what\n"
            "it calls (cum).\n"
            "\n"
            "Absolute file names of the profile are opened as they are, relative ones are looked for in the folders of\n"
            "--source-path (default: the current one) and in all folders above them. --trim-path takes prefixes off that come\n"
            "from another machine. The files are taken as they are now: a listing of changed sources is shifted.\n",
        .examples =
            "  heaptap list '^parse_request$' heap.pb.gz\n"
            "      which line of it holds the memory\n"
            "  heaptap list --alloc-space cache_ 4242\n"
            "      functions with cache_ in their name, all that they ever allocated, of process 4242\n"
            "  heaptap list --trim-path /build/server-1.2 --source-path ~/src/server main heap.pb.gz\n"
            "      the program was built elsewhere\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "dot",
        .summary = "write the call graph in Graphviz's language",
        .usage = "[options] FILE|PID|URL...",
        .text =
            "Boxes are functions (or what --lines and its like say), their letters as large as their own value; arrows are\n"
            "calls, dotted where functions in between are left out. At most 80 boxes, unless -n says otherwise.\n",
        .examples = "  heaptap dot heap.pb.gz | dot -Tpng -o heap.png\n"
                    "  heaptap dot --focus parse_request --call-tree heap.pb.gz > parse.dot\n"
                    "      a box for each way that leads to a function\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "svg",
        .summary = "draw the call graph as a picture, with Graphviz",
        .usage = "[options] -o OUT.svg FILE|PID|URL...",
        .text =
            "What `heaptap dot` writes, drawn by Graphviz's program `dot` (Debian: apt install graphviz).\n",
        .examples = "  heaptap svg -o heap.svg heap.pb.gz\n"
                    "  heaptap svg --diff-base first.pb.gz -o growth.svg last.pb.gz\n"
                    "      red is growth, green is less\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "callgrind",
        .summary = "write the call graph for KCachegrind and callgrind_annotate",
        .usage = "[options] FILE|PID|URL...",
        .text = "All functions, addresses and calls, in the format of valgrind's tool callgrind.\n",
        .examples = "  heaptap callgrind -o callgrind.out.heap heap.pb.gz && kcachegrind callgrind.out.heap\n"
                    "  heaptap callgrind --alloc-objects -o callgrind.out.heap 4242\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "folded",
        .summary = "write folded stacks for flamegraph.pl and speedscope",
        .usage = "[options] FILE|PID|URL...",
        .text =
            "A line for each stack: its functions from the root to the allocation, joined by ';', a blank and the value. In names\n"
            "';' becomes ':' and a blank '_'. --tagroot and --tagleaf put labels into the stacks.\n",
        .examples = "  heaptap folded heap.pb.gz | flamegraph.pl --countname bytes > heap.svg\n"
                    "  heaptap folded --alloc-objects --tagroot thread heap.pb.gz > heap.folded\n"
                    "      one tree for each thread; speedscope opens the file\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "flame",
        .summary = "draw a flame graph: one page for the browser, or a picture",
        .usage = "[options] [--base OLD] -o OUT.html FILE|PID|URL...",
        .text =
            "Every stack as a pile of frames, as wide as what it holds. The page needs no network and no server: open it from\n"
            "the file. It zooms, searches, switches between the profile's sample types, and shows the root at the bottom or on\n"
            "top. With --base, red frames grew and blue ones shrank since OLD; widths are those of now, of before, or of the\n"
            "change.\n"
            "\n"
            "At most 20,000 frames are drawn (--nodecount N; --nodefraction X leaves out those below a part of all,\n"
            "--no-trim nothing); the page lists what was left out. --svg draws one sample type as a static picture, --json\n"
            "writes the tree for scripts. --tagroot and --tagleaf put labels into the stacks.\n",
        .examples = "  heaptap flame -o heap.html heap.pb.gz\n"
                    "      then open heap.html in a browser\n"
                    "  heaptap flame --base first.pb.gz -o growth.html last.pb.gz\n"
                    "      what grew is red\n"
                    "  heaptap flame --tagroot thread -o threads.html 4242\n"
                    "      one tree for each thread of process 4242\n"
                    "  heaptap flame --svg --alloc-space -o heap.svg heap.pb.gz\n"
                    "      a picture for a document\n",
        .options = ht_options_report,
        .run = ht_cmd_report,
    },
    {
        .name = "diff",
        .summary = "show what grew between two snapshots, the leak on top",
        .usage = "[options] OLD NEW|PID",
        .text =
            "One row for each allocating call site, sorted by growth of live bytes: old, new, change, and change per\n"
            "minute from the times of the two profiles. The call site is the caller nearest to the allocation that is not\n"
            "the C or C++ library or a wrapper with malloc, calloc, realloc, palloc or zalloc in its name (g_malloc0);\n"
            "--leaf takes those as well. NEW may be a running process.\n"
            "\n"
            "Below the table: the stack of the largest growth (--paths N: of the first N rows). What grew between two\n"
            "snapshots may still be a cache that fills: compare later ones before calling it a leak.\n",
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
    printf("heaptap %s: %s\n\nusage: heaptap %s %s\n", command->name, command->summary, command->name,
           command->usage);
    if (command->examples != NULL)
        printf("\nexamples:\n%s", command->examples);
    printf("\n%s\noptions:\n", command->text);
    for (const struct ht_option *option = command->options; option->name != NULL; option++)
        if (option->kind == HT_OPT_HEADING)
            printf("\n %s\n", option->name);
        else if (option->help != NULL)
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
    if (find_command(name) == NULL) // the prompt
        ht_cmd_error(name, "%s", text);
    else
        ht_cmd_error(name, "%s%s 'heaptap %s --help'", text, is_question ? " See" : "; see", name);
    return HT_EXIT_USAGE;
}

// `error`: errno of the first write that failed, 0: none has, as far as we know.
static int finish(const char *name, int error)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return HT_EXIT_DONE;
    if (error == 0)
        error = errno != 0 ? errno : EIO;
    return error == EPIPE ? HT_EXIT_DONE : ht_cmd_error(name, "cannot write the output: %s", strerror(error));
}

int ht_cmd_finish(const char *name)
{
    return finish(name, 0);
}

int ht_cmd_write(const char *name, const char *output, const struct ht_buffer *text)
{
    if (output != NULL && strcmp(output, "-") != 0)
        return ht_output_write(output, text->data, text->length) < 0
                   ? ht_cmd_error(name, "%s: %s", output, ht_error())
                   : HT_EXIT_DONE;
    int error = text->stream_error;
    if (fwrite(text->data, 1, text->length, stdout) < text->length && error == 0)
        error = errno;
    return finish(name, error);
}
