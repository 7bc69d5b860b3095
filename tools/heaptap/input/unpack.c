// Files that another program has to unpack.
#include "input/unpack.h"

#include "base/error.h"
#include "profile/legacy/legacy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAGIC_BYTES = 8 };

// Starts `PROGRAM -dc` between the file and the pipe; returns 0 or an error number.
static int start_program(const char *program, int input, int output, pid_t *ret_pid)
{
    char name[16], option[] = "-dc";
    char *words[] = {name, option, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    snprintf(name, sizeof name, "%s", program);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attributes);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); // it ends when nobody reads on
    sigaddset(&defaults, SIGINT);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawnp(ret_pid, name, &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
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
    if (pipe2(ends, O_CLOEXEC) < 0)
        return ht_fail_errno("no pipe to %s", unpack->program);
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

int ht_unpack_end(struct ht_unpack *unpack, int result)
{
    int status = 0;
    close(unpack->fd);
    while (waitpid(unpack->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        return ht_fail("is compressed with %s, which cannot unpack it: the file is damaged or cut off",
                       unpack->program);
    return result;
}
