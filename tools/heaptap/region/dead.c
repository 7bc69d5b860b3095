// Removing the regions that dead processes left behind: what is dead, and what is ours.
#include "region/dead.h"

#include "base/measure.h"
#include "base/memory.h"
#include "cmd/command.h"
#include "region/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// A region that is still being made belongs to a process that runs, unless that died over it.
static bool is_being_made(const struct ht_region_header *header)
{
    uint64_t start_ticks;
    char state = '?';
    return header->magic == HT_REGION_MAKING && ht_process_stat(header->pid, NULL, &state, &start_ticks) &&
           start_ticks == header->start_ticks && state != 'Z';
}

// NULL: it may go.
static const char *why_kept(const struct ht_region_header *header, const struct stat *status)
{
    struct stat own_namespace;
    struct ht_process living;
    if (header->magic != HT_REGION_MAGIC && header->magic != HT_REGION_MAKING)
        return "is not a heaptap region";
    if (status->st_nlink != 1)
        return "has more than one name";
    if (geteuid() != 0 && status->st_uid != geteuid())
        return "belongs to another user";
    if (stat("/proc/self/ns/pid", &own_namespace) != 0 || header->pid_namespace != own_namespace.st_ino)
        return "is from another pid namespace (a container), where its process may be alive";
    if (is_being_made(header) || ht_region_is_alive(header, status, &living))
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
    const char *suffix = strrchr(path, '.');
    return suffix != NULL && strcmp(suffix, HT_REGION_MAKING_SUFFIX) == 0 && header->magic == 0 &&
           status->st_nlink == 1 && (geteuid() == 0 || status->st_uid == geteuid()) &&
           time(NULL) > status->st_mtime + HT_REGION_MAKING_SECONDS;
}

static bool clean_one(const char *path)
{
    struct ht_region_header header = {0};
    struct stat status;
    int fd = ht_region_open(path, O_RDONLY, &status);
    if (fd < 0)
        return true; // gone, or not to be read by us
    ssize_t got = pread(fd, &header, sizeof header, 0);
    close(fd);
    bool whole = got == (ssize_t)sizeof header;
    if ((whole || got == 0) && is_abandoned(path, &status, &header)) {
        if (remove_same(path, &status) == 0)
            printf("removed  %s: its process died while it made it\n", path);
        return true;
    }
    const char *reason = whole ? why_kept(&header, &status) : "is too short for a region";
    if (reason != NULL) {
        if (*reason != '\0') // a living one needs no word
            printf("kept     %s: %s\n", path, reason);
        return true;
    }
    char program[sizeof header.program], size[HT_MEASURE_TEXT_BYTES];
    snprintf(program, sizeof program, "%.63s", header.program);
    ht_process_printable(program);
    ht_measure_bytes((int64_t)status.st_blocks * 512, 0, size);
    if (remove_same(path, &status) != 0) {
        ht_cmd_error("ps", "%s: cannot be removed: %s", path, strerror(errno));
        return false;
    }
    printf("removed  %s: %s, process %" PRIu32 ", %s\n", path, program, header.pid, size);
    return true;
}

// Regions that never got their name, because their process died while it made them.
static bool clean_unfinished(const char *directory)
{
    bool all = true;
    DIR *stream = opendir(directory);
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        const char *end = strrchr(entry->d_name, '.');
        if (strncmp(entry->d_name, "heaptap.", 8) != 0 || strcmp(end, HT_REGION_MAKING_SUFFIX) != 0)
            continue;
        char *path = ht_format("%s/%s", directory, entry->d_name);
        all &= clean_one(path);
        free(path);
    }
    if (stream != NULL)
        closedir(stream);
    return all;
}

bool ht_dead_clean(const char *directory)
{
    char **paths;
    size_t count = ht_region_files(directory, &paths);
    bool all = clean_unfinished(directory);
    for (size_t i = 0; i < count; i++) {
        all &= clean_one(paths[i]);
        free(paths[i]);
    }
    free(paths);
    return all;
}
