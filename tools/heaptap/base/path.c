// File names as text.
#include "base/path.h"

#include <stdbool.h>

void ht_path_clean(const char *path, struct ht_buffer *out)
{
    size_t first = out->length;
    bool rooted = path[0] == '/';
    if (rooted)
        ht_buffer_byte(out, '/');
    size_t floor = out->length; // what ".." cannot take away
    while (*path != '\0') {
        size_t length = strcspn(path, "/");
        bool is_parent = length == 2 && path[0] == '.' && path[1] == '.';
        if (is_parent && out->length > floor) {
            while (out->length > floor && out->data[out->length - 1] != '/')
                out->length--;
            if (out->length > floor)
                out->length--; // the slash
        } else if (length > 0 && !(length == 1 && path[0] == '.') && !(is_parent && rooted)) {
            if (out->length > first + rooted)
                ht_buffer_byte(out, '/');
            ht_buffer_add(out, path, length);
            if (is_parent)
                floor = out->length;
        }
        path += length;
        path += *path == '/';
    }
    if (out->length == first)
        ht_buffer_byte(out, '.');
    out->data[out->length] = '\0';
}

const char *ht_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void ht_path_base(const char *path, struct ht_buffer *out)
{
    size_t end = strlen(path);
    if (end == 0) {
        ht_buffer_byte(out, '.');
        return;
    }
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    if (start == end)
        ht_buffer_byte(out, '/');
    else
        ht_buffer_add(out, path + start, end - start);
}

static const char *after_prefix(const char *path, const char *prefix, size_t length)
{
    if (strncmp(path, prefix, length) != 0)
        return NULL;
    if (length > 0 && prefix[length - 1] == '/')
        return path + length;
    return path[length] == '/' ? path + length + 1 : NULL;
}

const char *ht_path_trim(const char *path, const char *trim_path, const char *source_path)
{
    if (trim_path == NULL)
        trim_path = "";
    for (const char *dir = source_path; trim_path[0] == '\0' && dir != NULL && *dir != '\0';) {
        size_t length = strcspn(dir, ":");
        struct ht_buffer name = {0}, wanted = {0};
        ht_buffer_add(&name, dir, length);
        ht_buffer_byte(&wanted, '/');
        ht_path_base(name.data, &wanted);
        ht_buffer_byte(&wanted, '/');
        const char *found = strstr(path, wanted.data);
        size_t skip = wanted.length;
        ht_buffer_free(&name);
        ht_buffer_free(&wanted);
        if (found != NULL)
            return found + skip;
        dir += length;
        dir += *dir == ':';
    }
    for (const char *dir = trim_path; *dir != '\0';) {
        size_t length = strcspn(dir, ":");
        const char *rest = after_prefix(path, dir, length);
        if (rest != NULL)
            return rest;
        dir += length;
        dir += *dir == ':';
    }
    static const char *const always[] = {"/proc/self/cwd/./", "/proc/self/cwd/"};
    for (size_t i = 0; i < 2; i++) {
        const char *rest = after_prefix(path, always[i], strlen(always[i]));
        if (rest != NULL)
            return rest;
    }
    return path;
}
