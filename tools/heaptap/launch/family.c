// The processes below the program of `heaptap run`: sees their regions appear, and learns how each of them
// ended.
#include "base/clock.h"
#include "base/memory.h"
#include "base/proc.h"
#include "launch/launch.h"
#include "region/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS   5    // between looks at a region that is still being made
#define MAKING_MS 2000 // that long it may take
#define BLIND_MS                                                                                             \
    1000 // between looks at processes that we have no descriptor of (before Linux 5.3, or too many)
#define FOLLOW_MS 300 // that long others may take to follow a program that was killed

// A process that is not our child leaves its exit status nowhere but in the kernel's answer to this request,
// after its parent has taken it (Linux 6.15, include/uapi/linux/pidfd.h), and in /proc until then.
struct pidfd_info {
    uint64_t mask, cgroup_id;
    uint32_t pid, tgid, ppid, ids[8];
    int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_info) == 64, "the first version of the kernel's struct");
#define PIDFD_GET_INFO_64 _IOWR(0xFF, 11, struct pidfd_info)
#define PIDFD_INFO_EXIT   UINT64_C(8)

// A region in the live directory that may be one of ours.
struct member {
    char *path;
    struct ht_region_header *header; // NULL: still being made
    uint64_t seen_ms;
    uint32_t pid;         // in the file's name
    uint64_t start_ticks; // of the process that had it when we saw the file
    int pidfd;            // -1: it was dead before we saw it, or we have no descriptor of it
    bool has_ended;       // as the descriptor told
    bool is_told;         // what follows from its end is done; remembered as long as the file is there
};

struct watch {
    const struct ht_family *family;
    struct member *members;
    size_t count, capacity;
    size_t tidy_at; // so many members, and those that are done with are looked for
    // Of the epoll: by what happens, not by how many there are. Each process's descriptor tells once.
    int epoll, control, inotify; // -1: none
    uint64_t pid_namespace;
};

static uint64_t now_ms(void)
{
    return ht_clock_ns(CLOCK_MONOTONIC) / 1000000;
}

static void forget(struct member *member)
{
    if (member->pidfd >= 0)
        close(member->pidfd);
    member->pidfd = -1;
    free(member->header);
    member->header = NULL;
}

static void drop(struct watch *watch, size_t i)
{
    forget(&watch->members[i]);
    free(watch->members[i].path);
    watch->members[i] = watch->members[--watch->count];
}

static void drop_told(struct watch *watch)
{
    for (size_t i = watch->count; i-- > 0;)
        if (watch->members[i].is_told && access(watch->members[i].path, F_OK) != 0)
            drop(watch, i);
}

// heaptap.<program>.<pid>.<random>.live
static uint32_t pid_in_name(const char *path)
{
    const char *at = path + strlen(path);
    for (int dots = 0; dots < 3 && at > path;)
        dots += *--at == '.';
    return (uint32_t)strtoul(at + 1, NULL, 10);
}

