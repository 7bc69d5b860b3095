// The running process of `heaptap doctor`: whether it may be looked at, what the profiler does in it, what
// stands in the way.
#include "base/error.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/text.h"
#include "doctor/doctor.h"
#include "record/layout.h"
#include "region/control.h"
#include "region/dead.h"
#include "region/signal.h"
#include "sys/maps.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct {
    int resource;
    const char *name; // in /proc/PID/limits
} limits[] = {
    {RLIMIT_AS, "Max address space"}, {RLIMIT_FSIZE, "Max file size"}, {RLIMIT_NOFILE, "Max open files"}};

uint64_t ht_doctor_limit(const struct ht_doctor *doctor, int resource)
{
    struct rlimit own;
    struct ht_buffer text = {0};
    uint64_t value = UINT64_MAX;
    if (doctor->pid == 0)
        return getrlimit((__rlimit_resource_t)resource, &own) == 0 && own.rlim_cur != RLIM_INFINITY
                   ? own.rlim_cur
                   : UINT64_MAX;
    for (size_t i = 0; i < sizeof limits / sizeof *limits && ht_proc_read(doctor->pid, "limits", &text);
         i++) {
        const char *line = limits[i].resource == resource ? strstr(text.data, limits[i].name) : NULL;
        if (line != NULL) {
            line += strlen(limits[i].name);
            line += strspn(line, " ");
            value = isdigit((unsigned char)*line) ? strtoull(line, NULL, 10) : UINT64_MAX;
        }
    }
    ht_buffer_free(&text);
    return value;
}

static void read_header(struct ht_doctor *doctor)
{
    doctor->has_header = doctor->process.has_region &&
                         ht_region_read_header(doctor->process.region_path, &doctor->header, NULL) == 0 &&
                         doctor->header.version == HT_REGION_VERSION;
}

static bool is_mapped_file(const char *path, const struct ht_maps_line *line)
{
    struct stat stat_of;
    return stat(path, &stat_of) == 0 && stat_of.st_ino == line->inode &&
           stat_of.st_dev == makedev(line->device_major, line->device_minor);
}

// A name under which a mapped file can be opened from here: as the kernel shows it, which is not in the
// process's root when that was changed (chroot); through that root (a container); through the mapping itself,
// given the rights. On some file systems (btrfs, overlayfs) the mapping names another device than the file.
static char *openable_name(const struct ht_doctor *doctor, const char *path, bool is_deleted,
                           const struct ht_maps_line *line)
{
    char *inside = ht_format("%s%s", doctor->root, path);
    char *mapping =
        ht_format("/proc/%" PRIu32 "/map_files/%" PRIx64 "-%" PRIx64, doctor->pid, line->start, line->limit);
    const char *found = is_deleted                     ? mapping
                        : is_mapped_file(inside, line) ? inside
                        : is_mapped_file(path, line)   ? path
                        : access(mapping, R_OK) == 0   ? mapping
                        : access(inside, F_OK) == 0    ? inside
                                                       : path;
    char *name = ht_strdup(found);
    free(inside);
    free(mapping);
    return name;
}

static void add_mapped_file(struct ht_doctor *doctor, const struct ht_maps_line *line)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", line->path);
    bool deleted = ht_proc_take_deleted(path), known = strcmp(path, doctor->path) == 0;
    for (size_t i = 0; i < doctor->file_count && !known; i++)
        known = strcmp(doctor->files[i].path, path) == 0;
    if (known)
        return;
    char *open_path = openable_name(doctor, path, deleted, line);
    ht_doctor_add_file(doctor, path, open_path, deleted);
    free(open_path);
}

// The executable and the libraries that are mapped, each once.
static void add_mapped_files(struct ht_doctor *doctor, char *maps)
{
    for (char *text; (text = ht_text_take_line(&maps)) != NULL;) {
        struct ht_maps_line line;
        if (ht_maps_parse(text, &line) && line.executable && line.path[0] == '/')
            add_mapped_file(doctor, &line);
    }
}

