// Any bytes as /proc/PID/maps, read in any pieces through windows of any size: every line that fits and is
// one comes out, once and in order, and nothing outside of the window is read.
//
// An input is a byte that chooses the window, one that chooses the pieces, and the file.
#include "sys/maps.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// The reference: the next line of the whole file that is shorter than the window and can be parsed.
static bool next_line(const char **at, const char *end, size_t window_bytes, char *line,
                      struct ht_maps_line *ret_line)
{
    while (*at < end) {
        const char *start = *at, *newline = memchr(start, '\n', (size_t)(end - start));
        if (newline == NULL) {
            return false;
        }
        *at = newline + 1;
        size_t length = (size_t)(newline - start);
        if (length < window_bytes) {
            memcpy(line, start, length);
            line[length] = '\0';
            if (ht_maps_parse(line, ret_line)) {
                return true;
            }
        }
    }
    return false;
}

static void must_equal(const struct ht_maps_line *a, const struct ht_maps_line *b)
{
    must(a->start == b->start && a->limit == b->limit && a->file_offset == b->file_offset &&
         a->inode == b->inode);
    must(a->device_major == b->device_major && a->device_minor == b->device_minor);
    must(a->readable == b->readable && a->executable == b->executable && strcmp(a->path, b->path) == 0);
    must(a->start < a->limit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t sizes[] = {1, 24, 64, 100, 512, 4096};
    static char line[4096];
    if (size < 2) {
        return 0;
    }
    size_t window_bytes = sizes[data[0] % (sizeof sizes / sizeof sizes[0])], piece = (size_t)data[1] + 1;
    const char *file = (const char *)data + 2, *end = (const char *)data + size, *expected_at = file;
    char *buffer = malloc(window_bytes);
    struct ht_maps_window window = ht_maps_window(buffer, window_bytes);
    struct ht_maps_line got, expected;
    for (;;) {
        while (ht_maps_take(&window, &got)) {
            must(next_line(&expected_at, end, window_bytes, line, &expected));
            must(got.path >= buffer && got.path < buffer + window_bytes);
            must_equal(&got, &expected);
        }
        size_t room_bytes, left = (size_t)(end - file);
        char *to = ht_maps_room(&window, &room_bytes);
        must(room_bytes >= 1 && to >= buffer && to + room_bytes == buffer + window_bytes);
        size_t length = piece < room_bytes ? piece : room_bytes;
        length = length < left ? length : left;
        if (length == 0) {
            break;
        }
        memcpy(to, file, length);
        file += length;
        window.end += length;
    }
    must(!next_line(&expected_at, end, window_bytes, line, &expected));
    free(buffer);
    return 0;
}
