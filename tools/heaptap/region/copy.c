// Region files from outside: opens them safely and copies their bytes so that every live sample is whole.
#include "region/copy.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/foreign.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "record/check.h"
#include "region/sparse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_REGION_BYTES                                                                                     \
    (UINT64_C(16) << 30) // beyond every HEAPTAP_MEMORY that makes sense; references end at 32 GiB
// How much a file may claim beyond what it has: zeros of its tables that were left out when somebody copied
// it, or that a file system packed. Walks over them cost time.
#define SPARSE_TIMES      64
#define SPARSE_BYTES      (UINT64_C(64) << 20)
#define SLOT_TRIES        16
#define FILES_OF_A_USER   1024
#define FILES_OF_A_FOLDER 8192

// How many files each user has in a folder.
struct owners {
    struct owner {
        uid_t uid;
        size_t files;
    } * items;
    size_t count, capacity;
};

bool ht_region_is_name(const char *path)
{
    const char *name = ht_path_name(path);
    return strlen(name) > 13 && ht_text_starts_with(name, "heaptap.") && ht_text_ends_with(name, ".live");
}

// The file that was looked at; for writing with its owner's rights: whatever it is a link of, nobody but he
// is affected.
static int open_again(int looked_at, int flags, const struct stat *stat_of)
{
    const struct ht_owner ours = {0, 0}, owner = {stat_of->st_uid, stat_of->st_gid};
    struct ht_rights saved;
    if (ht_rights_take(flags == O_RDWR ? owner : ours, &saved) < 0)
        return ht_fail("%s; try as that user", ht_error());
    int fd = ht_foreign_open_looked(looked_at, flags);
    ht_rights_return(&saved);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return ht_fail("may not be read by this user; try as the program's own user or as root");
    return fd < 0 ? ht_fail_errno("cannot be opened") : fd;
}

bool ht_region_is_passing(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR || error == EAGAIN ||
           error == EIO;
}

int ht_region_open(const char *path, int flags, struct stat *ret_stat)
{
    struct stat stat = {0};
    // What maps shows holds no links; the kernel's own ones to what is mapped are.
    bool through_mapping = strstr(path, "/map_files/") != NULL && strncmp(path, "/proc/", 6) == 0;
    int fd = ht_foreign_look(path, through_mapping);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return ht_fail("may not be read by this user; try as the program's own user or as root");
    if (fd < 0)
        return ht_fail_errno("cannot be opened");
    int again = -1;
    if (fstat(fd, &stat) != 0)
        ht_fail_errno("cannot be looked at");
    else if (S_ISREG(stat.st_mode))
        again = open_again(fd, flags, &stat);
    else if (S_ISLNK(stat.st_mode))
        ht_fail("is a link; name the region file itself");
    else
        ht_fail("is not a regular file, so not a region");
    int error = errno;
    close(fd);
    errno = error;
    *ret_stat = stat;
    return again;
}

int ht_region_read_header(const char *path, struct ht_region_header *ret_header, struct stat *ret_stat)
{
    struct stat stat;
    struct ht_region_header header;
    int fd = ht_region_open(path, O_RDONLY, &stat);
    if (fd < 0)
        return -1;
    ssize_t got = pread(fd, &header, sizeof header, 0);
    int error = errno;
    close(fd);
    if (ret_stat != NULL)
        *ret_stat = stat;
    errno = error;
    if (got < 0)
        return ht_fail_errno("cannot be read");
    if (got != (ssize_t)sizeof header || header.magic != HT_REGION_MAGIC)
        return ht_fail("is not a heaptap region");
    header.program[sizeof header.program - 1] = '\0';
    *ret_header = header;
    return 0;
}

// Whether a user has as many files there as are looked at; nobody's keep those of others from being seen.
static bool is_one_too_many(struct owners *owners, uid_t uid)
{
    size_t at = 0;
    while (at < owners->count && owners->items[at].uid != uid)
        at++;
    if (at == owners->count) {
        HT_RESERVE(owners->items, owners->capacity, owners->count + 1);
        owners->items[owners->count++] = (struct owner){.uid = uid};
    }
    return ++owners->items[at].files > FILES_OF_A_USER;
}

static void tell_left_out(const char *directory, const struct owners *owners, bool is_full)
{
    for (size_t i = 0; i < owners->count; i++)
        if (owners->items[i].files > FILES_OF_A_USER)
            ht_warn("%s: %d of %zu region files of user %u are looked at, and the others left out", directory,
                    FILES_OF_A_USER, owners->items[i].files, (unsigned)owners->items[i].uid);
    if (is_full)
        ht_warn("%s: %d region files are looked at, and the others left out", directory, FILES_OF_A_FOLDER);
}

