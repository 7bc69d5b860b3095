// Reads /proc; the format of each file is in proc(5).
#include "base/proc.h"

#include "base/error.h"
#include "sys/fmt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PROC_FILE_BYTES                                                                                  \
    (UINT64_C(256) << 20) // of one /proc file; a maps file of a million lines has 100 MB

void ht_proc_path(uint32_t pid, const char *name, char path[HT_PROC_PATH_BYTES])
{
    if (pid == 0)
        snprintf(path, HT_PROC_PATH_BYTES, "/proc/self/%s", name);
    else
        snprintf(path, HT_PROC_PATH_BYTES, "/proc/%" PRIu32 "/%s", pid, name);
}

bool ht_proc_read_file(const char *path, struct ht_buffer *ret)
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

bool ht_proc_read(uint32_t pid, const char *name, struct ht_buffer *ret)
{
    char path[HT_PROC_PATH_BYTES];
    ht_proc_path(pid, name, path);
    return ht_proc_read_file(path, ret);
}

bool ht_proc_stat(uint32_t pid, struct ht_proc_stat *ret)
{
    struct ht_buffer text = {0};
    const char *state = NULL, *parent = NULL, *start = NULL, *code = NULL;
    if (ht_proc_read(pid, "stat", &text)) {
        state = ht_text_stat_field(text.data, 3);
        parent = ht_text_stat_field(text.data, 4);
        start = ht_text_stat_field(text.data, 22);
        code = ht_text_stat_field(text.data, 52);
    }
    uint64_t parent_pid, start_ticks;
    bool found = state != NULL && parent != NULL && start != NULL && ht_text_parse_u64(parent, &parent_pid) &&
                 ht_text_parse_u64(start, &start_ticks);
    if (found)
        *ret = (struct ht_proc_stat){.state = *state,
                                     .parent = (uint32_t)parent_pid,
                                     .start_ticks = start_ticks,
                                     .exit_status = code != NULL ? (int)strtol(code, NULL, 10) : 0};
    ht_buffer_free(&text);
    return found;
}

uint64_t ht_proc_start_ticks(uint32_t pid)
{
    struct ht_proc_stat stat;
    return ht_proc_stat(pid, &stat) ? stat.start_ticks : 0;
}

bool ht_proc_is_same(uint32_t pid, uint64_t start_ticks)
{
    struct ht_proc_stat stat;
    return ht_proc_stat(pid, &stat) && stat.start_ticks == start_ticks;
}

static int compare_pids(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

size_t ht_proc_list(uint32_t **ret_pids)
{
    uint32_t *pids = NULL, pid;
    size_t count = 0, capacity = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (errno = 0, entry = readdir(proc)) != NULL;) {
        if (!ht_proc_parse_pid(entry->d_name, &pid))
            continue;
        HT_RESERVE(pids, capacity, count + 1);
        pids[count++] = pid;
    }
    if (proc != NULL && errno != 0)
        count = 0; // a part would be taken for all
    if (proc != NULL)
        closedir(proc);
    if (count > 0)
        qsort(pids, count, sizeof *pids, compare_pids);
    *ret_pids = pids;
    return count;
}

const char *ht_proc_status_line(const struct ht_buffer *status, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = status->data; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}

bool ht_proc_status_number(const struct ht_buffer *status, const char *name, int base, uint64_t *ret)
{
    const char *line = ht_proc_status_line(status, name);
    if (line != NULL)
        *ret = strtoull(line, NULL, base);
    return line != NULL;
}

uint32_t ht_proc_inner_pid(const struct ht_buffer *status, uint32_t pid)
{
    const char *pids = ht_proc_status_line(status, "NSpid"); // absent before Linux 4.1
    if (pids == NULL)
        return pid;
    const char *last = pids;
    for (const char *at = pids; *at != '\0' && *at != '\n'; at++)
        if (*at == '\t')
            last = at + 1;
    return (uint32_t)strtoul(last, NULL, 10);
}

uint64_t ht_proc_namespace(uint32_t pid, const char *name)
{
    char file[32], path[HT_PROC_PATH_BYTES];
    struct stat stat_of;
    snprintf(file, sizeof file, "ns/%.16s", name);
    ht_proc_path(pid, file, path);
    return stat(path, &stat_of) == 0 ? stat_of.st_ino : 0;
}

const char *ht_proc_value_in(char *const *environment, const char *name)
{
    size_t length = strlen(name);
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    return NULL;
}

void ht_proc_environment_read(uint32_t pid, struct ht_proc_environment *ret)
{
    *ret = (struct ht_proc_environment){0};
    struct ht_buffer *text = &ret->text;
    size_t count = 0, capacity = 0;
    bool could_read = ret->is_whole = ht_proc_read(pid, "environ", text);
    for (char *at = text->data; could_read && at < text->data + text->length; at += strlen(at) + 1) {
        HT_RESERVE(ret->items, capacity, count + 1);
        if (strchr(at, '=') > at)
            ret->items[count++] = at;
        else // the end of a title, or the zeros behind it
            ret->is_whole = false;
    }
    HT_RESERVE(ret->items, capacity, count + 1);
    ret->items[count] = NULL;
}

void ht_proc_environment_free(struct ht_proc_environment *environment)
{
    ht_buffer_free(&environment->text);
    free(environment->items);
    *environment = (struct ht_proc_environment){0};
}

static bool is_same_object(const char *path, const char *other)
{
    struct stat first, second;
    return stat(path, &first) == 0 && stat(other, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

// Not only another root: a container may have ours with other mounts in it.
void ht_proc_root(uint32_t pid, char *text, size_t text_bytes)
{
    char root[HT_PROC_PATH_BYTES], mounts[HT_PROC_PATH_BYTES];
    ht_proc_path(pid, "root", root);
    ht_proc_path(pid, "ns/mnt", mounts);
    bool same =
        access(root, F_OK) != 0 || (is_same_object(root, "/") && is_same_object(mounts, "/proc/self/ns/mnt"));
    snprintf(text, text_bytes, "%s", same ? "" : root);
}

bool ht_proc_is_chrooted(uint32_t pid)
{
    char root[HT_PROC_PATH_BYTES], mounts[HT_PROC_PATH_BYTES];
    ht_proc_path(pid, "root", root);
    ht_proc_path(pid, "ns/mnt", mounts);
    return access(root, F_OK) == 0 && !is_same_object(root, "/") &&
           is_same_object(mounts, "/proc/self/ns/mnt");
}

int ht_proc_own_folder(char ret_folder[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", ret_folder, PATH_MAX - 1);
    if (length <= 0)
        return ht_fail_errno("cannot find out where heaptap is installed; it needs /proc");
    ret_folder[length] = '\0';
    char *slash = strrchr(ret_folder, '/');
    if (slash != NULL)
        *slash = '\0';
    return 0;
}

bool ht_proc_take_deleted(char *path)
{
    static const char mark[] = " (deleted)";
    size_t length = strlen(path), mark_length = sizeof mark - 1;
    if (length <= mark_length || strcmp(path + length - mark_length, mark) != 0)
        return false;
    path[length - mark_length] = '\0';
    return true;
}

bool ht_proc_is_pid(const char *argument)
{
    return *argument != '\0' && argument[strspn(argument, "0123456789")] == '\0';
}

bool ht_proc_parse_pid(const char *argument, uint32_t *ret_pid)
{
    char *end;
    errno = 0;
    unsigned long pid = strtoul(argument, &end, 10);
    if (!ht_proc_is_pid(argument) || errno != 0 || pid == 0 || pid > INT32_MAX)
        return false;
    *ret_pid = (uint32_t)pid;
    return true;
}
