// The surroundings of `heaptap doctor`: a trial of the shim, variables, the live region's folder, output,
// memory, limits.
#include "base/measure.h"
#include "base/options.h"
#include "base/proc.h"
#include "base/text.h"
#include "doctor/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SMALL_ROOM_BYTES   (UINT64_C(16) << 20)
#define LEAST_REGION_BYTES (UINT64_C(256) << 10) // what the shim wants for a shared region

static const char *bytes_text(uint64_t bytes, char text[HT_MEASURE_TEXT_BYTES])
{
    ht_measure_bytes(bytes < INT64_MAX ? (int64_t)bytes : INT64_MAX, 0, text);
    return text;
}

// May the process (or, for a program, this user) make files in a folder?
static bool may_write(const struct ht_doctor *doctor, const char *folder)
{
    struct stat stat_of;
    struct statvfs mount;
    uint64_t uid = geteuid(), gid = getegid();
    if (stat(folder, &stat_of) != 0 || !S_ISDIR(stat_of.st_mode) || statvfs(folder, &mount) != 0 ||
        (mount.f_flag & ST_RDONLY) != 0)
        return false;
    if (doctor->pid != 0) {
        ht_proc_status_number(&doctor->status, "Uid", 10, &uid);
        ht_proc_status_number(&doctor->status, "Gid", 10, &gid);
    }
    if (uid == geteuid())
        return access(folder, W_OK | X_OK) == 0;
    unsigned bits = stat_of.st_mode & 7u;
    if (stat_of.st_uid == uid)
        bits = (stat_of.st_mode >> 6) & 7u;
    else if (stat_of.st_gid == gid)
        bits = (stat_of.st_mode >> 3) & 7u;
    return uid == 0 || (bits & 3u) == 3u;
}

static const char output_advice[] =
    "name a folder that it may write: HEAPTAP_OUT, 'heaptap run -o DIR' (systemd: StateDirectory=, ReadWritePaths=)";
static const char private_tables[] =
    "the tables are private then: profiles are written, but ps, snap and top PID see nothing, nor does anything stay "
    "after a kill -9";

static void say_live(struct ht_doctor *doctor, const char *folder, const char *advice, const char *what)
{
    ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice, "%s %s; %s", folder, what, private_tables);
}

void ht_doctor_check_live(struct ht_doctor *doctor)
{
    const char *value = ht_doctor_variable(doctor, "HEAPTAP_LIVE");
    const char *folder = value != NULL && value[0] == '/' ? value : "/dev/shm";
    char path[PATH_MAX], size[HT_MEASURE_TEXT_BYTES], room[HT_MEASURE_TEXT_BYTES],
        share[HT_MEASURE_TEXT_BYTES];
    struct statfs fs;
    if (doctor->has_shim && doctor->process.has_region)
        return; // the check of the profiler in it has named it
    if (value != NULL && strcmp(value, "off") == 0) {
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, "unset HEAPTAP_LIVE", "HEAPTAP_LIVE=off: %s",
                      private_tables);
        return;
    }
    if (doctor->has_shim && doctor->process.has_private_tables) {
        ht_doctor_say(
            doctor, HT_DOCTOR_WARNING,
            "give it a tmpfs with room before it starts, one that it still sees when it has changed its root",
            "there was no tmpfs for a region, or no room in it, when it recorded its first sample; %s",
            private_tables);
        return;
    }
    snprintf(path, sizeof path, "%s%s", doctor->root, folder);
    if (statfs(path, &fs) != 0) {
        say_live(doctor, folder, "mount a tmpfs there, or name one with HEAPTAP_LIVE",
                 errno == ENOENT ? "is not there" : strerror(errno));
        return;
    }
    uint64_t block = (uint64_t)fs.f_bsize, total = fs.f_blocks * block, free_bytes = fs.f_bavail * block;
    if (fs.f_type != TMPFS_MAGIC)
        say_live(doctor, folder, "mount a tmpfs there, or name one with HEAPTAP_LIVE", "is not a tmpfs");
    else if (!may_write(doctor, path))
        say_live(doctor, folder, "chmod 1777, or name another tmpfs with HEAPTAP_LIVE", "may not be written");
    else if (total != 0 && free_bytes / 8 < LEAST_REGION_BYTES)
        say_live(doctor, folder, "make it larger (docker: --shm-size=256m), or remove old files there",
                 "is nearly full");
    else if (total != 0 && free_bytes < SMALL_ROOM_BYTES)
        ht_doctor_say(
            doctor, HT_DOCTOR_WARNING, "make it larger (docker: --shm-size=256m)",
            "%s: tmpfs, %s free of %s: a region takes an eighth, %s, and samples more coarsely when it is full",
            folder, bytes_text(free_bytes, room), bytes_text(total, size), bytes_text(free_bytes / 8, share));
    else if (total != 0)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s: tmpfs, %s free of %s", folder,
                      bytes_text(free_bytes, room), bytes_text(total, size));
    else
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s: tmpfs without a limit", folder);
}

