// The last thing that `heaptap run` does: names for the profiles of its processes, while their files are
// still there.
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "launch/launch.h"
#include "profile/profile.h"
#include "resolve/resolve.h"
#include "resolve/rewrite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAY_AFTER_NS     UINT64_C(3000000000)
#define GIVE_UP_AFTER_NS UINT64_C(60000000000)

static bool is_before(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

static int compare_newest_first(const void *left, const void *right)
{
    const struct ht_written *a = left, *b = right;
    return is_before(b->time, a->time) ? -1 : is_before(a->time, b->time);
}

void ht_run_list_written(const char *directory, struct timespec started, struct ht_written_files *list)
{
    DIR *stream = opendir(directory);
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        struct stat stat_of;
        if (!ht_text_starts_with(entry->d_name, "heaptap.") || !ht_text_ends_with(entry->d_name, ".pb.gz") ||
            fstatat(dirfd(stream), entry->d_name, &stat_of, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(stat_of.st_mode) || is_before(stat_of.st_mtim, started))
            continue;
        HT_RESERVE(list->files, list->capacity, list->count + 1);
        list->files[list->count++] = (struct ht_written){ht_strdup(entry->d_name), stat_of.st_mtim};
    }
    if (stream != NULL)
        closedir(stream);
    if (list->count > 0)
        qsort(list->files, list->count, sizeof *list->files, compare_newest_first);
}

void ht_run_free_written(struct ht_written_files *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->files[i].name);
    free(list->files);
    *list = (struct ht_written_files){0};
}

static bool is_of_run(const struct ht_profile *profile, uint64_t run_id)
{
    const char *run = ht_profile_comment_value(profile, "run");
    return run != NULL && strtoull(run, NULL, 10) == run_id;
}

// In the worker: one file. Nothing is said about a failure: the file is as good as it was.
static void symbolize_file(const char *path, const char *temporary, uint64_t run_id)
{
    struct ht_profile *profile;
    struct ht_resolve_summary summary = {0};
    struct ht_resolve_options options = {.quiet = true, .summary = &summary};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat stat_of;
    if (fd < 0)
        return;
    int result =
        fstat(fd, &stat_of) == 0 && S_ISREG(stat_of.st_mode) ? ht_profile_read(fd, NULL, &profile) : -1;
    close(fd);
    if (result < 0)
        return;
    size_t named = 0;
    struct ht_rights saved;
    profile->owner = (struct ht_owner){stat_of.st_uid, stat_of.st_gid};
    if (is_of_run(profile, run_id)) {
        ht_resolve_profile(profile, &options);
        for (size_t i = 0; i < summary.module_count; i++)
            named += summary.modules[i].named;
        named += summary.jit_named;
    }
    if (named > 0 && ht_rights_take(profile->owner, &saved) == 0) { // the folder may be his as well
        ht_rewrite_profile(profile, path, temporary, path);
        ht_rights_return(&saved);
    }
    free(summary.modules);
    ht_profile_free(profile);
}

static void work(const char *directory, const char *temporary, const struct ht_written_files *list,
                 uint64_t run_id)
{
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); // the parent decides
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < list->count; i++) {
        char *path = ht_format("%s/%s", directory, list->files[i].name);
        symbolize_file(path, temporary, run_id);
        free(path);
    }
    _exit(0);
}

// Waits for the worker. Signals that would end us end it: the profiles need not have names.
static void wait_for(pid_t worker, const sigset_t *interesting, void (*say)(const char *text))
{
    uint64_t begun_ns = ht_clock_ns(CLOCK_MONOTONIC);
    bool said = false;
    for (;;) {
        struct timespec moment = {.tv_nsec = 50000000};
        int number = sigtimedwait(interesting, NULL, &moment);
        int status;
        pid_t ended = waitpid(worker, &status, WNOHANG);
        if (ended == worker || (ended < 0 && errno != EINTR))
            return;
        uint64_t spent_ns = ht_clock_ns(CLOCK_MONOTONIC) - begun_ns;
        bool interrupted = number > 0 && number != SIGCHLD;
        if (interrupted || spent_ns > GIVE_UP_AFTER_NS) {
            kill(worker, SIGKILL);
            waitpid(worker, NULL, 0);
            ht_run_say(say, "%s; profiles without names get them by 'heaptap symbolize FILE -o FILE'\n",
                       interrupted ? "interrupted" : "finding function names takes too long");
            return;
        }
        if (!said && spent_ns > SAY_AFTER_NS)
            ht_run_say(say, "finding the names of functions (at most a minute; Ctrl-C leaves them out, "
                            "--no-symbolize never looks)");
        said = said || spent_ns > SAY_AFTER_NS;
    }
}

void ht_run_symbolize(const char *directory, uint64_t run_id, struct timespec started,
                      void (*say)(const char *text))
{
    static const int numbers[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct ht_written_files list = {0};
    sigset_t interesting, before;
    struct timespec no_time = {0};
    ht_run_list_written(directory, started, &list);
    sigemptyset(&interesting);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&interesting, numbers[i]);
    sigprocmask(SIG_BLOCK, &interesting, &before);
    while (sigtimedwait(&interesting, NULL, &no_time) > 0) // the Ctrl-C that ended the program
        ;
    char *temporary = ht_format("%s/.heaptap.%ld.tmp", directory, (long)getpid());
    fflush(NULL);
    pid_t worker = list.count > 0 ? fork() : -1;
    if (worker == 0)
        work(directory, temporary, &list, run_id);
    if (worker > 0) {
        wait_for(worker, &interesting, say);
        unlink(temporary); // of a worker that was killed
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(temporary);
    ht_run_free_written(&list);
}
