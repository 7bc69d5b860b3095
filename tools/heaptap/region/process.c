// Profiled processes from outside: walks /proc, matches mapped regions with their owners, explains what is
// missing.
#include "region/process.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/text.h"
#include "record/region.h"
#include "region/signal.h"
#include "sys/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

// The ids of a line of /proc/PID/status: real, effective, saved, of file systems.
static bool read_ids(const char *line, uint32_t ids[4])
{
    for (int i = 0; i < 4 && line != NULL; i++) {
        char *end;
        ids[i] = (uint32_t)strtoul(line, &end, 10);
        line = end != line ? end : NULL;
    }
    return line != NULL;
}

// uid, gid and the pid in the innermost namespace, from /proc/PID/status.
static bool read_status(struct ht_process *process)
{
    struct ht_buffer text = {0};
    bool found = false;
    process->own_pid = process->pid;
    if (ht_proc_read(process->pid, "status", &text)) {
        const char *name = ht_proc_status_line(&text, "Name");
        const char *uid = ht_proc_status_line(&text, "Uid"), *gid = ht_proc_status_line(&text, "Gid");
        uint32_t gids[4];
        found = name != NULL && read_ids(uid, process->uids) && read_ids(gid, gids);
        process->uid = process->uids[1];
        process->gid = found ? gids[1] : 0;
        if (found)
            ht_text_print(process->program, sizeof process->program, "%.*s", (int)strcspn(name, "\n"), name);
        snprintf(process->short_name, sizeof process->short_name, "%.15s", process->program);
        process->own_pid = ht_proc_inner_pid(&text, process->pid);
    }
    ht_buffer_free(&text);
    return found;
}

static bool is_same_file(const char *path, uint64_t device, uint64_t inode)
{
    struct stat stat;
    int fd = ht_region_open(path, O_RDONLY, &stat);
    if (fd >= 0)
        close(fd);
    return fd >= 0 && stat.st_dev == device && stat.st_ino == inode;
}

// A name under which the mapped region can be opened: as shown (our root), below the process's root (a
// container), or through the mapping itself (deleted or hidden files; needs CAP_CHECKPOINT_RESTORE). The
// inode decides.
static bool find_region_name(uint32_t pid, const char *shown, uint64_t start, uint64_t limit,
                             struct ht_process *process)
{
    char path[PATH_MAX];
    if (is_same_file(shown, process->device, process->inode)) {
        snprintf(process->region_path, sizeof process->region_path, "%s", shown);
        return true;
    }
    int written = snprintf(path, sizeof path, "/proc/%" PRIu32 "/root%s", pid, shown);
    if (written > 0 && (size_t)written < sizeof path && is_same_file(path, process->device, process->inode)) {
        snprintf(process->region_path, sizeof process->region_path, "%s", path);
        return true;
    }
    // An own link, not the file's: the last component may be a link here.
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/map_files/%" PRIx64 "-%" PRIx64, pid, start, limit);
    struct stat stat_of;
    if (stat(path, &stat_of) == 0 && stat_of.st_dev == process->device && stat_of.st_ino == process->inode) {
        snprintf(process->region_path, sizeof process->region_path, "%s", path);
        return true;
    }
    return false;
}

static bool is_maker(const struct ht_region_header *header, const struct ht_process *process)
{
    return header->pid == process->own_pid && header->start_ticks == process->start_ticks;
}

// When the child was forked, of the process that made this region, in whose line `process` is; 0: the line
// cannot be followed, for somebody in between has gone.
static uint64_t forked_ticks(const struct ht_process *process, const struct ht_region_header *header)
{
    enum { MOST_GENERATIONS = 64 };
    struct ht_process child = *process, parent;
    struct ht_proc_stat stat;
    for (int i = 0; i < MOST_GENERATIONS && ht_proc_stat(child.pid, &stat) && stat.parent != 0; i++) {
        parent = (struct ht_process){.pid = stat.parent, .start_ticks = ht_proc_start_ticks(stat.parent)};
        if (!read_status(&parent))
            return 0;
        if (is_maker(header, &parent))
            return child.start_ticks;
        child = parent;
    }
    return 0;
}

bool ht_process_is_owner(const struct ht_process *process, uid_t owner)
{
    bool result = owner == 0;
    for (int i = 0; i < 4; i++)
        result = result || process->uids[i] == owner;
    return result;
}

