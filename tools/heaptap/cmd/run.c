// heaptap run: runs a program under the profiler, refuses what cannot work, and leaves its profiles behind.
#include "base/clock.h"
#include "base/memory.h"
#include "base/proc.h"
#include "cmd/command.h"
#include "cmd/run_gate.h"
#include "elf/check.h"
#include "launch/launch.h"
#include "launch/recovery.h"
#include "region/signal.h"
#include "snapshot/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct settings {
    struct ht_run_settings run;
    struct ht_run_gate gate;
};

#define AT(member)      offsetof(struct settings, run.member)
#define GATE_AT(member) offsetof(struct settings, gate.member)

static const struct ht_option option_table[] = {
    {"out", 'o', HT_OPT_STRING, AT(out), 0, "DIR", "where profiles go (default: the working directory)"},
    {"rate", 0, HT_OPT_SIZE, AT(rate_bytes), 0, "SIZE",
     "mean bytes between samples (default 512K); 1 records every allocation"},
    {"interval", 0, HT_OPT_DURATION, AT(interval_ns), 0, "TIME",
     "a snapshot of the program and its children every TIME"},
    {"growth", 0, HT_OPT_SIZE, AT(growth_bytes), 0, "SIZE",
     "a snapshot each time the live heap has grown by SIZE"},
    {"no-exit", 0, HT_OPT_FLAG, AT(no_exit), 0, NULL, "no snapshot at exit"},
    {"keep", 0, HT_OPT_INT, AT(keep), 0, "N",
     "keep the first and the newest N snapshots of a process (default 0: all)"},
    {"signal", 0, HT_OPT_STRING, AT(signal), 0, "NAME",
     "the signal that asks for a snapshot (default USR2; none: leave signals alone)"},
    {"dormant", 0, HT_OPT_FLAG, AT(dormant), 0, NULL, "record nothing until 'heaptap start PID'"},
    {"only", 0, HT_OPT_STRING, AT(only), 0, "GLOB",
     "profile only programs (children too) whose name matches"},
    {"labels", 0, HT_OPT_STRING, AT(labels), 0, "thread", "label samples with the name of their thread"},
    {"memory", 0, HT_OPT_SIZE, AT(memory_bytes), 0, "SIZE",
     "limit of the profiler's own memory (default 64M; 1G at rate 1)"},
    {"allocator", 0, HT_OPT_STRING, AT(allocator), 0, "NAME|PATH",
     "put another allocator below the profiler: jemalloc, tcmalloc, mimalloc, or a library"},
    {"unwind", 0, HT_OPT_STRING, AT(unwind), 0, "auto|cfi|fp|libunwind",
     "how stacks are walked (default auto)"},
    {"no-symbolize", 0, HT_OPT_FLAG, AT(no_symbolize), 0, NULL,
     "leave the profiles without names of functions"},
    {"fail-above", 0, HT_OPT_SIZE, GATE_AT(limit_bytes), 0, "SIZE",
     "exit with status 3 when more is live at the program's exit; records at rate 1"},
    {"ignore", 0, HT_OPT_STRING, GATE_AT(ignore), 0, "RE", "of that, without stacks through a match"},
    {"suppressions", 0, HT_OPT_STRING, GATE_AT(suppressions), 0, "FILE",
     "of that, without the stacks that FILE names, as LeakSanitizer does (leak:PATTERN)"},
    {"verbose", 'v', HT_OPT_FLAG, AT(verbose), 0, NULL,
     "say at the end what was written, also when stderr is not a terminal"},
    {.name = NULL},
};

