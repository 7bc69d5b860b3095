// Cleaning up behind dead processes: which regions are dead, which of them are ours to remove.
#include "trigger/leftovers.h"

#include "core/process.h"
#include "sys/clock.h"
#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/memory.h"
#include "sys/raw.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILES 256u
#define MAX_NAME  256u
#define MAX_LOOK  4096u // directory entries: hundreds of microseconds, whoever fills the directory

// Files whose process seems to be alive, although its number may have come again: so many are looked at, and
// one in so many of the others. All of them would be a cost for each process of a family that grows with the
// square of its size.
#define LIVING_LOOKED_AT 16u
#define ONE_LIVING_IN    32u

#define TMPFS_ENTRY 20 // st_size of a directory for each entry: fs/libfs.c, BOGO_DIRENT_SIZE

struct ht_leftover {
    char name[MAX_NAME];
    uint64_t held_bytes, created_ns, start_ticks;
    uint32_t pid;
};

struct ht_leftovers {
    struct ht_leftover files[MAX_FILES];
    uint32_t count, living, next_living;
    uint64_t held_bytes;
    char buffer[32768]; // directory entries
    char path[sizeof((struct ht_region_header *)0)->region_path];
};

// Also of one that its process did not finish.
static bool ht_is_region_name(const char *name)
{
    size_t length = strlen(name);
    return length > 13 && length < MAX_NAME && memcmp(name, "heaptap.", 8) == 0 &&
           (strcmp(name + length - strlen(HT_REGION_SUFFIX), HT_REGION_SUFFIX) == 0 ||
            strcmp(name + length - strlen(HT_REGION_MAKING_SUFFIX), HT_REGION_MAKING_SUFFIX) == 0);
}

// A process lives on as long as its number has its start and it has memory (a zombie has none); only then it
// could still map the region. One that called exec has given its region up and counts as living all the same:
// it cleans up behind itself. In doubt it lives.
static bool ht_is_dead(const struct ht_leftover *file)
{
    if (ht_process_is_gone(file->pid, file->start_ticks)) {
        return true;
    }
    char path[64], first[8];
    struct ht_text text = ht_text_init(path, sizeof path);
    ht_text_add(&text, "/proc/");
    ht_text_add_u64(&text, file->pid);
    ht_text_add(&text, "/maps");
    return ht_io_read_file(path, first, sizeof first) == 0;
}

// Drops the living from the list, so that only leftovers are counted.
static void ht_keep_dead(struct ht_leftovers *list)
{
    for (uint32_t i = 0; i < list->count;) {
        if (ht_is_dead(&list->files[i])) {
            i++;
        } else {
            list->held_bytes -= list->files[i].held_bytes;
            list->files[i] = list->files[--list->count];
        }
    }
}

// The number in "heaptap.PROGRAM.PID.RANDOM.live"; 0: another name.
static uint64_t ht_pid_of_name(const char *name)
{
    char text[24] = "";
    int dots = 0;
    size_t begin = strlen(name), end = begin;
    while (begin > 0 && dots < 3) {
        begin--;
        if (name[begin] == '.' && ++dots == 2) {
            end = begin;
        }
    }
    uint64_t pid = 0;
    if (dots == 3 && end - begin - 1 < sizeof text) {
        memcpy(text, name + begin + 1, end - begin - 1);
    }
    return ht_text_parse_u64(text, &pid) ? pid : 0;
}

// Somebody has the number that the name says, and memory (no zombie), and this is none of those that are
// looked at all the same. One system call.
static bool ht_is_passed_over(struct ht_leftovers *list, const char *name, const struct ht_region_header *own)
{
    char path[40], program[8];
    uint64_t pid = ht_pid_of_name(name);
    struct ht_text text = ht_text_init(path, sizeof path);
    ht_text_add(&text, "/proc/");
    ht_text_add_u64(&text, pid);
    ht_text_add(&text, "/exe");
    if (pid == 0 || pid == own->pid) {
        return false;
    }
    long result = ht_raw4(SYS_readlinkat, AT_FDCWD, (long)path, (long)program, sizeof program);
    if (result == -ENOENT || result == -ESRCH) {
        return false;
    }
    return list->living++ >= LIVING_LOOKED_AT && list->next_living++ % ONE_LIVING_IN != 0;
}

