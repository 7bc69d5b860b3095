// Snapshot files: name, directory, temporary file, rename without replacing, rotation.
//
// A file with a final name is whole, and no file but our own is ever replaced. Where the kernel, the file
// system or a filter refuses both ways to name a file only if the name is free (RENAME_NOREPLACE, links), the
// name is claimed by an empty file of our own (O_EXCL), and ours is renamed over it; where all renaming is
// refused, its bytes are copied into that file. There a reader can meet a file that is empty or ends early,
// for a moment or for good if the process dies in it: its gzip stream has no end then, and every reader says
// so. A failure removes it.
#ifndef HT_SNAPSHOT_FILE_H
#define HT_SNAPSHOT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ht_trigger {
    HT_TRIGGER_EXIT,
    HT_TRIGGER_SIGNAL,
    HT_TRIGGER_INTERVAL,
    HT_TRIGGER_GROWTH,
    HT_TRIGGER_MANUAL,
    HT_TRIGGER_RECOVERED,
    HT_TRIGGER_COUNT
};

#define HT_PATH_BYTES 1280u
#define HT_NAME_BYTES 256u  // NAME_MAX + 1
#define HT_KEEP_MAX   4096u // HEAPTAP_KEEP counts as less than this

const char *ht_trigger_name(enum ht_trigger trigger);

// heaptap.<program>.<pid>.<seq 4 digits>.<trigger>[.<profile>].pb.gz; slashes and control characters become
// '_', a long program name is cut.
struct ht_file_name {
    const char *program; // need not be terminated within HT_PROGRAM_BYTES
    uint32_t pid;
    enum ht_trigger trigger;
    const char *profile; // a custom profile's name; NULL: the heap
};
#define HT_PROGRAM_BYTES 64u
#define HT_TRIGGER_SLOTS 8u

void ht_file_format_name(const struct ht_file_name *name, uint32_t seq, char *ret_name, size_t size_bytes);

// Files that this process wrote, for HEAPTAP_KEEP. All zero at first; one writer at a time.
struct ht_rotation {
    uint32_t pid; // whose; a forked child starts anew
    uint32_t count;
    uint32_t written[HT_KEEP_MAX]; // a ring of seq * HT_TRIGGER_SLOTS + trigger
};

// An output file being written: without a name where the file system can do that, else under a temporary one.
struct ht_file {
    int directory;                 // descriptor
    int fd;                        // -1: none, or closed
    char temporary[HT_NAME_BYTES]; // "": unnamed
};

// Context of the following: exit, bare thread, tool. 0 or a negative errno. Signals: see ht_io_guard.

// Makes the directory for profiles if it is missing, with its parents: mode 0700, but made by root 1733, a
// box that every user may put files into and not look into. A service starts as root, and its workers, which
// have dropped their rights, write there as well, whoever of them is the first. Context: also load.
int ht_file_make_directory(const char *path);

// Makes the directory if missing (as above) and a file in it (0600, never through a link) that has not its
// final name yet.
int ht_file_begin(struct ht_file *file, const char *directory, const struct ht_file_name *name);

// The lowest number >= *seq under which no file of this program, pid and profile exists with any trigger.
uint32_t ht_file_free_seq(const struct ht_file *file, const struct ht_file_name *name, uint32_t seq);

// A sink's write; `arg` is the struct ht_file.
int ht_file_write(void *arg, const void *bytes, size_t size_bytes);

// Gives the file its final name, or that of a later number if somebody took it meanwhile (*ret_seq), and
// closes it. After a failure no file is left. The directory stays open until ht_file_end.
int ht_file_commit(struct ht_file *file, const struct ht_file_name *name, uint32_t seq, uint32_t *ret_seq);

// Remembers the file `seq` and removes the oldest of this process that is neither the first nor among the
// newest `keep` (0: all are kept). True: it had *ret_trigger and *ret_seq. Between commit and end.
bool ht_file_rotate(const struct ht_file *file, struct ht_rotation *rotation, uint32_t keep,
                    const struct ht_file_name *name, uint32_t seq, enum ht_trigger *ret_trigger,
                    uint32_t *ret_seq);

// Removes the file of this name, if there is one. Between begin and end.
void ht_file_remove(const struct ht_file *file, const struct ht_file_name *name, uint32_t seq);

// Closes what is open; a file that has not got its final name is removed.
void ht_file_end(struct ht_file *file);

#endif
