// heaptap run: runs a program under the profiler, refuses what cannot work, and leaves its profiles behind.
#include "launch/launch.h"

#include "base/folders.h"
#include "base/memory.h"
#include "cmd/command.h"
#include "cmd/symbolize.h"
#include "elf/check.h"
#include "region/snap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAVED_KILLED  64 // profiles of processes below the program that a signal killed, in one run
#define MAX_SAVED_UNKNOWN 8  // and of those of which only their parent knows how they ended
#define MAX_WATCHED       64 // processes below one run whose old interval snapshots are removed (--keep)

const struct ht_option ht_options_run[] = {
    {"out", 'o', HT_OPT_STRING, offsetof(struct ht_run_settings, out), 0, "DIR",
     "where profiles go (default: the working directory)"},
    {"rate", 0, HT_OPT_SIZE, offsetof(struct ht_run_settings, rate_bytes), 0, "SIZE",
     "mean bytes between samples (default 512K); 1 records every allocation"},
    {"interval", 0, HT_OPT_DURATION, offsetof(struct ht_run_settings, interval_ns), 0, "TIME",
     "a snapshot of the program and its children every TIME"},
    {"growth", 0, HT_OPT_SIZE, offsetof(struct ht_run_settings, growth_bytes), 0, "SIZE",
     "a snapshot each time the live heap has grown by SIZE"},
    {"no-exit", 0, HT_OPT_FLAG, offsetof(struct ht_run_settings, no_exit), 0, NULL, "no snapshot at exit"},
    {"keep", 0, HT_OPT_INT, offsetof(struct ht_run_settings, keep), 0, "N",
     "keep the first and the newest N snapshots of a process (default 0: all)"},
    {"signal", 0, HT_OPT_STRING, offsetof(struct ht_run_settings, signal), 0, "NAME",
     "the signal that asks for a snapshot (default USR2; none: leave signals alone)"},
    {"dormant", 0, HT_OPT_FLAG, offsetof(struct ht_run_settings, dormant), 0, NULL,
     "record nothing until 'heaptap start PID'"},
    {"only", 0, HT_OPT_STRING, offsetof(struct ht_run_settings, only), 0, "GLOB",
     "profile only programs (children too) whose name matches"},
    {"labels", 0, HT_OPT_STRING, offsetof(struct ht_run_settings, labels), 0, "thread",
     "label samples with the name of their thread"},
    {"memory", 0, HT_OPT_SIZE, offsetof(struct ht_run_settings, memory_bytes), 0, "SIZE",
     "limit of the profiler's own memory (default 64M; 1G at rate 1)"},
    {"allocator", 0, HT_OPT_STRING, offsetof(struct ht_run_settings, allocator), 0, "jemalloc",
     "put another allocator below the profiler"},
    {"unwind", 0, HT_OPT_STRING, offsetof(struct ht_run_settings, unwind), 0, "auto|cfi|fp|libunwind",
     "how stacks are walked (default auto)"},
    {"no-symbolize", 0, HT_OPT_FLAG, offsetof(struct ht_run_settings, no_symbolize), 0, NULL,
     "leave the profiles without names of functions"},
    {"verbose", 'v', HT_OPT_FLAG, offsetof(struct ht_run_settings, verbose), 0, NULL,
     "say at the end what was written, also when stderr is not a terminal"},
    {.name = NULL},
};

