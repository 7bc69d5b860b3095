// The cache's files: read with every number checked, written as a whole.
#include "resolve/cache.h"

#include "base/folders.h"
#include "base/search.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUILD_ID_BYTES = 136, TEXT_LIMIT_BYTES = 1 << 20 };
_Static_assert(BUILD_ID_BYTES >= (int)HT_BUILD_ID_TEXT_BYTES, "any build id has room");

// Followed by segments, entries (sorted by address), frames, functions and texts (the first is "").
struct ht_cache_header {
    uint64_t magic;
    uint64_t check; // of everything behind it
    char build_id[BUILD_ID_BYTES];
    uint32_t segment_count, entry_count, frame_count, function_count, text_bytes;
    uint32_t is_debug_only;
};

struct ht_cache_entry {
    uint64_t address;
    uint32_t first_frame, frame_count;
};

char *ht_cache_folder(void)
{
    char *folder = ht_folders_of_user("XDG_CACHE_HOME", ".cache", "heaptap/symbols");
    if (folder == NULL)
        return NULL;
    ht_folders_make_above(folder);
    struct stat stat_of;
    if ((mkdir(folder, 0700) != 0 && errno != EEXIST) || stat(folder, &stat_of) != 0 ||
        !S_ISDIR(stat_of.st_mode) || stat_of.st_uid != geteuid()) {
        free(folder);
        return NULL;
    }
    return folder;
}

// Only hex digits may become part of a path.
static bool is_build_id(const char *build_id)
{
    size_t length = strlen(build_id);
    return length >= 8 && length < BUILD_ID_BYTES && strspn(build_id, "0123456789abcdef") == length;
}

char *ht_cache_key(const char *build_id)
{
    return is_build_id(build_id) ? ht_strdup(build_id) : NULL;
}

char *ht_cache_key_of(const char *build_id, uint32_t uid)
{
    return is_build_id(build_id) ? ht_format("%s-%" PRIu32, build_id, uid) : NULL;
}

static uint64_t check_of(const char *bytes, size_t length)
{
    size_t skip = offsetof(struct ht_cache_header, build_id);
    return ht_checksum(bytes + skip, length - skip);
}

int ht_cache_parse(struct ht_cache *cache, char *bytes, size_t length, const char *build_id)
{
    const struct ht_cache_header *header = (const struct ht_cache_header *)(void *)bytes;
    *cache = (struct ht_cache){0};
    bool is_whole = length >= sizeof *header && header->magic == HT_CACHE_MAGIC;
    if (is_whole) {
        uint64_t size = sizeof *header + header->segment_count * (uint64_t)sizeof(struct ht_segment) +
                        header->entry_count * (uint64_t)sizeof(struct ht_cache_entry) +
                        header->frame_count * (uint64_t)sizeof(struct ht_cache_frame) +
                        header->function_count * (uint64_t)sizeof(struct ht_cache_function) +
                        header->text_bytes;
        is_whole = size == length && header->text_bytes > 0 && bytes[length - 1] == '\0' &&
                   bytes[length - header->text_bytes] == '\0' &&
                   strnlen(header->build_id, BUILD_ID_BYTES) < BUILD_ID_BYTES &&
                   strcmp(header->build_id, build_id) == 0 && check_of(bytes, length) == header->check;
    }
    if (!is_whole) {
        free(bytes);
        return -1;
    }
    const char *at = bytes + sizeof *header;
    cache->bytes = bytes;
    cache->header = header;
    cache->segments = (const void *)at;
    at += header->segment_count * sizeof *cache->segments;
    cache->entries = (const void *)at;
    at += header->entry_count * sizeof *cache->entries;
    cache->frames = (const void *)at;
    at += header->frame_count * sizeof *cache->frames;
    cache->functions = (const void *)at;
    at += header->function_count * sizeof *cache->functions;
    cache->texts = at;
    return 0;
}

static int read_whole(int fd, char **ret_bytes, size_t *ret_length)
{
    struct stat stat_of;
    if (fstat(fd, &stat_of) != 0 || !S_ISREG(stat_of.st_mode) || stat_of.st_size <= 0 ||
        (uint64_t)stat_of.st_size > HT_CACHE_FILE_BYTES)
        return -1;
    size_t size = (size_t)stat_of.st_size, length = 0;
    char *bytes = ht_alloc(size);
    while (length < size) {
        ssize_t got = read(fd, bytes + length, size - length);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            break;
        if (got > 0)
            length += (size_t)got;
    }
    *ret_bytes = bytes;
    *ret_length = length;
    return 0;
}