// 0, or 125 after a message.
static int check_settings(const struct ht_run_settings *settings)
{
    static const char *const modes[] = {"auto", "cfi", "fp", "libunwind"};
    static const char *const labels[] = {"none", "thread", "user"};
    bool mode_known = settings->unwind == NULL, labels_known = settings->labels == NULL;
    for (size_t i = 0; settings->unwind != NULL && i < sizeof modes / sizeof *modes; i++)
        mode_known |= strcmp(settings->unwind, modes[i]) == 0;
    for (size_t i = 0; settings->labels != NULL && i < sizeof labels / sizeof *labels; i++)
        labels_known |= strcmp(settings->labels, labels[i]) == 0;
    bool signal_known = settings->signal == NULL || strcmp(settings->signal, "none") == 0;
    if (!signal_known) {
        char *end;
        const char *name =
            strncasecmp(settings->signal, "SIG", 3) == 0 ? settings->signal + 3 : settings->signal;
        long number = strtol(name, &end, 10);
        signal_known = *name != '\0' && *end == '\0' && number >= 1 && number <= 64;
        signal_known = signal_known || ht_signal_number(name) != 0;
    }
    if (mode_known && labels_known && signal_known && settings->keep >= -1 && settings->interval_ns != 0)
        return 0;
    if (!mode_known)
        ht_cmd_usage_error("run", "--unwind=%s: use auto, cfi, fp or libunwind", settings->unwind);
    else if (!labels_known)
        ht_cmd_usage_error("run", "--labels=%s: use thread, user or none", settings->labels);
    else if (!signal_known)
        ht_cmd_usage_error("run", "--signal=%s: no such signal; use a name like USR2, a number, or none",
                           settings->signal);
    else if (settings->keep < -1)
        ht_cmd_usage_error("run", "--keep=%" PRId64 ": use 0 (all) or a number of files", settings->keep);
    else
        ht_cmd_usage_error("run", "--interval=0: leave it out, or give a time like 30s");
    return HT_RUN_OWN_FAILURE;
}

// Makes the directory for profiles, so that a typing error shows now and not at the first snapshot.
static int prepare_out(struct ht_run_settings *settings, char directory[PATH_MAX])
{
    char here[PATH_MAX] = "";
    const char *given = settings->out;
    if (given == NULL)
        return 0;
    if (given[0] != '/' && getcwd(here, sizeof here) == NULL) {
        ht_cmd_error("run", "the working directory is gone; give -o an absolute path");
        return HT_RUN_OWN_FAILURE;
    }
    int length = snprintf(directory, PATH_MAX, "%s%s%s", here, given[0] != '/' ? "/" : "", given);
    if (length >= 1024) { // what a region's header holds
        ht_cmd_error("run", "-o %s: the path is too long", given);
        return HT_RUN_OWN_FAILURE;
    }
    struct stat stat_of;
    int made = ht_file_make_directory(directory);
    if (stat(directory, &stat_of) != 0) {
        ht_cmd_error("run", "-o %s: cannot be made: %s", directory, strerror(made != 0 ? -made : errno));
        return HT_RUN_OWN_FAILURE;
    }
    if (!S_ISDIR(stat_of.st_mode) || access(directory, W_OK | X_OK) != 0) {
        ht_cmd_error("run", "-o %s: %s; choose another directory", directory,
                     S_ISDIR(stat_of.st_mode) ? "nothing may be written there" : "is not a directory");
        return HT_RUN_OWN_FAILURE;
    }
    settings->out = directory;
    return 0;
}

// 0, or the exit status after a message. `about`: the ELF file that runs, of a script its interpreter.
static int find_program(const char *program, char path[PATH_MAX], char about[PATH_MAX])
{
    int status = ht_program_find(program, getenv("PATH"), path);
    if (status == HT_RUN_NOT_FOUND) {
        ht_cmd_error("run", "%s: no such program%s", program,
                     strchr(program, '/') == NULL ? " in PATH; for one in this directory write ./NAME" : "");
        return status;
    }
    if (status != 0) {
        struct stat stat_of;
        bool is_directory = stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode);
        ht_cmd_error("run", "%s: %s", path,
                     is_directory ? "is a directory, not a program"
                                  : "may not be executed; chmod +x makes it a program");
        return status;
    }
    struct ht_elf_caller caller = ht_elf_this_caller();
    enum ht_elf_verdict verdict = ht_elf_check_program(path, &caller, about);
    if (ht_elf_complaint(verdict) == NULL)
        return 0;
    if (verdict == HT_ELF_PRIVATE_MALLOC) {
        ht_warn("%s %s; %s", about, ht_elf_complaint(verdict), ht_elf_remedy(verdict));
        return 0;
    }
    ht_cmd_error("run", "%s %s; %s", about, ht_elf_complaint(verdict), ht_elf_remedy(verdict));
    return HT_RUN_OWN_FAILURE;
}

// What the callbacks need.
struct run {
    struct ht_recovery recovery;
    struct timespec started;   // CLOCK_REALTIME
    char unseen[NAME_MAX + 1]; // an allocator whose own functions are not seen; "": none
    struct ht_family_watcher watcher;
    struct ht_run_gate *gate;
};

static void say(const char *text)
{
    ht_cmd_say("run", "%s", text);
}

