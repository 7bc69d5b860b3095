// Loads series of snapshots.
#include "input/series.h"

#include "base/error.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/text.h"
#include "profile/source.h"
#include "region/target.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct file {
    char *path;
    bool is_named;   // by the user, not found in a folder
    int64_t time_ns; // 0: not read yet
};

struct loader {
    const struct ht_load *load;
    struct ht_series_options options;
    struct ht_series_list *list;
    struct file *files;
    size_t count, capacity;
    bool is_sorted; // by the times in them, not by their names
    bool is_mixed;  // some are not in the order of time
    size_t read;
};

static void add_file(struct loader *loader, char *path, bool is_named)
{
    HT_RESERVE(loader->files, loader->capacity, loader->count + 1);
    loader->files[loader->count++] = (struct file){.path = path, .is_named = is_named};
}

static bool is_snapshot(const char *name)
{
    return ht_text_starts_with(name, "heaptap.") && ht_text_ends_with(name, ".pb.gz");
}

// The snapshots in a folder; of one process, if `infix` (".PID.") is given.
static int add_folder(struct loader *loader, const char *folder, const char *infix)
{
    DIR *stream = opendir(folder);
    size_t before = loader->count;
    if (stream == NULL)
        return ht_fail_errno("%s cannot be listed", folder);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (is_snapshot(entry->d_name) && (infix == NULL || strstr(entry->d_name, infix) != NULL))
            add_file(loader, ht_format("%s/%s", folder, entry->d_name), false);
    closedir(stream);
    if (loader->count == before && infix == NULL)
        return ht_fail("%s: there is no heaptap.*.pb.gz in it", folder);
    return 0;
}

// What a process has written so far, and what it holds now.
static int add_process(struct loader *loader, const char *argument)
{
    struct ht_target target;
    struct ht_region_header header;
    if (ht_target_open(argument, O_RDONLY, &target) < 0)
        return ht_fail("%s: %s", argument, ht_error());
    int result = ht_region_read_header(target.region_path, &header, NULL);
    char root[HT_PROC_PATH_BYTES] = "";
    if (target.alive)
        ht_proc_root(target.process.pid, root, sizeof root);
    ht_target_close(&target);
    if (result < 0)
        return ht_fail("%s: %s", argument, ht_error());
    header.out_dir[sizeof header.out_dir - 1] = '\0';
    char *folder = ht_format("%s%s", root, header.out_dir), *infix = ht_format(".%u.", header.pid);
    if (add_folder(loader, folder, infix) < 0)
        ht_note_error("%s", ht_error());
    free(folder);
    free(infix);
    add_file(loader, ht_strdup(argument), true);
    return 0;
}

static int add_argument(struct loader *loader, const char *argument)
{
    struct stat stat_of;
    if (ht_target_matches(argument))
        return add_process(loader, argument);
    if (stat(argument, &stat_of) == 0 && S_ISDIR(stat_of.st_mode))
        return add_folder(loader, argument, NULL);
    add_file(loader, ht_strdup(argument), true);
    return 0;
}

// Numbers in names by their value: snapshot 10 comes after 9.
static int compare_names(const void *left, const void *right)
{
    return strverscmp(((const struct file *)left)->path, ((const struct file *)right)->path);
}

static int compare_times(const void *left, const void *right)
{
    const struct file *a = left, *b = right;
    return (a->time_ns > b->time_ns) - (a->time_ns < b->time_ns);
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static struct ht_series_of *series_of(struct loader *loader, const struct ht_profile *profile,
                                      const char *path)
{
    struct ht_series_list *list = loader->list;
    struct ht_source source = {0};
    bool is_known = ht_source_of(profile, &source);
    char *key = is_known ? ht_format("%s %s %s %s", or_empty(source.boot_id), or_empty(source.pid_namespace),
                                     or_empty(source.pid), or_empty(source.start))
                         : ht_strdup("");
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].key, key) == 0) {
            free(key);
            return &list->items[i];
        }
    list->items = ht_realloc_array(list->items, list->count + 1, sizeof *list->items);
    struct ht_series_of *item = &list->items[list->count++];
    *item = (struct ht_series_of){.key = key};
    ht_series_begin(&item->series, &loader->options);
    char *process = is_known ? ht_format("%s %s", or_empty(source.program), or_empty(source.pid))
                             : ht_strdup(ht_path_name(path));
    struct ht_buffer shown = {0};
    ht_text_show(&shown, process, strlen(process), "");
    item->process = shown.data != NULL ? shown.data : ht_strdup("");
    free(process);
    if (is_known) {
        item->pid = (uint32_t)strtoul(or_empty(source.pid), NULL, 10);
        item->start_ticks = strtoull(or_empty(source.start), NULL, 10);
        snprintf(item->boot_id, sizeof item->boot_id, "%s", or_empty(source.boot_id));
    }
    return item;
}