static void read_arguments(struct ht_doctor *doctor)
{
    struct ht_buffer *line = &doctor->command_line;
    size_t capacity = 0;
    if (ht_proc_read(doctor->pid, "cmdline", line))
        for (char *at = line->data; at < line->data + line->length; at += strlen(at) + 1) {
            HT_RESERVE(doctor->own_arguments, capacity, doctor->argument_count + 1);
            doctor->own_arguments[doctor->argument_count++] = at;
        }
    doctor->arguments = doctor->own_arguments;
}

int ht_doctor_find_process(struct ht_doctor *doctor, const char *argument)
{
    char exe[HT_PROC_PATH_BYTES];
    struct ht_proc_stat stat;
    uint32_t pid;
    char left[PATH_MAX];
    if (!ht_proc_parse_pid(argument, &pid))
        return ht_fail("no process has such a number; a program of that name is written ./%s", argument);
    bool exists = ht_proc_stat(pid, &stat), ended = !exists || stat.state == 'Z' || stat.state == 'X';
    if (ended && ht_dead_find(pid, left))
        return ht_fail("has ended; 'heaptap doctor %s' is about what it left", left);
    if (!exists)
        return ht_fail("no such process; a program of that name is written ./%s", argument);
    doctor->pid = pid;
    if (ended)
        return ht_fail("has ended and waits for its parent; 'heaptap ps --dead' lists what it left");
    if (!ht_proc_read(doctor->pid, "status", &doctor->status))
        return ht_fail("no such process any more");
    uint64_t bytes;
    if (!ht_proc_status_number(&doctor->status, "VmSize", 10, &bytes))
        return ht_fail("is a thread of the kernel: it has no heap");
    struct ht_buffer maps = {0};
    doctor->may_look = ht_proc_read(doctor->pid, "maps", &maps);
    doctor->has_shim = doctor->may_look && ht_process_find(doctor->pid, &doctor->process) == 0;
    if (doctor->has_shim)
        read_header(doctor);
    ht_proc_root(doctor->pid, doctor->root, sizeof doctor->root);
    ht_proc_path(doctor->pid, "exe", exe);
    ssize_t length = readlink(exe, doctor->path, sizeof doctor->path - 1);
    doctor->path[length > 0 ? length : 0] = '\0';
    bool deleted = ht_proc_take_deleted(doctor->path);
    snprintf(doctor->open_path, sizeof doctor->open_path, "%s", exe); // also when it was deleted
    snprintf(doctor->subject, sizeof doctor->subject, "%s", length > 0 ? doctor->path : "executable unknown");
    if (doctor->may_look) {
        read_arguments(doctor);
        ht_proc_environment_read(doctor->pid, &doctor->own_environment);
        if (doctor->has_shim)
            doctor->environment = doctor->own_environment.items;
        ht_doctor_open_program(doctor);
        ht_doctor_add_file(doctor, doctor->path, doctor->open_path, deleted);
        add_mapped_files(doctor, maps.data);
    }
    ht_buffer_free(&maps);
    return 0;
}

void ht_doctor_check_access(struct ht_doctor *doctor)
{
    uint64_t uid = 0;
    ht_proc_status_number(&doctor->status, "Uid", 10, &uid);
    if (doctor->may_look) {
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "may be read from here (its user: %" PRIu64 ", yours: %u)",
                      uid, (unsigned)geteuid());
        return;
    }
    if (geteuid() == 0)
        ht_doctor_say(doctor, HT_DOCTOR_CLOSED,
                      "run heaptap outside of the container, or with CAP_SYS_PTRACE",
                      "may not be read, not even by root (a container or a security module)");
    else if (uid != geteuid())
        ht_doctor_say(doctor, HT_DOCTOR_CLOSED, "run heaptap as that user or as root",
                      "runs as user %" PRIu64 ", and may not be read by %u", uid, (unsigned)geteuid());
    else
        ht_doctor_say(doctor, HT_DOCTOR_CLOSED, "run heaptap as root",
                      "may not be read though it is yours: it has or had more rights, or is not dumpable");
}

