// Profiled processes from outside: walks /proc, matches mapped regions with their owners, explains what is
// missing.
#include "region/process.h"

#include "base/error.h"
#include "base/memory.h"
#include "input/region.h"
#include "sys/maps.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAX_PROC_FILE_BYTES                                                                                  \
    (UINT64_C(256) << 20) // of one /proc file; a maps file of a million lines has 100 MB

static int proc_open(uint32_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/%s", pid, name);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

bool ht_process_read_file(const char *path, struct ht_buffer *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    ret->length = 0;
    for (;;) {
        HT_RESERVE(ret->data, ret->capacity, ret->length + 16384);
        ssize_t got = read(fd, ret->data + ret->length, ret->capacity - ret->length - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || ret->length > MAX_PROC_FILE_BYTES) {
            int saved_errno = got < 0 ? errno : EFBIG;
            close(fd);
            errno = saved_errno;
            return false;
        }
        if (got == 0)
            break;
        ret->length += (size_t)got;
    }
    ret->data[ret->length] = '\0';
    close(fd);
    return true;
}

static bool proc_read(uint32_t pid, const char *name, struct ht_buffer *ret)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/%s", pid, name);
    return ht_process_read_file(path, ret);
}

// Takes a number and moves behind it; false when there is none.
static bool take_number(const char **at, int base, uint64_t *ret)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(*at, &end, base);
    if (end == *at || errno != 0)
        return false;
    *at = end;
    *ret = value;
    return true;
}

// Moves over `count` words and the space around them; false when the text ends before.
static bool skip_words(const char **at, int count)
{
    for (; count > 0; count--) {
        *at += strspn(*at, " \t");
        *at += strcspn(*at, " \t\n");
    }
    *at += strspn(*at, " \t");
    return **at != '\0' && **at != '\n';
}

bool ht_process_stat(uint32_t pid, uint32_t *ret_parent, char *ret_state, uint64_t *ret_start_ticks)
{
    struct ht_buffer text = {0};
    uint64_t parent = 0, start_ticks = 0;
    char state = '?';
    bool found = false;
    if (proc_read(pid, "stat", &text)) {
        const char *at = strrchr(text.data, ')'); // the name before it may hold anything
        // proc(5): fields 3 (state), 4 (ppid) and 22 (starttime)
        if (at != NULL && skip_words(&at, 1)) {
            state = *at;
            found = skip_words(&at, 1) && take_number(&at, 10, &parent) && skip_words(&at, 17) &&
                    take_number(&at, 10, &start_ticks);
        }
    }
    ht_buffer_free(&text);
    if (!found)
        return false;
    if (ret_parent != NULL)
        *ret_parent = (uint32_t)parent;
    if (ret_state != NULL)
        *ret_state = state;
    if (ret_start_ticks != NULL)
        *ret_start_ticks = start_ticks;
    return true;
}

// The second number (the effective id) of a line of /proc/PID/status.
static bool effective_id(const char *line, uint32_t *ret_id)
{
    uint64_t id;
    if (line == NULL || !skip_words(&line, 2) || !take_number(&line, 10, &id))
        return false;
    *ret_id = (uint32_t)id;
    return true;
}

void ht_process_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '_';
}

// uid, gid and the pid in the innermost namespace, from /proc/PID/status.
static bool read_status(struct ht_process *process)
{
    struct ht_buffer text = {0};
    bool found = false;
    process->own_pid = process->pid;
    if (proc_read(process->pid, "status", &text)) {
        const char *name = strstr(text.data, "Name:\t");
        const char *uid = strstr(text.data, "\nUid:\t");
        const char *gid = strstr(text.data, "\nGid:\t");
        const char *pids = strstr(text.data, "\nNSpid:\t"); // absent before Linux 4.1
        found = name != NULL && uid != NULL && gid != NULL && effective_id(uid + 1, &process->uid) &&
                effective_id(gid + 1, &process->gid);
        if (found)
            snprintf(process->program, sizeof process->program, "%.*s", (int)strcspn(name + 6, "\n"),
                     name + 6);
        ht_process_printable(process->program);
        if (pids != NULL) {
            pids += 8;
            const char *last = pids;
            for (const char *at = pids; *at != '\0' && *at != '\n'; at++)
                if (*at == '\t')
                    last = at + 1;
            process->own_pid = (uint32_t)strtoul(last, NULL, 10);
        }
    }
    ht_buffer_free(&text);
    return found;
}

