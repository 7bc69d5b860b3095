// Where files can be: names, processes, build ids.
#include "resolve/locate.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/proc.h"
#include "net/debuginfod.h"

#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// Value of a comment that all parts of a merged profile agree on; 0 otherwise.
static uint64_t number_comment(const struct ht_profile *profile, const char *key)
{
    static const char prefix[] = "# heaptap: ";
    size_t length = strlen(key);
    const char *value = NULL;
    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *text = ht_profile_text(profile, profile->comments[i]);
        if (strncmp(text, prefix, sizeof prefix - 1) != 0 ||
            strncmp(text + sizeof prefix - 1, key, length) != 0 || text[sizeof prefix - 1 + length] != '=')
            continue;
        const char *found = text + sizeof prefix + length;
        if (value != NULL && strcmp(value, found) != 0)
            return 0;
        value = found;
    }
    return value != NULL ? strtoull(value, NULL, 10) : 0;
}

static bool is_this_boot(const struct ht_profile *profile)
{
    struct ht_buffer text = {0};
    const char *boot = ht_profile_comment_value(profile, "boot_id");
    bool same = boot != NULL && ht_proc_read_file("/proc/sys/kernel/random/boot_id", &text) &&
                strncmp(text.data, boot, strcspn(text.data, "\n")) == 0;
    ht_buffer_free(&text);
    return same;
}

struct ht_origin ht_origin_of(const struct ht_profile *profile, const struct ht_resolve_options *options)
{
    struct ht_origin origin = {0};
    uint64_t pid = number_comment(profile, "pid"), start = number_comment(profile, "start");
    uint64_t pid_namespace = number_comment(profile, "pid_namespace");
    bool same_boot = is_this_boot(profile);
    origin.inner_pid = (uint32_t)pid;
    if (same_boot && start > 0)
        origin.start_ns = (int64_t)ht_clock_ns(CLOCK_REALTIME) - (int64_t)ht_clock_ns(CLOCK_BOOTTIME) +
                          (int64_t)start * (INT64_C(1000000000) / sysconf(_SC_CLK_TCK));
    if (options->pid != 0) {
        origin.pid = options->pid;
        struct ht_buffer status = {0};
        origin.inner_pid =
            ht_proc_read(origin.pid, "status", &status) ? ht_proc_inner_pid(&status, origin.pid) : origin.pid;
        ht_buffer_free(&status);
        return origin;
    }
    bool same_namespace = pid_namespace != 0 && ht_proc_namespace(0, "pid") == pid_namespace;
    if (same_boot && same_namespace && pid != 0 && start != 0 && ht_proc_start_ticks((uint32_t)pid) == start)
        origin.pid = (uint32_t)pid;
    return origin;
}

// Mappings that are no files, and devices.
static bool is_file_name(const char *name)
{
    static const char *const others[] = {"[", "linux-vdso", "//anon", "/memfd:", "/dev/", "anon_inode:"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strncmp(name, others[i], strlen(others[i])) == 0)
            return false;
    return name[0] != '\0';
}

// The kernel's vdso as this very process has it, as a file; -1 if there is none.
static int open_vdso(void)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);
    if (header == NULL)
        return -1;
    size_t size = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
    int fd = memfd_create("vdso", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, header, size) != (ssize_t)size) {
        close(fd);
        fd = -1;
    }
    return fd;
}

struct ht_wishes ht_locator_wishes(struct ht_locator *locator)
{
    return (struct ht_wishes){ht_places_grant, &locator->places};
}

void ht_locator_clear(struct ht_locator *locator)
{
    ht_reader_module_free(&locator->module);
    ht_place_set(&locator->places.file, NULL, NULL);
    ht_place_set(&locator->places.debug, NULL, NULL);
}

// An open file (taken over) that claims to be the one with this build id ("" in the profile: nothing to
// compare); what belongs to it is looked for around `path` below `root`.
static enum ht_located try_file(struct ht_locator *locator, const struct ht_wanted *wanted, int fd,
                                const char *root, const char *path)
{
    if (fd < 0)
        return HT_LOCATED_MISSING;
    ht_locator_clear(locator);
    ht_place_set(&locator->places.file, root, path);
    struct ht_wishes wishes = ht_locator_wishes(locator);
    int result = ht_reader_open(locator->reader, fd, path, &wishes, &locator->module);
    if (result != 0)
        return result == HT_READER_DIED ? HT_LOCATED_UNREADABLE : HT_LOCATED_MISSING;
    const char *build_id = locator->module.build_id;
    if (wanted->build_id[0] == '\0' || strcmp(wanted->build_id, build_id) == 0)
        return HT_LOCATED;
    ht_fail("is not the file that was profiled (build id %.16s..., the profile has %.16s...)",
            build_id[0] != '\0' ? build_id : "none", wanted->build_id);
    ht_locator_clear(locator);
    return HT_LOCATED_CHANGED;
}

