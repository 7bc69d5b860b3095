// What `heaptap run` does with the regions of its processes: a snapshot of each at an interval, and a profile
// of what died with everything still in its region.
#include "launch/recovery.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/proc.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_SAVED_KILLED  64 // profiles of processes below the program that a signal killed, in one run
#define MAX_SAVED_UNKNOWN 8  // and of those of which only their parent knows how they ended
#define MAX_WATCHED       64 // processes below one run whose old interval snapshots are removed (--keep)

void ht_recovery_begin(struct ht_recovery *recovery)
{
    if (recovery->settings->keep <= 0)
        return;
    void *shared = mmap(NULL, MAX_WATCHED * sizeof *recovery->watched, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    recovery->watched = shared != MAP_FAILED ? shared : NULL;
}

void ht_recovery_end(struct ht_recovery *recovery)
{
    if (recovery->watched != NULL)
        munmap(recovery->watched, MAX_WATCHED * sizeof *recovery->watched);
    recovery->watched = NULL;
}

// A worker that gave up root may not write where root made the directory. The directory that we were given is
// no word of the worker's: there the file is made with our rights.
static int write_snapshot(const struct ht_recovery *recovery, const struct ht_target *target,
                          struct ht_snap *snap, char ret_path[PATH_MAX])
{
    char own[PATH_MAX];
    struct stat stat_of;
    struct ht_region_header header;
    if (geteuid() == 0 && target->stat.st_uid != 0 && ht_run_profile_directory(recovery->environment, own) &&
        stat(own, &stat_of) == 0 && stat_of.st_uid != target->stat.st_uid &&
        (stat_of.st_mode & S_IWOTH) == 0 &&
        pread(target->fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
        strncmp(header.out_dir, own, sizeof header.out_dir) == 0)
        snap->directory = own;
    int result = ht_snap_write(target, snap, ret_path);
    snap->directory = NULL;
    return result;
}

static struct ht_rotation *rotation_of(struct ht_recovery *recovery, const struct ht_process *process)
{
    for (int i = 0; recovery->watched != NULL && i < MAX_WATCHED; i++) {
        struct ht_watched *watched = &recovery->watched[i];
        if (watched->pid == 0) {
            watched->pid = process->pid;
            watched->start_ticks = process->start_ticks;
        }
        if (watched->pid == process->pid && watched->start_ticks == process->start_ticks)
            return &watched->rotation;
    }
    return NULL;
}

static void snap_process(struct ht_recovery *recovery, uint32_t pid)
{
    char name[16], path[PATH_MAX];
    struct ht_target target;
    snprintf(name, sizeof name, "%" PRIu32, pid);
    if (ht_target_open(name, O_RDONLY, &target) != 0)
        return;                   // not profiled, or nothing sampled yet
    if (target.process.is_heir) { // nothing but what is in its parent's
        ht_target_close(&target);
        return;
    }
    struct ht_snap snap = {.trigger = HT_TRIGGER_INTERVAL,
                           .rotation = rotation_of(recovery, &target.process)};
    snap.keep = recovery->settings->keep > 0 ? (uint32_t)recovery->settings->keep : 0;
    write_snapshot(recovery, &target, &snap, path);
    ht_target_close(&target);
}

// The parents of all processes; 0: it has gone.
static uint32_t *parents_of(const uint32_t *pids, size_t count)
{
    uint32_t *parents = ht_alloc_zero(count, sizeof *parents);
    for (size_t i = 0; i < count; i++) {
        struct ht_proc_stat stat;
        parents[i] = ht_proc_stat(pids[i], &stat) ? stat.parent : 0;
    }
    return parents;
}

void ht_recovery_snap_family(struct ht_recovery *recovery, pid_t program)
{
    uint32_t *pids;
    size_t count = ht_proc_list(&pids);
    uint32_t *parents = parents_of(pids, count);
    bool *ours = ht_alloc_zero(count, sizeof *ours);
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < count; i++) {
            bool is_ours = pids[i] == (uint32_t)program;
            for (size_t j = 0; !is_ours && j < count; j++)
                is_ours = ours[j] && pids[j] == parents[i];
            more |= is_ours && !ours[i];
            ours[i] |= is_ours;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (ours[i])
            snap_process(recovery, pids[i]);
    free(ours);
    free(parents);
    free(pids);
}

// The newest region that a dead child left, by its pid and start; false: none.
static bool find_leftover(struct ht_recovery *recovery, uint32_t pid, uint64_t start_ticks,
                          struct ht_region_header *ret_header, char ret_path[PATH_MAX])
{
    bool found = false;
    char **paths;
    const char *directory = ht_run_live_directory(recovery->environment);
    size_t count = *directory != '\0' ? ht_region_files(directory, &paths) : 0;
    for (size_t i = 0; i < count; i++) {
        struct ht_region_header header;
        if (ht_region_read_header(paths[i], &header, NULL) == 0 && header.pid == pid &&
            header.start_ticks == start_ticks && header.run_id == recovery->settings->run_id &&
            (!found || header.created_unix_ns > ret_header->created_unix_ns)) {
            found = true;
            *ret_header = header;
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
    struct ht_buffer name = {0};
    bool same = false;
    if (ht_proc_read(pid, "comm", &name)) {
        name.data[strcspn(name.data, "\n")] = '\0';
        same = strncmp(name.data, header->program, 15) == 0;
    }
    ht_buffer_free(&name);
    return same;
}

// Makes a profile of a dead process's region and removes the region. Says so itself when that fails.
static bool save_region(const struct ht_recovery *recovery, const char *program, bool killed,
                        const char *region, char ret_path[PATH_MAX])
{
    struct ht_target target;
    struct ht_snap snap = {.trigger = HT_TRIGGER_RECOVERED};
    if (ht_target_open(region, O_RDONLY, &target) != 0) {
        ht_run_say(recovery->say, "%s: %s", region, ht_error());
        return false;
    }
    if (target.alive) { // its number and start are those of a living process after all
        ht_target_close(&target);
        return false;
    }
    int written = write_snapshot(recovery, &target, &snap, ret_path);
    ht_target_close(&target);
    if (written != 0) {
        ht_run_say(recovery->say, "%.64s %s and its heap is kept in %s ('heaptap top' reads it): %s", program,
                   killed ? "died" : "has ended", region, ht_error());
        return false;
    }
    unlink(region);
    return true;
}

// Under a seccomp filter of its own, or without a directory that it may write to (in another root there is
// none).
static bool could_not_write(const struct ht_region_header *header)
{
    return header->sealed != 0 || header->health[HT_HEALTH_SNAPSHOT_FAILURES] > 0;
}

// A program that was killed, crashed or left by _exit wrote no last profile; its region still has everything.
void ht_recovery_save_program(struct ht_recovery *recovery, pid_t child, const siginfo_t *info)
{
    uint64_t start_ticks = ht_proc_start_ticks((uint32_t)child);
    struct ht_region_header header;
    char region[PATH_MAX], path[PATH_MAX];
    bool killed = info->si_code != CLD_EXITED;
    if (start_ticks == 0 || !find_leftover(recovery, (uint32_t)child, start_ticks, &header, region))
        return;
    if (!killed && (recovery->settings->no_exit || !is_same_program((uint32_t)child, &header)))
        return;
    ht_text_printable(header.program, sizeof header.program);
    if (!save_region(recovery, header.program, killed, region, path))
        return;
    if (killed)
        ht_run_say(recovery->say, "%.64s died of signal %d (%s); its heap was saved: %s", header.program,
                   info->si_status, strsignal(info->si_status), path);
    else if (recovery->talks)
        ht_run_say(recovery->say, "%.64s %s; its heap was saved: %s", header.program,
                   could_not_write(&header) ? "could not write at exit" : "wrote nothing at exit (_exit)",
                   path);
}

// Signals by which processes are asked to end; a program that stops its helpers with them is not in trouble.
static bool is_polite(int number)
{
    return number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGPIPE ||
           number == SIGQUIT || number == SIGALRM || number == SIGUSR1 || number == SIGUSR2;
}

// In the watching process: a process below the program has ended and left its region. One that left by _exit
// meant to: whoever forks many of them wants no file from each.
void ht_recovery_save_member(const struct ht_death *death, void *arg)
{
    struct ht_recovery *recovery = arg;
    char program[sizeof death->header->program], path[PATH_MAX];
    bool killed = death->is_known && WIFSIGNALED(death->status);
    bool meant_to = death->is_known && !killed && !could_not_write(death->header);
    if (meant_to || (!killed && recovery->settings->no_exit))
        return;
    unsigned *saved = killed ? &recovery->saved_killed : &recovery->saved_unknown;
    unsigned limit = killed ? MAX_SAVED_KILLED : MAX_SAVED_UNKNOWN;
    if (*saved == limit) {
        if (!recovery->limit_said)
            ht_run_say(recovery->say,
                       "more processes died than are saved by itself; 'heaptap ps --dead' lists "
                       "what they left");
        recovery->limit_said = true;
        return;
    }
    ht_text_print(program, sizeof program, "%.63s", death->header->program);
    if (!save_region(recovery, program, killed || !death->is_known, death->region_path, path))
        return;
    ++*saved;
    if (killed && (recovery->talks || !is_polite(WTERMSIG(death->status))))
        ht_run_say(recovery->say, "%s (process %" PRIu32 ") died of signal %d (%s); its heap was saved: %s",
                   program, death->header->pid, WTERMSIG(death->status), strsignal(WTERMSIG(death->status)),
                   path);
    else if (!killed && recovery->talks)
        ht_run_say(recovery->say, "%s (process %" PRIu32 ") %s; its heap was saved: %s", program,
                   death->header->pid,
                   death->is_known ? "could not write at exit" : "was killed or left by _exit", path);
}
