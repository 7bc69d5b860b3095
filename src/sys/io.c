// Files by system call: interrupted calls repeated, short writes continued, signals of a failed write kept
// from the host.
#include "sys/io.h"

#include "sys/fmt.h"
#include "sys/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

_Static_assert(HT_IO_CWD == AT_FDCWD, "the kernel's number for the working directory");

// The kernel's sigset is one word here; libc's is larger.
#define KERNEL_SIGSET_BYTES 8

void ht_io_close(int fd)
{
    ht_raw1(SYS_close, fd); // never repeated: the descriptor is gone even after EINTR
}

int ht_io_open(int directory, const char *path, int flags, unsigned mode)
{
    long fd;
    do {
        fd = ht_raw4(SYS_openat, directory, (long)path, flags | O_CLOEXEC, (long)mode);
    } while (fd == -EINTR);
    if (fd >= 0 && fd <= 2) {
        // A host that closed these expects to get them itself, and prints to them blindly.
        long higher = ht_raw3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
        ht_io_close((int)fd);
        fd = higher;
    }
    return (int)fd;
}

int ht_io_write(int fd, const void *bytes, size_t size_bytes)
{
    const char *next = bytes;
    while (size_bytes > 0) {
        long written = ht_raw3(SYS_write, fd, (long)next, (long)size_bytes);
        if (written == -EINTR) {
            continue;
        }
        if (written < 0) {
            return (int)written;
        }
        if (written == 0) {
            return -ENOSPC; // never seen of a file; must not become an endless loop
        }
        next += written;
        size_bytes -= (size_t)written;
    }
    return 0;
}

long ht_io_read(int fd, void *buffer, size_t size_bytes)
{
    char *next = buffer;
    size_t left = size_bytes;
    while (left > 0) {
        long got = ht_raw3(SYS_read, fd, (long)next, (long)left);
        if (got == -EINTR) {
            continue;
        }
        if (got < 0) {
            return got;
        }
        if (got == 0) {
            break;
        }
        next += got;
        left -= (size_t)got;
    }
    return (long)(size_bytes - left);
}

long ht_io_read_file(const char *path, char *buffer, size_t size_bytes)
{
    int fd = ht_io_open(HT_IO_CWD, path, O_RDONLY, 0);
    if (fd < 0) {
        return fd;
    }
    long length = ht_io_read(fd, buffer, size_bytes - 1);
    ht_io_close(fd);
    if (length >= 0) {
        buffer[length] = '\0';
    }
    return length;
}

static int ht_make_one(const char *path, unsigned mode)
{
    long result = ht_raw3(SYS_mkdirat, AT_FDCWD, (long)path, (long)mode);
    return result == -EEXIST ? 0 : (int)result;
}

int ht_io_make_directory(const char *path, unsigned mode)
{
    int result = ht_make_one(path, mode);
    if (result != -ENOENT) {
        return result;
    }
    char part[1280];
    size_t length = ht_text_length(path, sizeof part);
    if (length == 0 || length == sizeof part) {
        return length == 0 ? -ENOENT : -ENAMETOOLONG;
    }
    memcpy(part, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        if (part[i] == '/') {
            part[i] = '\0';
            // A parent that exists may refuse (read-only, no permission); what counts is the last one.
            ht_make_one(part, mode);
            part[i] = '/';
        }
    }
    return ht_make_one(path, mode);
}

uint64_t ht_signal_mask(uint64_t mask)
{
    uint64_t old = 0;
    ht_raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, (long)&old, KERNEL_SIGSET_BYTES);
    return old;
}

static uint64_t ht_signals_pending(void)
{
    uint64_t pending = 0;
    ht_raw2(SYS_rt_sigpending, (long)&pending, KERNEL_SIGSET_BYTES);
    return pending;
}

void ht_io_guard_begin(struct ht_io_guard *guard)
{
    // SIGTTOU is not sent at all while it is blocked: a line for a terminal in whose background we are just
    // passes.
    uint64_t ours = ht_signal_bit(SIGXFSZ) | ht_signal_bit(SIGPIPE) | ht_signal_bit(SIGTTOU);
    ht_raw4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&ours, (long)&guard->old_mask, KERNEL_SIGSET_BYTES);
    guard->old_pending = ht_signals_pending();
}

void ht_io_guard_end(const struct ht_io_guard *guard)
{
    uint64_t ours = ht_signal_bit(SIGXFSZ) | ht_signal_bit(SIGPIPE);
    uint64_t raised = ht_signals_pending() & ours & ~guard->old_pending;
    if (raised != 0) {
        struct timespec at_once = {0, 0};
        long signal;
        do {
            signal = ht_raw4(SYS_rt_sigtimedwait, (long)&raised, 0, (long)&at_once, KERNEL_SIGSET_BYTES);
        } while (signal > 0 || signal == -EINTR);
    }
    ht_signal_mask(guard->old_mask);
}

const char *ht_io_reason(int error)
{
    static const struct {
        int error;
        const char *reason;
    } reasons[] = {
        {0, "success"},
        {EPERM, "operation not permitted"},
        {ENOENT, "no such file or directory"},
        {EIO, "input/output error"},
        {EBADF, "the descriptor was closed"},
        {EAGAIN, "temporarily unavailable"},
        {ENOMEM, "no memory left"},
        {EACCES, "permission denied"},
        {EBUSY, "busy"},
        {EEXIST, "exists already"},
        {ENOTDIR, "not a directory"},
        {EISDIR, "is a directory"},
        {EINVAL, "invalid argument"},
        {ENFILE, "too many open files in the system"},
        {EMFILE, "too many open files"},
        {EFBIG, "the limit on file sizes is reached"},
        {ENOSPC, "no space left"},
        {EROFS, "read-only file system"},
        {EPIPE, "broken pipe"},
        {ENAMETOOLONG, "name too long"},
        {ENOSYS, "not supported by this kernel"},
        {ELOOP, "a symbolic link is in the way"},
        {EDQUOT, "the disk quota is reached"},
        {ETIMEDOUT, "took too long"},
        {ESTALE, "stale file handle"},
    };
    int wanted = error < 0 ? -error : error;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].error == wanted) {
            return reasons[i].reason;
        }
    }
    return "unexpected error";
}