// What the callbacks need.
struct run {
    const struct ht_run_settings *settings;
    char *const *environment;
    struct timespec started; // CLOCK_REALTIME
    bool talks;              // at the end
    struct ht_family_watcher watcher;
    unsigned saved_killed, saved_unknown; // in the watching process
    bool limit_said;
    struct watched {
        uint32_t pid;
        uint64_t start_ticks;
        struct ht_rotation rotation;
    } * watched; // MAX_WATCHED, shared with the processes that tick; NULL: nothing is to be removed
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
        for (int i = 1; i < 32 && !signal_known; i++)
            signal_known = sigabbrev_np(i) != NULL && strcasecmp(sigabbrev_np(i), name) == 0;
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
static int prepare_out(const char *given, char directory[PATH_MAX])
{
    char here[PATH_MAX] = "";
    if (given[0] != '/' && getcwd(here, sizeof here) == NULL) {
        ht_cmd_error("run", "the working directory is gone; give -o an absolute path");
        return HT_RUN_OWN_FAILURE;
    }
    int length = snprintf(directory, PATH_MAX, "%s%s%s", here, given[0] != '/' ? "/" : "", given);
    if (length >= 1024) { // what a region's header holds
        ht_cmd_error("run", "-o %s: the path is too long", given);
        return HT_RUN_OWN_FAILURE;
    }
    ht_folders_make_above(directory);
    struct stat stat_of;
    if ((mkdir(directory, 0700) != 0 && errno != EEXIST) || stat(directory, &stat_of) != 0) {
        ht_cmd_error("run", "-o %s: cannot be made: %s", directory, strerror(errno));
        return HT_RUN_OWN_FAILURE;
    }
    if (!S_ISDIR(stat_of.st_mode) || access(directory, W_OK | X_OK) != 0) {
        ht_cmd_error("run", "-o %s: %s; choose another directory", directory,
                     S_ISDIR(stat_of.st_mode) ? "nothing may be written there" : "is not a directory");
        return HT_RUN_OWN_FAILURE;
    }
    return 0;
}

// 0, or the exit status after a message.
static int find_program(const char *program, char path[PATH_MAX])
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
    char about[PATH_MAX];
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

// "" when regions are off: then nothing can be read from outside.
static const char *live_directory(char *const *environment)
{
    const char *live = ht_run_variable(environment, "HEAPTAP_LIVE");
    if (live == NULL || *live == '\0' || strcmp(live, "on") == 0)
        return "/dev/shm";
    return live[0] == '/' ? live : "";
}

// Where profiles go, absolute; false when that is not known.
static bool profile_directory(const struct run *run, char ret_path[PATH_MAX])
{
    char here[PATH_MAX];
    const char *out = ht_run_variable(run->environment, "HEAPTAP_OUT");
    if (out != NULL && out[0] == '/')
        return (size_t)snprintf(ret_path, PATH_MAX, "%s", out) < PATH_MAX;
    if (getcwd(here, sizeof here) == NULL)
        return false;
    return (size_t)snprintf(ret_path, PATH_MAX, "%s%s%s", here, out != NULL && *out != '\0' ? "/" : "",
                            out != NULL ? out : "") < PATH_MAX;
}

// A worker that gave up root may not write where root made the directory. The directory that we were given is
// no word of the worker's: there the file is made with our rights.
static int write_snapshot(const struct run *run, const struct ht_target *target, struct ht_snap *snap,
                          char ret_path[PATH_MAX])
{
    char own[PATH_MAX];
    struct stat stat_of;
    struct ht_region_header header;
    if (geteuid() == 0 && target->stat.st_uid != 0 && profile_directory(run, own) &&
        stat(own, &stat_of) == 0 && stat_of.st_uid != target->stat.st_uid &&
        (stat_of.st_mode & S_IWOTH) == 0 &&
        pread(target->fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
        strncmp(header.out_dir, own, sizeof header.out_dir) == 0)
        snap->directory = own;
    int result = ht_snap_write(target, snap, ret_path);
    snap->directory = NULL;
    return result;
}

static struct ht_rotation *rotation_of(struct run *run, const struct ht_process *process)
{
    for (int i = 0; run->watched != NULL && i < MAX_WATCHED; i++) {
        struct watched *watched = &run->watched[i];
        if (watched->pid == 0) {
            watched->pid = process->pid;
            watched->start_ticks = process->start_ticks;
        }
        if (watched->pid == process->pid && watched->start_ticks == process->start_ticks)
            return &watched->rotation;
    }
    return NULL;
}

static void snap_process(struct run *run, uint32_t pid)
{
    char name[16], path[PATH_MAX];
    struct ht_target target;
    snprintf(name, sizeof name, "%" PRIu32, pid);
    if (ht_target_open(name, O_RDONLY, &target) != 0)
        return; // not profiled, or nothing sampled yet
    struct ht_snap snap = {.trigger = HT_TRIGGER_INTERVAL, .rotation = rotation_of(run, &target.process)};
    snap.keep = run->settings->keep > 0 ? (uint32_t)run->settings->keep : 0;
    write_snapshot(run, &target, &snap, path);
    ht_target_close(&target);
}

struct family {
    struct member {
        uint32_t pid, parent;
        bool ours;
    } * members;
    size_t count, capacity;
};

static void list_processes(struct family *family)
{
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
        struct member member = {.pid = (uint32_t)strtoul(entry->d_name, NULL, 10)};
        if (member.pid == 0 || !ht_process_stat(member.pid, &member.parent, NULL, NULL))
            continue;
        HT_RESERVE(family->members, family->capacity, family->count + 1);
        family->members[family->count++] = member;
    }
    if (proc != NULL)
        closedir(proc);
}

// In the ticking process: the program and everything below it.
static void on_tick(pid_t child, void *arg)
{
    struct run *run = arg;
    struct family family = {0};
    list_processes(&family);
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < family.count; i++) {
            struct member *member = &family.members[i];
            bool ours = member->pid == (uint32_t)child;
            for (size_t j = 0; !ours && j < family.count; j++)
                ours = family.members[j].ours && family.members[j].pid == member->parent;
            more |= ours && !member->ours;
            member->ours |= ours;
        }
    }
    for (size_t i = 0; i < family.count; i++)
        if (family.members[i].ours)
            snap_process(run, family.members[i].pid);
    free(family.members);
}

