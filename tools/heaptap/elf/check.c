// Says before a program is started whether a preloaded library can see its allocations, and what to do if
// not.
#include "elf/check.h"

#include "base/foreign.h"
#include "base/path.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_SCRIPT_DEPTH 5 // as the kernel

static const struct {
    const char *complaint, *remedy;
} verdicts[] = {
#define X(id, what, remedy) {what, remedy},
    HT_ELF_VERDICTS(X)
#undef X
};

const char *ht_elf_complaint(enum ht_elf_verdict verdict)
{
    return verdicts[verdict].complaint;
}

const char *ht_elf_remedy(enum ht_elf_verdict verdict)
{
    return verdicts[verdict].remedy;
}

const char *ht_elf_sanitizer(const struct ht_elf_image *image)
{
    // Only those with an allocator of their own; libubsan alone does no harm.
    static const struct {
        const char *name, *library, *other_library, *symbol;
    } sanitizers[] = {
        {"AddressSanitizer", "libasan.so", "libclang_rt.asan", "__asan_init"},
        {"LeakSanitizer", "liblsan.so", "libclang_rt.lsan", "__lsan_init"},
        {"ThreadSanitizer", "libtsan.so", "libclang_rt.tsan", "__tsan_init"},
        {"HWAddressSanitizer", "libhwasan.so", "libclang_rt.hwasan", "__hwasan_init"},
        {"MemorySanitizer", "libmsan.so", "libclang_rt.msan", "__msan_init"},
    };
    for (size_t i = 0; i < sizeof sanitizers / sizeof *sanitizers; i++) {
        for (size_t j = 0; j < image->needed_count; j++)
            if (strncmp(image->needed[j], sanitizers[i].library, strlen(sanitizers[i].library)) == 0 ||
                strncmp(image->needed[j], sanitizers[i].other_library, strlen(sanitizers[i].other_library)) ==
                    0)
                return sanitizers[i].name;
        if (ht_elf_image_exports(image, sanitizers[i].symbol))
            return sanitizers[i].name;
    }
    return NULL;
}

enum ht_elf_verdict ht_elf_check_image(const struct ht_elf_image *image, enum ht_elf_form form)
{
    // A function malloc in the full symbol table, for programs that hide theirs; stripped files keep the
    // secret.
    static const char *const own[] = {"malloc"};
    char loader[PATH_MAX] = "";
    if (form != HT_ELF_WHOLE)
        return form == HT_ELF_NOT ? HT_ELF_UNKNOWN : form == HT_ELF_BAD ? HT_ELF_BROKEN : HT_ELF_FOREIGN;
    bool has_loader = ht_elf_image_interpreter(image, loader, sizeof loader);
    if (!image->is_dynamic || (!has_loader && strncmp(image->soname, "ld-", 3) != 0))
        return HT_ELF_STATIC; // static-pie too; the loader itself, started by hand, has a name
    if (strstr(loader, "/ld-musl-") != NULL)
        return HT_ELF_MUSL;
    if (ht_elf_sanitizer(image) != NULL)
        return HT_ELF_SANITIZER;
    if (ht_elf_image_exports(image, "malloc"))
        return HT_ELF_OWN_MALLOC;
    return has_loader && ht_elf_image_functions(image, own, 1) != 0 ? HT_ELF_PRIVATE_MALLOC : HT_ELF_OK;
}

enum ht_elf_verdict ht_elf_check_file(const char *path)
{
    struct ht_elf_image image;
    enum ht_elf_form form = ht_elf_image_open(&image, path);
    enum ht_elf_verdict verdict = ht_elf_check_image(&image, form);
    ht_elf_image_close(&image);
    return verdict;
}

struct ht_elf_caller ht_elf_this_caller(void)
{
    return (struct ht_elf_caller){
        .real_uid = getuid(),
        .effective_uid = geteuid(),
        .real_gid = getgid(),
        .effective_gid = getegid(),
        .no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
    };
}

// The effective bit or any permitted capability; source: capabilities(7), "File capability extended
// attribute".
static bool has_capabilities(const char *path)
{
    struct vfs_ns_cap_data data;
    ssize_t got = getxattr(path, "security.capability", &data, sizeof data);
    if (got < (ssize_t)XATTR_CAPS_SZ_1)
        return false;
    if ((data.magic_etc & VFS_CAP_FLAGS_EFFECTIVE) != 0 || data.data[0].permitted != 0)
        return true;
    return got >= (ssize_t)XATTR_CAPS_SZ_2 && data.data[1].permitted != 0;
}

