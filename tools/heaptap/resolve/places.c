// Lists the places in the order in which the field's tools look, and opens one of them at a time.
#include "resolve/places.h"

#include "base/foreign.h"
#include "base/memory.h"
#include "base/path.h"
#include "elf/image.h"
#include "net/debuginfod.h"

#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

// Candidates for a wish. What the user of the command named himself is opened with his own rights, as long as
// no foreign text is in the name.
struct list {
    struct candidate {
        const char *root;
        char *path;
        bool is_ours;
    } * items;
    size_t count, capacity;
};

void ht_place_set(struct ht_place *place, const char *root, const char *path)
{
    struct ht_place old = *place;
    place->root = root != NULL ? ht_strdup(root) : NULL;
    place->path = path != NULL ? ht_strdup(path) : NULL;
    free(old.root);
    free(old.path);
}

// Could anybody but root and the user of this command have written it? And, for root, could everybody read
// it? A file system in user space says what it likes.
static bool is_trusted(int fd, const struct stat *stat_of)
{
    struct statfs mount;
    bool is_known = fstatfs(fd, &mount) == 0 && (unsigned long)mount.f_type != FUSE_SUPER_MAGIC;
    bool is_own = (stat_of->st_uid == 0 || stat_of->st_uid == geteuid()) && !(stat_of->st_mode & S_IWOTH);
    return is_known && is_own && (geteuid() != 0 || (stat_of->st_mode & S_IROTH));
}

static int open_candidate(struct ht_places *places, const struct candidate *candidate)
{
    const struct ht_owner ours = {0, 0};
    struct stat stat_of;
    int fd = ht_foreign_open(candidate->is_ours ? ours : places->owner, candidate->root, candidate->path,
                             &stat_of);
    if (fd >= 0 && !is_trusted(fd, &stat_of))
        places->is_trusted = false;
    return fd;
}

int ht_places_open(struct ht_places *places, const char *root, const char *path)
{
    const struct candidate candidate = {root, (char *)(uintptr_t)path, false};
    return open_candidate(places, &candidate);
}

// Takes the path over.
static void add(struct list *list, const char *root, char *path, bool is_ours)
{
    if (path != NULL && strlen(path) < PATH_MAX) {
        HT_RESERVE(list->items, list->capacity, list->count + 1);
        list->items[list->count++] = (struct candidate){root, path, is_ours};
    } else {
        free(path);
    }
}

static void free_list(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].path);
    free(list->items);
}

// The folders for debug info: those that were named, the root's, ours.
static struct list folders_of(const struct ht_places *places)
{
    static const char usual[] = "/usr/lib/debug";
    struct list list = {0};
    const char *root = places->file.root != NULL ? places->file.root : places->root;
    for (const char *at = places->extra; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, ":");
        if (at[0] == '/')
            add(&list, NULL, ht_format("%.*s", (int)length, at), true);
        at += length + (at[length] == ':');
    }
    if (root != NULL && root[0] != '\0')
        add(&list, root, ht_strdup(usual), false);
    add(&list, NULL, ht_strdup(usual), false);
    return list;
}

// In each folder the file of a build id, with ".dwp" in the place of ".debug" for a package.
static void add_by_id(struct list *list, const struct list *folders, const char *build_id, bool is_package)
{
    for (size_t i = 0; i < folders->count; i++) {
        const struct candidate *folder = &folders->items[i];
        char *path = ht_elf_debug_name(folder->path, strlen(folder->path), build_id);
        if (path != NULL && is_package)
            strcpy(path + strlen(path) - strlen(".debug"), ".dwp");
        add(list, folder->root, path, folder->is_ours);
    }
}

// free() it.
static char *folder_of(const struct ht_place *file)
{
    const char *end = strrchr(file->path, '/');
    return end != NULL ? ht_format("%.*s", (int)(end - file->path), file->path) : ht_strdup(".");
}

