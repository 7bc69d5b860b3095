// Removing the regions that dead processes left behind: what is dead, and what is ours.
#include "region/dead.h"

#include "base/memory.h"
#include "base/proc.h"
#include "base/text.h"
#include "region/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

size_t ht_dead_folders(const char *ret_folders[HT_DEAD_FOLDERS])
{
    const char *live = getenv("HEAPTAP_LIVE");
    size_t count = 0;
    ret_folders[count++] = "/dev/shm";
    if (live != NULL && live[0] == '/' && strcmp(live, "/dev/shm") != 0)
        ret_folders[count++] = live;
    return count;
}

// The processes, looked at when they are first asked for.
static const struct ht_processes *looked_at(struct ht_processes *processes)
{
    if (!processes->is_known)
        ht_processes_look(processes);
    return processes;
}

bool ht_dead_find(uint32_t pid, char ret_path[PATH_MAX])
{
    const char *folders[HT_DEAD_FOLDERS];
    uint64_t newest = 0, own_namespace = ht_proc_namespace(0, "pid");
    size_t folder_count = ht_dead_folders(folders);
    for (size_t i = 0; i < folder_count; i++) {
        char **paths;
        size_t count = ht_region_files(folders[i], &paths);
        struct ht_processes processes = {0};
        for (size_t j = 0; j < count; j++) {
            struct ht_region_header header;
            struct ht_process living;
            struct stat status;
            if (ht_region_read_header(paths[j], &header, &status) == 0 && header.pid == pid &&
                header.pid_namespace == own_namespace && header.created_unix_ns > newest &&
                !ht_region_is_alive(&header, &status, looked_at(&processes), &living)) {
                newest = header.created_unix_ns;
                snprintf(ret_path, PATH_MAX, "%s", paths[j]);
            }
            free(paths[j]);
        }
        ht_processes_free(&processes);
        free(paths);
    }
    return newest != 0;
}

// A region that is still being made belongs to a process that runs, unless that died over it.
static bool is_being_made(const struct ht_region_header *header)
{
    struct ht_proc_stat stat;
    return header->magic == HT_REGION_MAKING && ht_proc_stat(header->pid, &stat) &&
           stat.start_ticks == header->start_ticks && stat.state != 'Z';
}

// NULL: it may go.
static const char *why_kept(const struct ht_region_header *header, const struct stat *status,
                            const struct ht_processes *processes)
{
    struct ht_process living;
    uint64_t own_namespace = ht_proc_namespace(0, "pid");
    if (header->magic != HT_REGION_MAGIC && header->magic != HT_REGION_MAKING)
        return "is not a heaptap region";
    if (status->st_nlink != 1)
        return "has more than one name";
    if (geteuid() != 0 && status->st_uid != geteuid())
        return "belongs to another user";
    if (own_namespace == 0 || header->pid_namespace != own_namespace)
        return "is from another pid namespace (a container), where its process may be alive";
    if (is_being_made(header) || ht_region_is_alive(header, status, processes, &living))
        return "";
    return NULL;
}

// Goes by the file that was looked at, not by what may have got its name since.
static int remove_same(const char *path, const struct stat *before)
{
    struct stat now;
    if (lstat(path, &now) != 0)
        return errno == ENOENT ? 0 : -1;
    if (now.st_ino != before->st_ino || now.st_dev != before->st_dev)
        return 0;
    return unlink(path);
}

// Its process died before it wrote whose it is.
static bool is_abandoned(const char *path, const struct stat *status, const struct ht_region_header *header)
{
    return ht_text_ends_with(path, HT_REGION_MAKING_SUFFIX) && header->magic == 0 && status->st_nlink == 1 &&
           (geteuid() == 0 || status->st_uid == geteuid()) &&
           time(NULL) > status->st_mtime + HT_REGION_MAKING_SECONDS;
}

struct cleaning {
    void (*told)(const struct ht_dead *dead, void *arg);
    void *arg;
    struct ht_processes processes; // looked at after the files were listed
};

static void tell(const struct cleaning *cleaning, enum ht_dead_fate fate, const char *path,
                 const char *reason)
{
    struct ht_dead dead = {.fate = fate, .path = path, .reason = reason};
    cleaning->told(&dead, cleaning->arg);
}

static void clean_one(const struct cleaning *cleaning, const char *path)
{
    struct ht_region_header header = {0};
    struct stat status;
    int fd = ht_region_open(path, O_RDONLY, &status);
    if (fd < 0)
        return; // gone, or not to be read by us
    ssize_t got = pread(fd, &header, sizeof header, 0);
    close(fd);
    bool whole = got == (ssize_t)sizeof header;
    if ((whole || got == 0) && is_abandoned(path, &status, &header)) {
        if (remove_same(path, &status) == 0)
            tell(cleaning, HT_DEAD_REMOVED, path, "its process died while it made it");
        return;
    }
    const char *reason =
        whole ? why_kept(&header, &status, &cleaning->processes) : "is too short for a region";
    if (reason != NULL) {
        if (*reason != '\0') // a living one needs no word
            tell(cleaning, HT_DEAD_KEPT, path, reason);
        return;
    }
    if (remove_same(path, &status) != 0) {
        tell(cleaning, HT_DEAD_STUCK, path, strerror(errno));
        return;
    }
    header.program[sizeof header.program - 1] = '\0';
    ht_text_printable(header.program, sizeof header.program);
    struct ht_dead dead = {.path = path,
                           .program = header.program,
                           .pid = header.pid,
                           .size_bytes = (uint64_t)status.st_blocks * 512};
    cleaning->told(&dead, cleaning->arg);
}

// Regions that never got their name, because their process died while it made them. free() each and the
// array.
static size_t unfinished_files(const char *directory, char ***ret_paths)
{
    enum { MOST = 8192 };
    DIR *stream = opendir(directory);
    char **paths = NULL;
    size_t count = 0, capacity = 0;
    for (struct dirent *entry; stream != NULL && count < MOST && (entry = readdir(stream)) != NULL;) {
        if (!ht_text_starts_with(entry->d_name, "heaptap.") ||
            !ht_text_ends_with(entry->d_name, HT_REGION_MAKING_SUFFIX))
            continue;
        HT_RESERVE(paths, capacity, count + 1);
        paths[count++] = ht_format("%s/%s", directory, entry->d_name);
    }
    if (stream != NULL)
        closedir(stream);
    *ret_paths = paths;
    return count;
}

static void clean_files(const struct cleaning *cleaning, char **paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        clean_one(cleaning, paths[i]);
        free(paths[i]);
    }
    free(paths);
}

void ht_dead_clean(const char *directory, void (*told)(const struct ht_dead *dead, void *arg), void *arg)
{
    struct cleaning cleaning = {.told = told, .arg = arg};
    char **unfinished, **paths;
    size_t unfinished_count = unfinished_files(directory, &unfinished);
    size_t count = ht_region_files(directory, &paths);
    ht_processes_look(&cleaning.processes); // behind the files: what came between is none of them
    clean_files(&cleaning, unfinished, unfinished_count);
    clean_files(&cleaning, paths, count);
    ht_processes_free(&cleaning.processes);
}