static bool is_secure(const struct ht_doctor *doctor)
{
    struct ht_buffer text = {0};
    bool secure = false;
    Elf64_auxv_t entry;
    if (ht_proc_read(doctor->pid, "auxv", &text))
        for (size_t at = 0; at + sizeof entry <= text.length; at += sizeof entry) {
            memcpy(&entry, text.data + at, sizeof entry);
            secure |= entry.a_type == AT_SECURE && entry.a_un.a_val != 0;
        }
    ht_buffer_free(&text);
    return secure;
}

static void say_not_loaded(struct ht_doctor *doctor)
{
    static const char restart[] =
        "start it again with 'heaptap run', or with LD_PRELOAD=libheaptap.so (systemd: Environment=)";
    const char *preload = ht_proc_value_in(doctor->own_environment.items, "LD_PRELOAD");
    struct ht_doctor_finding *finding;
    if (is_secure(doctor))
        finding = ht_doctor_say(
            doctor, HT_DOCTOR_PROBLEM, ht_elf_remedy(HT_ELF_SETUID),
            "not loaded: it was started with more rights than its caller (AT_SECURE), so the loader "
            "ignored LD_PRELOAD");
    else if (preload != NULL && strstr(preload, "libheaptap.so") != NULL)
        finding = ht_doctor_say(doctor, HT_DOCTOR_PROBLEM,
                                "correct the path (as the process sees it); the other checks may say more",
                                "not loaded, though LD_PRELOAD=%s", preload);
    else
        finding = ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, restart, "not loaded");
    finding->ends_with_restart = true;
}

void ht_doctor_check_profiler(struct ht_doctor *doctor)
{
    char text[512];
    if (!doctor->may_look)
        return;
    if (!doctor->has_shim) {
        say_not_loaded(doctor);
        return;
    }
    if (!doctor->process.has_region) {
        const char *rate = ht_doctor_variable(doctor, "HEAPTAP_RATE");
        ht_process_explain_no_region(&doctor->process, text, sizeof text);
        bool never =
            strstr(text, "is not being profiled") != NULL || (rate != NULL && strcmp(rate, "0") == 0);
        struct ht_doctor_finding *finding =
            ht_doctor_say(doctor, never ? HT_DOCTOR_PROBLEM : HT_DOCTOR_OK,
                          never ? "start it again without that variable" : NULL, "loaded; %s", text);
        finding->ends_with_restart = never;
        return;
    }
    const struct ht_region_header *header = &doctor->header;
    if (!doctor->has_header) {
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, "look with 'heaptap ps -v'",
                      "loaded; its region cannot be read");
        return;
    }
    ht_control_rate_text(header->rate_bytes, text);
    if (header->failed != HT_FAILURE_NONE)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM,
                      "'heaptap ps -v' shows the counters; start it again and report this",
                      "loaded, but recording was switched off for good: %s",
                      header->failed == HT_FAILURE_BLOCKED ? "threads waited too long for each other in it"
                                                           : "its tables were damaged")
            ->ends_with_restart = true;
    else if (header->active == 0)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, "'heaptap start PID' switches it on", "loaded, dormant");
    else
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL,
                      "recording, a sample every %s, %" PRIu64 " snapshots written; region %s", text,
                      header->health[HT_HEALTH_SNAPSHOTS], doctor->process.region_path);
}

void ht_doctor_check_privileges(struct ht_doctor *doctor)
{
    uint64_t no_new = 0;
    if (is_secure(doctor) && doctor->has_shim)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, NULL, "it was started with more rights than its caller");
    if (ht_proc_status_number(&doctor->status, "NoNewPrivs", 10, &no_new) && no_new != 0)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL,
                      "no_new_privs is set: setuid programs that it starts stay profiled");
}

static bool is_other_namespace(uint32_t pid, const char *name)
{
    uint64_t own = ht_proc_namespace(0, name), other = ht_proc_namespace(pid, name);
    return own != 0 && other != 0 && own != other;
}