// Where profiles go: as the process names it. False: not known; it has been said.
static bool output_folder(struct ht_doctor *doctor, char shown[PATH_MAX])
{
    const char *value = ht_doctor_variable(doctor, "HEAPTAP_OUT");
    char base[PATH_MAX];
    if (doctor->has_header)
        return snprintf(shown, PATH_MAX, "%.*s", (int)sizeof doctor->header.out_dir, doctor->header.out_dir) >
               0;
    if (value != NULL && value[0] == '/')
        return snprintf(shown, PATH_MAX, "%s", value) < PATH_MAX;
    if (doctor->has_shim && !ht_doctor_knows(doctor, "HEAPTAP_OUT")) {
        ht_doctor_say(doctor, HT_DOCTOR_UNKNOWN, output_advice,
                      "where profiles go is not known: the process has written over its environment");
    } else if (doctor->has_shim) { // it may have gone elsewhere since
        ht_doctor_say(doctor, HT_DOCTOR_UNKNOWN, output_advice,
                      "profiles go to %s%sthe directory that it was started in, which is not known any more",
                      value != NULL ? value : "", value != NULL ? " below " : "");
    } else if (getcwd(base, sizeof base) == NULL) {
        ht_doctor_say(doctor, HT_DOCTOR_PARTLY, output_advice,
                      "the working directory is gone, and HEAPTAP_OUT is not absolute");
    } else {
        return snprintf(shown, PATH_MAX, "%s%s%s", base, value != NULL ? "/" : "",
                        value != NULL ? value : "") < PATH_MAX;
    }
    return false;
}

// In the nearest folder that there is, it will be made; but not in a root that the process changed to.
static void say_output(struct ht_doctor *doctor, const char *shown, char path[PATH_MAX])
{
    char room[HT_MEASURE_TEXT_BYTES];
    struct stat stat_of;
    struct statvfs mount;
    bool missing = stat(path, &stat_of) != 0 && errno == ENOENT;
    if (missing && doctor->has_shim && ht_proc_is_chrooted(doctor->pid)) {
        ht_doctor_say(
            doctor, HT_DOCTOR_PARTLY,
            doctor->process.has_private_tables ? "make that folder inside its root, for its user to write to"
                                               : "take them from outside: 'heaptap snap PID', 'heaptap run'",
            "%s is not in the root that it changed to (chroot): it writes no profiles itself", shown);
        return;
    }
    while (stat(path, &stat_of) != 0 && errno == ENOENT && strrchr(path, '/') > path)
        *strrchr(path, '/') = '\0';
    if (!may_write(doctor, path)) {
        ht_doctor_say(doctor, HT_DOCTOR_PARTLY, output_advice,
                      "profiles go to %s, where nothing may be written", shown);
        return;
    }
    uint64_t free_bytes = statvfs(path, &mount) == 0 ? mount.f_bavail * mount.f_frsize : UINT64_MAX;
    ht_doctor_say(doctor, free_bytes < SMALL_ROOM_BYTES ? HT_DOCTOR_WARNING : HT_DOCTOR_OK,
                  free_bytes < SMALL_ROOM_BYTES ? output_advice : NULL, "profiles go to %s%s, %s free", shown,
                  missing ? " (will be made)" : "", bytes_text(free_bytes, room));
}

