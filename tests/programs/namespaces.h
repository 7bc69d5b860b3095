// What the hazard programs with a mount namespace of their own share.
#ifndef HT_TESTS_NAMESPACES_H
#define HT_TESTS_NAMESPACES_H

#include "children.h"

#include <sched.h>
#include <sys/mount.h>

// From here on mounts are this process's own, and go with it. Where that is refused (a container), the
// program says so and is skipped.
static inline void own_mounts(void)
{
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
        printf("no mount namespace can be had (errno %d)\n", errno);
        exit(77);
    }
}

// Starts this program again with one argument, so that it is loaded in what was prepared.
static inline int again(const char *argument)
{
    execl("/proc/self/exe", "again", argument, (char *)NULL);
    return 9;
}

static inline void work(int rounds)
{
    for (int i = 0; i < rounds; i++)
        use_heap();
}

#endif
