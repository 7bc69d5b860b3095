// A region as it is named on the command line: opens it by the PID of its process or by its file.
#include "region/target.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/proc.h"
#include "base/text.h"
#include "region/dead.h"
#include "region/heir.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool ht_target_matches(const char *argument)
{
    return ht_proc_is_pid(argument) || (strlen(argument) > 5 && ht_text_ends_with(argument, ".live"));
}

// What can be said beside why a number is no process to look at: what one of that number left, and that there
// is a file of that name.
static int fail_number(const char *argument, uint32_t pid)
{
    char region[PATH_MAX], reason[1024];
    snprintf(reason, sizeof reason, "%s", ht_error());
    if (ht_dead_find(pid, region))
        return ht_fail("%s; one that had this number left its heap: 'heaptap top %s'", reason, region);
    if (access(argument, F_OK) == 0)
        return ht_fail("%s; a number is a process, the file of that name is written ./%s", reason, argument);
    return ht_fail("%s", reason);
}

struct ht_owner ht_target_owner(const struct ht_target *target)
{
    bool has_changed = target->alive && target->stat.st_uid == 0 && target->process.uid != 0;
    if (has_changed)
        return (struct ht_owner){target->process.uid, target->process.gid};
    return (struct ht_owner){target->stat.st_uid, target->stat.st_gid};
}

static int open_process(const char *argument, int flags, struct ht_target *target)
{
    uint32_t pid = 0;
    if (!ht_proc_parse_pid(argument, &pid)) {
        ht_fail("no process has such a number; 'heaptap ps' lists what is being profiled");
        return fail_number(argument, pid);
    }
    if (ht_process_find(pid, &target->process) != 0)
        return fail_number(argument, pid);
    if (!target->process.has_region && (!target->process.is_heir || flags != O_RDONLY)) {
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

// A program's file is no snapshot: where people build, it lies there under the name of its process.
static bool is_name(const char *argument)
{
    struct stat stat_of;
    if (argument[0] == '\0' || argument[0] == '-' || strpbrk(argument, "/:") != NULL ||
        ht_target_matches(argument))
        return false;
    return stat(argument, &stat_of) != 0 || (S_ISREG(stat_of.st_mode) && (stat_of.st_mode & 0111) != 0);
}

static void add_name(struct ht_strings *names, const char *name)
{
    names->items = ht_realloc_array(names->items, names->count + 1, sizeof *names->items);
    names->items[names->count++] = ht_strdup(name);
}

struct ht_strings ht_target_names(char *const *arguments, size_t count)
{
    struct ht_strings names = {0};
    struct ht_process *processes = NULL;
    size_t process_count = 0;
    bool is_listed = false;
    for (size_t i = 0; i < count; i++) {
        size_t before = names.count;
        if (is_name(arguments[i]) && !is_listed)
            is_listed = ht_process_list(&processes, &process_count) == 0;
        for (size_t j = 0; j < process_count && is_name(arguments[i]); j++) {
            char pid[16];
            snprintf(pid, sizeof pid, "%" PRIu32, processes[j].pid);
            if (ht_process_is_named(&processes[j], arguments[i]))
                add_name(&names, pid);
        }
        if (names.count == before)
            add_name(&names, arguments[i]);
    }
    free(processes);
    return names;
}

void ht_target_names_free(struct ht_strings *names)
{
    for (size_t i = 0; i < names->count; i++)
        free((char *)(uintptr_t)names->items[i]);
    free(names->items);
    *names = (struct ht_strings){0};
}

int ht_target_read(const struct ht_target *target, struct ht_region_copy *ret_copy)
{
    if (ht_region_read(target->fd, ret_copy) != 0)
        return -1;
    if (target->alive && target->process.is_heir)
        ht_heir_take(ret_copy, &target->process);
    return 0;
}

int ht_target_open(const char *argument, int flags, struct ht_target *ret_target)
{
    struct ht_target target = {.fd = HT_NO_FD};
    snprintf(target.name, sizeof target.name, "%s", argument);
    if (!ht_target_matches(argument))
        return ht_fail("is neither a process id nor a region file (*.live)");
    if (ht_proc_is_pid(argument)) {
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
            target.alive = ht_region_is_alive(&header, &target.stat, NULL, &target.process);
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