// The newest region that a dead child left, by its pid and start; false: none.
static bool find_leftover(struct run *run, uint32_t pid, uint64_t start_ticks,
                          struct ht_region_header *ret_header, char ret_path[PATH_MAX])
{
    bool found = false;
    char **paths;
    const char *directory = live_directory(run->environment);
    size_t count = *directory != '\0' ? ht_region_files(directory, &paths) : 0;
    for (size_t i = 0; i < count; i++) {
        struct ht_region_header header;
        struct stat stat;
        int fd = ht_region_open(paths[i], O_RDONLY, &stat);
        bool whole = fd >= 0 && pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
                     header.magic == HT_REGION_MAGIC;
        if (fd >= 0)
            close(fd);
        if (whole && header.pid == pid && header.start_ticks == start_ticks &&
            header.run_id == run->settings->run_id &&
            (!found || header.created_unix_ns > ret_header->created_unix_ns)) {
            found = true;
            *ret_header = header;
            ret_header->program[sizeof header.program - 1] = '\0';
            snprintf(ret_path, PATH_MAX, "%s", paths[i]);
        }
        free(paths[i]);
    }
    if (*directory != '\0')
        free(paths);
    return found;
}

// The program that ended, as the kernel names it, against the region's: after exec another program's region
// may be left.
static bool is_same_program(uint32_t pid, const struct ht_region_header *header)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/comm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, name, sizeof name - 1) : 0;
    if (fd >= 0)
        close(fd);
    name[got > 0 ? got : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    return strncmp(name, header->program, 15) == 0;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

// Makes a profile of a dead process's region and removes the region. Says so itself when that fails.
static bool save_region(const struct run *run, const char *program, const char *region,
                        char ret_path[PATH_MAX])
{
    struct ht_target target;
    struct ht_snap snap = {.trigger = HT_TRIGGER_RECOVERED};
    if (ht_target_open(region, O_RDONLY, &target) != 0) {
        ht_cmd_error("run", "%s: %s", region, ht_error());
        return false;
    }
    if (target.alive) { // its number and start are those of a living process after all
        ht_target_close(&target);
        return false;
    }
    int written = write_snapshot(run, &target, &snap, ret_path);
    ht_target_close(&target);
    if (written != 0) {
        ht_cmd_error("run", "%.64s died and its heap is kept in %s ('heaptap top' reads it): %s", program,
                     region, ht_error());
        return false;
    }
    unlink(region);
    return true;
}

// A program that was killed, crashed or left by _exit wrote no last profile; its region still has everything.
static void recover(struct run *run, pid_t child, const siginfo_t *info)
{
    uint64_t start_ticks;
    struct ht_region_header header;
    char region[PATH_MAX], path[PATH_MAX];
    bool killed = info->si_code != CLD_EXITED;
    if (!ht_process_stat((uint32_t)child, NULL, NULL, &start_ticks) ||
        !find_leftover(run, (uint32_t)child, start_ticks, &header, region))
        return;
    if (!killed && (run->settings->no_exit || !is_same_program((uint32_t)child, &header)))
        return;
    ht_process_printable(header.program);
    if (!save_region(run, header.program, region, path))
        return;
    if (killed)
        fprintf(stderr, "heaptap: run: %.64s died of signal %d (%s); its heap was saved: %s\n",
                header.program, info->si_status, strsignal(info->si_status), path);
    else if (run->talks)
        fprintf(stderr, "heaptap: run: %.64s left without its exit functions; its heap was saved: %s\n",
                header.program, path);
}

// Signals by which processes are asked to end; a program that stops its helpers with them is not in trouble.
static bool is_polite(int number)
{
    return number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGPIPE ||
           number == SIGQUIT || number == SIGALRM || number == SIGUSR1 || number == SIGUSR2;
}

// In the watching process: a process below the program has ended and left its region. One that left by _exit
// meant to: whoever forks many of them wants no file from each. One under a seccomp filter of its own, or
// with a directory that it may not write to, could not write its last profile.
static void on_death(const struct ht_death *death, void *arg)
{
    struct run *run = arg;
    char program[sizeof death->header->program], path[PATH_MAX];
    bool killed = death->is_known && WIFSIGNALED(death->status);
    bool could_not = death->header->sealed || death->header->health[HT_HEALTH_SNAPSHOT_FAILURES] > 0;
    bool meant_to = death->is_known && !killed && !could_not;
    if (meant_to || (!killed && run->settings->no_exit))
        return;
    unsigned *saved = killed ? &run->saved_killed : &run->saved_unknown;
    unsigned limit = killed ? MAX_SAVED_KILLED : MAX_SAVED_UNKNOWN;
    if (*saved == limit) {
        if (!run->limit_said)
            fprintf(stderr,
                    "heaptap: run: more processes died than are saved by itself; 'heaptap ps --dead' lists "
                    "what they left\n");
        run->limit_said = true;
        return;
    }
    snprintf(program, sizeof program, "%.63s", death->header->program);
    ht_process_printable(program);
    if (!save_region(run, program, death->region_path, path))
        return;
    ++*saved;
    if (killed && (run->talks || !is_polite(WTERMSIG(death->status))))
        fprintf(
            stderr, "heaptap: run: %s (process %" PRIu32 ") died of signal %d (%s); its heap was saved: %s\n",
            program, death->header->pid, WTERMSIG(death->status), strsignal(WTERMSIG(death->status)), path);
    else if (!killed && run->talks)
        fprintf(stderr, "heaptap: run: %s (process %" PRIu32 ") %s; its heap was saved: %s\n", program,
                death->header->pid,
                death->is_known ? "could not write at exit" : "was killed or left by _exit", path);
}

static void on_start(pid_t child, void *arg)
{
    struct run *run = arg;
    const char *directory = live_directory(run->environment);
    struct ht_family family = {.live_directory = directory,
                               .run_id = run->settings->run_id,
                               .program = child,
                               .died = on_death,
                               .arg = run};
    run->watcher.control = -1;
    if (*directory != '\0')
        ht_family_watch(&family, &run->watcher);
}

// One line: how many profiles appeared in the directory meanwhile, and which is the newest.
static void report(const struct run *run)
{
    char here[PATH_MAX], newest[NAME_MAX + 1] = "";
    const char *directory = ht_run_variable(run->environment, "HEAPTAP_OUT");
    if (directory == NULL || *directory == '\0')
        directory = getcwd(here, sizeof here);
    DIR *stream = directory != NULL ? opendir(directory) : NULL;
    size_t count = 0;
    struct timespec newest_time = {0};
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        size_t length = strlen(entry->d_name);
        struct stat stat_of;
        if (strncmp(entry->d_name, "heaptap.", 8) != 0 || length < 7 ||
            strcmp(entry->d_name + length - 6, ".pb.gz") != 0 ||
            fstatat(dirfd(stream), entry->d_name, &stat_of, 0) != 0)
            continue;
        const struct timespec *time = &stat_of.st_mtim;
        if (time->tv_sec < run->started.tv_sec ||
            (time->tv_sec == run->started.tv_sec && time->tv_nsec < run->started.tv_nsec))
            continue;
        count++;
        if (time->tv_sec > newest_time.tv_sec ||
            (time->tv_sec == newest_time.tv_sec && time->tv_nsec >= newest_time.tv_nsec)) {
            newest_time = *time;
            snprintf(newest, sizeof newest, "%s", entry->d_name);
        }
    }
    if (stream != NULL)
        closedir(stream);
    if (count == 0)
        fprintf(stderr,
                "heaptap: run: no profile was written (nothing was sampled; a lower --rate sees more)\n");
    else
        fprintf(stderr, "heaptap: run: %zu profile%s in %s; heaptap top %s/%s\n", count,
                count == 1 ? "" : "s", directory, directory, file_name(newest));
}