// Does this mapped region belong to the process, or was it inherited from its parent? Anybody can map a file
// of his own that says so.
static bool is_own_region(struct ht_process *process, const char *path)
{
    struct ht_region_header header;
    struct stat stat;
    if (ht_region_read_header(path, &header, &stat) != 0 || !ht_process_is_owner(process, stat.st_uid))
        return false;
    bool is_own = is_maker(&header, process);
    process->heir_ticks = is_own ? 0 : forked_ticks(process, &header);
    process->is_heir = process->heir_ticks != 0;
    if (is_own || process->is_heir)
        ht_text_print(process->program, sizeof process->program, "%.63s", header.program);
    return is_own;
}

// Looks through the mappings for the shim and for a region of the process's own.
static bool scan_maps(struct ht_process *process, bool *ret_has_shim)
{
    struct ht_buffer maps = {0};
    if (!ht_proc_read(process->pid, "maps", &maps)) {
        int saved_errno = errno;
        ht_buffer_free(&maps);
        errno = saved_errno;
        return false;
    }
    struct ht_maps_window window = ht_maps_window(maps.data, maps.length);
    window.end = maps.length;
    struct ht_maps_line line;
    while (ht_maps_take(&window, &line)) {
        process->has_private_tables |= line.path[0] == '\0' && ht_region_is_place(line.start);
        if (strstr(line.path, "heaptap.") == NULL)
            continue;
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s", line.path);
        ht_proc_take_deleted(path);
        *ret_has_shim |= ht_text_starts_with(ht_path_name(path), "libheaptap.so");
        if (process->has_region || !ht_region_is_name(path))
            continue;
        *ret_has_shim = true;
        process->device = makedev(line.device_major, line.device_minor);
        process->inode = line.inode;
        errno = 0;
        process->has_region = find_region_name(process->pid, path, line.start, line.limit, process) &&
                              is_own_region(process, process->region_path);
        if (!process->has_region && ht_region_is_passing(errno))
            ht_warn("%s %s", path, ht_error());
    }
    ht_buffer_free(&maps);
    return true;
}

// -1 with errno when the process cannot be looked at; 0 not profiled; 1 profiled.
static int look(uint32_t pid, struct ht_process *process)
{
    *process = (struct ht_process){.pid = pid};
    bool has_shim = false;
    errno = 0;
    process->start_ticks = ht_proc_start_ticks(pid);
    if (process->start_ticks == 0 || !read_status(process)) {
        errno = errno != 0 ? errno : ESRCH;
        return -1;
    }
    if (!scan_maps(process, &has_shim))
        return -1;
    return has_shim ? 1 : 0;
}

// *ret_is_whole: false, with a warning, where a process that lives may be missing, for more reasons than that
// it is not ours.
static int list(struct ht_process **ret_processes, size_t *ret_count, bool *ret_is_whole)
{
    uint32_t *pids;
    size_t pid_count = ht_proc_list(&pids), count = 0, capacity = 0;
    if (pid_count == 0)
        return ht_fail("cannot list processes; heaptap needs /proc");
    struct ht_process *processes = NULL;
    *ret_is_whole = true;
    for (size_t i = 0; i < pid_count; i++) {
        struct ht_process process;
        int found = look(pids[i], &process);
        if (found < 0)
            *ret_is_whole &= errno == ESRCH || errno == ENOENT || errno == EACCES || errno == EPERM;
        if (found != 1)
            continue;
        HT_RESERVE(processes, capacity, count + 1);
        processes[count++] = process;
    }
    free(pids);
    if (!*ret_is_whole)
        ht_warn("not all processes could be looked at; what may belong to one of them counts as in use");
    *ret_processes = processes;
    *ret_count = count;
    return 0;
}

int ht_process_list(struct ht_process **ret_processes, size_t *ret_count)
{
    bool is_whole;
    return list(ret_processes, ret_count, &is_whole);
}

// The profiled child of a `heaptap run`, whose own pid is what a shell's $! gives; 0: none.
static uint32_t profiled_child(uint32_t pid)
{
    struct ht_buffer text = {0};
    char name[64];
    uint32_t found = 0;
    snprintf(name, sizeof name, "task/%" PRIu32 "/children", pid);
    if (ht_proc_read(pid, name, &text)) {
        struct ht_process process;
        char *at = text.data, *end;
        for (unsigned long child; found == 0 && (child = strtoul(at, &end, 10)) != 0; at = end)
            if (look((uint32_t)child, &process) == 1)
                found = (uint32_t)child;
    }
    ht_buffer_free(&text);
    return found;
}