static bool listen_to(const struct watch *watch, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(watch->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void add(struct watch *watch, const char *path)
{
    for (size_t i = 0; i < watch->count; i++)
        if (strcmp(watch->members[i].path, path) == 0)
            return;
    if (watch->count >= watch->tidy_at) {
        drop_told(watch);
        watch->tidy_at = watch->count * 2 + 64;
    }
    HT_RESERVE(watch->members, watch->capacity, watch->count + 1);
    struct member *member = &watch->members[watch->count++];
    *member =
        (struct member){.path = ht_strdup(path), .pid = pid_in_name(path), .pidfd = -1, .seen_ms = now_ms()};
    // At once: some live for a millisecond.
    if (member->pid != 0)
        member->pidfd = (int)syscall(SYS_pidfd_open, member->pid, 0);
    if (member->pidfd >= 0 && !listen_to(watch, member->pidfd, EPOLLIN | EPOLLONESHOT)) {
        close(member->pidfd);
        member->pidfd = -1;
    }
    member->start_ticks = ht_proc_start_ticks(member->pid);
}

enum look { LOOK_OURS, LOOK_LATER, LOOK_NEVER };

// Reads the header of a region that has appeared. Ours is what carries this run's mark; the program itself is
// looked after by its parent.
static enum look read_member(const struct watch *watch, struct member *member)
{
    struct stat status;
    struct ht_region_header header;
    int fd = ht_region_open(member->path, O_RDONLY, &status);
    if (fd < 0)
        return LOOK_NEVER;
    ssize_t got = pread(fd, &header, sizeof header, 0);
    close(fd);
    if (got != (ssize_t)sizeof header || header.magic == 0 || header.magic == HT_REGION_MAKING)
        return LOOK_LATER;
    if (header.magic != HT_REGION_MAGIC || header.run_id != watch->family->run_id ||
        header.pid_namespace != watch->pid_namespace || header.pid == (uint32_t)watch->family->program)
        return LOOK_NEVER;
    member->header = ht_alloc(sizeof header);
    memcpy(member->header, &header, sizeof header);
    member->header->program[sizeof header.program - 1] = '\0';
    if (member->pidfd >= 0 && (header.pid != member->pid || header.start_ticks != member->start_ticks)) {
        close(member->pidfd); // somebody else's
        member->pidfd = -1;
    }
    return LOOK_OURS;
}

// The exit code of a process that nobody has waited for yet.
static bool zombie_status(uint32_t pid, uint64_t start_ticks, int *ret_status)
{
    struct ht_proc_stat stat;
    if (!ht_proc_stat(pid, &stat) || stat.start_ticks != start_ticks || stat.state != 'Z')
        return false;
    *ret_status = stat.exit_status;
    return true;
}

static bool reaped_status(int pidfd, int *ret_status)
{
    struct pidfd_info info = {.mask = PIDFD_INFO_EXIT};
    if (ioctl(pidfd, PIDFD_GET_INFO_64, &info) != 0 || (info.mask & PIDFD_INFO_EXIT) == 0)
        return false;
    *ret_status = info.exit_code;
    return true;
}

// How a dead process ended. Between the two places where it may stand there is a moment without either.
static bool status_of(const struct member *member, int *ret_status)
{
    if (member->pidfd < 0)
        return false;
    for (int attempt = 0; attempt < 20; attempt++) {
        if (reaped_status(member->pidfd, ret_status) ||
            zombie_status(member->header->pid, member->header->start_ticks, ret_status))
            return true;
        if (!ht_proc_is_same(member->header->pid, member->header->start_ticks) && attempt > 1)
            break; // an older kernel: whoever waited for it knows
        ht_clock_wait(500000);
    }
    return false;
}

// The header as the process left it.
static void refresh(struct member *member)
{
    struct ht_region_header now;
    if (ht_region_read_header(member->path, &now, NULL) == 0 && now.pid == member->header->pid &&
        now.run_id == member->header->run_id)
        memcpy(member->header, &now, sizeof now);
}

// A process has ended: of its regions the newest is told about (an older one is from before it called exec),
// and none of them is looked at again.
static void tell(struct watch *watch, size_t index)
{
    struct member *newest = &watch->members[index];
    uint32_t pid = newest->header->pid;
    uint64_t start_ticks = newest->header->start_ticks;
    for (size_t i = 0; i < watch->count; i++) {
        struct member *other = &watch->members[i];
        if (other->header != NULL && other->header->pid == pid && other->header->start_ticks == start_ticks &&
            other->header->created_unix_ns > newest->header->created_unix_ns)
            newest = other;
    }
    struct ht_death death = {.header = newest->header, .region_path = newest->path};
    refresh(newest);
    death.is_known = status_of(newest, &death.status);
    // One that came and went between two looks held little, and most of those are helpers that leave by
    // _exit.
    bool was_seen = newest->start_ticks == start_ticks || watch->inotify < 0;
    if (was_seen && access(newest->path, F_OK) == 0) // gone after a normal exit
        watch->family->died(&death, watch->family->arg);
    for (size_t i = 0; i < watch->count; i++) {
        struct member *other = &watch->members[i];
        if (other->header != NULL && other->header->pid == pid && other->header->start_ticks == start_ticks) {
            forget(other);
            other->is_told = true;
        }
    }
}

// Looks again at what is being made. True: there is more of it.
static bool look_at_new(struct watch *watch)
{
    bool more = false;
    for (size_t i = watch->count; i-- > 0;) {
        struct member *member = &watch->members[i];
        if (member->header != NULL || member->is_told)
            continue;
        enum look look = read_member(watch, member);
        if (look == LOOK_NEVER || (look == LOOK_LATER && now_ms() - member->seen_ms > MAKING_MS))
            drop(watch, i);
        else
            more |= look == LOOK_LATER;
    }
    return more;
}

static void scan(struct watch *watch)
{
    char **paths;
    size_t count = ht_region_files(watch->family->live_directory, &paths);
    for (size_t i = 0; i < count; i++) {
        add(watch, paths[i]);
        free(paths[i]);
    }
    free(paths);
    look_at_new(watch);
}

static void take_names(struct watch *watch)
{
    char buffer[16384] __attribute__((aligned(8)));
    ssize_t got;
    while ((got = read(watch->inotify, buffer, sizeof buffer)) > 0)
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(buffer + at);
            at += (ssize_t)(sizeof *event + event->len);
            if (event->mask & IN_Q_OVERFLOW) {
                scan(watch);
            } else if (event->len > 0 && ht_region_is_name(event->name)) {
                char path[PATH_MAX];
                int length = snprintf(path, sizeof path, "%s/%s", watch->family->live_directory, event->name);
                if (length > 0 && (size_t)length < sizeof path)
                    add(watch, path);
            }
        }
}

static bool is_dead(const struct member *member)
{
    if (member->pidfd >= 0)
        return member->has_ended;
    struct ht_proc_stat stat;
    if (!ht_proc_stat(member->header->pid, &stat))
        return errno == ENOENT || errno == ESRCH; // else it was not to be had, and in doubt it lives
    return stat.start_ticks != member->header->start_ticks || stat.state == 'Z';
}

// Tells about everybody who is dead by now. Returns how many members with a living process are left.
static size_t tell_dead(struct watch *watch)
{
    size_t alive = 0;
    for (size_t i = 0; i < watch->count; i++) {
        if (watch->members[i].header == NULL)
            continue;
        if (is_dead(&watch->members[i]))
            tell(watch, i);
        else
            alive++;
    }
    return alive;
}

// Takes what has happened, or waits for it so long (-1: as long as it takes). True: the program has ended.
static bool take_news(struct watch *watch, int wait_ms)
{
    struct epoll_event events[64];
    bool ended = false;
    int count;
    do {
        count = epoll_wait(watch->epoll, events, sizeof events / sizeof *events, wait_ms);
        if (count < 0)
            sleep(1); // out of memory: not as fast as can be
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == watch->control)
                ended = true;
            for (size_t k = 0; k < watch->count; k++)
                watch->members[k].has_ended |= watch->members[k].pidfd == events[i].data.fd;
        }
        if (watch->inotify >= 0)
            take_names(watch);
        wait_ms = 0;
    } while (count == sizeof events / sizeof *events);
    return ended;
}

