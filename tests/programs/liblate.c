// Preloaded behind the shim, so that its destructor runs after the shim's: frees blocks that were recorded
// and goes on allocating.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *late_kept[100];
static void *own;

__attribute__((constructor)) static void load(void)
{
    own = calloc(100, 100);
}

__attribute__((destructor)) static void unload(void)
{
    int wrong = 0;
    free(own);
    for (size_t i = 0; i < 100; i++) {
        char *p = late_kept[i] ? realloc(late_kept[i], 5000 + i) : malloc(5000 + i);
        if (!p || (late_kept[i] && p[i] != (char)i))
            wrong = 1;
        if (p)
            memset(p, 1, 5000 + i);
        free(p);
    }
    if (write(STDOUT_FILENO, wrong ? "wrong\n" : "late\n", wrong ? 6 : 5) < 0)
        _exit(1);
}
