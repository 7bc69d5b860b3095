// Files that another program has to unpack.
#include "input/unpack.h"

#include "base/error.h"
#include "base/rights.h"
#include "profile/legacy/legacy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAGIC_BYTES = 8, CPU_SECONDS = 120, CANNOT_CONFINE = 124, GRACE_MOMENTS = 400 };

// A profile shrinks to a hundredth at best; those of one stack over and over, to less.
enum { BOMB_RATIO = 1000, BOMB_BYTES = 1 << 26 };

// In the child, before the program: with the rights of whose file it is where we are root, and no more
// memory, time and files than unpacking takes. It gets nothing of the environment, and nobody hears what it
// says.
static void confine(const struct stat *status, int input, int output)
{
    const struct {
        int resource;
        rlim_t limit;
    } limits[] = {{RLIMIT_AS, (rlim_t)1 << 32},
                  {RLIMIT_CPU, CPU_SECONDS},
                  {RLIMIT_FSIZE, 0},
                  {RLIMIT_CORE, 0},
                  {RLIMIT_NOFILE, 64}};
    int nowhere = open("/dev/null", O_WRONLY);
    signal(SIGPIPE, SIG_DFL); // it ends when nobody reads on
    signal(SIGINT, SIG_DFL);
    if (nowhere < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(nowhere, 2) < 0)
        _exit(CANNOT_CONFINE);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rlimit limit;
        getrlimit((__rlimit_resource_t)limits[i].resource, &limit);
        limit.rlim_max = limits[i].limit < limit.rlim_max ? limits[i].limit : limit.rlim_max;
        limit.rlim_cur = limit.rlim_max;
        setrlimit((__rlimit_resource_t)limits[i].resource, &limit);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ht_rights_give_up((struct ht_owner){status->st_uid, status->st_gid}) < 0)
        _exit(CANNOT_CONFINE);
}

// Starts `PROGRAM -dc` between the file and the pipe; returns 0 or an error number.
static int start_program(const char *program, int input, int output, pid_t *ret_pid)
{
    char name[16], option[] = "-dc", *words[] = {name, option, NULL}, *nothing[] = {NULL};
    struct stat status;
    int failed = 0, ends[2]; // says why there is no program
    snprintf(name, sizeof name, "%s", program);
    if (fstat(input, &status) != 0 || pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    pid_t child = fork();
    if (child == 0) {
        confine(&status, input, output);
        execvpe(name, words, nothing);
        failed = errno;
        ssize_t told = write(ends[1], &failed, sizeof failed);
        _exit(told < 0 ? CANNOT_CONFINE : 127);
    }
    int error = child < 0 ? errno : 0;
    close(ends[1]);
    ssize_t got;
    while (error == 0 && (got = read(ends[0], &failed, sizeof failed)) != 0)
        if (got == (ssize_t)sizeof failed)
            error = failed;
        else if (errno != EINTR)
            break;
    close(ends[0]);
    if (error != 0 && child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    *ret_pid = child;
    return error;
}

int ht_unpack_start(struct ht_unpack *unpack, int fd)
{
    uint8_t magic[MAGIC_BYTES];
    int ends[2];
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t length = at < 0 ? -1 : pread(fd, magic, sizeof magic, at);
    unpack->program = length > 0 ? ht_legacy_packer(magic, (size_t)length) : NULL;
    if (unpack->program == NULL)
        return 0;
    struct stat status;
    if (fstat(fd, &status) != 0 || pipe2(ends, O_CLOEXEC) < 0)
        return ht_fail_errno("no pipe to %s", unpack->program);
    uint64_t packed_bytes = status.st_size > at ? (uint64_t)(status.st_size - at) : 0;
    unpack->limits = ht_profile_default_limits();
    if (packed_bytes < (unpack->limits.raw_bytes - BOMB_BYTES) / BOMB_RATIO)
        unpack->limits.raw_bytes = packed_bytes * BOMB_RATIO + BOMB_BYTES;
    int error = start_program(unpack->program, fd, ends[1], &unpack->pid);
    close(ends[1]);
    unpack->fd = ends[0];
    if (error == 0)
        return 1;
    close(ends[0]);
    if (error == ENOENT)
        return ht_fail("is compressed with %s, and there is no program '%s' here to unpack it",
                       unpack->program, unpack->program);
    return ht_fail("is compressed with %s, which cannot be started: %s", unpack->program, strerror(error));
}

// Its end: it has nobody to write to any more. Where that is not enough soon, it is killed.
static int end_program(pid_t pid)
{
    const struct timespec moment = {.tv_nsec = 5000000};
    int status = 0;
    for (int i = 0; i < GRACE_MOMENTS; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
        nanosleep(&moment, NULL);
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

int ht_unpack_end(struct ht_unpack *unpack, int result)
{
    int status = 0;
    close(unpack->fd);
    if (result < 0) // what was read may be the reason, or what it could not unpack
        status = end_program(unpack->pid);
    else
        while (waitpid(unpack->pid, &status, 0) < 0 && errno == EINTR)
            ;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        return ht_fail("is compressed with %s, and takes more than %d s to unpack", unpack->program,
                       CPU_SECONDS);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_CONFINE)
        return ht_fail(
            "is compressed with %s, which cannot be run with the rights of the file's owner; unpack it "
            "first",
            unpack->program);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        return ht_fail("is compressed with %s, which cannot unpack it: the file is damaged or cut off",
                       unpack->program);
    return result;
}
