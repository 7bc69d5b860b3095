// The directory for the profiles, and the one above it, are made when they are needed; the program's mask
// does not matter.
//@ out missing
//@ profiles some
#include "children.h"

#include <sys/stat.h>

int main(void)
{
    umask(0);
    void *kept = malloc(3 << 20); // surely a sample at any rate: so there is something to write
    CHECK(kept);
    fill(kept, 3 << 20, 1);
    for (int i = 0; i < 100; i++)
        use_heap();
    free(kept);
    puts("ok");
    return 6;
}