// By the name alone; what belongs to it lies around it.
static enum ht_located try_name(struct ht_locator *locator, const struct ht_wanted *wanted, const char *root,
                                const char *path)
{
    locator->places.is_trusted = true;
    return try_file(locator, wanted, ht_places_open(&locator->places, root, path), root, path);
}

// Debug information kept by build id, for a program that is no longer there.
static enum ht_located try_build_id(struct ht_locator *locator, const struct ht_wanted *wanted)
{
    enum ht_located result = HT_LOCATED_MISSING;
    int fd;
    for (unsigned i = 0; result != HT_LOCATED && result != HT_LOCATED_UNREADABLE; i++) {
        locator->places.is_trusted = true;
        fd = ht_places_open_by_id(&locator->places, wanted->build_id, i);
        if (fd == HT_WISH_END)
            break;
        result = try_file(locator, wanted, fd, NULL, wanted->name);
    }
    return result;
}

// Through the living process: what it has mapped, even if the name is gone or means something else here.
static enum ht_located try_process(struct ht_locator *locator, const struct ht_wanted *wanted)
{
    uint32_t pid = locator->origin.pid;
    char root[HT_PROC_PATH_BYTES];
    ht_proc_root(pid, root, sizeof root);
    char *paths[] = {
        ht_format("/proc/%" PRIu32 "/map_files/%" PRIx64 "-%" PRIx64, pid, wanted->start, wanted->limit),
        wanted->is_program ? ht_format("/proc/%" PRIu32 "/exe", pid) : NULL,
    };
    enum ht_located result = HT_LOCATED_MISSING;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (paths[i] != NULL && result != HT_LOCATED && result != HT_LOCATED_UNREADABLE) {
            locator->places.is_trusted = true;
            int fd = ht_places_open(&locator->places, NULL, paths[i]);
            result = try_file(locator, wanted, fd, root, wanted->name);
        }
        free(paths[i]);
    }
    if (result != HT_LOCATED && result != HT_LOCATED_UNREADABLE && root[0] != '\0')
        result = try_name(locator, wanted, root, wanted->name);
    return result;
}

// Whatever is not simply the file of that name: only taken by its build id.
static enum ht_located try_elsewhere(struct ht_locator *locator, const struct ht_wanted *wanted)
{
    enum ht_located result = HT_LOCATED_MISSING;
    if (wanted->build_id[0] == '\0')
        return result;
    if (locator->origin.pid != 0)
        result = try_process(locator, wanted);
    if (result == HT_LOCATED || result == HT_LOCATED_UNREADABLE)
        return result;
    result = try_build_id(locator, wanted);
    if (result == HT_LOCATED || result == HT_LOCATED_UNREADABLE || !locator->options->debuginfod)
        return result;
    locator->places.is_trusted = true;
    return try_file(locator, wanted, ht_debuginfod_fetch(wanted->build_id), NULL, wanted->name);
}

// The file at the mapping's name. Where the kernel has put " (deleted)" behind that, a file with the build id
// may have come back to the name.
static enum ht_located try_own_name(struct ht_locator *locator, const struct ht_wanted *wanted)
{
    const char *root = locator->options->root;
    enum ht_located result = try_name(locator, wanted, root, wanted->name);
    char *plain = ht_strdup(wanted->name);
    if (result == HT_LOCATED_MISSING && wanted->build_id[0] != '\0' && ht_proc_take_deleted(plain))
        result = try_name(locator, wanted, root, plain);
    free(plain);
    return result;
}

static enum ht_located locate_vdso(struct ht_locator *locator, const struct ht_wanted *wanted)
{
    locator->places.is_trusted = true;
    int fd = wanted->build_id[0] != '\0' ? open_vdso() : -1; // without a build id it could be any kernel's
    enum ht_located result = try_file(locator, wanted, fd, NULL, wanted->name);
    return result == HT_LOCATED ? result : HT_LOCATED_NO_FILE;
}

enum ht_located ht_locate(struct ht_locator *locator, const struct ht_wanted *wanted)
{
    ht_locator_clear(locator);
    if (strcmp(wanted->name, "[vdso]") == 0)
        return locate_vdso(locator, wanted);
    if (!is_file_name(wanted->name))
        return HT_LOCATED_NO_FILE;
    enum ht_located result = try_own_name(locator, wanted);
    if (result == HT_LOCATED || result == HT_LOCATED_UNREADABLE)
        return result;
    char *reason = ht_strdup(ht_error());
    enum ht_located other = try_elsewhere(locator, wanted);
    if (other == HT_LOCATED || other == HT_LOCATED_UNREADABLE)
        result = other;
    else if (result == HT_LOCATED_CHANGED)
        ht_fail("%s%s %s", locator->options->root != NULL ? locator->options->root : "", wanted->name,
                reason);
    free(reason);
    return result;
}
