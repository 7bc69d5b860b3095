// Allocators with names of their own beside malloc: where they lie, which of them a program would load, and
// the companion library that sees those names (src/companion).
#include "base/error.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "elf/image.h"
#include "launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOADER_MS      10000
#define MAX_LIST_BYTES (1u << 20)

static const struct {
    const char *name, *libraries[3], *package;
} known[] = {
    {"jemalloc", {"libjemalloc.so.2", NULL}, "libjemalloc2"},
    {"tcmalloc", {"libtcmalloc_minimal.so.4", "libtcmalloc.so.4", NULL}, "libtcmalloc-minimal4"},
    {"mimalloc", {"libmimalloc.so.2", "libmimalloc.so.3", NULL}, "libmimalloc2.0"},
};
#define KNOWN (sizeof known / sizeof *known)

int ht_run_find_allocator(const char *name, char ret_path[PATH_MAX])
{
    if (strchr(name, '/') != NULL) {
        if (realpath(name, ret_path) == NULL || access(ret_path, R_OK) != 0)
            return ht_fail("--allocator=%s: %s", name, strerror(errno));
        if (strpbrk(ret_path, " :") != NULL)
            return ht_fail("--allocator=%s: LD_PRELOAD cannot carry a path with a space or a colon", name);
        return 0;
    }
    for (size_t i = 0; i < KNOWN; i++) {
        if (strcmp(name, known[i].name) != 0)
            continue;
        for (size_t j = 0; known[i].libraries[j] != NULL; j++)
            if (ht_run_find_installed(known[i].libraries[j], ret_path))
                return 0;
        return ht_fail("--allocator=%s: %s is not installed; apt-get install %s", name, known[i].libraries[0],
                       known[i].package);
    }
    return ht_fail("--allocator=%s: use jemalloc, tcmalloc, mimalloc or the path of a library", name);
}

const char *ht_run_companion_of(const struct ht_elf_image *image)
{
    if (ht_elf_image_exports(image, "mallocx"))
        return "libheaptap-jemalloc.so";
    if (ht_elf_image_exports(image, "tc_malloc"))
        return "libheaptap-tcmalloc.so";
    if (ht_elf_image_exports(image, "mi_malloc"))
        return "libheaptap-mimalloc.so";
    return ht_elf_image_exports(image, "_Znwm") && ht_elf_image_exports(image, "malloc") ? "libheaptap-cxx.so"
                                                                                         : NULL;
}

// Fills in the companion for this library, if it has one and is none of ours. True: it has.
static bool take_allocator(const char *path, struct ht_run_libraries *libraries)
{
    struct ht_elf_image image;
    const char *name = NULL;
    if (!ht_text_starts_with(ht_path_name(path), "libheaptap") &&
        ht_elf_image_open(&image, path) == HT_ELF_WHOLE) {
        name = ht_run_companion_of(&image);
        ht_elf_image_close(&image);
    }
    if (name == NULL)
        return false;
    snprintf(libraries->of, sizeof libraries->of, "%s", ht_path_name(path));
    snprintf(libraries->companion, sizeof libraries->companion, "%.*s%s",
             (int)(ht_path_name(libraries->shim) - libraries->shim), libraries->shim, name);
    return true;
}

static void read_list(int fd, pid_t child, struct ht_buffer *list)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    char bytes[4096];
    ssize_t got;
    ht_buffer_text(list, "");
    while (poll(&poll_fd, 1, LOADER_MS) > 0 && (got = read(fd, bytes, sizeof bytes)) > 0 &&
           list->length < MAX_LIST_BYTES)
        ht_buffer_add(list, bytes, (size_t)got);
    kill(child, SIGKILL); // it has ended, or never will
}

// What the program's own loader says that it would load, with this environment; no code of theirs is run.
static bool ask_loader(const char *program, struct ht_buffer *list)
{
    char loader[PATH_MAX], option[] = "--list", path[PATH_MAX];
    struct ht_elf_image image;
    bool has_loader = ht_elf_image_open(&image, program) == HT_ELF_WHOLE &&
                      ht_elf_image_interpreter(&image, loader, sizeof loader);
    ht_elf_image_close(&image);
    snprintf(path, sizeof path, "%s", program);
    char *argv[] = {loader, option, path, NULL};
    int fds[2];
    pid_t child;
    posix_spawn_file_actions_t actions;
    if (!has_loader || pipe2(fds, O_CLOEXEC) != 0)
        return false;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    bool started = posix_spawn(&child, loader, &actions, NULL, argv, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (started) {
        read_list(fds[0], child, list);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    close(fds[0]);
    return started;
}

// A line of the loader's list: "\tNAME => PATH (0x...)", or "\tPATH (0x...)". NULL: it names no file.
static char *path_of_line(char *line)
{
    char *arrow = strstr(line, " => "), *path = arrow != NULL ? arrow + 4 : line + strspn(line, "\t ");
    char *end = strstr(path, " (0x");
    if (path[0] != '/' || end == NULL)
        return NULL;
    *end = '\0';
    return path;
}

void ht_run_find_companion(const char *program, struct ht_run_libraries *libraries)
{
    struct ht_buffer list = {0};
    bool found = false;
    if (libraries->allocator != NULL)
        found = take_allocator(libraries->allocator, libraries);
    else if (ask_loader(program, &list))
        for (char *rest = list.data, *line; !found && (line = ht_text_take_line(&rest)) != NULL;) {
            char *path = path_of_line(line);
            found = path != NULL && take_allocator(path, libraries);
        }
    ht_buffer_free(&list);
    libraries->is_missing = found && access(libraries->companion, R_OK) != 0;
    if (!found || libraries->is_missing)
        libraries->companion[0] = '\0';
}
