// Finds and reads source files, by the rules of google/pprof's source.go.
#include "view/text/source.h"

#include "base/clock.h"
#include "base/path.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 32 << 20, MAX_ALL_BYTES = 256 << 20 };

void ht_sources_init(struct ht_sources *sources, const char *source_path, const char *trim_path)
{
    *sources = (struct ht_sources){.trim_path = trim_path};
    if (source_path != NULL && source_path[0] != '\0') {
        sources->search_path = ht_strdup(source_path);
        return;
    }
    char *here = getcwd(NULL, 0);
    sources->search_path = ht_strdup(here != NULL ? here : ".");
    free(here);
}

void ht_sources_free(struct ht_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        struct ht_source_file *file = sources->files[i].file;
        free(file->path);
        free(file->error);
        free(file->text);
        free(file->lines);
        free(file);
    }
    free(sources->files);
    ht_index_free(&sources->index);
    free(sources->search_path);
    memset(sources, 0, sizeof *sources);
}

// Opens a plain file. A name from a foreign profile may also be that of a pipe or a device, and even to open
// one can wait, rewind a tape or wake somebody: so it is looked at first, by a descriptor that opens nothing,
// and what was looked at is opened by that.
static int open_plain(const char *path, const char **ret_reason)
{
    struct stat status;
    char looked_at[64];
    int place = open(path, O_PATH | O_CLOEXEC), fd = -1, error = 0;
    *ret_reason = NULL;
    if (place < 0)
        return -1;
    if (fstat(place, &status) != 0 || !S_ISREG(status.st_mode)) {
        *ret_reason = "not a plain file";
    } else if (status.st_size > MAX_FILE_BYTES) {
        *ret_reason = "too large";
    } else {
        snprintf(looked_at, sizeof looked_at, "/proc/self/fd/%d", place);
        fd = open(looked_at, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        error = errno;
    }
    close(place);
    errno = error;
    return fd;
}

// The folder above: "." above a relative name's first part, "/" above itself.
static void go_up(struct ht_buffer *folder)
{
    size_t length = folder->length;
    while (length > 0 && folder->data[length - 1] != '/')
        length--;
    folder->length = length;
    folder->data[length] = '\0';
    struct ht_buffer clean = {0};
    ht_path_clean(folder->data, &clean);
    ht_buffer_free(folder);
    *folder = clean;
}

// Looks for a relative name in one folder and all above it.
static int open_above(const char *start, size_t length, const char *name)
{
    struct ht_buffer folder = {0};
    int fd = -1;
    ht_buffer_add(&folder, start, length);
    for (;;) {
        struct ht_buffer joined = {0}, path = {0};
        const char *reason;
        ht_buffer_printf(&joined, "%s%s%s", folder.data, folder.length > 0 ? "/" : "", name);
        ht_path_clean(joined.data, &path);
        fd = open_plain(path.data, &reason);
        ht_buffer_free(&joined);
        ht_buffer_free(&path);
        char *before = ht_strdup(folder.data);
        go_up(&folder);
        bool at_top = strcmp(before, folder.data) == 0;
        free(before);
        if (fd >= 0 || at_top)
            break;
    }
    ht_buffer_free(&folder);
    return fd;
}

// "open PATH: no such file or directory", as Go writes it.
static char *open_error(const char *path, const char *reason)
{
    char *text = ht_format("open %s: %s", path, reason != NULL ? reason : strerror(errno));
    char *start = text + strlen("open ") + strlen(path) + strlen(": ");
    *start = (char)tolower((unsigned char)*start);
    return text;
}

// The name of a Go file below its module cache, or as -trimpath leaves it: module@version/file. NULL: it is
// none.
static const char *go_name(const char *path)
{
    static const char *const folders[] = {"/pkg/mod/", "/vendor/"};
    size_t length = strlen(path);
    if (length < 3 || strcmp(path + length - 3, ".go") != 0)
        return NULL;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        const char *found = strstr(path, folders[i]);
        if (found != NULL)
            return found + strlen(folders[i]);
    }
    return path[0] != '/' ? path : NULL;
}

// The same as the module cache has it, with capital letters of the module as '!' and a small one; or, for a
// folder "vendor", with plain letters and without the version.
static char *go_path(const char *name, bool is_vendor)
{
    struct ht_buffer out = {0};
    const char *at = strchr(name, '@'), *module_end = at != NULL ? at + strcspn(at, "/") : name;
    for (; *name != '\0'; name++) {
        bool in_module = name < module_end;
        if (in_module && is_vendor && name >= at)
            continue;
        if (in_module && is_vendor && name[0] == '!' && islower((unsigned char)name[1]))
            ht_buffer_byte(&out, (char)toupper((unsigned char)*++name));
        else if (in_module && !is_vendor && isupper((unsigned char)*name))
            ht_buffer_printf(&out, "!%c", tolower((unsigned char)*name));
        else
            ht_buffer_byte(&out, *name);
    }
    ht_buffer_text(&out, "");
    return out.data;
}