size_t ht_region_files(const char *directory, char ***ret_paths)
{
    struct owners owners = {0};
    char **paths = NULL;
    size_t count = 0, capacity = 0;
    DIR *stream = opendir(directory);
    for (struct dirent *entry;
         stream != NULL && count < FILES_OF_A_FOLDER && (errno = 0, entry = readdir(stream)) != NULL;) {
        if (!ht_region_is_name(entry->d_name))
            continue;
        char *path = ht_format("%s/%s", directory, entry->d_name);
        struct stat stat;
        int fd = ht_region_open(path, O_RDONLY, &stat);
        if (fd < 0 && ht_region_is_passing(errno))
            ht_warn("%s %s", path, ht_error());
        if (fd >= 0)
            close(fd);
        if (fd < 0 || is_one_too_many(&owners, stat.st_uid)) {
            free(path);
            continue;
        }
        HT_RESERVE(paths, capacity, count + 1);
        paths[count++] = path;
    }
    if (count < FILES_OF_A_FOLDER && errno != 0 && errno != ENOENT)
        ht_warn("%s cannot be listed: %s", directory, strerror(errno));
    if (stream != NULL)
        closedir(stream);
    tell_left_out(directory, &owners, count == FILES_OF_A_FOLDER);
    free(owners.items);
    *ret_paths = paths;
    return count;
}