void ht_doctor_check_output(struct ht_doctor *doctor)
{
    char path[PATH_MAX], shown[PATH_MAX];
    if (output_folder(doctor, shown) &&
        snprintf(path, sizeof path, "%s%s", doctor->has_shim ? doctor->root : "", shown) < PATH_MAX)
        say_output(doctor, shown, path);
}

static uint64_t read_number(const char *path)
{
    struct ht_buffer text = {0};
    char *end = NULL;
    uint64_t value = UINT64_MAX;
    if (ht_proc_read_file(path, &text)) {
        uint64_t number = strtoull(text.data, &end, 10);
        value = end != text.data ? number : UINT64_MAX; // "max"
    }
    ht_buffer_free(&text);
    return value;
}

// The tightest limit of a control group and those above it.
static void tightest(const char *mount, char *group, const char *limit_name, const char *usage_name,
                     uint64_t *limit_bytes, uint64_t *used_bytes)
{
    for (;;) {
        char path[2 * PATH_MAX];
        snprintf(path, sizeof path, "%s%s/%s", mount, group, limit_name);
        uint64_t limit = read_number(path);
        if (limit < *limit_bytes) {
            *limit_bytes = limit;
            snprintf(path, sizeof path, "%s%s/%s", mount, group, usage_name);
            *used_bytes = read_number(path);
        }
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

// Source: cgroups(7), /proc/PID/cgroup: "0::/group" is version 2, "4:memory:/group" version 1.
static uint64_t group_limit(const struct ht_doctor *doctor, uint64_t *used_bytes)
{
    uint64_t limit_bytes = UINT64_MAX;
    struct ht_buffer text = {0};
    ht_proc_read(doctor->pid, "cgroup", &text);
    for (char *rest = text.data, *line; (line = ht_text_take_line(&rest)) != NULL;) {
        char *group = strchr(line, '/');
        if (group == NULL || strlen(group) >= PATH_MAX)
            continue;
        if (strncmp(line, "0::/", 4) == 0)
            tightest("/sys/fs/cgroup", group, "memory.max", "memory.current", &limit_bytes, used_bytes);
        else if (strstr(line, ":memory:/") != NULL)
            tightest("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", "memory.usage_in_bytes",
                     &limit_bytes, used_bytes);
    }
    ht_buffer_free(&text);
    return limit_bytes < INT64_MAX / 2 ? limit_bytes : UINT64_MAX; // version 1 says "none" with a huge number
}

// What the profiler takes at most: what its region says, or what the shim will choose, which sees a limit
// only at the root of the control groups that are mounted (that of a container), not that of a service.
static uint64_t budget(const struct ht_doctor *doctor)
{
    static const char *const files[] = {"/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    const char *value = ht_doctor_variable(doctor, "HEAPTAP_MEMORY");
    const char *rate = ht_doctor_variable(doctor, "HEAPTAP_RATE");
    uint64_t bytes = UINT64_C(64) << 20;
    struct sysinfo info;
    if (doctor->has_header)
        return doctor->header.memory_limit_bytes;
    if (value != NULL && ht_parse_size(value, &bytes) == 0 && bytes >= UINT64_C(1) << 20)
        return bytes;
    bytes = UINT64_C(64) << (rate != NULL && strcmp(rate, "1") == 0 ? 24 : 20);
    uint64_t most = sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", doctor->root, files[i]);
        uint64_t limit_bytes = read_number(path);
        most = limit_bytes < most ? limit_bytes : most;
    }
    return most / 8 < bytes ? most / 8 : bytes;
}

void ht_doctor_check_memory(struct ht_doctor *doctor)
{
    char most[HT_MEASURE_TEXT_BYTES], limit[HT_MEASURE_TEXT_BYTES], used[HT_MEASURE_TEXT_BYTES];
    uint64_t used_bytes = 0, size_kib = 0, limit_bytes = group_limit(doctor, &used_bytes);
    uint64_t wanted = budget(doctor), space = ht_doctor_limit(doctor, RLIMIT_AS);
    if (!doctor->has_header && !ht_doctor_knows(doctor, "HEAPTAP_MEMORY")) {
        ht_doctor_say(
            doctor, HT_DOCTOR_UNKNOWN, "'heaptap ps' shows what it takes once it has a region",
            "what the profiler may take is not known: the process has written over its environment");
        return;
    }
    if (doctor->has_header) // its tables have their place
        space = UINT64_MAX;
    if (doctor->pid != 0)
        ht_proc_status_number(&doctor->status, "VmSize", 10, &size_kib);
    uint64_t left = space > size_kib * 1024 ? space - size_kib * 1024 : 0;
    bytes_text(wanted, most);
    if (space != UINT64_MAX && left / 8 < LEAST_REGION_BYTES)
        ht_doctor_say(
            doctor, HT_DOCTOR_PROBLEM, "raise the limit: ulimit -v unlimited, or LimitAS= of the service",
            "the limit of the address space (ulimit -v) leaves %s: no room for the profiler's tables",
            bytes_text(left, limit));
    else if (space != UINT64_MAX)
        ht_doctor_say(
            doctor, HT_DOCTOR_WARNING, "raise the limit: ulimit -v unlimited, or LimitAS= of the service",
            "the limit of the address space (ulimit -v) leaves %s, of which the tables get an eighth",
            bytes_text(left, limit));
    if (limit_bytes == UINT64_MAX) {
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "the profiler takes at most %s", most);
        return;
    }
    bytes_text(limit_bytes, limit);
    bytes_text(used_bytes, used);
    bool tight = used_bytes < limit_bytes && wanted > (limit_bytes - used_bytes) / 2;
    ht_doctor_say(
        doctor, tight ? HT_DOCTOR_WARNING : HT_DOCTOR_OK,
        tight ? "give it more memory (systemd: MemoryMax=), or the profiler less: HEAPTAP_MEMORY=4M" : NULL,
        "the profiler takes at most %s; the control group may have %s and has %s", most, limit, used);
}

void ht_doctor_check_limits(struct ht_doctor *doctor)
{
    char limit[HT_MEASURE_TEXT_BYTES], path[HT_PROC_PATH_BYTES];
    uint64_t file_bytes = ht_doctor_limit(doctor, RLIMIT_FSIZE),
             files = ht_doctor_limit(doctor, RLIMIT_NOFILE);
    if (file_bytes < SMALL_ROOM_BYTES)
        ht_doctor_say(
            doctor, HT_DOCTOR_WARNING, "raise the limit: ulimit -f unlimited, or LimitFSIZE= of the service",
            "files may have %s (ulimit -f): a larger profile is not written, a larger region not shared",
            bytes_text(file_bytes, limit));
    if (doctor->pid == 0)
        return;
    uint64_t count = 0;
    ht_proc_path(doctor->pid, "fd", path);
    DIR *stream = opendir(path);
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;)
        count += entry->d_name[0] != '.';
    if (stream != NULL)
        closedir(stream);
    if (count + 2 > files)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING,
                      "raise the limit (ulimit -n, LimitNOFILE=), or take snapshots by 'heaptap snap PID'",
                      "%" PRIu64 " of %" PRIu64 " descriptors are open: a snapshot from inside finds none",
                      count, files);
}
