// heaptap snap: takes a snapshot of a program from outside, through its region, alive or dead.
#include "region/snap.h"

#include "base/memory.h"
#include "cmd/command.h"
#include "input/region.h"
#include "region/control.h"
#include "snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_GROUPS 4096

// The effective identity of the command while it writes for another user.
struct identity {
    bool changed;
    uid_t uid;
    gid_t gid;
    gid_t groups[MAX_GROUPS];
    int group_count;
};

static void become(struct identity *saved, uid_t uid, gid_t gid)
{
    saved->changed = false;
    saved->uid = geteuid();
    saved->gid = getegid();
    if (saved->uid != 0 || uid == 0)
        return;
    saved->group_count = getgroups(MAX_GROUPS, saved->groups);
    // In a user namespace these may be refused: then we were no real root either.
    if (saved->group_count < 0 || setgroups(0, NULL) != 0)
        return;
    saved->changed = true;
    if (setegid(gid) != 0 || seteuid(uid) != 0)
        ht_warn("cannot take the rights of user %u; the file will belong to root", (unsigned)uid);
}

static void return_to(const struct identity *saved)
{
    if (!saved->changed)
        return;
    if (seteuid(saved->uid) != 0 || setegid(saved->gid) != 0 ||
        setgroups((size_t)saved->group_count, saved->groups) != 0)
        ht_die("cannot return to user %u", (unsigned)saved->uid); // never go on with the wrong rights
}

static uint64_t our_pid_namespace(void)
{
    struct stat stat_of;
    return stat("/proc/self/ns/pid", &stat_of) == 0 ? stat_of.st_ino : 0;
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
    if (target->alive)
        ht_process_root(target->process.pid, root, sizeof root);
    else if (header->pid_namespace != our_pid_namespace())
        return ht_fail("it ran in a container that is gone, or from which we look; say where with -o DIR");
    snprintf(directory, PATH_MAX, "%s%s", root, out);
    return 0;
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
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
    };
    static struct identity saved;
    uint64_t begun_ns = cpu_ns();
    if (snap->directory == NULL)
        become(&saved, target->alive ? target->process.uid : target->stat.st_uid,
               target->alive ? target->process.gid : target->stat.st_gid);
    int result = ht_snapshot_write(&copy->view, snap->trigger, &where, ret_path, PATH_MAX);
    if (snap->directory == NULL)
        return_to(&saved);
    if (target->alive) {
        struct ht_control_written written = {
            .seq = seq > 0 ? seq - 1 : 0, .recorder_ns = cpu_ns() - begun_ns, .failed = result != 0};
        count_snapshot(target, written);
    }
    if (result != 0)
        return ht_fail("no snapshot in %s: %s%s", directory, strerror(-result),
                       snap->directory == NULL ? "; choose another directory with -o DIR" : "");
    return 0;
}

int ht_snap_write(const struct ht_target *target, const struct ht_snap *snap, char ret_path[PATH_MAX])
{
    struct ht_region_copy copy;
    if (ht_region_read(target->fd, &copy) != 0)
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

int ht_region_input_encode(const char *argument, struct ht_buffer *out)
{
    struct ht_target target;
    struct ht_region_copy copy;
    if (ht_target_open(argument, O_RDONLY, &target) != 0)
        return -1;
    int read = ht_region_read(target.fd, &copy);
    ht_target_close(&target);
    if (read != 0)
        return -1;
    struct ht_snapshot_target where = {.rss_bytes = target.alive ? ht_snapshot_rss(target.process.pid) : 0};
    struct ht_sink sink = {add_to_buffer, out};
    int result =
        ht_snapshot_encode(&copy.view, HT_KIND_HEAP, target.alive ? HT_TRIGGER_MANUAL : HT_TRIGGER_RECOVERED,
                           copy.view.header->seq, &where, &sink);
    ht_region_copy_free(&copy);
    return result == 0 ? 0 : ht_fail("its region cannot be read as a profile: %s", strerror(-result));
}

struct snap_settings {
    const char *out;
};

const struct ht_option ht_options_snap[] = {
    {"out", 'o', HT_OPT_STRING, offsetof(struct snap_settings, out), 0, "DIR",
     "write there (default: the program's own HEAPTAP_OUT)"},
    {"output", 0, HT_OPT_STRING, offsetof(struct snap_settings, out), 0, "DIR", NULL},
    {.name = NULL},
};

static bool snap_one(const char *argument, const char *directory)
{
    struct ht_target target;
    char path[PATH_MAX];
    if (ht_target_open(argument, O_RDONLY, &target) != 0) {
        ht_cmd_error("snap", "%s: %s", argument, ht_error());
        return false;
    }
    struct ht_snap snap = {.trigger = target.alive ? HT_TRIGGER_MANUAL : HT_TRIGGER_RECOVERED,
                           .directory = directory};
    int result = ht_snap_write(&target, &snap, path);
    ht_target_close(&target);
    if (result != 0)
        ht_cmd_error("snap", "%s: %s", argument, ht_error());
    else
        printf("%s\n", path);
    return result == 0;
}

int ht_cmd_snap(int argc, char **argv)
{
    struct snap_settings settings = {0};
    struct ht_operands operands;
    int status = ht_cmd_parse("snap", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status;
    if (operands.count == 0)
        return ht_cmd_usage_error("snap", "name a process or a region file");
    char directory[PATH_MAX] = "";
    if (settings.out != NULL && settings.out[0] != '/') {
        char here[PATH_MAX];
        if (getcwd(here, sizeof here) == NULL)
            return ht_cmd_error("snap", "the working directory is gone; give -o an absolute path");
        if ((size_t)snprintf(directory, sizeof directory, "%s/%s", here, settings.out) >= sizeof directory)
            return ht_cmd_error("snap", "%s: the path is too long", settings.out);
    } else if (settings.out != NULL) {
        snprintf(directory, sizeof directory, "%s", settings.out);
    }
    bool all = true;
    for (int i = 0; i < operands.count; i++)
        all &= snap_one(operands.items[i], settings.out != NULL ? directory : NULL);
    int finished = ht_cmd_finish("snap");
    return all ? finished : HT_EXIT_FAILED;
}
