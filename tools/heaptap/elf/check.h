// Says before a program is started whether a preloaded library can see its allocations, and what to do if
// not.
#ifndef HT_ELF_CHECK_H
#define HT_ELF_CHECK_H

#include "elf/image.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// One table: verdict, what is wrong, what to do instead (finish the sentence "PROGRAM ...").
#define HT_ELF_VERDICTS(X)                                                                                   \
    X(OK, NULL, NULL)                                                                                        \
    X(UNKNOWN, NULL, NULL) /* not readable, or not ELF: nothing can be said, let it run */                   \
    X(PRIVATE_MALLOC, "has a malloc of its own that it does not export; its own allocations stay unseen",    \
      "build it without the bundled allocator to see all")                                                   \
    X(STATIC, "is statically linked, so no library can be preloaded into it",                                \
      "link it dynamically (without -static)")                                                               \
    X(OWN_MALLOC, "defines malloc itself, which hides it from every preloaded library",                      \
      "build it without the bundled allocator; --allocator=jemalloc puts jemalloc below the profiler")       \
    X(SANITIZER, "is built with a sanitizer, which needs malloc for itself",                                 \
      "build it without -fsanitize, or use the sanitizer's own heap profile")                                \
    X(MUSL, "is linked with musl, whose loader cannot take a library that was made for glibc",               \
      "profile a build of it for glibc (a Debian or Ubuntu image instead of Alpine)")                        \
    X(FOREIGN,                                                                                               \
      "is built for another architecture or for 32 bits; heaptap was built for " HT_ELF_MACHINE_NAME,        \
      "profile a " HT_ELF_MACHINE_NAME " build of it")                                                       \
    X(BROKEN, "is a damaged or truncated ELF file", "build or install it again")                             \
    X(SETUID, "runs with another user's rights (setuid), so the loader ignores preloaded libraries",         \
      "start it as that user, or profile a copy without the setuid bit")                                     \
    X(SETGID, "runs with another group's rights (setgid), so the loader ignores preloaded libraries",        \
      "start it with that group (sg), or profile a copy without the setgid bit")                             \
    X(CAPABILITIES, "has file capabilities, so the loader ignores preloaded libraries",                      \
      "start it as root, or profile a copy (cp drops the capabilities)")

enum ht_elf_verdict {
#define X(id, what, remedy) HT_ELF_##id,
    HT_ELF_VERDICTS(X)
#undef X
        HT_ELF_VERDICT_COUNT
};

// Context: tool, no state. Files are read by elf/image.h, within its bounds.

// NULL for verdicts that are no complaint.
const char *ht_elf_complaint(enum ht_elf_verdict verdict);
const char *ht_elf_remedy(enum ht_elf_verdict verdict);

// Looks at the file's bytes alone.
enum ht_elf_verdict ht_elf_check_file(const char *path);
enum ht_elf_verdict ht_elf_check_image(const struct ht_elf_image *image, enum ht_elf_form form);

// The name of the sanitizer with an allocator of its own that the program is built with, NULL if there is
// none.
const char *ht_elf_sanitizer(const struct ht_elf_image *image);

// Who would start the program, for the kernel's rule about AT_SECURE (capabilities(7), execve(2)).
struct ht_elf_caller {
    uid_t real_uid, effective_uid;
    gid_t real_gid, effective_gid;
    bool no_new_privs;
};
struct ht_elf_caller ht_elf_this_caller(void);

// Looks at owner, mode, mount and capabilities alone.
enum ht_elf_verdict ht_elf_check_rights(const char *path, const struct ht_elf_caller *caller);

// The program that a script (#!) is run by, and for "env NAME" that program; false: no script, ret_path is a
// copy of path.
bool ht_elf_follow_script(const char *path, char ret_path[PATH_MAX]);

// Both, and for a script the program that it is run by. ret_path gets the file the verdict is about.
enum ht_elf_verdict ht_elf_check_program(const char *path, const struct ht_elf_caller *caller,
                                         char ret_path[PATH_MAX]);

// Finds a program as a shell does. Returns 0, or the exit status a shell would give: 127 not found, 126 found
// but not executable (ret_path then names it). `search` is the PATH to use, NULL for the system's default.
int ht_program_find(const char *program, const char *search, char ret_path[PATH_MAX]);

#endif