int ht_cache_open(struct ht_cache *cache, const char *folder, const char *key, const char *build_id)
{
    *cache = (struct ht_cache){0};
    if (folder == NULL || key == NULL)
        return -1;
    char *path = ht_format("%s/%s", folder, key), *bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    free(path);
    if (fd < 0)
        return -1;
    size_t length;
    int result = read_whole(fd, &bytes, &length);
    close(fd);
    return result == 0 ? ht_cache_parse(cache, bytes, length, build_id) : -1;
}

void ht_cache_close(struct ht_cache *cache)
{
    free(cache->bytes);
    *cache = (struct ht_cache){0};
}

struct ht_layout ht_cache_layout(const struct ht_cache *cache)
{
    if (cache->bytes == NULL)
        return (struct ht_layout){0};
    return (struct ht_layout){.segments = cache->segments,
                              .segment_count = cache->header->segment_count,
                              .is_debug_only = cache->header->is_debug_only != 0};
}

uint32_t ht_cache_function_count(const struct ht_cache *cache)
{
    return cache->bytes != NULL ? cache->header->function_count : 0;
}

const struct ht_cache_frame *ht_cache_find(const struct ht_cache *cache, uint64_t address,
                                           uint32_t *ret_count)
{
    size_t end = cache->bytes != NULL ? cache->header->entry_count : 0;
    size_t low = ht_lower_bound(cache->entries, sizeof *cache->entries, 0, end, address);
    if (cache->bytes == NULL || low == cache->header->entry_count || cache->entries[low].address != address)
        return NULL;
    uint32_t first = cache->entries[low].first_frame, count = cache->entries[low].frame_count;
    if (first > cache->header->frame_count || count > cache->header->frame_count - first)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        if (cache->frames[first + i].function >= cache->header->function_count)
            return NULL;
    *ret_count = count;
    return &cache->frames[first];
}

const char *ht_cache_text(const struct ht_cache *cache, uint32_t text)
{
    return text == 0 || text >= cache->header->text_bytes ? NULL : cache->texts + text;
}

// Place of a text, 0 for NULL and for what has no place any more.
static uint32_t add_text(struct ht_cache_writer *writer, const char *text)
{
    if (writer->texts.length == 0)
        ht_buffer_byte(&writer->texts, '\0');
    size_t length = text != NULL ? strlen(text) : 0, cursor = 0;
    if (length == 0 || length > TEXT_LIMIT_BYTES ||
        writer->texts.length > (writer->limit_bytes > 0 ? writer->limit_bytes : HT_CACHE_FILE_BYTES))
        return 0;
    uint64_t hash = ht_hash_bytes(text, length);
    for (uint32_t at; (at = ht_index_next(&writer->text_index, hash, &cursor)) != HT_NONE;)
        if (strcmp(writer->texts.data + at, text) == 0)
            return at;
    uint32_t place = (uint32_t)writer->texts.length;
    ht_buffer_add(&writer->texts, text, length + 1);
    ht_index_add(&writer->text_index, hash, place);
    return place;
}

static uint32_t line_of(int64_t line)
{
    return line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0;
}

uint32_t ht_cache_add_function(struct ht_cache_writer *writer, const char *symbol, const char *name,
                               const char *file, int64_t start_line)
{
    struct ht_cache_function function = {.symbol = add_text(writer, symbol),
                                         .name = add_text(writer, name),
                                         .file = add_text(writer, file),
                                         .start_line = line_of(start_line)};
    uint64_t hash = ht_hash_add(ht_hash_add(ht_hash_add(function.symbol, function.name), function.file),
                                function.start_line);
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&writer->function_index, hash, &cursor)) != HT_NONE;)
        if (writer->functions != NULL && memcmp(&writer->functions[at], &function, sizeof function) == 0)
            return at;
    uint32_t added = (uint32_t)writer->function_count;
    HT_RESERVE(writer->functions, writer->function_capacity, writer->function_count + 1);
    writer->functions[writer->function_count++] = function;
    ht_index_add(&writer->function_index, hash, added);
    return added;
}

void ht_cache_add_frame(struct ht_cache_writer *writer, uint32_t function, int64_t line)
{
    HT_RESERVE(writer->frames, writer->frame_capacity, writer->frame_count + 1);
    writer->frames[writer->frame_count++] = (struct ht_cache_frame){function, line_of(line)};
}