// Profiles leave the machine that made them: they carry their names with them.
static void name_functions(const struct run *run)
{
    char here[PATH_MAX];
    const char *directory = ht_run_variable(run->environment, "HEAPTAP_OUT");
    if (directory == NULL || *directory == '\0')
        directory = getcwd(here, sizeof here);
    if (directory != NULL)
        ht_run_symbolize(directory, run->settings->run_id, run->started);
}

static void on_end(pid_t child, const siginfo_t *info, void *arg)
{
    struct run *run = arg;
    recover(run, child, info);
    ht_family_end(&run->watcher, info->si_code != CLD_EXITED);
    if (!run->settings->no_symbolize)
        name_functions(run);
    if (run->talks)
        report(run);
}

// Where this command is.
static int own_directory(char directory[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX - 1);
    if (length <= 0)
        return ht_fail_errno("cannot find out where heaptap is installed; it needs /proc");
    directory[length] = '\0';
    char *slash = strrchr(directory, '/');
    if (slash != NULL)
        *slash = '\0';
    return 0;
}

static int run_program(const struct ht_run_settings *settings, const char *path, char **argv)
{
    char directory[PATH_MAX], shim[PATH_MAX], allocator[PATH_MAX];
    if (own_directory(directory) != 0 || ht_run_find_shim(directory, shim) != 0 ||
        (settings->allocator != NULL && ht_run_find_allocator(settings->allocator, allocator) != 0)) {
        ht_cmd_error("run", "%s", ht_error());
        return HT_RUN_OWN_FAILURE;
    }
    struct run run = {.settings = settings, .talks = settings->verbose || isatty(STDERR_FILENO)};
    char *preload =
        ht_run_preload(shim, settings->allocator != NULL ? allocator : NULL, getenv("LD_PRELOAD"));
    bool outside = settings->interval_ns != HT_RUN_UNSET && *live_directory(environ) != '\0';
    char **environment = ht_run_environment(environ, settings, preload, outside);
    run.environment = environment;
    if (settings->keep > 0) {
        void *shared = mmap(NULL, MAX_WATCHED * sizeof *run.watched, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        run.watched = shared != MAP_FAILED ? shared : NULL;
    }
    clock_gettime(CLOCK_REALTIME_COARSE, &run.started); // the clock of file times
    struct ht_child child = {
        .path = path,
        .argv = argv,
        .environment = environment,
        .interval_ns = outside ? settings->interval_ns : 0,
        .started = on_start,
        .tick = on_tick,
        .ended = on_end,
        .arg = &run,
    };
    int status = ht_child_run(&child);
    if (run.watched != NULL)
        munmap(run.watched, MAX_WATCHED * sizeof *run.watched);
    ht_run_environment_free(environment);
    free(preload);
    return status;
}

int ht_cmd_run(int argc, char **argv)
{
    struct ht_run_settings settings = {
        .rate_bytes = HT_RUN_UNSET,
        .interval_ns = HT_RUN_UNSET,
        .growth_bytes = HT_RUN_UNSET,
        .memory_bytes = HT_RUN_UNSET,
        .keep = -1,
    };
    struct ht_operands operands;
    char out[PATH_MAX], path[PATH_MAX];
    if (getrandom(&settings.run_id, sizeof settings.run_id, GRND_NONBLOCK) != (ssize_t)sizeof settings.run_id)
        settings.run_id = (uint64_t)time(NULL) << 32 | (uint64_t)getpid();
    settings.run_id = (settings.run_id & INT64_MAX) | 1; // neither "none" nor HT_RUN_UNSET
    int status = ht_cmd_parse("run", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status == HT_EXIT_DONE ? status : HT_RUN_OWN_FAILURE;
    if (operands.count == 0) {
        ht_cmd_usage_error("run", "name the program to run");
        return HT_RUN_OWN_FAILURE;
    }
    status = check_settings(&settings);
    if (status == 0)
        status = find_program(operands.items[0], path);
    if (status == 0 && settings.out != NULL) {
        status = prepare_out(settings.out, out);
        settings.out = out;
    }
    if (status != 0)
        return status;
    // The parser has moved the operands to the front of argv: behind them stand options, not the end.
    char **program_argv = ht_alloc_zero((size_t)operands.count + 1, sizeof *program_argv);
    memcpy(program_argv, operands.items, (size_t)operands.count * sizeof *program_argv);
    status = run_program(&settings, path, program_argv);
    free(program_argv);
    return status;
}