// In each folder of the search path: it may be the module cache, what holds it, or a module with a copy of
// what it needs; or Go's own folder.
static int open_go(const struct ht_sources *sources, const char *path)
{
    static const struct {
        const char *below;
        bool is_vendor;
    } places[] = {{"", false}, {"pkg/mod/", false}, {"vendor/", true}, {"src/", true}};
    const char *name = go_name(path), *reason;
    int fd = -1;
    for (const char *dir = sources->search_path; name != NULL && fd < 0;) {
        size_t length = strcspn(dir, ":");
        for (size_t i = 0; i < sizeof places / sizeof places[0] && fd < 0; i++) {
            char *below = go_path(name, places[i].is_vendor);
            char *whole = ht_format("%.*s/%s%s", (int)length, dir, places[i].below, below);
            fd = open_plain(whole, &reason);
            free(whole);
            free(below);
        }
        if (dir[length] == '\0')
            break;
        dir += length + 1;
    }
    return fd;
}

// Where a part of an absolute name was taken off and nothing is found without it, the whole name counts:
// pprof then reports a file that lies there as not found.
static int open_source(const struct ht_sources *sources, const char *path, char **ret_error)
{
    const char *name = ht_path_trim(path, sources->trim_path, sources->search_path), *reason;
    if (name[0] == '/') {
        int fd = open_plain(name, &reason);
        char *error = fd < 0 ? open_error(name, reason) : NULL;
        if (fd < 0)
            fd = open_go(sources, path);
        if (fd < 0)
            *ret_error = error;
        else
            free(error);
        return fd;
    }
    for (const char *dir = sources->search_path;;) {
        size_t length = strcspn(dir, ":");
        int fd = open_above(dir, length, name);
        if (fd >= 0)
            return fd;
        if (dir[length] == '\0')
            break;
        dir += length + 1;
    }
    int fd = path[0] == '/' ? open_plain(path, &reason) : -1;
    if (fd < 0)
        fd = open_go(sources, path);
    if (fd < 0)
        *ret_error = ht_format("could not find file %s on path %s", name, sources->search_path);
    return fd;
}

// Splits at line ends ("\n" or "\r\n"); what follows the last one is a line unless it is empty.
static void split(struct ht_source_file *file, size_t length)
{
    char *end = file->text + length;
    for (char *at = file->text; at < end;) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        char *stop = newline != NULL ? newline : end;
        HT_RESERVE(file->lines, file->line_capacity, file->line_count + 1);
        file->lines[file->line_count++] = (size_t)(at - file->text);
        if (stop > at && stop[-1] == '\r')
            stop[-1] = '\0';
        *stop = '\0';
        for (char *byte = at; byte < stop; byte++)
            if (*byte == '\0' && byte + 1 < stop)
                *byte = ' '; // else the rest of the line would be lost
        at = stop + 1;
    }
}

// Returns how many bytes it has.
static uint64_t read_source(struct ht_source_file *file, int fd)
{
    struct ht_buffer text = {0};
    char chunk[1 << 16];
    struct stat status;
    ssize_t got;
    if (fstat(fd, &status) == 0)
        file->changed_ns = (int64_t)ht_ns_of(status.st_mtim);
    while ((got = read(fd, chunk, sizeof chunk)) != 0 && text.length < MAX_FILE_BYTES) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            file->error = ht_format("read %s: %s", file->path, strerror(errno));
            break;
        }
        ht_buffer_add(&text, chunk, (size_t)got);
    }
    ht_buffer_text(&text, "");
    file->text = text.data;
    split(file, text.length);
    return text.length;
}

const struct ht_source_file *ht_sources_known(const struct ht_sources *sources, const char *path)
{
    uint64_t hash = ht_hash_bytes(path, strlen(path));
    size_t cursor = 0;
    for (uint32_t at; (at = ht_index_next(&sources->index, hash, &cursor)) != HT_NONE;)
        if (strcmp(sources->files[at].file->path, path) == 0)
            return sources->files[at].file;
    return NULL;
}

const struct ht_source_file *ht_sources_find(struct ht_sources *sources, const char *path)
{
    const struct ht_source_file *known = ht_sources_known(sources, path);
    if (known != NULL)
        return known;
    struct ht_source_file *file = ht_alloc_zero(1, sizeof *file);
    file->path = ht_strdup(path);
    HT_RESERVE(sources->files, sources->capacity, sources->count + 1);
    ht_index_add(&sources->index, ht_hash_bytes(path, strlen(path)), (uint32_t)sources->count);
    sources->files[sources->count++].file = file;
    if (sources->read_bytes >= MAX_ALL_BYTES) {
        file->error =
            ht_format("open %s: the source files before it have %d MB already", path, MAX_ALL_BYTES >> 20);
        return file;
    }
    int fd = open_source(sources, path, &file->error);
    if (fd >= 0) {
        sources->read_bytes += read_source(file, fd);
        close(fd);
    }
    return file;
}

const char *ht_source_line(const struct ht_source_file *file, int64_t line)
{
    return line >= 1 && (uint64_t)line <= file->line_count ? file->text + file->lines[line - 1] : NULL;
}