void ht_cache_add_entry(struct ht_cache_writer *writer, uint64_t address, uint32_t frame_count)
{
    HT_RESERVE(writer->entries, writer->entry_capacity, writer->entry_count + 1);
    writer->entries[writer->entry_count++] =
        (struct ht_cache_entry){address, (uint32_t)writer->frame_count - frame_count, frame_count};
}

static uint64_t size_of(const struct ht_cache_writer *writer, const struct ht_layout *layout)
{
    return sizeof(struct ht_cache_header) + layout->segment_count * sizeof *layout->segments +
           writer->entry_count * sizeof *writer->entries + writer->frame_count * sizeof *writer->frames +
           writer->function_count * sizeof *writer->functions + writer->texts.length;
}

static int compare_entries(const void *left, const void *right)
{
    const struct ht_cache_entry *a = left, *b = right;
    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    return a->first_frame < b->first_frame ? -1 : a->first_frame > b->first_frame;
}

// What the other has found out, as far as there is room.
static void add_all(struct ht_cache_writer *writer, const struct ht_cache *old,
                    const struct ht_layout *layout)
{
    uint32_t function_count = ht_cache_function_count(old);
    uint32_t *functions = ht_realloc_array(NULL, function_count, sizeof *functions);
    memset(functions, 0xff, function_count * sizeof *functions);
    for (uint32_t i = 0; i < old->header->entry_count; i++) {
        uint32_t count;
        const struct ht_cache_frame *frames = ht_cache_find(old, old->entries[i].address, &count);
        if (frames == NULL)
            continue;
        if (size_of(writer, layout) + count * (uint64_t)1024 > HT_CACHE_FILE_BYTES / 8 * 7)
            break;
        for (uint32_t f = 0; f < count; f++) {
            uint32_t *function = &functions[frames[f].function];
            const struct ht_cache_function *from = &old->functions[frames[f].function];
            if (*function == HT_NONE)
                *function = ht_cache_add_function(writer, ht_cache_text(old, from->symbol),
                                                  ht_cache_text(old, from->name),
                                                  ht_cache_text(old, from->file), from->start_line);
            ht_cache_add_frame(writer, *function, frames[f].line);
        }
        ht_cache_add_entry(writer, old->entries[i].address, count);
    }
    free(functions);
}

// Of equal addresses the first that was added stays: the newest answer.
static void sort_entries(struct ht_cache_writer *writer)
{
    size_t kept = 0;
    if (writer->entry_count > 0)
        qsort(writer->entries, writer->entry_count, sizeof *writer->entries, compare_entries);
    for (size_t i = 0; i < writer->entry_count; i++)
        if (kept == 0 || writer->entries[kept - 1].address != writer->entries[i].address)
            writer->entries[kept++] = writer->entries[i];
    writer->entry_count = kept;
}

static bool write_whole(const char *path, const char *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t done = 0;
    while (fd >= 0 && done < length) {
        ssize_t wrote = write(fd, bytes + done, length - done);
        if (wrote < 0 && errno != EINTR)
            break;
        if (wrote > 0)
            done += (size_t)wrote;
    }
    return fd >= 0 && close(fd) == 0 && done == length;
}

struct cache_file {
    char name[256];
    uint64_t bytes;
    struct timespec time;
};

static int compare_files(const void *left, const void *right)
{
    const struct cache_file *a = left, *b = right;
    if (a->time.tv_sec != b->time.tv_sec)
        return a->time.tv_sec < b->time.tv_sec ? -1 : 1;
    return a->time.tv_nsec < b->time.tv_nsec ? -1 : a->time.tv_nsec > b->time.tv_nsec;
}

