// Raw file I/O: interrupted calls and short writes go on, descriptors 0 to 2 are never taken, no signal
// reaches the host.
#ifndef HT_SYS_IO_H
#define HT_SYS_IO_H

#include <stddef.h>
#include <stdint.h>

// Context of everything here: any (signal handler, bare thread, exit, tool); no errno, no libc lock, no
// cancellation point. Results: >= 0, or a negative errno.

#define HT_IO_CWD (-100) // AT_FDCWD

// openat with O_CLOEXEC added; the descriptor is above 2 even if the host closed those. `directory` is a
// descriptor or HT_IO_CWD.
int ht_io_open(int directory, const char *path, int flags, unsigned mode);
void ht_io_close(int fd);

// Writes all of it: 0, or a negative errno with an unknown part written.
int ht_io_write(int fd, const void *bytes, size_t size_bytes);

// Reads until `size_bytes` or the end of the file; returns the number of bytes.
long ht_io_read(int fd, void *buffer, size_t size_bytes);

// The beginning of a file as a string (one byte of the buffer is for the NUL); returns its length.
long ht_io_read_file(const char *path, char *buffer, size_t size_bytes);

// What getdents64 writes. Source: getdents(2).
struct ht_io_entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

// Makes a directory and, where they are missing, its parents, all with `mode`. 0 when it exists already.
int ht_io_make_directory(const char *path, unsigned mode);

// Between begin and end the calling thread gets no SIGXFSZ (RLIMIT_FSIZE) and no SIGPIPE: both are blocked,
// one that our own write raised is swallowed, and the mask is as before. One that the host had pending stays
// pending.
struct ht_io_guard {
    uint64_t old_mask;
    uint64_t old_pending;
};
void ht_io_guard_begin(struct ht_io_guard *guard);
void ht_io_guard_end(const struct ht_io_guard *guard);

// Kernel signal set: bit signal - 1.
static inline uint64_t ht_signal_bit(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

// Sets the calling thread's signal mask and returns the one before.
uint64_t ht_signal_mask(uint64_t mask);

// A few words for an errno (positive or negative), for example "no space left"; never NULL.
const char *ht_io_reason(int error);

#endif