// Reads some bytes of a slot or a header; what lies behind the file's end (somebody cut it) reads as zeros.
static int read_range(int fd, uint8_t *to, uint64_t bytes, uint64_t offset)
{
    for (uint64_t done = 0; done < bytes;) {
        ssize_t got = pread(fd, to + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ht_fail_errno("cannot be read");
        if (got == 0) {
            memset(to + done, 0, bytes - done);
            return 0;
        }
        done += (uint64_t)got;
    }
    return 0;
}

static bool inside(uint64_t offset, uint64_t bytes, uint64_t size_bytes)
{
    return offset >= HT_REGION_HEADER_BYTES && offset % HT_REF_UNIT == 0 && offset <= size_bytes &&
           bytes <= size_bytes - offset;
}

static uint64_t level_slots(const struct ht_live_level *level)
{
    return (uint64_t)level->bucket_count * HT_BUCKET_SLOTS;
}

static bool is_level_inside(const struct ht_live_level *level, uint64_t size_bytes)
{
    uint64_t slots = level_slots(level);
    return inside(level->keys_offset, slots * sizeof(uint64_t), size_bytes) &&
           inside(level->slots_offset, slots * sizeof(struct ht_live_slot), size_bytes);
}

// One slot again until it holds still; false: it is in the middle of a change.
static bool read_slot_again(int fd, const struct ht_live_level *level, uint64_t i, uint64_t *ret_key,
                            struct ht_live_slot *ret_slot)
{
    uint64_t slot_offset = level->slots_offset + i * sizeof(struct ht_live_slot);
    uint64_t key_offset = level->keys_offset + i * sizeof(uint64_t);
    for (int tries = 0; tries < SLOT_TRIES; tries++) {
        struct ht_live_slot before;
        if (read_range(fd, (uint8_t *)&before, sizeof before, slot_offset) != 0 ||
            read_range(fd, (uint8_t *)ret_key, sizeof *ret_key, key_offset) != 0 ||
            read_range(fd, (uint8_t *)ret_slot, sizeof *ret_slot, slot_offset) != 0)
            return false;
        if (*ret_key <= HT_SLOT_BUSY || before.seq == ret_slot->seq)
            return true;
    }
    return false;
}

// The reader's protocol of struct ht_live_slot, over copies: seq first, then the key, then the slot, of which
// seq is the last word. When seq did not move, the key was that of the fields.
static int read_level(int fd, const struct ht_live_level *level, uint8_t *keys_to, uint8_t *slots_to)
{
    uint64_t count = level_slots(level);
    uint64_t keys_bytes = count * sizeof(uint64_t), slots_bytes = count * sizeof(struct ht_live_slot);
    uint8_t *before_to = ht_sparse_new(slots_bytes);
    const struct ht_live_slot *before = (const struct ht_live_slot *)(const void *)before_to;
    uint64_t *keys = (uint64_t *)(void *)keys_to;
    struct ht_live_slot *slots = (struct ht_live_slot *)(void *)slots_to;
    int result = -1;
    if (ht_sparse_read(fd, before_to, slots_bytes, level->slots_offset) == 0 &&
        ht_sparse_read(fd, keys_to, keys_bytes, level->keys_offset) == 0 &&
        ht_sparse_read(fd, slots_to, slots_bytes, level->slots_offset) == 0)
        result = 0;
    for (uint64_t i = 0; result == 0 && i < count; i++)
        if (keys[i] > HT_SLOT_BUSY && before[i].seq != slots[i].seq &&
            !read_slot_again(fd, level, i, &keys[i], &slots[i]))
            keys[i] = 0;
    ht_sparse_free(before_to, slots_bytes);
    return result;
}

struct live_tables {
    uint32_t level_count;
    struct ht_live_level levels[HT_LIVE_LEVELS];
    uint8_t *keys[HT_LIVE_LEVELS], *slots[HT_LIVE_LEVELS]; // NULL: outside the file
};

static int read_live(int fd, const struct ht_region_header *header, uint64_t file_bytes,
                     struct live_tables *ret)
{
    uint64_t total = 0;
    ret->level_count = header->level_count < HT_LIVE_LEVELS ? header->level_count : HT_LIVE_LEVELS;
    for (uint32_t i = 0; i < ret->level_count; i++) {
        const struct ht_live_level *level = &header->levels[i];
        ret->levels[i] = *level;
        total += level_slots(level) * (sizeof(uint64_t) + sizeof(struct ht_live_slot));
        if (!is_level_inside(level, file_bytes) || total > file_bytes)
            continue; // nonsense; the view's own checks refuse it as well
        ret->keys[i] = ht_sparse_new(level_slots(level) * sizeof(uint64_t));
        ret->slots[i] = ht_sparse_new(level_slots(level) * sizeof(struct ht_live_slot));
        if (read_level(fd, level, ret->keys[i], ret->slots[i]) != 0)
            return -1;
    }
    return 0;
}

static void put_live(const struct live_tables *live, uint8_t *bytes, uint64_t size_bytes)
{
    struct ht_region_header *header = (struct ht_region_header *)(void *)bytes;
    header->level_count = live->level_count;
    memcpy(header->levels, live->levels, sizeof header->levels);
    for (uint32_t i = 0; i < live->level_count; i++) {
        const struct ht_live_level *level = &live->levels[i];
        if (live->keys[i] == NULL || !is_level_inside(level, size_bytes))
            continue;
        ht_sparse_put(bytes + level->keys_offset, live->keys[i], level_slots(level) * sizeof(uint64_t));
        ht_sparse_put(bytes + level->slots_offset, live->slots[i],
                      level_slots(level) * sizeof(struct ht_live_slot));
    }
}

static void free_live(struct live_tables *live)
{
    for (uint32_t i = 0; i < HT_LIVE_LEVELS; i++) {
        ht_sparse_free(live->keys[i], level_slots(&live->levels[i]) * sizeof(uint64_t));
        ht_sparse_free(live->slots[i], level_slots(&live->levels[i]) * sizeof(struct ht_live_slot));
    }
}

static uint64_t used_of(const struct ht_region_header *header, uint64_t file_bytes)
{
    uint64_t used = header->used_bytes < file_bytes ? header->used_bytes : file_bytes;
    return used < HT_REGION_HEADER_BYTES ? HT_REGION_HEADER_BYTES : used;
}

static int explain(enum ht_view_error error, const struct ht_region_header *header)
{
    switch (error) {
    case HT_VIEW_OK:
        return 0;
    case HT_VIEW_VERSION:
        return ht_fail("is a region of version %" PRIu32
                       ", and this heaptap reads version %u; use the heaptap that "
                       "came with the libheaptap.so that wrote it",
                       header->version, HT_REGION_VERSION);
    case HT_VIEW_SHORT:
        return ht_fail(
            "is too short for a region; it was cut off or never finished, and nothing can be read from it");
    case HT_VIEW_MAGIC:
        if (header->magic == HT_REGION_MAKING || header->magic == 0)
            return ht_fail("was never finished: its process died while it was being made, or is still at it");
        return ht_fail("is not a heaptap region");
    default:
        return ht_fail("is a damaged region: its header contradicts itself");
    }
}

// Runs the region's own checks over the copy. `last` is the header as it stands after the copying: what was
// born meanwhile lies within its limits, and whatever lies beyond them was never written by a program.
static const char *damage(const struct ht_region_copy *copy, const struct ht_region_header *last)
{
    struct ht_region_header *header = (struct ht_region_header *)(void *)copy->bytes;
    const uint32_t refs[2] = {header->stack_heads_ref, header->entry_heads_ref};
    for (int i = 0; i < 2; i++) {
        const uint32_t *heads =
            ht_view_at(&copy->view, refs[i], (uint64_t)header->head_count * sizeof *heads);
        for (uint32_t at = 0; heads != NULL && at < header->head_count; at++)
            if ((uint64_t)heads[at] * HT_REF_UNIT >= last->used_bytes)
                return "a chain leads out of it";
        if (heads == NULL)
            return "its tables are not in it";
    }
    uint32_t entry_count = header->entry_count;
    uint64_t backed_bytes = header->backed_bytes;
    header->entry_count = last->entry_count;
    header->backed_bytes = last->backed_bytes;
    const char *wrong = ht_region_check(&copy->view);
    header->entry_count = entry_count;
    header->backed_bytes = backed_bytes;
    return wrong;
}

// Live samples first, everything else after: what a sample refers to was complete before the sample was.
static int read_all(int fd, uint64_t file_bytes, const struct ht_region_header *first, bool damaged,
                    struct ht_region_copy *copy)
{
    struct live_tables live = {0};
    if (read_live(fd, first, file_bytes, &live) != 0) {
        free_live(&live);
        return -1;
    }
    struct ht_region_header second;
    int result = read_range(fd, (uint8_t *)&second, sizeof second, 0);
    uint64_t used = result == 0 ? used_of(&second, file_bytes) : HT_REGION_HEADER_BYTES;
    copy->bytes = ht_sparse_new(used);
    copy->mapped_bytes = used;
    if (result == 0)
        result = ht_sparse_read(fd, copy->bytes, used, 0);
    if (result == 0) {
        struct ht_region_header *header = (struct ht_region_header *)(void *)copy->bytes;
        put_live(&live, copy->bytes, used);
        if (header->used_bytes > used)
            header->used_bytes = used; // what grew meanwhile is not in the copy
        result = explain(ht_view_init(&copy->view, copy->bytes, used), header);
    }
    if (result == 0)
        result = read_range(fd, (uint8_t *)&second, sizeof second, 0);
    const char *wrong = result == 0 && !damaged ? damage(copy, &second) : NULL;
    if (wrong != NULL)
        result = ht_fail("is a damaged region: %s", wrong);
    free_live(&live);
    return result;
}

static int read_region(int fd, bool damaged, struct ht_region_copy *ret_copy)
{
    struct ht_region_copy copy = {.begun_ns = ht_clock_ns(CLOCK_MONOTONIC)};
    struct stat stat;
    struct ht_region_header header;
    if (fstat(fd, &stat) != 0)
        return ht_fail_errno("cannot be read");
    uint64_t file_bytes = stat.st_size > 0 ? (uint64_t)stat.st_size : 0;
    if (file_bytes < HT_REGION_HEADER_BYTES)
        return explain(HT_VIEW_SHORT, NULL);
    if (read_range(fd, (uint8_t *)&header, sizeof header, 0) != 0)
        return -1;
    if (header.magic != HT_REGION_MAGIC)
        return explain(HT_VIEW_MAGIC, &header);
    if (header.version != HT_REGION_VERSION)
        return explain(HT_VIEW_VERSION, &header);
    if (header.used_bytes > file_bytes)
        return ht_fail("was cut off: %" PRIu64 " of its %" PRIu64
                       " bytes are there, and what it would show is wrong",
                       file_bytes, header.used_bytes);
    if (file_bytes > MAX_REGION_BYTES)
        file_bytes = MAX_REGION_BYTES;
    copy.file_bytes = (uint64_t)stat.st_size;
    copy.blocks_bytes = (uint64_t)stat.st_blocks * 512;
    // A file can claim more than is in it.
    uint64_t believed_bytes = copy.blocks_bytes * SPARSE_TIMES + SPARSE_BYTES;
    if (believed_bytes > file_bytes)
        believed_bytes = file_bytes;
    if (used_of(&header, file_bytes) > believed_bytes)
        return ht_fail("is a damaged region: it claims more bytes than it has");
    if (read_all(fd, believed_bytes, &header, damaged, &copy) != 0) {
        ht_sparse_free(copy.bytes, copy.mapped_bytes);
        return -1;
    }
    *ret_copy = copy;
    return 0;
}

int ht_region_read(int fd, struct ht_region_copy *ret_copy)
{
    return read_region(fd, false, ret_copy);
}

int ht_region_read_damaged(int fd, struct ht_region_copy *ret_copy)
{
    return read_region(fd, true, ret_copy);
}

void ht_region_copy_free(struct ht_region_copy *copy)
{
    ht_sparse_free(copy->bytes, copy->mapped_bytes);
    *copy = (struct ht_region_copy){0};
}