// A file that could be ours: no link of any kind (somebody else's file may have got our name by a hard link),
// no device or pipe, and this user's.
static bool ht_is_plain(const struct stat *status, const struct ht_region_header *own)
{
    return S_ISREG(status->st_mode) && status->st_uid == own->uid && status->st_nlink == 1;
}

// The beginning of struct ht_region_header.
struct ht_head {
    uint64_t magic;
    uint32_t version, header_bytes;
    uint64_t size_bytes, used_bytes, backed_bytes;
    uint32_t pid, uid;
    uint64_t start_ticks, pid_namespace, created_unix_ns;
};
_Static_assert(offsetof(struct ht_region_header, created_unix_ns) ==
                   offsetof(struct ht_head, created_unix_ns),
               "the beginning of a region's header");

// Opens what `before` describes, and nothing that has taken its place since.
static bool ht_read_head(int directory, const char *name, const struct stat *before, struct ht_head *ret_head)
{
    struct stat opened;
    int fd = ht_io_open(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    bool same = ht_raw2(SYS_fstat, fd, (long)&opened) == 0 && opened.st_ino == before->st_ino &&
                opened.st_dev == before->st_dev;
    bool whole = same && ht_io_read(fd, ret_head, sizeof *ret_head) == (long)sizeof *ret_head;
    ht_io_close(fd);
    return whole;
}

// A file whose process died before it had written whose it is (the magic number comes last), or that somebody
// has emptied.
static bool ht_is_abandoned(const char *name, const struct stat *status, const struct ht_head *head)
{
    const char *suffix = name + strlen(name) - strlen(HT_REGION_MAKING_SUFFIX);
    uint64_t now_seconds = ht_clock_raw_realtime_ns() / UINT64_C(1000000000);
    return (strcmp(suffix, HT_REGION_MAKING_SUFFIX) == 0 || status->st_size == 0) && head->magic == 0 &&
           now_seconds > (uint64_t)status->st_mtime + HT_REGION_MAKING_SECONDS;
}

// Looks at one file; only a region of this user and pid namespace is taken down.
static void ht_consider(struct ht_leftovers *list, int directory, const char *name,
                        const struct ht_region_header *own)
{
    struct stat status;
    struct ht_head head = {0};
    if (list->count == MAX_FILES) {
        ht_keep_dead(list);
    }
    if (list->count == MAX_FILES ||
        ht_raw4(SYS_newfstatat, directory, (long)name, (long)&status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !ht_is_plain(&status, own)) {
        return;
    }
    if (status.st_size > 0 && !ht_read_head(directory, name, &status, &head)) {
        return;
    }
    if (ht_is_abandoned(name, &status, &head)) {
        ht_raw3(SYS_unlinkat, directory, (long)name, 0);
        return;
    }
    bool is_region = head.magic == HT_REGION_MAGIC || head.magic == HT_REGION_MAKING;
    if (!is_region || head.pid_namespace != own->pid_namespace || head.uid != own->uid || head.pid == 0) {
        return;
    }
    struct ht_leftover *file = &list->files[list->count++];
    memcpy(file->name, name, strlen(name) + 1);
    file->held_bytes = (uint64_t)status.st_blocks * 512;
    file->created_ns = head.created_unix_ns;
    file->start_ticks = head.start_ticks;
    file->pid = head.pid;
    list->held_bytes += file->held_bytes;
}

// A directory with more entries than we look at is begun at a place that each process chooses anew, so that
// together they see all of it. Entries stand at ordinal numbers, or, since Linux 6.6, at numbers that only
// grow, up or down; the entry "..", the second, tells where the next one is. What is in use of those numbers
// may lie close together at either end: all distances from the end are as likely in each power of two.
static void ht_choose_place(struct ht_leftovers *list, int directory)
{
    struct stat status;
    const struct ht_io_entry *first = (const struct ht_io_entry *)list->buffer;
    if (ht_raw2(SYS_fstat, directory, (long)&status) != 0 || status.st_size / TMPFS_ENTRY <= MAX_LOOK ||
        ht_raw3(SYS_getdents64, directory, (long)list->buffer, 96) <= (long)sizeof *first) {
        return;
    }
    const struct ht_io_entry *second = (const struct ht_io_entry *)(list->buffer + first->length);
    uint64_t end = (uint64_t)status.st_size / TMPFS_ENTRY, random = ht_unique_number();
    if (second->offset < INT32_MAX && (uint64_t)second->offset > end) {
        end = (uint64_t)second->offset;
    }
    uint64_t distance = (random >> 32) >> (random % 24);
    ht_raw3(SYS_lseek, directory, distance < end ? (long)(end - distance) : 0, SEEK_SET);
}

static void ht_collect(struct ht_leftovers *list, int directory, const struct ht_region_header *own,
                       const char *own_name)
{
    long got;
    uint32_t looked = 0;
    list->next_living = (uint32_t)(ht_unique_number() % ONE_LIVING_IN);
    ht_choose_place(list, directory);
    while (looked < MAX_LOOK &&
           (got = ht_raw3(SYS_getdents64, directory, (long)list->buffer, sizeof list->buffer)) > 0) {
        for (long at = 0; at < got;) {
            const struct ht_io_entry *entry = (const struct ht_io_entry *)(list->buffer + at);
            if (ht_is_region_name(entry->name) && strcmp(entry->name, own_name) != 0 &&
                !ht_is_passed_over(list, entry->name, own)) {
                ht_consider(list, directory, entry->name, own);
            }
            at += entry->length;
            looked++;
        }
    }
}

static void ht_remove(struct ht_leftovers *list, int directory, uint32_t i)
{
    ht_raw3(SYS_unlinkat, directory, (long)list->files[i].name, 0);
    list->held_bytes -= list->files[i].held_bytes;
    list->files[i] = list->files[--list->count];
}

static void ht_clean(struct ht_leftovers *list, int directory, const struct ht_region_header *own)
{
    for (uint32_t i = 0; i < list->count;) {
        const struct ht_leftover *file = &list->files[i];
        if (file->pid == own->pid && file->start_ticks == own->start_ticks) {
            ht_remove(list, directory, i); // ours, from before exec
        } else {
            i++;
        }
    }
    if (list->count <= HT_LEFTOVER_FILES && list->held_bytes <= HT_LEFTOVER_BYTES) {
        return; // even if all of them were dead
    }
    ht_keep_dead(list);
    while (list->count > HT_LEFTOVER_FILES || list->held_bytes > HT_LEFTOVER_BYTES) {
        uint32_t oldest = 0;
        for (uint32_t i = 1; i < list->count; i++) {
            if (list->files[i].created_ns < list->files[oldest].created_ns) {
                oldest = i;
            }
        }
        ht_remove(list, directory, oldest);
    }
}

// Without the /proc of our own pid namespace nobody can be told to be dead.
static bool ht_can_tell(const struct ht_region_header *own)
{
    char self[32];
    uint64_t pid;
    long length = ht_raw4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self", (long)self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    return own->pid_namespace != 0 && own->start_ticks != 0 && ht_text_parse_u64(self, &pid) &&
           pid == ht_raw_pid();
}

void ht_leftovers_clean(const struct ht_region *own)
{
    if (!own->shared || !ht_can_tell(own->header)) {
        return;
    }
    struct ht_leftovers *list = ht_memory_map(sizeof *list); // not on the host's stack
    if (list == NULL) {
        return;
    }
    memcpy(list->path, own->header->region_path, sizeof list->path);
    char *slash = strrchr(list->path, '/');
    if (slash != NULL) {
        *slash = '\0';
        int directory = ht_io_open(HT_IO_CWD, list->path, O_RDONLY | O_DIRECTORY, 0);
        if (directory >= 0) {
            ht_collect(list, directory, own->header, slash + 1);
            ht_clean(list, directory, own->header);
            ht_io_close(directory);
        }
    }
    ht_memory_unmap(list, sizeof *list);
}
