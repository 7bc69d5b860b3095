// Cleaning up behind dead processes: which regions are dead, which of them are ours to remove.
#include "trigger/leftovers.h"

#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/memory.h"
#include "sys/raw.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILES 256u
#define MAX_NAME  256u

struct ht_leftover {
    char name[MAX_NAME];
    uint64_t held_bytes, inode, created_ns, start_ticks;
    uint32_t pid;
};

struct ht_leftovers {
    struct ht_leftover files[MAX_FILES];
    uint32_t count;
    uint64_t held_bytes;
    char buffer[32768]; // directory entries, then lines of maps
};

struct ht_dirent {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

static bool ht_is_region_name(const char *name)
{
    size_t length = strlen(name);
    return length > 13 && length < MAX_NAME && memcmp(name, "heaptap.", 8) == 0 &&
           strcmp(name + length - 5, ".live") == 0;
}

// Looks at one file; only a region of this user and pid namespace is taken down.
static void ht_consider(struct ht_leftovers *list, int directory, const char *name,
                        const struct ht_region_header *own)
{
    struct stat status;
    if (list->count == MAX_FILES ||
        ht_raw4(SYS_newfstatat, directory, (long)name, (long)&status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode) || status.st_uid != own->uid) {
        return;
    }
    int fd = ht_io_open(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) {
        return;
    }
    struct {
        uint64_t magic;
        uint32_t version, header_bytes;
        uint64_t size_bytes, used_bytes, backed_bytes;
        uint32_t pid, uid;
        uint64_t start_ticks, pid_namespace, created_unix_ns;
    } head;
    _Static_assert(offsetof(struct ht_region_header, created_unix_ns) ==
                       offsetof(__typeof__(head), created_unix_ns),
                   "the beginning of a region's header");
    bool whole = ht_io_read(fd, &head, sizeof head) == (long)sizeof head;
    ht_io_close(fd);
    if (!whole || head.magic != HT_REGION_MAGIC || head.pid_namespace != own->pid_namespace) {
        return;
    }
    struct ht_leftover *file = &list->files[list->count++];
    memcpy(file->name, name, strlen(name) + 1);
    file->held_bytes = (uint64_t)status.st_blocks * 512;
    file->inode = status.st_ino;
    file->created_ns = head.created_unix_ns;
    file->start_ticks = head.start_ticks;
    file->pid = head.pid;
    list->held_bytes += file->held_bytes;
}

static void ht_collect(struct ht_leftovers *list, int directory, const struct ht_region_header *own,
                       const char *own_name)
{
    long got;
    while ((got = ht_raw3(SYS_getdents64, directory, (long)list->buffer, sizeof list->buffer)) > 0) {
        for (long at = 0; at < got;) {
            const struct ht_dirent *entry = (const struct ht_dirent *)(list->buffer + at);
            if (ht_is_region_name(entry->name) && strcmp(entry->name, own_name) != 0) {
                ht_consider(list, directory, entry->name, own);
            }
            at += entry->length;
        }
    }
}

// Whether the process still maps the file: its inode stands in /proc/PID/maps. In doubt (no /proc) it does.
static bool ht_is_mapped(struct ht_leftovers *list, const struct ht_leftover *file)
{
    char path[64];
    struct ht_text text = ht_text_init(path, sizeof path);
    ht_text_add(&text, "/proc/");
    ht_text_add_u64(&text, file->pid);
    ht_text_add(&text, "/maps");
    int fd = ht_io_open(HT_IO_CWD, path, O_RDONLY, 0);
    if (fd < 0) {
        return fd != -2 && fd != -3; // ENOENT, ESRCH: the process is gone
    }
    char wanted[32];
    struct ht_text number = ht_text_init(wanted, sizeof wanted);
    ht_text_add_char(&number, ' ');
    ht_text_add_u64(&number, file->inode);
    ht_text_add_char(&number, ' ');
    bool found = false;
    size_t kept = 0;
    long got;
    // The end of one piece stays in front of the next, so that a number is never cut in two.
    while (!found && (got = ht_raw3(SYS_read, fd, (long)(list->buffer + kept),
                                    (long)(sizeof list->buffer - kept - 1))) > 0) {
        size_t filled = kept + (size_t)got;
        list->buffer[filled] = '\0';
        found = strstr(list->buffer, wanted) != NULL;
        kept = filled < sizeof wanted ? filled : sizeof wanted;
        memmove(list->buffer, list->buffer + filled - kept, kept);
    }
    ht_io_close(fd);
    return found;
}

static void ht_remove(struct ht_leftovers *list, int directory, uint32_t i)
{
    ht_raw3(SYS_unlinkat, directory, (long)list->files[i].name, 0);
    list->held_bytes -= list->files[i].held_bytes;
    list->files[i] = list->files[--list->count];
}

// Drops the living from the list, so that only leftovers are counted.
static void ht_keep_dead(struct ht_leftovers *list)
{
    for (uint32_t i = 0; i < list->count;) {
        if (ht_is_mapped(list, &list->files[i])) {
            list->held_bytes -= list->files[i].held_bytes;
            list->files[i] = list->files[--list->count];
        } else {
            i++;
        }
    }
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

void ht_leftovers_clean(const struct ht_region *own)
{
    if (!own->shared) {
        return;
    }
    char path[sizeof own->header->region_path];
    memcpy(path, own->header->region_path, sizeof path);
    char *slash = strrchr(path, '/');
    struct ht_leftovers *list = ht_memory_map(sizeof *list);
    if (slash == NULL || list == NULL) {
        return;
    }
    *slash = '\0';
    int directory = ht_io_open(HT_IO_CWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (directory >= 0) {
        ht_collect(list, directory, own->header, slash + 1);
        ht_clean(list, directory, own->header);
        ht_io_close(directory);
    }
    ht_memory_unmap(list, sizeof *list);
}
