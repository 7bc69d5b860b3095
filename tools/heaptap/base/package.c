// Looks a file up in dpkg's lists of files, one for each package:
// /var/lib/dpkg/info/NAME[:ARCHITECTURE].list, a path in each line.
#include "base/package.h"

#include "base/memory.h"
#include "base/proc.h"
#include "base/text.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>

#define FOLDER "/var/lib/dpkg/info"

static bool has_line(const struct ht_buffer *list, const char *path)
{
    size_t length = strlen(path);
    for (const char *at = list->data; (at = strstr(at, path)) != NULL; at++)
        if (at > list->data && at[-1] == '\n' && at[length] == '\n')
            return true;
    return false;
}

// Lists have /lib/NAME where /lib is a link to /usr/lib, or /usr/lib/NAME.
static bool lists_file(const char *list_path, const char *path, struct ht_buffer *list)
{
    char inside[PATH_MAX + 4];
    snprintf(inside, sizeof inside, "/usr%s", path);
    return ht_proc_read_file(list_path, list) &&
           (has_line(list, path) ||
            has_line(list, ht_text_starts_with(path, "/usr/") ? path + strlen("/usr") : inside));
}

char *ht_package_with_debug(const char *path)
{
    char real[PATH_MAX], *name = NULL;
    struct ht_buffer list = {0};
    DIR *stream = realpath(path, real) != NULL ? opendir(FOLDER) : NULL;
    for (struct dirent *entry; name == NULL && stream != NULL && (entry = readdir(stream)) != NULL;) {
        if (!ht_text_ends_with(entry->d_name, ".list"))
            continue;
        char *list_path = ht_format("%s/%s", FOLDER, entry->d_name);
        if (lists_file(list_path, real, &list)) {
            size_t length = strlen(entry->d_name) - strlen(".list"), colon = strcspn(entry->d_name, ":");
            name = ht_format("%.*s", (int)(colon < length ? colon : length), entry->d_name);
        }
        free(list_path);
    }
    if (stream != NULL)
        closedir(stream);
    ht_buffer_free(&list);
    if (name == NULL)
        return NULL;
    char *debug = ht_format("%s%s", name, strcmp(name, "libc6") == 0 ? "-dbg" : "-dbgsym");
    free(name);
    return debug;
}
