// Writes snapshot files so that one with the final name is whole (file.h has the one exception) and nothing
// is ever overwritten.
#include "snapshot/file.h"

#include "sys/clock.h"
#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

#define SUFFIX        ".pb.gz"
#define TRIES         16u
#define MAX_SEQ_TRIES 1000000u
#define COMMIT_TRIES  4096u // the name was free a moment ago; a file system may say for ever that it is not

#define DESCRIPTOR_PATH_BYTES 48u

static const char *const ht_trigger_names[HT_TRIGGER_COUNT] = {
    [HT_TRIGGER_EXIT] = "exit",     [HT_TRIGGER_SIGNAL] = "signal", [HT_TRIGGER_INTERVAL] = "interval",
    [HT_TRIGGER_GROWTH] = "growth", [HT_TRIGGER_MANUAL] = "manual", [HT_TRIGGER_RECOVERED] = "recovered",
};

const char *ht_trigger_name(enum ht_trigger trigger)
{
    return ht_trigger_names[trigger];
}

// A part of a file name: no slash, nothing that a terminal would act upon.
static void ht_add_part(struct ht_text *text, const char *part, size_t max_bytes)
{
    for (size_t i = 0; i < max_bytes && part[i] != '\0'; i++) {
        unsigned char c = (unsigned char)part[i];
        ht_text_add_char(text, c < ' ' || c == '/' || c == 0x7f ? '_' : part[i]);
    }
}

void ht_file_format_name(const struct ht_file_name *name, uint32_t seq, char *ret_name, size_t size_bytes)
{
    struct ht_text text = ht_text_init(ret_name, size_bytes);
    ht_text_add(&text, "heaptap.");
    ht_add_part(&text, name->program, HT_PROGRAM_BYTES);
    ht_text_add_char(&text, '.');
    ht_text_add_u64(&text, name->pid);
    ht_text_add_char(&text, '.');
    ht_text_add_padded(&text, seq, 4);
    ht_text_add_char(&text, '.');
    ht_text_add(&text, ht_trigger_name(name->trigger));
    if (name->profile != NULL) {
        ht_text_add_char(&text, '.');
        ht_add_part(&text, name->profile, 64);
    }
    ht_text_add(&text, SUFFIX);
}

// Of a directory that root has just made, and that nobody has put another one in the place of.
static void ht_open_to_all_users(const char *path)
{
    struct stat status;
    int fd = ht_io_open(HT_IO_CWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd < 0) {
        return;
    }
    if (ht_raw2(SYS_fstat, fd, (long)&status) == 0 && status.st_uid == 0 && (status.st_mode & 0022) == 0) {
        ht_raw2(SYS_fchmod, fd, 01733);
    }
    ht_io_close(fd);
}

// Returns a descriptor, or a negative errno.
static int ht_open_directory(const char *path)
{
    // O_PATH: a directory that one may write to but not list is enough.
    int fd = ht_io_open(HT_IO_CWD, path, O_PATH | O_DIRECTORY, 0);
    if (fd != -ENOENT) {
        return fd;
    }
    bool is_root = ht_raw0(SYS_geteuid) == 0;
    int result = ht_io_make_directory(path, is_root ? 0711 : 0700);
    if (result == 0 && is_root) {
        ht_open_to_all_users(path);
    }
    return result != 0 ? result : ht_io_open(HT_IO_CWD, path, O_PATH | O_DIRECTORY, 0);
}

int ht_file_make_directory(const char *path)
{
    int fd = ht_open_directory(path);
    if (fd < 0) {
        return fd;
    }
    ht_io_close(fd);
    return 0;
}