// The kernel's rule (security/commoncap.c): secure when the new effective ids differ from the caller's real
// ones, or when capabilities are gained and the real user is not root.
enum ht_elf_verdict ht_elf_check_rights(const char *path, const struct ht_elf_caller *caller)
{
    struct stat stat_of;
    struct statvfs mount;
    if (stat(path, &stat_of) != 0)
        return HT_ELF_UNKNOWN;
    bool honoured = !caller->no_new_privs && !(statvfs(path, &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0);
    uid_t new_uid = caller->effective_uid;
    gid_t new_gid = caller->effective_gid;
    if (honoured && (stat_of.st_mode & S_ISUID) != 0)
        new_uid = stat_of.st_uid;
    if (honoured && (stat_of.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        new_gid = stat_of.st_gid;
    if (new_uid != caller->real_uid)
        return HT_ELF_SETUID;
    if (new_gid != caller->real_gid)
        return HT_ELF_SETGID;
    if (honoured && caller->real_uid != 0 && has_capabilities(path))
        return HT_ELF_CAPABILITIES;
    return HT_ELF_OK;
}

// The words of a #! line (line 1 of a file); source: execve(2). *ret_argument is "" or all that follows the
// interpreter.
static bool read_script(const char *path, char line[256], char **ret_interpreter, char **ret_argument)
{
    const struct ht_owner ours = {0, 0};
    int fd = ht_foreign_open(ours, NULL, path, NULL);
    if (fd < 0)
        return false;
    ssize_t got = pread(fd, line, 255, 0);
    close(fd);
    if (got < 3 || line[0] != '#' || line[1] != '!')
        return false;
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    char *at = line + 2 + strspn(line + 2, " \t");
    *ret_interpreter = at;
    at += strcspn(at, " \t");
    if (*at != '\0')
        *at++ = '\0';
    at += strspn(at, " \t");
    for (size_t length = strlen(at); length > 0 && (at[length - 1] == ' ' || at[length - 1] == '\t');
         length--)
        at[length - 1] = '\0';
    *ret_argument = at;
    return **ret_interpreter != '\0';
}

// "env NAME" and "env -S NAME ...": the program that env will look for; false when it cannot be told.
static bool follow_env(char *interpreter, char *argument, char ret_path[PATH_MAX])
{
    if (strcmp(ht_path_name(interpreter), "env") != 0)
        return false;
    if (strncmp(argument, "-S", 2) == 0)
        argument += 2 + strspn(argument + 2, " \t");
    argument[strcspn(argument, " \t")] = '\0';
    if (*argument == '\0' || *argument == '-' || strchr(argument, '=') != NULL)
        return false;
    return ht_program_find(argument, getenv("PATH"), ret_path) == 0;
}

bool ht_elf_follow_script(const char *path, char ret_path[PATH_MAX])
{
    char current[PATH_MAX];
    snprintf(current, sizeof current, "%s", path);
    for (int depth = 0; depth < MAX_SCRIPT_DEPTH; depth++) {
        char line[256], *interpreter, *argument;
        if (!read_script(current, line, &interpreter, &argument))
            break;
        // Scripts never get rights from their own mode; env's target matters more than env.
        if (!follow_env(interpreter, argument, current))
            snprintf(current, sizeof current, "%s", interpreter);
    }
    snprintf(ret_path, PATH_MAX, "%s", current);
    return strcmp(path, current) != 0;
}

enum ht_elf_verdict ht_elf_check_program(const char *path, const struct ht_elf_caller *caller,
                                         char ret_path[PATH_MAX])
{
    ht_elf_follow_script(path, ret_path);
    enum ht_elf_verdict rights = ht_elf_check_rights(ret_path, caller);
    enum ht_elf_verdict bytes = ht_elf_check_file(ret_path);
    bool bytes_matter_more = bytes != HT_ELF_OK && bytes != HT_ELF_PRIVATE_MALLOC && bytes != HT_ELF_UNKNOWN;
    if (bytes_matter_more || rights == HT_ELF_OK || rights == HT_ELF_UNKNOWN)
        return bytes;
    return rights;
}

// 0, 126 or 127 for one candidate.
static int judge_candidate(const char *path)
{
    struct stat stat_of;
    if (stat(path, &stat_of) != 0)
        return errno == EACCES ? 126 : 127;
    if (!S_ISREG(stat_of.st_mode) || access(path, X_OK) != 0)
        return 126;
    return 0;
}

int ht_program_find(const char *program, const char *search, char ret_path[PATH_MAX])
{
    if (*program == '\0')
        return 127;
    if (strchr(program, '/') != NULL) {
        snprintf(ret_path, PATH_MAX, "%s", program);
        return judge_candidate(program);
    }
    int worst = 127;
    const char *at = search != NULL ? search : "/usr/local/bin:/bin:/usr/bin";
    for (;;) {
        size_t length = strcspn(at, ":");
        char candidate[PATH_MAX];
        int written = length == 0
                          ? snprintf(candidate, sizeof candidate, "./%s", program)
                          : snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, at, program);
        if (written > 0 && written < PATH_MAX) {
            int status = judge_candidate(candidate);
            struct stat stat_of;
            bool is_directory = stat(candidate, &stat_of) == 0 && S_ISDIR(stat_of.st_mode);
            if (status == 0 || (status == 126 && worst == 127 && !is_directory)) {
                memcpy(ret_path, candidate, (size_t)written + 1);
                worst = status;
            }
            if (status == 0)
                return 0;
        }
        if (at[length] == '\0')
            return worst;
        at += length + 1;
    }
}