static int fail_not_profiled(uint32_t pid, const struct ht_process *process)
{
    uint32_t child = strcmp(process->program, "heaptap") == 0 ? profiled_child(pid) : 0;
    if (child != 0)
        return ht_fail("is heaptap itself; the program that it runs is %" PRIu32, child);
    return ht_fail("%s is not being profiled; start it with 'heaptap run' or LD_PRELOAD=libheaptap.so",
                   process->program);
}

bool ht_process_is_named(const struct ht_process *process, const char *name)
{
    return strcmp(process->program, name) == 0 || strcmp(process->short_name, name) == 0;
}

// The profiled process that has this number in a pid namespace below ours. 1: found; 0: there is none; -1
// with ht_error(): there are several.
static int find_in_container(uint32_t own_pid, struct ht_process *ret_process)
{
    struct ht_process *processes;
    size_t count, found = 0;
    if (ht_process_list(&processes, &count) != 0)
        return 0;
    struct ht_buffer pids = {0};
    for (size_t i = 0; i < count; i++) {
        if (processes[i].own_pid != own_pid || processes[i].pid == own_pid)
            continue;
        *ret_process = processes[i];
        ht_buffer_printf(&pids, "%s%" PRIu32, found++ > 0 ? ", " : "", processes[i].pid);
    }
    int result = found == 1 ? 1 : 0;
    if (found > 1)
        result = ht_fail("is the number of %zu processes in their containers, which are %s here", found,
                         pids.data);
    else if (found == 1)
        ht_warn("%" PRIu32 " is the number of a process in its container, which is %s here", own_pid,
                pids.data);
    ht_buffer_free(&pids);
    free(processes);
    return result;
}

int ht_process_find(uint32_t pid, struct ht_process *ret_process)
{
    struct ht_process process;
    struct ht_proc_stat stat;
    int found = look(pid, &process);
    bool is_hidden = found < 0 && (errno == EACCES || errno == EPERM);
    int inside = found < 1 ? find_in_container(pid, ret_process) : 0;
    if (inside != 0)
        return inside > 0 ? 0 : -1;
    if (is_hidden && geteuid() == 0)
        return ht_fail(
            "%s may not be looked at from here, not even by root (a container or a security module)",
            process.program);
    if (is_hidden)
        return ht_fail("%s may not be looked at by this user; try as its own user (uid %u) or as root",
                       process.program, (unsigned)process.uid);
    if (found < 0)
        return ht_fail("no such process; 'heaptap ps' lists what is being profiled");
    if (found == 0 && ht_proc_stat(pid, &stat) && stat.state == 'Z')
        return ht_fail("%s has ended and waits for its parent; 'heaptap ps --dead' lists what it left",
                       process.program);
    if (found == 0)
        return fail_not_profiled(pid, &process);
    *ret_process = process;
    return 0;
}

// What the snapshot signal does in a process whose tables nobody else can read. Nothing is advised that could
// end it, or that it has for itself.
static void explain_signal(const struct ht_process *process, const char *wanted, struct ht_buffer *text)
{
    static const char *const states[] = {
        [HT_SIGNAL_IS_HANDLED] = "writes a snapshot, unless the program has taken that signal for itself",
        [HT_SIGNAL_IS_IGNORED] = "takes none: the process ignores it",
        [HT_SIGNAL_IS_BLOCKED] = "takes none: the process blocks it",
        [HT_SIGNAL_IS_DEFAULT] = "takes none: it would kill the process",
    };
    char name[HT_SIGNAL_NAME_BYTES];
    struct ht_buffer status = {0};
    int signal = ht_signal_wanted(wanted);
    if (signal != 0 && ht_proc_read(process->pid, "status", &status)) {
        ht_signal_name(signal, name);
        ht_buffer_printf(text, "; %s %s", name, states[ht_signal_state(process->pid, &status, signal)]);
    }
    ht_buffer_free(&status);
}

