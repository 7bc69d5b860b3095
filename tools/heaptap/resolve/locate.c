// Where files can be: names, processes, build ids.
#include "resolve/locate.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/proc.h"
#include "net/debuginfod.h"

#include <fcntl.h>
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

// A file that claims to be the one with this build id ("" in the profile: nothing to compare).
static enum ht_located open_checked(struct ht_elf *module, const char *path, int fd, const char *build_id,
                                    const char *debug_path)
{
    if (ht_elf_open(module, path, fd, debug_path) < 0)
        return HT_LOCATED_MISSING;
    if (build_id[0] == '\0' || strcmp(build_id, module->build_id) == 0)
        return HT_LOCATED;
    ht_fail("is not the file that was profiled (build id %.16s..., the profile has %.16s...)",
            module->build_id[0] != '\0' ? module->build_id : "none", build_id);
    ht_elf_close(module);
    return HT_LOCATED_CHANGED;
}

// The next file that is there for a build id in the folders of a ':' list, free() it; NULL: no more. Moves
// `folder` on.
static char *next_by_build_id(const char **folder, const char *build_id)
{
    while (**folder != '\0') {
        size_t length = strcspn(*folder, ":");
        char *path = ht_elf_debug_name(*folder, length, build_id);
        bool exists = path != NULL && (*folder)[0] == '/' && access(path, R_OK) == 0;
        *folder += length;
        *folder += **folder == ':';
        if (exists)
            return path;
        free(path);
    }
    return NULL;
}

// Debug information kept by build id, for a program that is no longer there.
static bool open_by_build_id(struct ht_elf *module, const char *build_id, const char *debug_path)
{
    bool found = false;
    char *path;
    for (const char *folder = debug_path; !found && (path = next_by_build_id(&folder, build_id)) != NULL;) {
        found = open_checked(module, path, -1, build_id, debug_path) == HT_LOCATED;
        free(path);
    }
    return found;
}

// Through the living process: what it has mapped, even if the name is gone or means something else here.
static bool open_by_process(struct ht_elf *module, const struct ht_wanted *wanted,
                            const struct ht_origin *origin, const char *debug_path)
{
    char *paths[] = {
        ht_format("/proc/%" PRIu32 "/map_files/%" PRIx64 "-%" PRIx64, origin->pid, wanted->start,
                  wanted->limit),
        ht_format("/proc/%" PRIu32 "/%s", origin->pid, wanted->is_program ? "exe" : ""),
        ht_format("/proc/%" PRIu32 "/root%s", origin->pid, wanted->name),
    };
    bool found = false;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (!found)
            found = open_checked(module, paths[i], -1, wanted->build_id, debug_path) == HT_LOCATED;
        free(paths[i]);
    }
    return found;
}

// Whatever is not simply the file of that name: only taken by its build id.
static bool open_elsewhere(struct ht_elf *module, const struct ht_wanted *wanted,
                           const struct ht_origin *origin, const struct ht_resolve_options *options,
                           const char *debug_path)
{
    if (wanted->build_id[0] == '\0')
        return false;
    if (origin->pid != 0 && open_by_process(module, wanted, origin, debug_path))
        return true;
    if (open_by_build_id(module, wanted->build_id, debug_path))
        return true;
    int fd = options->debuginfod ? ht_debuginfod_fetch(wanted->build_id) : -1;
    return fd >= 0 && open_checked(module, wanted->name, fd, wanted->build_id, debug_path) == HT_LOCATED;
}

// What the file itself lacks and a server has: its debug info.
static void ask_servers(struct ht_elf *module, const char *debug_path)
{
    struct ht_elf served;
    int fd = ht_elf_has_dwarf(module) ? -1 : ht_debuginfod_fetch(module->build_id);
    if (fd >= 0 && open_checked(&served, "debug info", fd, module->build_id, debug_path) == HT_LOCATED) {
        if (ht_elf_has_dwarf(&served)) {
            struct ht_layout layout = served.layout; // the file's own one is exact
            served.layout = module->layout;
            module->layout = layout;
            ht_elf_close(module);
            *module = served;
        } else {
            ht_elf_close(&served);
        }
    }
}

// What dwz moved out of the debug info, when it is not at the name that is written there.
static void find_alternate(struct ht_elf *module, const struct ht_resolve_options *options,
                           const char *debug_path)
{
    char build_id[HT_BUILD_ID_TEXT_BYTES], *path;
    bool found = false;
    if (!ht_elf_wants_alternate(module, build_id))
        return;
    for (const char *folder = debug_path; !found && (path = next_by_build_id(&folder, build_id)) != NULL;) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        found = fd >= 0 && ht_elf_set_alternate(module, fd);
        free(path);
    }
    int fd = !found && options->debuginfod ? ht_debuginfod_fetch(build_id) : -1;
    if (fd >= 0)
        ht_elf_set_alternate(module, fd);
    ht_elf_settle_alternate(module);
}

// The file at the mapping's name. Where the kernel has put " (deleted)" behind that, a file with the build id
// may have come back to the name.
static enum ht_located open_by_name(struct ht_elf *module, const struct ht_wanted *wanted, const char *path,
                                    const char *debug_path)
{
    enum ht_located result = open_checked(module, path, -1, wanted->build_id, debug_path);
    char *plain = ht_strdup(path);
    if (result == HT_LOCATED_MISSING && wanted->build_id[0] != '\0' && ht_proc_take_deleted(plain))
        result = open_checked(module, plain, -1, wanted->build_id, debug_path);
    free(plain);
    return result;
}

enum ht_located ht_locate(const struct ht_wanted *wanted, const struct ht_origin *origin,
                          const struct ht_resolve_options *options, struct ht_elf *ret_module)
{
    if (strcmp(wanted->name, "[vdso]") == 0) {
        int fd =
            wanted->build_id[0] != '\0' ? open_vdso() : -1; // without a build id it could be any kernel's
        enum ht_located result =
            fd >= 0 ? open_checked(ret_module, wanted->name, fd, wanted->build_id, NULL) : HT_LOCATED_NO_FILE;
        return result == HT_LOCATED ? result : HT_LOCATED_NO_FILE;
    }
    if (!is_file_name(wanted->name))
        return HT_LOCATED_NO_FILE;
    const char *root = options->root != NULL ? options->root : "";
    const char *extra = options->debug_path != NULL ? options->debug_path : "";
    // libdwfl's list: "" is the file's own folder, ".debug" one below it.
    char *debug_path = ht_format(":.debug:%s%s%s%s/usr/lib/debug", extra, extra[0] != '\0' ? ":" : "",
                                 root[0] != '\0' ? root : "", root[0] != '\0' ? "/usr/lib/debug:" : "");
    char *path = ht_format("%s%s", root, wanted->name);
    enum ht_located result = open_by_name(ret_module, wanted, path, debug_path);
    char *reason = ht_strdup(ht_error());
    if (result != HT_LOCATED && open_elsewhere(ret_module, wanted, origin, options, debug_path))
        result = HT_LOCATED;
    if (result == HT_LOCATED && options->debuginfod && wanted->build_id[0] != '\0')
        ask_servers(ret_module, debug_path);
    if (result == HT_LOCATED)
        find_alternate(ret_module, options, debug_path);
    if (result == HT_LOCATED_CHANGED)
        ht_fail("%s %s", path, reason);
    free(reason);
    free(path);
    free(debug_path);
    return result;
}