bool ht_process_environment(uint32_t pid, const char *name, char *text, size_t text_bytes)
{
    struct ht_buffer environment = {0};
    bool found = false;
    size_t name_length = strlen(name);
    if (proc_read(pid, "environ", &environment)) {
        const char *end = environment.data + environment.length;
        for (const char *at = environment.data; at < end && !found; at += strlen(at) + 1)
            if (strncmp(at, name, name_length) == 0 && at[name_length] == '=') {
                snprintf(text, text_bytes, "%s", at + name_length + 1);
                found = true;
            }
    }
    ht_buffer_free(&environment);
    return found;
}

static bool is_same_object(const char *path, const char *other)
{
    struct stat first, second;
    return stat(path, &first) == 0 && stat(other, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

// Not only another root: a container may have ours with other mounts in it.
void ht_process_root(uint32_t pid, char *text, size_t text_bytes)
{
    char root[64], mounts[64];
    snprintf(root, sizeof root, "/proc/%" PRIu32 "/root", pid);
    snprintf(mounts, sizeof mounts, "/proc/%" PRIu32 "/ns/mnt", pid);
    bool same =
        access(root, F_OK) != 0 || (is_same_object(root, "/") && is_same_object(mounts, "/proc/self/ns/mnt"));
    snprintf(text, text_bytes, "%s", same ? "" : root);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool is_shim_name(const char *path)
{
    return strncmp(base_name(path), "libheaptap.so", 13) == 0;
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

// Reads only the header; the caller checks nothing but identity.
static bool read_header(const char *path, struct ht_region_header *ret_header)
{
    struct stat stat;
    int fd = ht_region_open(path, O_RDONLY, &stat);
    if (fd < 0)
        return false;
    bool whole = pread(fd, ret_header, sizeof *ret_header, 0) == (ssize_t)sizeof *ret_header &&
                 ret_header->magic == HT_REGION_MAGIC;
    close(fd);
    return whole;
}

// Does this mapped region belong to the process, or was it inherited from its parent?
static bool is_own_region(const struct ht_process *process, const char *path, char program[64])
{
    struct ht_region_header header;
    if (!read_header(path, &header) || header.pid != process->own_pid ||
        header.start_ticks != process->start_ticks)
        return false;
    snprintf(program, 64, "%.63s", header.program);
    ht_process_printable(program);
    return true;
}

// Without the mark of a removed file.
static void path_of(const struct ht_maps_line *line, char path[PATH_MAX])
{
    static const char mark[] = " (deleted)";
    snprintf(path, PATH_MAX, "%s", line->path);
    size_t length = strlen(path), mark_length = sizeof mark - 1;
    if (length > mark_length && strcmp(path + length - mark_length, mark) == 0)
        path[length - mark_length] = '\0';
}

// Looks through the mappings for the shim and for a region of the process's own.
static bool scan_maps(struct ht_process *process, bool *ret_has_shim)
{
    struct ht_buffer maps = {0};
    if (!proc_read(process->pid, "maps", &maps)) {
        int saved_errno = errno;
        ht_buffer_free(&maps);
        errno = saved_errno;
        return false;
    }
    struct ht_maps_window window = ht_maps_window(maps.data, maps.length);
    window.end = maps.length;
    struct ht_maps_line line;
    while (ht_maps_take(&window, &line)) {
        if (strstr(line.path, "heaptap.") == NULL)
            continue;
        char path[PATH_MAX];
        path_of(&line, path);
        *ret_has_shim |= is_shim_name(path);
        if (process->has_region || !ht_region_is_name(path))
            continue;
        *ret_has_shim = true;
        process->device = makedev(line.device_major, line.device_minor);
        process->inode = line.inode;
        process->has_region = find_region_name(process->pid, path, line.start, line.limit, process) &&
                              is_own_region(process, process->region_path, process->program);
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
    if (!ht_process_stat(pid, NULL, NULL, &process->start_ticks) || !read_status(process)) {
        errno = errno != 0 ? errno : ESRCH;
        return -1;
    }
    if (!scan_maps(process, &has_shim))
        return -1;
    return has_shim ? 1 : 0;
}

static int compare_pids(const void *a, const void *b)
{
    const struct ht_process *first = a, *second = b;
    return (first->pid > second->pid) - (first->pid < second->pid);
}

int ht_process_list(struct ht_process **ret_processes, size_t *ret_count)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        return ht_fail_errno("cannot list processes; heaptap needs /proc");
    struct ht_process *processes = NULL;
    size_t count = 0, capacity = 0;
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        struct ht_process process;
        if (look((uint32_t)strtoul(entry->d_name, NULL, 10), &process) != 1)
            continue;
        HT_RESERVE(processes, capacity, count + 1);
        processes[count++] = process;
    }
    closedir(proc);
    if (count > 0)
        qsort(processes, count, sizeof *processes, compare_pids);
    *ret_processes = processes;
    *ret_count = count;
    return 0;
}

// The profiled child of a `heaptap run`, whose own pid is what a shell's $! gives; 0: none.
static uint32_t profiled_child(uint32_t pid)
{
    struct ht_buffer text = {0};
    char path[64];
    uint32_t found = 0;
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/task/%" PRIu32 "/children", pid, pid);
    if (ht_process_read_file(path, &text)) {
        const char *at = text.data;
        uint64_t child;
        struct ht_process process;
        while (found == 0 && take_number(&at, 10, &child))
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

int ht_process_find(uint32_t pid, struct ht_process *ret_process)
{
    struct ht_process process;
    char state = '?';
    int found = look(pid, &process);
    if (found < 0 && (errno == EACCES || errno == EPERM) && geteuid() == 0)
        return ht_fail(
            "%s may not be looked at from here, not even by root (a container or a security module)",
            process.program);
    if (found < 0 && (errno == EACCES || errno == EPERM))
        return ht_fail("%s may not be looked at by this user; try as its own user (uid %u) or as root",
                       process.program, (unsigned)process.uid);
    if (found < 0)
        return ht_fail("no such process; 'heaptap ps' lists what is being profiled");
    if (found == 0 && ht_process_stat(pid, NULL, &state, NULL) && state == 'Z')
        return ht_fail("%s has ended and waits for its parent; 'heaptap ps --dead' lists what it left",
                       process.program);
    if (found == 0)
        return fail_not_profiled(pid, &process);
    *ret_process = process;
    return 0;
}

void ht_process_explain_no_region(const struct ht_process *process, char *text, size_t text_bytes)
{
    char value[256], rate[64], signal[32];
    if (ht_process_environment(process->pid, "HEAPTAP_ONLY", value, sizeof value) && *value != '\0' &&
        fnmatch(value, process->program, 0) != 0) {
        snprintf(text, text_bytes, "%s is not being profiled: HEAPTAP_ONLY=%s leaves it out",
                 process->program, value);
        return;
    }
    if (ht_process_environment(process->pid, "HEAPTAP_RATE", rate, sizeof rate) && strcmp(rate, "0") == 0) {
        snprintf(text, text_bytes, "%s is not being profiled: it was started with HEAPTAP_RATE=0",
                 process->program);
        return;
    }
    if (!ht_process_environment(process->pid, "HEAPTAP_SIGNAL", signal, sizeof signal) || *signal == '\0')
        snprintf(signal, sizeof signal, "USR2");
    bool has_signal = strcmp(signal, "none") != 0;
    char hint[96] = "";
    if (has_signal)
        snprintf(hint, sizeof hint, "; 'kill -%s %" PRIu32 "' writes", signal, process->pid);
    if (ht_process_environment(process->pid, "HEAPTAP_LIVE", value, sizeof value) &&
        strcmp(value, "off") == 0) {
        snprintf(text, text_bytes, "%s keeps its region to itself (HEAPTAP_LIVE=off)%s%s", process->program,
                 hint, has_signal ? " a snapshot from inside" : "");
        return;
    }
    if (!ht_process_environment(process->pid, "HEAPTAP_RATE", rate, sizeof rate) || *rate == '\0')
        snprintf(rate, sizeof rate, "512K");
    snprintf(text, text_bytes,
             "%s has not allocated %s yet, so nothing was sampled and there is no region%s%s",
             process->program, rate, hint, has_signal ? " an empty profile" : "");
}

bool ht_region_is_alive(const struct ht_region_header *header, const struct stat *stat,
                        struct ht_process *ret_process)
{
    struct ht_process *processes = NULL;
    size_t count = 0;
    if (ht_process_list(&processes, &count) != 0) {
        *ret_process = (struct ht_process){.pid = header->pid, .uid = stat->st_uid, .gid = stat->st_gid};
        return true;
    }
    bool alive = false;
    for (size_t i = 0; i < count && !alive; i++)
        if (processes[i].has_region && processes[i].inode == stat->st_ino &&
            processes[i].device == stat->st_dev) {
            *ret_process = processes[i];
            alive = true;
        }
    free(processes);
    if (alive)
        return true;
    // A process whose mappings are hidden from us (another user's, not dumpable) may still be there.
    uint64_t start_ticks;
    struct ht_process process = {.pid = header->pid};
    int maps = proc_open(header->pid, "maps");
    char byte;
    bool hidden = maps < 0 || read(maps, &byte, 1) < 0;
    if (maps >= 0)
        close(maps);
    if (hidden && ht_process_stat(header->pid, NULL, NULL, &start_ticks) &&
        start_ticks == header->start_ticks) {
        process.start_ticks = start_ticks;
        read_status(&process);
        *ret_process = process;
        return true;
    }
    return false;
}

static int open_process(const char *argument, int flags, struct ht_target *target)
{
    char *end;
    errno = 0;
    unsigned long pid = strtoul(argument, &end, 10);
    if (errno != 0 || *end != '\0' || pid == 0 || pid > INT32_MAX)
        return ht_fail("no process has such a number; 'heaptap ps' lists what is being profiled");
    if (ht_process_find((uint32_t)pid, &target->process) != 0)
        return -1;
    if (!target->process.has_region) {
        char reason[512];
        ht_process_explain_no_region(&target->process, reason, sizeof reason);
        return ht_fail("%s", reason);
    }
    target->alive = true;
    snprintf(target->region_path, sizeof target->region_path, "%s", target->process.region_path);
    target->fd = ht_region_open(target->region_path, flags, &target->stat);
    if (target->fd < 0)
        return -1;
    if (target->stat.st_dev != target->process.device || target->stat.st_ino != target->process.inode) {
        ht_target_close(target);
        return ht_fail("its region was replaced while it was being opened; try again");
    }
    return 0;
}

int ht_target_open(const char *argument, int flags, struct ht_target *ret_target)
{
    struct ht_target target = {.fd = HT_NO_FD};
    snprintf(target.name, sizeof target.name, "%s", argument);
    if (!ht_region_input_matches(argument))
        return ht_fail("is neither a process id nor a region file (*.live)");
    if (isdigit((unsigned char)argument[0]) && strspn(argument, "0123456789") == strlen(argument)) {
        if (open_process(argument, flags, &target) != 0)
            return -1;
    } else {
        snprintf(target.region_path, sizeof target.region_path, "%s", argument);
        target.fd = ht_region_open(argument, flags, &target.stat);
        if (target.fd < 0)
            return -1;
        struct ht_region_header header;
        if (pread(target.fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
            header.magic == HT_REGION_MAGIC)
            target.alive = ht_region_is_alive(&header, &target.stat, &target.process);
    }
    *ret_target = target;
    return 0;
}

void ht_target_close(struct ht_target *target)
{
    if (target->fd >= 0)
        close(target->fd);
    target->fd = HT_NO_FD;
}
