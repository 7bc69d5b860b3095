// Reads perf's map files: "START SIZE NAME" in each line, numbers in hex (perf's jit-interface.txt).
#include "resolve/jit.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/foreign.h"
#include "base/proc.h"
#include "base/search.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAME_LIMIT_BYTES = 4096 };
static const uint64_t file_limit_bytes = UINT64_C(256) << 20;

static void take_line(char *line, struct ht_jit_query *queries, size_t count)
{
    char *at, *name;
    uint64_t start = strtoull(line, &at, 16);
    if (at == line || *at != ' ')
        return;
    uint64_t size = strtoull(at, &name, 16);
    if (name == at || *name != ' ' || size > UINT64_MAX - start)
        return;
    name += strspn(name, " ");
    size_t length = strcspn(name, "\r\n");
    if (length == 0)
        return;
    for (size_t i = ht_lower_bound(queries, sizeof *queries, 0, count, start);
         i < count && queries[i].address < start + size; i++) {
        free(queries[i].name);
        queries[i].name = ht_format("%.*s", length < NAME_LIMIT_BYTES ? (int)length : NAME_LIMIT_BYTES, name);
    }
}

size_t ht_jit_read(int fd, struct ht_jit_query *queries, size_t count)
{
    FILE *file = fdopen(fd, "re");
    char *line = NULL;
    size_t capacity = 0, named = 0;
    uint64_t total = 0;
    if (file == NULL) {
        close(fd);
        return 0;
    }
    for (ssize_t length; total < file_limit_bytes && (length = getline(&line, &capacity, file)) > 0;) {
        total += (uint64_t)length;
        take_line(line, queries, count);
    }
    free(line);
    fclose(file);
    for (size_t i = 0; i < count; i++)
        named += queries[i].name != NULL;
    return named;
}

// /tmp is everybody's: a map is taken from the reader's own hand, root's or the owner's of the profile.
static int open_map(const char *root, const char *path, struct ht_owner owner, const struct ht_origin *origin)
{
    struct stat stat_of = {0};
    int fd = ht_foreign_open(owner, root, path, &stat_of);
    if (fd < 0)
        return -1;
    bool is_ours = (uint64_t)stat_of.st_size <= file_limit_bytes &&
                   (stat_of.st_uid == geteuid() || stat_of.st_uid == 0 ||
                    (ht_owner_is_other(owner) && stat_of.st_uid == owner.uid));
    int64_t changed_ns = (int64_t)ht_ns_of(stat_of.st_mtim);
    if (is_ours && (origin->start_ns == 0 || changed_ns + (int64_t)HT_NS_PER_SECOND >= origin->start_ns))
        return fd;
    if (is_ours)
        ht_warn("%s is older than the process: it is another one's and not used", path);
    else
        ht_warn("%s belongs to another user and is not used", path);
    close(fd);
    return -1;
}

size_t ht_jit_resolve(const struct ht_origin *origin, struct ht_owner owner, const char *root,
                      struct ht_jit_query *queries, size_t count)
{
    if (count == 0 || origin->inner_pid == 0)
        return 0;
    char own_root[HT_PROC_PATH_BYTES] = "";
    if (origin->pid != 0)
        ht_proc_root(origin->pid, own_root, sizeof own_root);
    const char *roots[] = {own_root, root != NULL ? root : ""};
    char *path = ht_format("/tmp/perf-%" PRIu32 ".map", origin->inner_pid);
    size_t named = 0;
    int fd = -1;
    for (size_t i = 0; i < sizeof roots / sizeof roots[0] && fd < 0; i++)
        fd = open_map(roots[i], path, owner, origin);
    if (fd >= 0)
        named = ht_jit_read(fd, queries, count);
    free(path);
    return named;
}