// Waits for something to happen. False: the program has ended, *ret_killed says how.
static bool wait_for_news(struct watch *watch, bool making, bool *ret_killed)
{
    int wait_ms = making ? LOOK_MS : -1;
    for (size_t i = 0; i < watch->count && wait_ms < 0; i++)
        if (watch->members[i].pidfd < 0 && watch->members[i].header != NULL)
            wait_ms = BLIND_MS;
    if (!take_news(watch, wait_ms))
        return true;
    char how = 0;
    ssize_t got = read(watch->control, &how, 1);
    *ret_killed = got == 1 && how == 'k';
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

static void watch_family(struct watch *watch)
{
    bool killed = false, making = false;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { // a descriptor for each process
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    listen_to(watch, watch->control, EPOLLIN);
    if (watch->inotify >= 0)
        listen_to(watch, watch->inotify, EPOLLIN);
    scan(watch);
    do {
        making = look_at_new(watch);
        tell_dead(watch);
    } while (wait_for_news(watch, making, &killed));
    // What killed the program may be about to kill the others.
    uint64_t until_ms = now_ms() + (killed ? FOLLOW_MS : 0);
    for (;;) {
        scan(watch);
        take_news(watch, 0);
        if (tell_dead(watch) == 0 || now_ms() >= until_ms)
            break;
        ht_clock_wait(10000000);
    }
}

void ht_family_watch(const struct ht_family *family, struct ht_family_watcher *ret_watcher)
{
    int control[2];
    *ret_watcher = (struct ht_family_watcher){.control = -1};
    if (pipe2(control, O_CLOEXEC | O_NONBLOCK) != 0)
        return;
    struct watch watch = {.family = family,
                          .epoll = epoll_create1(EPOLL_CLOEXEC),
                          .control = control[0],
                          .inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    if (watch.inotify >= 0 && inotify_add_watch(watch.inotify, family->live_directory, IN_MOVED_TO) < 0) {
        close(watch.inotify);
        watch.inotify = -1;
    }
    watch.pid_namespace = ht_proc_namespace(0, "pid");
    pid_t pid = watch.epoll >= 0 ? fork() : -1;
    if (pid == 0) {
        close(control[1]);
        watch_family(&watch);
        _exit(0);
    }
    close(control[0]);
    if (watch.epoll >= 0)
        close(watch.epoll);
    if (watch.inotify >= 0)
        close(watch.inotify);
    if (pid < 0)
        close(control[1]);
    else
        *ret_watcher = (struct ht_family_watcher){.pid = pid, .control = control[1]};
}

void ht_family_end(struct ht_family_watcher *watcher, bool killed)
{
    if (watcher->control < 0)
        return;
    char how = killed ? 'k' : 'e';
    if (write(watcher->control, &how, 1) != 1)
        how = '?'; // it has gone already
    close(watcher->control);
    watcher->control = -1;
    waitpid(watcher->pid, NULL, 0);
}
