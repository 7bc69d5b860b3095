// What hazard programs need to find themselves and their plugins, to die on purpose, and to have something
// recorded.
#ifndef HT_TESTS_SELF_H
#define HT_TESTS_SELF_H

#include "children.h"

#include <sys/resource.h>

// Path of a file of the program's own folder, for instance a plugin; static, one at a time.
static inline const char *beside(const char *name)
{
    static char path[5000];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    CHECK(length > 0);
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    CHECK(slash && strlen(name) < 500);
    memcpy(slash + 1, name, strlen(name) + 1);
    return path;
}

// A process that dies on purpose leaves no core file.
static inline void no_core(void)
{
    struct rlimit none = {0, 0};
    CHECK(!setrlimit(RLIMIT_CORE, &none));
}

// Uses the heap, with one block that is a sample at any usual rate: something has then been recorded.
static inline void record_some(void)
{
    use_heap();
    void *p = malloc(8 << 20);
    CHECK(p);
    KEEP(p);
    free(p);
}

#endif