void ht_doctor_check_container(struct ht_doctor *doctor)
{
    static const char *const names[] = {"mnt", "pid", "user"};
    struct ht_buffer text = {0};
    for (size_t i = 0; i < 3; i++)
        if (is_other_namespace(doctor->pid, names[i]))
            ht_buffer_printf(&text, "%s%s", text.length > 0 ? ", " : "", names[i]);
    if (text.length > 0)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL,
                      "in namespaces of its own (%s): files are found through /proc/%" PRIu32
                      "/root, and profiles go "
                      "there",
                      text.data, doctor->pid);
    ht_buffer_free(&text);
}

void ht_doctor_check_replaced(struct ht_doctor *doctor)
{
    struct ht_buffer text = {0};
    size_t count = 0;
    for (size_t i = 0; i < doctor->file_count; i++)
        if (doctor->files[i].is_deleted && count++ < 4)
            ht_buffer_printf(&text, "%s%s", count > 1 ? ", " : "", doctor->files[i].name);
    if (count > 0)
        ht_doctor_say(
            doctor, HT_DOCTOR_WARNING,
            "start it again, or keep a copy for its names: cp /proc/PID/exe, or the library's old package",
            "%zu file%s removed or replaced since the start (an upgrade?): %s%s", count,
            count == 1 ? " was" : "s were", text.data, count > 4 ? " ..." : "");
    ht_buffer_free(&text);
}

// What Yama restricts is attaching; heaptap only reads (PTRACE_MODE_READ), which goes by user and
// dumpability.
void ht_doctor_check_ptrace(struct ht_doctor *doctor)
{
    struct ht_buffer text = {0};
    if (ht_proc_read_file("/proc/sys/kernel/yama/ptrace_scope", &text) && text.data[0] != '0')
        ht_doctor_say(
            doctor, HT_DOCTOR_OK, NULL,
            "ptrace_scope is %c, which does not matter: heaptap reads /proc and attaches to nothing",
            text.data[0]);
    ht_buffer_free(&text);
}

// What programs have SIGUSR2 for, by their own documentation (Java: HotSpot suspends threads with it); NULL:
// unknown.
static const char *use_of_usr2(const struct ht_doctor *doctor)
{
    static const struct {
        const char *program, *use;
    } users[] = {
        {"nginx", "nginx starts a new executable when it gets"},
        {"haproxy", "haproxy loads its configuration anew when it gets"},
        {"php-fpm", "php-fpm restarts its workers when it gets"},
        {"postgres", "postgres's processes end or wake each other with"},
    };
    const char *name = ht_path_name(doctor->path);
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++)
        if (strncmp(name, users[i].program, strlen(users[i].program)) == 0)
            return users[i].use;
    // Both export their functions.
    if (doctor->form == HT_ELF_WHOLE && ht_elf_image_exports(&doctor->image, "ThreadsManager_init"))
        return "Redis (since 7.2) and Valkey stop their threads for a report with";
    return doctor->is_java ? "Java suspends threads with, and is ended from outside by," : NULL;
}

static const char *signal_advice(const struct ht_doctor *doctor)
{
    if (doctor->has_shim && doctor->process.has_private_tables)
        return "choose another one with HEAPTAP_SIGNAL: nothing else reaches its tables";
    if (doctor->has_shim && !doctor->process.has_region)
        return "choose another one with HEAPTAP_SIGNAL, or use 'heaptap snap PID' once it has a region";
    return "use 'heaptap snap PID', which needs no signal, or choose another one with HEAPTAP_SIGNAL";
}

// A signal that the process handles.
static void check_handler(struct ht_doctor *doctor, const char *name, const char *use)
{
    enum { ANSWER_MS = 300 };
    enum ht_signal_owner owner = HT_SIGNAL_UNKNOWN;
    const char *advice = signal_advice(doctor);
    bool fresh = doctor->has_shim && doctor->process.has_region &&
                 ht_signal_owner(doctor->process.region_path, ANSWER_MS, &owner);
    if (!fresh && doctor->has_header)
        owner = ht_signal_owner_now(doctor->pid, (int)doctor->header.signal_number, owner);
    if (!doctor->may_look)
        ht_doctor_say(doctor, HT_DOCTOR_UNKNOWN, advice,
                      "%s is handled, by the program or by the profiler: that cannot be seen from here",
                      name);
    else if (!doctor->has_shim)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice, "the program handles %s itself: it would keep it",
                      name);
    else if (fresh && owner == HT_SIGNAL_OURS)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s takes a snapshot: the profiler handles it", name);
    else if (use != NULL)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice, "%s %s: do not send it for a snapshot", use, name);
    else if (owner == HT_SIGNAL_PROGRAM)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice,
                      "the program handles %s itself: it takes no snapshot", name);
    else
        ht_doctor_say(doctor, HT_DOCTOR_UNKNOWN, advice,
                      "%s is handled, by the profiler unless the program took it later; it allocates too "
                      "little to say which",
                      name);
}

