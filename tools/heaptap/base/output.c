// Writes output files.
#include "base/output.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// 0, or an errno.
static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : EIO;
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

static int close_after(int fd, int error)
{
    return close(fd) != 0 && error == 0 ? errno : error;
}

static int write_in_place(const char *path, const void *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? errno : close_after(fd, write_all(fd, bytes, length));
}

static int write_beside(const char *path, mode_t mode, const void *bytes, size_t length)
{
    char *temporary = ht_format("%s.%ld.tmp", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    int error = fd < 0 ? errno : close_after(fd, write_all(fd, bytes, length));
    if (error == 0 && rename(temporary, path) != 0)
        error = errno;
    if (error != 0 && fd >= 0)
        unlink(temporary);
    free(temporary);
    return error;
}

int ht_output_write(const char *path, const void *bytes, size_t length)
{
    struct stat status;
    int error;
    if (stat(path, &status) != 0) {
        // What cannot be looked at may be a device, which a file must not take the place of.
        error = errno == ENOENT ? write_beside(path, 0666, bytes, length) : errno;
    } else if (S_ISREG(status.st_mode)) {
        char *real = realpath(path, NULL);
        error = real != NULL ? write_beside(real, status.st_mode & 07777, bytes, length) : errno;
        free(real);
    } else {
        error = write_in_place(path, bytes, length);
    }
    errno = error;
    return error == 0 ? 0 : ht_fail_errno("cannot be written");
}
