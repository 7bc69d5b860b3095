// Writes a profile with names where one without was.
#include "resolve/rewrite.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// Gives the file what the one that it replaces has; what is not allowed is left.
static void take_after(int fd, const char *like)
{
    struct stat stat_of;
    if (like == NULL || stat(like, &stat_of) != 0)
        return;
    struct timespec times[2] = {stat_of.st_atim, stat_of.st_mtim};
    if (fchown(fd, stat_of.st_uid, stat_of.st_gid) != 0)
        errno = 0;
    fchmod(fd, stat_of.st_mode & 07777);
    futimens(fd, times);
}

int ht_rewrite_profile(const struct ht_profile *profile, const char *path, const char *temporary,
                       const char *like)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return ht_fail_errno("cannot be written");
    int result = ht_profile_write(profile, fd);
    if (result == 0)
        take_after(fd, like);
    if (close(fd) != 0 && result == 0)
        result = ht_fail_errno("cannot be written");
    if (result == 0 && like != NULL) {
        // A file that was removed meanwhile (HEAPTAP_KEEP) must not come back.
        result = renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_EXCHANGE);
        if (result == 0)
            unlink(temporary); // now the old one
        else if (errno == EINVAL || errno == ENOSYS)
            result = rename(temporary, path);
        if (result != 0)
            ht_fail_errno("cannot be replaced");
    } else if (result == 0 && rename(temporary, path) != 0) {
        result = ht_fail_errno("cannot be written");
    }
    if (result != 0)
        unlink(temporary);
    return result;
}