// A file with a name of its own, not yet the final one.
static int ht_begin_named(struct ht_file *file, const struct ht_file_name *name)
{
    uint64_t unique = ht_clock_raw_monotonic_ns();
    int fd = -EEXIST;
    for (unsigned i = 0; i < TRIES && fd == -EEXIST; i++) {
        struct ht_text text = ht_text_init(file->temporary, sizeof file->temporary);
        ht_text_add(&text, ".heaptap.");
        ht_add_part(&text, name->program, HT_PROGRAM_BYTES);
        ht_text_add_char(&text, '.');
        ht_text_add_u64(&text, name->pid);
        ht_text_add_char(&text, '.');
        ht_text_add_hex(&text, unique + i);
        ht_text_add(&text, ".tmp");
        fd = ht_io_open(file->directory, file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    }
    if (fd < 0) {
        file->temporary[0] = '\0'; // not ours to remove
    }
    return fd;
}

// How the kernel can be asked to give an open file a name. Not /proc/self: the bare thread has descriptors of
// its own.
static void ht_descriptor_path(int fd, char path[DESCRIPTOR_PATH_BYTES])
{
    struct ht_text text = ht_text_init(path, DESCRIPTOR_PATH_BYTES);
    ht_text_add(&text, "/proc/thread-self/fd/");
    ht_text_add_u64(&text, (uint64_t)fd);
}

// A file without a name: nothing of it stays behind when the process dies in the middle. Not every file
// system has such, and without /proc it could not be named in the end.
static int ht_begin_unnamed(const struct ht_file *file)
{
    char path[DESCRIPTOR_PATH_BYTES];
    struct stat named, opened;
    int fd = ht_io_open(file->directory, ".", O_RDWR | O_TMPFILE, 0600);
    if (fd < 0) {
        return fd;
    }
    ht_descriptor_path(fd, path);
    if (ht_raw2(SYS_fstat, fd, (long)&opened) != 0 ||
        ht_raw4(SYS_newfstatat, AT_FDCWD, (long)path, (long)&named, 0) != 0 ||
        named.st_ino != opened.st_ino || named.st_dev != opened.st_dev) {
        ht_io_close(fd);
        return -ENOENT;
    }
    return fd;
}

int ht_file_begin(struct ht_file *file, const char *directory, const struct ht_file_name *name)
{
    file->temporary[0] = '\0';
    file->fd = -1;
    file->directory = ht_open_directory(directory);
    if (file->directory < 0) {
        return file->directory;
    }
    int fd = ht_begin_unnamed(file);
    if (fd < 0) {
        fd = ht_begin_named(file, name);
    }
    if (fd < 0) {
        ht_file_end(file);
        return fd;
    }
    file->fd = fd;
    return 0;
}

// False also for a name that cannot be looked at: renaming will tell.
static bool ht_name_taken(int directory, const struct ht_file_name *name, uint32_t seq)
{
    char final[HT_NAME_BYTES];
    struct stat status;
    ht_file_format_name(name, seq, final, sizeof final);
    return ht_raw4(SYS_newfstatat, directory, (long) final, (long)&status, AT_SYMLINK_NOFOLLOW) == 0;
}

uint32_t ht_file_free_seq(const struct ht_file *file, const struct ht_file_name *name, uint32_t seq)
{
    for (uint32_t tries = 0; tries < MAX_SEQ_TRIES; tries++, seq++) {
        bool taken = false;
        for (int trigger = 0; trigger < HT_TRIGGER_COUNT && !taken; trigger++) {
            struct ht_file_name other = *name;
            other.trigger = (enum ht_trigger)trigger;
            taken = ht_name_taken(file->directory, &other, seq);
        }
        if (!taken) {
            break;
        }
    }
    return seq;
}

int ht_file_write(void *arg, const void *bytes, size_t size_bytes)
{
    const struct ht_file *file = arg;
    return ht_io_write(file->fd, bytes, size_bytes);
}

// From the beginning of one file to the place of the other. 0 or a negative errno.
static long ht_copy_bytes(int from, int to)
{
    char buffer[4096];
    long offset = 0, got;
    while ((got = ht_raw4(SYS_sendfile, to, from, (long)&offset, 1 << 20)) > 0) {
    }
    if (offset > 0) {
        return got;
    }
    // Not every file system and sandbox has that.
    while ((got = ht_raw4(SYS_pread64, from, (long)buffer, sizeof buffer, offset)) > 0) {
        int result = ht_io_write(to, buffer, (size_t)got);
        if (result != 0) {
            return result;
        }
        offset += got;
    }
    return got;
}

// Renames over a file that is our own.
static long ht_rename_over(int directory, const char *from, const char *to)
{
    long result = ht_raw6(SYS_renameat2, directory, (long)from, directory, (long)to, 0, 0);
    return result == 0 ? 0 : ht_raw4(SYS_renameat, directory, (long)from, directory, (long)to);
}

// Where neither renaming without replacing nor hard links exist (some network and FUSE file systems, some
// sandboxes), the name is claimed by an empty file first, which is then replaced; where nothing can be
// renamed at all, it is filled. Only here could a reader see a file that is not whole.
static long ht_claim_name(int directory, const char *from, const char *to)
{
    int fd = ht_io_open(directory, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return fd;
    }
    long result = ht_rename_over(directory, from, to);
    if (result != 0) {
        int source = ht_io_open(directory, from, O_RDONLY | O_NOFOLLOW, 0);
        result = source < 0 ? source : ht_copy_bytes(source, fd);
        if (source >= 0) {
            ht_io_close(source);
        }
        ht_raw3(SYS_unlinkat, directory, (long)(result == 0 ? from : to), 0);
    }
    long closed = ht_raw1(SYS_close, fd);
    return result != 0 || closed == 0 || closed == -EINTR ? result : closed;
}

static long ht_rename_new(int directory, const char *from, const char *to)
{
    long result = ht_raw6(SYS_renameat2, directory, (long)from, directory, (long)to, RENAME_NOREPLACE, 0);
    if (result == 0 || result == -EEXIST) {
        return result;
    }
    result = ht_raw6(SYS_linkat, directory, (long)from, directory, (long)to, 0, 0);
    if (result == 0) {
        ht_raw3(SYS_unlinkat, directory, (long)from, 0);
        return 0;
    }
    return result == -EEXIST ? result : ht_claim_name(directory, from, to);
}

// An unnamed file's contents, moved into a named one: where the kernel or a security module denies links.
static int ht_move_to_named(struct ht_file *file, const struct ht_file_name *name)
{
    int from = file->fd;
    int to = ht_begin_named(file, name);
    long result = to < 0 ? to : ht_copy_bytes(from, to);
    ht_io_close(from);
    file->fd = to < 0 ? -1 : to;
    return (int)result;
}

// Gives the file this name if nobody has it.
static long ht_give_name(struct ht_file *file, const struct ht_file_name *name, const char *final)
{
    if (file->temporary[0] == '\0') {
        char path[DESCRIPTOR_PATH_BYTES];
        ht_descriptor_path(file->fd, path);
        long result =
            ht_raw6(SYS_linkat, AT_FDCWD, (long)path, file->directory, (long) final, AT_SYMLINK_FOLLOW, 0);
        if (result == 0 || result == -EEXIST) {
            return result;
        }
        result = ht_move_to_named(file, name);
        if (result != 0) {
            return result;
        }
    }
    if (file->fd >= 0) {
        // Network file systems report a full disk or quota here.
        long result = ht_raw1(SYS_close, file->fd);
        file->fd = -1;
        if (result != 0 && result != -EINTR) {
            return result;
        }
    }
    long result = ht_rename_new(file->directory, file->temporary, final);
    if (result == 0) {
        file->temporary[0] = '\0';
    }
    return result;
}

int ht_file_commit(struct ht_file *file, const struct ht_file_name *name, uint32_t seq, uint32_t *ret_seq)
{
    long result = -EEXIST;
    for (uint32_t tries = 0; tries < COMMIT_TRIES && result == -EEXIST; tries++, seq++) {
        char final[HT_NAME_BYTES];
        ht_file_format_name(name, seq, final, sizeof final);
        result = ht_give_name(file, name, final);
        if (result == 0) {
            *ret_seq = seq;
            return 0;
        }
    }
    ht_file_end(file);
    return (int)result;
}

void ht_file_end(struct ht_file *file)
{
    if (file->fd >= 0) {
        ht_io_close(file->fd);
        file->fd = -1;
    }
    if (file->directory >= 0) {
        if (file->temporary[0] != '\0') {
            ht_raw3(SYS_unlinkat, file->directory, (long)file->temporary, 0);
            file->temporary[0] = '\0';
        }
        ht_io_close(file->directory);
        file->directory = -1;
    }
}

bool ht_file_rotate(const struct ht_file *file, struct ht_rotation *rotation, uint32_t keep,
                    const struct ht_file_name *name, uint32_t seq, enum ht_trigger *ret_trigger,
                    uint32_t *ret_seq)
{
    if (rotation->pid != name->pid) {
        rotation->pid = name->pid;
        rotation->count = 0;
    }
    rotation->written[rotation->count % HT_KEEP_MAX] = seq * HT_TRIGGER_SLOTS + (uint32_t)name->trigger;
    rotation->count++;
    if (keep == 0) {
        return false;
    }
    if (keep >= HT_KEEP_MAX) {
        keep = HT_KEEP_MAX - 1;
    }
    // Files 0, 1, ..., count - 1: 0 stays, count - keep and later stay, so at each turn one may have to go.
    if (rotation->count <= keep + 1) {
        return false;
    }
    uint32_t oldest = rotation->written[(rotation->count - 1 - keep) % HT_KEEP_MAX];
    struct ht_file_name gone = *name;
    gone.trigger = *ret_trigger = (enum ht_trigger)(oldest % HT_TRIGGER_SLOTS);
    *ret_seq = oldest / HT_TRIGGER_SLOTS;
    ht_file_remove(file, &gone, *ret_seq);
    return true;
}

void ht_file_remove(const struct ht_file *file, const struct ht_file_name *name, uint32_t seq)
{
    char path[HT_NAME_BYTES];
    ht_file_format_name(name, seq, path, sizeof path);
    ht_raw3(SYS_unlinkat, file->directory, (long)path, 0);
}
