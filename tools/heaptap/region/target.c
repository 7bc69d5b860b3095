// A region as it is named on the command line: opens it by the PID of its process or by its file.
#include "region/target.h"

#include "base/error.h"
#include "base/proc.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool ht_target_matches(const char *argument)
{
    return ht_proc_is_pid(argument) || (strlen(argument) > 5 && ht_text_ends_with(argument, ".live"));
}

static int open_process(const char *argument, int flags, struct ht_target *target)
{
    uint32_t pid;
    if (!ht_proc_parse_pid(argument, &pid))
        return ht_fail("no process has such a number; 'heaptap ps' lists what is being profiled");
    if (ht_process_find(pid, &target->process) != 0)
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