static void explain(const struct ht_process *process, const struct ht_proc_environment *environment,
                    struct ht_buffer *text)
{
    const char *only = ht_proc_value_in(environment->items, "HEAPTAP_ONLY");
    const char *rate = ht_proc_value_in(environment->items, "HEAPTAP_RATE");
    const char *live = ht_proc_value_in(environment->items, "HEAPTAP_LIVE");
    bool is_off = live != NULL && strcmp(live, "off") == 0;
    ht_buffer_text(text, process->program);
    if (only != NULL && *only != '\0' && fnmatch(only, process->program, 0) != 0) {
        ht_buffer_printf(text, " is not being profiled: HEAPTAP_ONLY=%s leaves it out", only);
    } else if (rate != NULL && strcmp(rate, "0") == 0) {
        ht_buffer_text(text, " is not being profiled: it was started with HEAPTAP_RATE=0");
    } else if (process->has_private_tables || is_off) {
        ht_buffer_printf(text, " keeps its tables to itself (%s)",
                         is_off ? "HEAPTAP_LIVE=off"
                                : "when it needed a region there was no tmpfs, or no room in it");
        explain_signal(process, ht_proc_value_in(environment->items, "HEAPTAP_SIGNAL"), text);
    } else {
        ht_buffer_text(text, " has no region: nothing that it allocated was sampled");
        if (environment->is_whole)
            ht_buffer_printf(text, " yet (one sample in %s)", rate != NULL && *rate != '\0' ? rate : "512K");
    }
}

void ht_process_explain_no_region(const struct ht_process *process, char *text, size_t text_bytes)
{
    struct ht_proc_environment environment;
    struct ht_buffer explanation = {0};
    ht_proc_environment_read(process->pid, &environment);
    explain(process, &environment, &explanation);
    ht_text_print(text, text_bytes, "%s", explanation.data); // a variable may hold anything
    ht_buffer_free(&explanation);
    ht_proc_environment_free(&environment);
}

void ht_processes_look(struct ht_processes *ret_processes)
{
    *ret_processes = (struct ht_processes){0};
    ret_processes->is_known =
        list(&ret_processes->items, &ret_processes->count, &ret_processes->is_whole) == 0;
    if (!ret_processes->is_known)
        ht_warn("%s; what may belong to one counts as in use", ht_error());
}

void ht_processes_free(struct ht_processes *processes)
{
    free(processes->items);
    *processes = (struct ht_processes){0};
}

// Mapped by who made it, also where its name could not be opened just now.
static bool is_mapped(const struct ht_processes *processes, const struct ht_region_header *header,
                      const struct stat *stat, struct ht_process *ret_process)
{
    for (size_t i = 0; i < processes->count; i++) {
        const struct ht_process *process = &processes->items[i];
        if (process->inode == stat->st_ino && process->device == stat->st_dev &&
            ht_process_is_owner(process, stat->st_uid) &&
            (process->has_region || is_maker(header, process))) {
            *ret_process = *process;
            return true;
        }
    }
    return false;
}

bool ht_region_is_alive(const struct ht_region_header *header, const struct stat *stat,
                        const struct ht_processes *processes, struct ht_process *ret_process)
{
    struct ht_processes now = {0};
    if (processes == NULL)
        ht_processes_look(&now);
    const struct ht_processes *seen = processes != NULL ? processes : &now;
    bool is_whole = seen->is_known && seen->is_whole;
    *ret_process = (struct ht_process){.pid = header->pid, .uid = stat->st_uid, .gid = stat->st_gid};
    bool alive = seen->is_known && is_mapped(seen, header, stat, ret_process);
    ht_processes_free(&now);
    if (alive || !is_whole)
        return true;
    // A process whose mappings are hidden from us (another user's, not dumpable) may still be there; and one
    // that could not be looked at just now may have it all the same.
    struct ht_process process;
    if (look(header->pid, &process) >= 0) {
        *ret_process = process;
        return process.inode == stat->st_ino && process.device == stat->st_dev &&
               is_maker(header, &process) && ht_process_is_owner(&process, stat->st_uid);
    }
    if (ht_proc_is_same(header->pid, header->start_ticks)) {
        process = (struct ht_process){.pid = header->pid, .start_ticks = header->start_ticks};
        read_status(&process);
        *ret_process = process;
        return ht_process_is_owner(&process, stat->st_uid);
    }
    return false;
}
