// Snapshots from outside: encodes a copy of a region, with the rights of its program where root writes for
// it.
#include "region/snap.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/proc.h"
#include "region/control.h"
#include "snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool is_directory(const char *root, const char *path)
{
    char whole[PATH_MAX];
    struct stat stat_of;
    return snprintf(whole, sizeof whole, "%s%s", root, path) < PATH_MAX && stat(whole, &stat_of) == 0 &&
           S_ISDIR(stat_of.st_mode);
}

// Where the program's directory is for us. A container's paths mean something else here once it is gone.
static int find_directory(const struct ht_target *target, const struct ht_region_header *header,
                          char directory[PATH_MAX])
{
    char root[64] = "";
    char out[sizeof header->out_dir + 1];
    snprintf(out, sizeof out, "%.*s", (int)sizeof header->out_dir, header->out_dir);
    if (out[0] != '/')
        return ht_fail("its directory for profiles is unknown; say where with -o DIR");
    if (target->alive) {
        ht_proc_root(target->process.pid, root, sizeof root);
        // It has changed its root since it was told where: that was in ours.
        if (ht_proc_is_chrooted(target->process.pid) && !is_directory(root, out) && is_directory("", out))
            root[0] = '\0';
    } else if (header->pid_namespace != ht_proc_namespace(0, "pid")) {
        return ht_fail("it ran in a container that is gone, or from which we look; say where with -o DIR");
    }
    snprintf(directory, PATH_MAX, "%s%s", root, out);
    return 0;
}

// Counting is a courtesy to the program's own numbers; a region that only its owner may write goes without.
static void count_snapshot(const struct ht_target *target, struct ht_control_written written)
{
    struct stat stat;
    int fd = ht_region_open(target->region_path, O_RDWR, &stat);
    if (fd < 0)
        return;
    if (stat.st_ino == target->stat.st_ino && stat.st_dev == target->stat.st_dev)
        ht_control_apply(fd, ht_control_count_snapshot, &written);
    close(fd);
}

// What an idle forked child holds is known as a lower bound (region/heir.h).
static void mark_heir(const struct ht_target *target, struct ht_snapshot_target *where)
{
    static const char *const comments[] = {"at_least=1"};
    if (!target->alive || !target->process.is_heir)
        return;
    where->heap_name = "inherited"; // what the child itself writes later is numbered as ever
    where->comments = comments;
    where->comment_count = 1;
}

// Its last snapshot is begun, whatever the copy says: one by the interval would be taken for newer than that.
static bool is_exiting(void *arg)
{
    const struct ht_target *target = arg;
    uint32_t exiting = 0;
    return pread(target->fd, &exiting, sizeof exiting, offsetof(struct ht_region_header, exiting)) ==
               (ssize_t)sizeof exiting &&
           exiting != 0;
}

static int write_copy(const struct ht_target *target, const struct ht_snap *snap,
                      const struct ht_region_copy *copy, char ret_path[PATH_MAX])
{
    char directory[PATH_MAX];
    if (snap->directory != NULL)
        snprintf(directory, sizeof directory, "%s", snap->directory);
    else if (find_directory(target, copy->view.header, directory) != 0)
        return -1;
    uint32_t seq = copy->view.header->seq;
    struct ht_snapshot_target where = {
        .directory = directory,
        .seq = &seq,
        .rotation = snap->rotation,
        .keep = snap->keep,
        .rss_bytes = target->alive ? ht_snapshot_rss(target->process.pid) : 0,
        .is_too_late = snap->trigger == HT_TRIGGER_INTERVAL ? is_exiting : NULL,
        .arg = (void *)(uintptr_t)target,
        .monotonic_ns = copy->begun_ns,
    };
    mark_heir(target, &where);
    const struct ht_owner ours = {0, 0};
    struct ht_rights saved;
    uint64_t begun_ns = ht_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (ht_rights_take(snap->directory == NULL ? ht_target_owner(target) : ours, &saved) < 0)
        return ht_fail("%s, and its directory is that user's word; say where with -o DIR", ht_error());
    int result = ht_snapshot_write(&copy->view, snap->trigger, &where, ret_path, PATH_MAX);
    ht_rights_return(&saved);
    if (target->alive && target->process.has_region && result != -ECANCELED) {
        struct ht_control_written written = {.seq = seq > 0 ? seq - 1 : 0,
                                             .recorder_ns = ht_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begun_ns,
                                             .failed = result != 0};
        count_snapshot(target, written);
    }
    if (result == -ECANCELED)
        return ht_fail("its program is ending and writes its last profile itself");
    if (result != 0)
        return ht_fail("no snapshot in %s: %s%s", directory, strerror(-result),
                       snap->directory == NULL ? "; choose another directory with -o DIR" : "");
    return 0;
}

int ht_snap_write(const struct ht_target *target, const struct ht_snap *snap, char ret_path[PATH_MAX])
{
    struct ht_region_copy copy;
    if (ht_target_read(target, &copy) != 0)
        return -1;
    int result = write_copy(target, snap, &copy, ret_path);
    ht_region_copy_free(&copy);
    return result;
}

static int add_to_buffer(void *arg, const void *bytes, size_t size_bytes)
{
    ht_buffer_add(arg, bytes, size_bytes);
    return 0;
}

int ht_snap_encode(const char *argument, struct ht_buffer *out, struct ht_owner *ret_owner)
{
    struct ht_target target;
    struct ht_region_copy copy;
    if (ht_target_open(argument, O_RDONLY, &target) != 0)
        return -1;
    int read = ht_target_read(&target, &copy);
    ht_target_close(&target);
    if (read != 0)
        return -1;
    *ret_owner = ht_target_owner(&target);
    struct ht_snapshot_target where = {.rss_bytes = target.alive ? ht_snapshot_rss(target.process.pid) : 0,
                                       .monotonic_ns = copy.begun_ns};
    mark_heir(&target, &where);
    struct ht_sink sink = {add_to_buffer, out};
    int result =
        ht_snapshot_encode(&copy.view, HT_KIND_HEAP, target.alive ? HT_TRIGGER_MANUAL : HT_TRIGGER_RECOVERED,
                           copy.view.header->seq, &where, &sink);
    ht_region_copy_free(&copy);
    return result == 0 ? 0 : ht_fail("its region cannot be read as a profile: %s", strerror(-result));
}
