// Looks first, opens then.
#include "base/foreign.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_openat2 // libc names it since 2.33; the number is the same everywhere
#define SYS_openat2 437
#endif

// Old kernels, and sandboxes that do not know openat2, follow links as they are: with the owner's rights that
// leads nowhere that he could not go himself.
static int look_up(const char *root, int folder, const char *path, bool follow)
{
    const unsigned int flags = O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
    if (folder < 0)
        return open(path, (int)flags);
    struct open_how how = {.flags = flags, .resolve = RESOLVE_IN_ROOT | (follow ? 0 : RESOLVE_NO_SYMLINKS)};
    int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        char *whole = ht_format("%s/%s", root, path);
        fd = open(whole, (int)flags);
        int error = errno;
        free(whole);
        errno = error;
    }
    return fd;
}

// The length of "/proc/PID/root" in front of a name; 0: it is below our own root.
static size_t root_length(const char *path)
{
    static const char proc[] = "/proc/", root[] = "/root/";
    size_t length = sizeof proc - 1;
    if (strncmp(path, proc, length) != 0)
        return 0;
    size_t digits = strspn(path + length, "0123456789");
    bool is_root = digits > 0 && strncmp(path + length + digits, root, sizeof root - 1) == 0;
    return is_root ? length + digits + sizeof root - 2 : 0;
}

int ht_foreign_look(const char *path, bool follow)
{
    size_t length = root_length(path);
    if (length == 0)
        return look_up(NULL, -1, path, follow);
    char *root = ht_format("%.*s", (int)length, path);
    int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = folder >= 0 ? look_up(root, folder, path + length, follow) : -1, error = errno;
    if (folder >= 0)
        close(folder);
    free(root);
    errno = error;
    return fd;
}

int ht_foreign_open_looked(int looked_at, int flags)
{
    char *name = ht_format("/proc/self/fd/%d", looked_at);
    int fd = open(name, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), error = errno;
    free(name);
    errno = error;
    return fd;
}

static int open_regular(const char *root, int folder, const char *path, struct stat *ret_stat)
{
    struct stat stat_of;
    int looked_at = look_up(root, folder, path, true), fd = -1;
    if (looked_at < 0)
        return -1;
    if (fstat(looked_at, &stat_of) != 0)
        ;
    else if (!S_ISREG(stat_of.st_mode))
        errno = S_ISDIR(stat_of.st_mode) ? EISDIR : EINVAL;
    else
        fd = ht_foreign_open_looked(looked_at, O_RDONLY);
    int error = errno;
    close(looked_at);
    if (fd >= 0 && ret_stat != NULL)
        *ret_stat = stat_of;
    errno = error;
    return fd;
}

int ht_foreign_open(struct ht_owner owner, const char *root, const char *path, struct stat *ret_stat)
{
    struct ht_rights saved;
    bool has_root = root != NULL && root[0] != '\0';
    size_t length = has_root ? 0 : root_length(path);
    if (length > 0) {
        char *process_root = ht_format("%.*s", (int)length, path);
        int fd = ht_foreign_open(owner, process_root, path + length, ret_stat), error = errno;
        free(process_root);
        errno = error;
        return fd;
    }
    int folder =
        has_root ? open(root, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1; // with our own rights: it is our word
    if (has_root && folder < 0)
        return ht_fail_errno("cannot open");
    bool has_rights = ht_rights_take(owner, &saved) == 0;
    int fd = has_rights ? open_regular(root, folder, path, ret_stat) : -1;
    int error = has_rights ? errno : EPERM;
    ht_rights_return(&saved);
    if (folder >= 0)
        close(folder);
    errno = error;
    if (fd >= 0 || !has_rights)
        return fd;
    if (error == EINVAL)
        ht_fail("is no regular file");
    else
        ht_fail_errno("cannot open");
    errno = error;
    return -1;
}
