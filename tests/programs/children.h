// What the hazard programs with children share: work on the heap that finds blocks handed out twice, and
// waiting.
#ifndef HT_TESTS_CHILDREN_H
#define HT_TESTS_CHILDREN_H

#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

// Allocates and frees blocks of many sizes, about 100 KB at a time.
static inline void use_heap(void)
{
    unsigned char *blocks[100];
    for (size_t i = 0; i < 100; i++) {
        blocks[i] = (unsigned char *)malloc(i * 20 + 1);
        CHECK(blocks[i]);
        fill(blocks[i], i * 20 + 1, (unsigned char)i);
    }
    for (size_t i = 0; i < 100; i += 2) {
        blocks[i] = (unsigned char *)realloc(blocks[i], i * 40 + 1);
        CHECK(blocks[i] && filled(blocks[i], i * 20 + 1, (unsigned char)i));
    }
    for (size_t i = 0; i < 100; i++) {
        CHECK(filled(blocks[i], i * 20 + 1, (unsigned char)i));
        free(blocks[i]);
    }
}

// The child's wait status; interrupted waits go on.
static inline int wait_status(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, __WALL) < 0)
        CHECK(errno == EINTR);
    return status;
}

// The child must have ended by itself with this status.
static inline void expect_exit(pid_t child, int expected)
{
    int status = wait_status(child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != expected) {
        fprintf(stderr, "child: wait status %#x, expected an exit with %d\n", (unsigned)status, expected);
        _Exit(1);
    }
}

// Forks; the child runs the function and leaves by exit() with its result.
static inline pid_t fork_into(int (*work)(void *), void *arg)
{
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        exit(work(arg));
    return child;
}

#endif
