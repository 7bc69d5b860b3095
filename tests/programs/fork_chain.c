// A chain of forks thirty deep: every link allocates, frees what its ancestors allocated, and leaves by
// exit().
//@ shower tree
#include "children.h"

#define DEPTH 30

static unsigned char *inherited[DEPTH];

static void link_of_chain(int level)
{
    use_heap();
    for (int i = 0; i < level; i++)
        CHECK(filled(inherited[i], 3000, (unsigned char)i));
    // Half of what came from above is given back here, in a process that never allocated it.
    for (int i = level % 2; i < level; i += 2)
        free(inherited[i]);
    if (level == DEPTH)
        return;
    for (int i = level % 2; i < level; i += 2) {
        inherited[i] = malloc(3000);
        fill(inherited[i], 3000, (unsigned char)i);
    }
    inherited[level] = malloc(3000);
    CHECK(inherited[level]);
    fill(inherited[level], 3000, (unsigned char)level);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        link_of_chain(level + 1);
        exit(level + 1);
    }
    expect_exit(child, level + 1);
    CHECK(filled(inherited[level], 3000, (unsigned char)level));
    use_heap();
}

int main(void)
{
    link_of_chain(0);
    puts("ok");
    return 0;
}