// Removes the oldest files until the rest fits, and temporary ones that a killed run left an hour ago. Only
// names that a cache makes are touched.
static void keep_bounds(const char *folder)
{
    DIR *stream = opendir(folder);
    struct cache_file *files = NULL;
    size_t count = 0, capacity = 0;
    uint64_t total = 0;
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        size_t digits = strspn(entry->d_name, "0123456789abcdef"), length = digits;
        if (entry->d_name[length] == '-')
            length += 1 + strspn(entry->d_name + length + 1, "0123456789");
        bool is_temporary = digits >= 8 && strncmp(entry->d_name + length, ".tmp.", 5) == 0;
        struct stat stat_of;
        if (digits < 8 || (entry->d_name[length] != '\0' && !is_temporary) ||
            fstatat(dirfd(stream), entry->d_name, &stat_of, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(stat_of.st_mode))
            continue;
        if (is_temporary) {
            if (stat_of.st_mtime < time(NULL) - 3600)
                unlinkat(dirfd(stream), entry->d_name, 0);
            continue;
        }
        HT_RESERVE(files, capacity, count + 1);
        snprintf(files[count].name, sizeof files[count].name, "%s", entry->d_name);
        files[count].bytes = (uint64_t)stat_of.st_size;
        files[count].time = stat_of.st_mtim;
        total += files[count++].bytes;
    }
    if (total > HT_CACHE_TOTAL_BYTES)
        qsort(files, count, sizeof *files, compare_files);
    for (size_t i = 0; i < count && total > HT_CACHE_TOTAL_BYTES; i++) {
        total -= files[i].bytes;
        unlinkat(dirfd(stream), files[i].name, 0);
    }
    free(files);
    if (stream != NULL)
        closedir(stream);
}

static void free_writer(struct ht_cache_writer *writer)
{
    ht_index_free(&writer->text_index);
    ht_index_free(&writer->function_index);
    ht_buffer_free(&writer->texts);
    free(writer->functions);
    free(writer->frames);
    free(writer->entries);
    *writer = (struct ht_cache_writer){0};
}

static void serialize(const struct ht_cache_writer *writer, const char *build_id,
                      const struct ht_layout *layout, struct ht_buffer *out)
{
    struct ht_cache_header header = {
        .magic = HT_CACHE_MAGIC,
        .segment_count = (uint32_t)layout->segment_count,
        .entry_count = (uint32_t)writer->entry_count,
        .frame_count = (uint32_t)writer->frame_count,
        .function_count = (uint32_t)writer->function_count,
        .text_bytes = (uint32_t)writer->texts.length,
        .is_debug_only = layout->is_debug_only,
    };
    memcpy(header.build_id, build_id, strlen(build_id));
    ht_buffer_add(out, &header, sizeof header);
    ht_buffer_add(out, layout->segments, layout->segment_count * sizeof *layout->segments);
    ht_buffer_add(out, writer->entries, writer->entry_count * sizeof *writer->entries);
    ht_buffer_add(out, writer->frames, writer->frame_count * sizeof *writer->frames);
    ht_buffer_add(out, writer->functions, writer->function_count * sizeof *writer->functions);
    ht_buffer_add(out, writer->texts.data, writer->texts.length);
    header.check = check_of(out->data, out->length);
    memcpy(out->data, &header, sizeof header);
}

void ht_cache_write(struct ht_cache_writer *writer, const char *build_id, const struct ht_layout *layout,
                    struct ht_buffer *out)
{
    struct ht_buffer bytes = {0};
    add_text(writer, NULL);
    sort_entries(writer);
    serialize(writer, build_id, layout, &bytes);
    ht_buffer_add(out, bytes.data, bytes.length);
    ht_buffer_free(&bytes);
    free_writer(writer);
}

// Under another name first.
static void put_file(const char *folder, const char *key, const struct ht_buffer *bytes)
{
    char *path = ht_format("%s/%s", folder, key), *temporary = ht_format("%s.tmp.%ld", path, (long)getpid());
    if (!write_whole(temporary, bytes->data, bytes->length) || rename(temporary, path) != 0)
        unlink(temporary);
    free(temporary);
    free(path);
    keep_bounds(folder);
}

void ht_cache_save(const struct ht_cache *news, const char *folder, const char *key)
{
    struct ht_cache_writer writer = {0};
    struct ht_cache old;
    if (folder == NULL || key == NULL || news->bytes == NULL)
        return;
    const char *build_id = news->header->build_id;
    struct ht_layout layout = ht_cache_layout(news);
    struct ht_buffer out = {0};
    add_all(&writer, news, &layout);
    if (ht_cache_open(&old, folder, key, build_id) == 0)
        add_all(&writer, &old, &layout);
    ht_cache_close(&old);
    bool has_entries = writer.entry_count > 0;
    ht_cache_write(&writer, build_id, &layout, &out);
    if (has_entries && out.length <= HT_CACHE_FILE_BYTES)
        put_file(folder, key, &out);
    ht_buffer_free(&out);
}
