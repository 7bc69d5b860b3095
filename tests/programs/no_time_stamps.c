// A host that forbids itself to read the processor's time stamp counter (PR_SET_TSC): libc's clock, which the
// recorder uses, would end in SIGSEGV.
#include "children.h"

#include <sys/prctl.h>

static int life(void *warm)
{
    if (warm)
        use_heap();
    if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0))
        return 6; // no such counter here
    for (int i = 0; i < 100; i++)
        use_heap();
    void *blocks[300];
    for (size_t i = 0; i < 300; i++)
        CHECK((blocks[i] = malloc(i * 100)));
    for (size_t i = 0; i < 300; i++)
        free(blocks[i]);
    return 6;
}

int main(void)
{
    expect_exit(fork_into(life, NULL), 6);
    expect_exit(fork_into(life, (void *)1), 6);
    CHECK(life((void *)1) == 6);
    puts("ok");
    return 0;
}
