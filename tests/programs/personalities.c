// Other layouts of the address space: without randomisation, the old bottom-up one (an unlimited stack),
// everything that can be read executable, a small stack.
//@ skip signals: between exec and a handler the signal ends the program, as it does bare
#include "children.h"

#include <pthread.h>
#include <sys/personality.h>
#include <sys/resource.h>

static void *compute(void *unused)
{
    for (int i = 0; i < 10; i++)
        use_heap();
    return unused;
}

static int life(void)
{
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        CHECK(!pthread_create(&threads[i], NULL, compute, NULL));
    compute(NULL);
    for (size_t size = 1000; size < 100u << 20; size *= 7) {
        char *block = malloc(size);
        CHECK(block);
        block[0] = block[size - 1] = 1;
        block = realloc(block, size * 3);
        CHECK(block && block[size - 1] == 1);
        free(block);
    }
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    compute(NULL);
    if (child == 0)
        exit(3);
    expect_exit(child, 3);
    return 4;
}

static int with_personality(void *flags)
{
    CHECK(personality((unsigned long)flags) != -1);
    execl("/proc/self/exe", "again", "inside", (char *)NULL);
    return 9;
}

static int with_stack(void *bytes)
{
    struct rlimit limit;
    CHECK(!getrlimit(RLIMIT_STACK, &limit));
    limit.rlim_cur = (rlim_t)bytes;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    CHECK(!setrlimit(RLIMIT_STACK, &limit));
    execl("/proc/self/exe", "again", "inside", (char *)NULL);
    return 9;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return life();
    compute(NULL);
    expect_exit(fork_into(with_personality, (void *)(ADDR_NO_RANDOMIZE)), 4);
    expect_exit(fork_into(with_personality, (void *)(ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT)), 4);
    expect_exit(fork_into(with_personality, (void *)(READ_IMPLIES_EXEC)), 4);
    expect_exit(fork_into(with_stack, (void *)RLIM_INFINITY), 4);
    expect_exit(fork_into(with_stack, (void *)(256u << 10)), 4);
    puts("ok");
    return 0;
}
