// How much memory a process may have.
#include "base/limit.h"

#include "base/proc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The least limit from a group up to the root. Source: the kernel's cgroup-v2.rst and cgroup-v1/memory.rst.
static uint64_t least_limit(const char *mount, char *group, const char *file)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        struct ht_buffer text = {0};
        char *path = ht_format("%s%s/%s", mount, group, file);
        if (ht_proc_read_file(path, &text) && text.data[0] >= '0' && text.data[0] <= '9') {
            uint64_t limit = strtoull(text.data, NULL, 10);
            least = limit < least ? limit : least;
        }
        ht_buffer_free(&text);
        free(path);
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

static uint64_t group_limit(uint32_t pid)
{
    struct ht_buffer text = {0};
    uint64_t least = UINT64_MAX;
    if (!ht_proc_read(pid, "cgroup", &text))
        return least;
    for (char *line = strtok(text.data, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *group = strchr(line, '/');
        if (group == NULL || strstr(group, "/..") != NULL)
            continue;
        uint64_t limit = strncmp(line, "0::", 3) == 0 ? least_limit("/sys/fs/cgroup", group, "memory.max")
                         : strstr(line, ":memory:") != NULL
                             ? least_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes")
                             : UINT64_MAX;
        least = limit < least ? limit : least;
    }
    ht_buffer_free(&text);
    return least;
}

uint64_t ht_limit_of(uint32_t pid, const char **ret_name)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
    uint64_t group = group_limit(pid);
    bool is_group = group != UINT64_MAX && (machine == 0 || group < machine);
    *ret_name = is_group ? "limit" : "machine";
    return is_group ? group : machine;
}

void ht_limit_boot_id(char text[40])
{
    struct ht_buffer id = {0};
    text[0] = '\0';
    if (ht_proc_read_file("/proc/sys/kernel/random/boot_id", &id))
        snprintf(text, 40, "%.36s", id.data);
    ht_buffer_free(&id);
}