void ht_doctor_check_signal(struct ht_doctor *doctor)
{
    const char *advice = signal_advice(doctor);
    char name[HT_SIGNAL_NAME_BYTES];
    bool said = doctor->has_header && doctor->header.signal_owner != HT_SIGNAL_UNKNOWN;
    int signal = said ? (int)(doctor->header.signal_number <= 64 ? doctor->header.signal_number : 0)
                      : ht_signal_wanted(ht_doctor_variable(doctor, "HEAPTAP_SIGNAL"));
    bool process = doctor->pid != 0, on = doctor->has_shim;
    const char *who = process ? "by the process" : "in this shell, and programs inherit that";
    if (!said && !ht_doctor_knows(doctor, "HEAPTAP_SIGNAL")) {
        ht_doctor_say(
            doctor, HT_DOCTOR_UNKNOWN, advice,
            "which one takes a snapshot is not known: the process has written over its environment");
        return;
    }
    if (signal == 0) {
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL,
                      "none is wanted (HEAPTAP_SIGNAL=none): snapshots by 'heaptap snap'");
        return;
    }
    const char *use = signal == SIGUSR2 ? use_of_usr2(doctor) : NULL;
    enum ht_signal_state state = ht_signal_state(doctor->pid, &doctor->status, signal);
    ht_signal_name(signal, name);
    if (state == HT_SIGNAL_IS_IGNORED)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice, "%s is ignored %s: it takes no snapshot", name, who);
    else if (state == HT_SIGNAL_IS_BLOCKED)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice, "%s is blocked %s: it takes no snapshot", name, who);
    else if (process && state == HT_SIGNAL_IS_HANDLED)
        check_handler(doctor, name, use);
    else if (use != NULL)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice, "%s %s: do not send it for a snapshot", use, name);
    else if (!process)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s takes a snapshot, unless the program handles it itself",
                      name);
    else if (on)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice,
                      "%s is at its default: the program took it back, and it would kill the process", name);
    else
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s is free for snapshots", name);
}

void ht_doctor_check_seccomp(struct ht_doctor *doctor)
{
    static const char outside[] =
        "take snapshots from outside: 'heaptap snap PID', 'heaptap run --interval'; 'heaptap run' keeps the last one";
    uint64_t mode = 0, filters = 0, own_filters = 0;
    struct ht_buffer own = {0};
    if (!ht_proc_status_number(&doctor->status, "Seccomp", 10, &mode) || mode == 0)
        return;
    ht_proc_status_number(&doctor->status, "Seccomp_filters", 10, &filters);
    if (ht_proc_read(0, "status", &own))
        ht_proc_status_number(&own, "Seccomp_filters", 10, &own_filters);
    ht_buffer_free(&own);
    if (doctor->has_header && doctor->header.sealed != 0)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, outside,
                      "a filter that it put on itself: the profiler makes no system call in it any more");
    else if (mode == 1)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, outside,
                      "a filter of the strict kind: no snapshot from inside");
    else if (filters <= own_filters)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL,
                      "a filter, the same as here, where the trial of the shim went through");
    else
        ht_doctor_say(
            doctor, HT_DOCTOR_WARNING,
            "where it kills on openat, clone or renameat2: HEAPTAP_SIGNAL=none HEAPTAP_EXIT=0, and 'heaptap snap'",
            "a filter that is not here, of its own or its parents': snapshots from inside may fail");
}