static void on_start(pid_t child, void *arg)
{
    struct run *run = arg;
    const char *directory = ht_run_live_directory(run->recovery.environment);
    struct ht_family family = {.live_directory = directory,
                               .run_id = run->recovery.settings->run_id,
                               .program = child,
                               .died = ht_recovery_save_member,
                               .arg = &run->recovery};
    run->watcher.control = -1;
    if (*directory != '\0')
        ht_family_watch(&family, &run->watcher);
}

static void on_tick(pid_t child, void *arg)
{
    struct run *run = arg;
    ht_recovery_snap_family(&run->recovery, child);
    ht_cmd_tell_notes("run");
}

// One line: how many profiles appeared in the directory meanwhile, and which is the newest.
static void report(const char *directory, const struct run *run)
{
    struct ht_written_files list = {0};
    ht_run_list_written(directory, run->started, &list);
    if (list.count == 0 && run->unseen[0] != '\0')
        ht_cmd_say("run", "no profile was written (what goes through %s's own functions is not seen)",
                   run->unseen);
    else if (list.count == 0)
        ht_cmd_say("run", "no profile was written (nothing was sampled; a lower --rate sees more)");
    else
        ht_cmd_say("run", "%zu profile%s in %s; heaptap top %s/%s", list.count, list.count == 1 ? "" : "s",
                   directory, directory, list.files[0].name);
    ht_run_free_written(&list);
}

static void on_end(pid_t child, const siginfo_t *info, void *arg)
{
    struct run *run = arg;
    char here[PATH_MAX];
    const char *directory = ht_proc_value_in(run->recovery.environment, "HEAPTAP_OUT");
    if (directory == NULL || *directory == '\0')
        directory = getcwd(here, sizeof here) != NULL ? here : "";
    ht_recovery_save_program(&run->recovery, child, info);
    ht_family_end(&run->watcher, info->si_code != CLD_EXITED);
    // Profiles leave the machine that made them: they carry their names with them.
    if (!run->recovery.settings->no_symbolize)
        ht_run_symbolize(directory, run->recovery.settings->run_id, run->started, say);
    if (run->recovery.talks)
        report(directory, run);
    ht_run_gate_find(run->gate, directory, child, run->recovery.settings->run_id, run->started);
}

// The companion that the program's allocator needs. Without it the program runs all the same.
static void find_companion(struct run *run, const char *about, struct ht_run_libraries *libraries)
{
    const char *verbose = getenv("HEAPTAP_VERBOSE");
    ht_run_find_companion(about, libraries);
    if (!libraries->is_missing)
        return;
    snprintf(run->unseen, sizeof run->unseen, "%s", libraries->of);
    if (run->recovery.settings->verbose || (verbose != NULL && strcmp(verbose, "1") == 0))
        ht_cmd_say("run", "operator new and the like of %s are not seen: its companion is not beside %s",
                   libraries->of, libraries->shim);
}

static int run_program(const struct ht_run_settings *settings, struct ht_run_gate *gate, const char *path,
                       const char *about, char **argv)
{
    char directory[PATH_MAX], shim[PATH_MAX], allocator[PATH_MAX];
    if (ht_proc_own_folder(directory) != 0 || ht_run_find_shim(directory, shim) != 0 ||
        (settings->allocator != NULL && ht_run_find_allocator(settings->allocator, allocator) != 0)) {
        ht_cmd_error("run", "%s", ht_error());
        return HT_RUN_OWN_FAILURE;
    }
    struct run run = {
        .recovery = {.settings = settings, .talks = settings->verbose || isatty(STDERR_FILENO), .say = say},
        .gate = gate};
    struct ht_run_libraries libraries = {.shim = shim,
                                         .allocator = settings->allocator != NULL ? allocator : NULL};
    find_companion(&run, about, &libraries);
    char *preload = ht_run_preload(&libraries, getenv("LD_PRELOAD"));
    bool outside = settings->interval_ns != HT_RUN_UNSET && *ht_run_live_directory(environ) != '\0';
    char **environment = ht_run_environment(environ, settings, preload, outside);
    run.recovery.environment = environment;
    ht_recovery_begin(&run.recovery);
    run.started = ht_timespec_of(ht_clock_ns(CLOCK_REALTIME_COARSE)); // the clock of file times
    struct ht_child child = {
        .path = path,
        .argv = argv,
        .environment = environment,
        .interval_ns = outside ? settings->interval_ns : 0,
        .started = on_start,
        .tick = on_tick,
        .ended = on_end,
        .say = say,
        .arg = &run,
    };
    ht_cmd_tell_notes("run"); // before the program's first word, and not again in what is forked from here
    int status = ht_child_run(&child);
    ht_recovery_end(&run.recovery);
    ht_run_environment_free(environment);
    free(preload);
    return ht_run_gate_judge(gate, argv[0], status, run.recovery.talks);
}