static int add_snapshot(struct loader *loader, struct file *file, struct ht_profile *profile)
{
    const char *trigger = ht_profile_comment_value(profile, "trigger");
    file->time_ns = profile->time_ns;
    if (trigger != NULL && strcmp(trigger, "exit") == 0) {
        loader->list->left_out++;
        return 0;
    }
    struct ht_series_of *item = series_of(loader, profile, file->path);
    if (item->series.count > 0 && profile->time_ns <= item->series.last_ns && !loader->is_sorted) {
        loader->is_mixed = true;
        return 0;
    }
    if (item->series.count > 0 && profile->time_ns == item->series.last_ns)
        return 0; // the same one twice
    return ht_series_add(&item->series, profile);
}

static int read_all(struct loader *loader)
{
    int result = 0;
    loader->read = loader->list->left_out = 0;
    for (size_t i = 0; i < loader->count && result == 0; i++) {
        struct ht_profile *profile;
        if (ht_load_one(loader->load, loader->files[i].path, &profile) < 0) {
            if (loader->files[i].is_named)
                return -1;
            ht_note_error("%s", ht_error());
            continue;
        }
        loader->read++;
        result = add_snapshot(loader, &loader->files[i], profile);
        if (result < 0)
            ht_fail("%s: %s", loader->files[i].path, ht_error());
        ht_profile_free(profile); // 1: begun again without births
    }
    return result;
}

static int compare_lengths(const void *left, const void *right)
{
    const struct ht_series_of *a = left, *b = right;
    return (a->series.count < b->series.count) - (a->series.count > b->series.count);
}

int ht_series_load(const struct ht_load *load, const struct ht_series_options *options,
                   char *const *arguments, size_t count, struct ht_series_list *ret_list)
{
    struct ht_series_list list = {0};
    struct loader loader = {.load = load, .options = *options, .list = &list};
    struct ht_strings names = ht_target_names(arguments, count);
    int result = 0;
    for (size_t i = 0; i < names.count && result == 0; i++)
        result = add_argument(&loader, names.items[i]);
    ht_target_names_free(&names);
    if (loader.count > 0)
        qsort(loader.files, loader.count, sizeof *loader.files, compare_names);
    if (result == 0)
        result = read_all(&loader);
    while (result == 1 || (result == 0 && loader.is_mixed)) {
        ht_series_list_free(&list);
        loader.options.no_births = loader.options.no_births || result == 1;
        loader.is_sorted = loader.is_sorted || loader.is_mixed;
        loader.is_mixed = false;
        qsort(loader.files, loader.count, sizeof *loader.files,
              loader.is_sorted ? compare_times : compare_names);
        result = read_all(&loader);
    }
    if (result == 0 && loader.read == 0)
        result = ht_fail("none of the %zu snapshots can be read", loader.count);
    for (size_t i = 0; i < loader.count; i++)
        free(loader.files[i].path);
    free(loader.files);
    if (list.count > 0)
        qsort(list.items, list.count, sizeof *list.items, compare_lengths);
    if (result < 0)
        ht_series_list_free(&list);
    else
        *ret_list = list;
    return result;
}

void ht_series_list_free(struct ht_series_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        ht_series_free(&list->items[i].series);
        free(list->items[i].key);
        free(list->items[i].process);
    }
    free(list->items);
    *list = (struct ht_series_list){0};
}