// Beside the file, below it, and in the folders under the file's own folder: gdb's and elfutils' order.
static void add_linked(struct list *list, const struct list *folders, const struct ht_place *file,
                       const char *name)
{
    const char *base = ht_path_name(name);
    if (base[0] == '\0')
        return;
    char *own = folder_of(file);
    add(list, file->root, ht_format("%s/%s", own, base), false);
    add(list, file->root, ht_format("%s/.debug/%s", own, base), false);
    for (size_t i = 0; i < folders->count; i++) {
        const struct candidate *folder = &folders->items[i];
        add(list, folder->root, ht_format("%s/%s/%s", folder->path, own, base), false);
        add(list, folder->root, ht_format("%s/%s", folder->path, base), false);
    }
    free(own);
}

// Counts from the file that names it, which is the separate debug file where there is one.
static void add_alternate(struct list *list, const struct ht_places *places, const char *name)
{
    const struct ht_place *from = places->debug.path != NULL ? &places->debug : &places->file;
    char *own = folder_of(from);
    add(list, from->root, name[0] == '/' ? ht_strdup(name) : ht_format("%s/%s", own, name), false);
    free(own);
}

// In the folder of the compiler, then beside the program.
static void add_unit(struct list *list, const struct ht_place *file, const char *name, const char *folder)
{
    char *own = folder_of(file);
    add(list, file->root,
        name[0] == '/' || folder[0] == '\0' ? ht_strdup(name) : ht_format("%s/%s", folder, name), false);
    add(list, file->root, ht_format("%s/%s", own, name), false);
    add(list, file->root, ht_format("%s/%s", own, ht_path_name(name)), false);
    free(own);
}

static struct list candidates_of(const struct ht_places *places, const struct ht_wish *wish)
{
    struct list list = {0}, folders = folders_of(places);
    switch (wish->kind) {
    case HT_WISH_DEBUG:
        add_by_id(&list, &folders, wish->build_id, false);
        add_linked(&list, &folders, &places->file, wish->name);
        break;
    case HT_WISH_ALTERNATE:
        add_alternate(&list, places, wish->name);
        add_by_id(&list, &folders, wish->build_id, false);
        break;
    case HT_WISH_UNIT:
        add_unit(&list, &places->file, wish->name, wish->folder);
        break;
    case HT_WISH_PACKAGE:
        add(&list, places->file.root, ht_format("%s.dwp", places->file.path), false);
        add_by_id(&list, &folders, wish->build_id, true);
        break;
    case HT_WISH_KINDS:
        break;
    }
    free_list(&folders);
    return list;
}

static int open_in(struct ht_places *places, const struct list *list, unsigned ordinal)
{
    if (ordinal >= list->count)
        return HT_WISH_END;
    int fd = open_candidate(places, &list->items[ordinal]);
    return fd >= 0 ? fd : HT_WISH_NOTHING;
}

int ht_places_open_by_id(struct ht_places *places, const char *build_id, unsigned ordinal)
{
    struct list list = {0}, folders = folders_of(places);
    add_by_id(&list, &folders, build_id, false);
    int fd = open_in(places, &list, ordinal);
    free_list(&list);
    free_list(&folders);
    return fd;
}

int ht_places_grant(void *arg, const struct ht_wish *wish)
{
    struct ht_places *places = arg;
    if (places->file.path == NULL)
        return HT_WISH_END;
    struct list list = candidates_of(places, wish);
    bool may_ask = places->debuginfod && wish->build_id[0] != '\0' && wish->ordinal == list.count &&
                   (wish->kind == HT_WISH_DEBUG || wish->kind == HT_WISH_ALTERNATE);
    int fd = may_ask ? ht_debuginfod_fetch(wish->build_id) : open_in(places, &list, wish->ordinal);
    if (fd >= 0 && wish->kind == HT_WISH_DEBUG && wish->ordinal < list.count)
        ht_place_set(&places->debug, list.items[wish->ordinal].root, list.items[wish->ordinal].path);
    if (fd < 0 && fd != HT_WISH_END)
        fd = HT_WISH_NOTHING;
    free_list(&list);
    return fd;
}
