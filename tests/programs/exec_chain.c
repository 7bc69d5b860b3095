// Many programs one after another in the same process: each exec keeps the pid, and each image allocates;
// what the images before have left behind is replaced, not piled up.
//@ skip signals: between exec and a handler the signal ends the program, as it does bare
//@ arguments 15
#include "children.h"

#include <glob.h>

static void *held;

static size_t regions_of_this_process(void)
{
    char pattern[64];
    glob_t found;
    snprintf(pattern, sizeof pattern, "/dev/shm/heaptap.*.%d.*.live", (int)getpid());
    size_t count = glob(pattern, GLOB_NOSORT, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    int left = atoi(argv[1]);
    for (int i = 0; i < 10; i++)
        use_heap();
    held = malloc(1 << 20); // never given back by this image
    CHECK(held);
    KEEP(held);
    if (left > 0) {
        char text[16];
        snprintf(text, sizeof text, "%d", left - 1);
        CHECK(execl("/proc/self/exe", argv[0], text, (char *)NULL) == 0);
    }
    CHECK(regions_of_this_process() <= 1);
    puts("ok");
    return 0;
}