static uint64_t new_run_id(void)
{
    uint64_t id;
    if (getrandom(&id, sizeof id, GRND_NONBLOCK) != (ssize_t)sizeof id)
        id = (uint64_t)time(NULL) << 32 | (uint64_t)getpid();
    return (id & INT64_MAX) | 1; // neither "none" nor HT_RUN_UNSET
}

static int command(int argc, char **argv)
{
    struct settings settings = {
        .run = {.rate_bytes = HT_RUN_UNSET,
                .interval_ns = HT_RUN_UNSET,
                .growth_bytes = HT_RUN_UNSET,
                .memory_bytes = HT_RUN_UNSET,
                .keep = -1,
                .run_id = new_run_id()},
        .gate = {.limit_bytes = HT_RUN_UNSET},
    };
    struct ht_operands operands;
    char out[PATH_MAX], path[PATH_MAX], about[PATH_MAX];
    int status = ht_cmd_parse("run", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status == HT_EXIT_DONE ? status : HT_RUN_OWN_FAILURE;
    if (operands.count == 0) {
        ht_cmd_usage_error("run", "name the program to run");
        return HT_RUN_OWN_FAILURE;
    }
    status = check_settings(&settings.run);
    if (status == 0)
        status = ht_run_gate_prepare(&settings.gate, &settings.run);
    if (status == 0)
        status = find_program(operands.items[0], path, about);
    if (status == 0)
        status = prepare_out(&settings.run, out);
    if (status != 0)
        return status;
    // The parser has moved the operands to the front of argv: behind them stand options, not the end.
    char **program_argv = ht_alloc_zero((size_t)operands.count + 1, sizeof *program_argv);
    memcpy(program_argv, operands.items, (size_t)operands.count * sizeof *program_argv);
    status = run_program(&settings.run, &settings.gate, path, about, program_argv);
    ht_run_gate_free(&settings.gate);
    free(program_argv);
    return status;
}

const struct ht_command ht_command_run = {
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
        "jemalloc, tcmalloc, mimalloc and other allocators with an operator new of their own, chosen by --allocator or\n"
        "linked with PROGRAM, get a companion library of the profiler directly before them, which sees what they give\n"
        "out beside malloc. For a program that a script starts, name the program itself, or --allocator.\n"
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
        "--fail-above is a gate for build servers. All blocks that are still live when PROGRAM exits count, those that a\n"
        "static variable points to as well (unlike LeakSanitizer's), and those of its libraries: choose SIZE accordingly, or\n"
        "leave call sites out by --ignore and --suppressions. When they hold more than SIZE the call sites are listed, the\n"
        "largest first, and the exit status is 3. Every allocation is recorded then, unless --rate or HEAPTAP_RATE says\n"
        "otherwise: with samples it must be proven that SIZE is exceeded, by the lower end of the 95 % interval. Only the\n"
        "process of PROGRAM itself is judged, not those that it starts. A program that fails keeps its own status, and is\n"
        "not judged; without a profile of the exit the status is 125.\n"
        "\n"
        "--interval takes its snapshots from outside, exactly on time, of the program and everything it started that is\n"
        "still below it in the process tree; what has sampled nothing yet is left out.\n",
    .examples = "  heaptap run ./server --port 8080\n"
                "      profile the server; a profile is written when it exits\n"
                "  heaptap run -o /tmp/prof --interval 30s --keep 20 -- ./server\n"
                "      a snapshot every 30 seconds into /tmp/prof: the first and the newest 20 stay\n"
                "  heaptap run --rate 1 -- ./unit_test\n"
                "      record every allocation exactly\n"
                "  heaptap run --fail-above 64K --suppressions known.txt -- ./unit_test\n"
                "      fail when the tests leave more than that behind\n"
                "  heaptap run --only 'server*' -- ./start.sh\n"
                "      leave out the shells and tools that the script runs\n",
    .group = HT_GROUP_RUN,
    .options = option_table,
    .mode = HT_PARSE_BEFORE_OPERAND,
    .run = command,
};
