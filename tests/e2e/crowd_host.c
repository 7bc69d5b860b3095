// A program whose children are all alive at the same time, each with a block that is sampled: `crowd_host N`.
// The last one is killed when all are there, then the others leave. Prints the pid of the one that was
// killed.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK_BYTES 1000

static void *block;
static int ready[2], until[2]; // pipes: a byte of each child, and the end of waiting

__attribute__((noinline)) static void hold_a_block(void)
{
    block = malloc(BLOCK_BYTES);
    __asm__ volatile("" : : "r"(block) : "memory");
}

static void be_one_of_them(void)
{
    char byte = 0;
    close(until[1]);
    hold_a_block();
    if (block == NULL || write(ready[1], &byte, 1) != 1 || read(until[0], &byte, 1) != 0)
        _exit(1);
    exit(0);
}

// How many could be started, each of which is waiting.
static int start(int wanted, pid_t *ret_last)
{
    int started = 0;
    char byte;
    if (pipe(ready) != 0 || pipe(until) != 0)
        return 0;
    while (started < wanted) {
        pid_t child = fork();
        if (child == 0)
            be_one_of_them();
        if (child < 0)
            break;
        *ret_last = child;
        started++;
    }
    for (int i = 0; i < started; i++)
        if (read(ready[0], &byte, 1) != 1)
            return 0;
    return started;
}

int main(int argc, char **argv)
{
    int wanted = argc > 1 ? atoi(argv[1]) : 1, status, wrong = 0;
    pid_t last = 0, pid;
    int started = start(wanted, &last);
    if (started < wanted) {
        printf("%d of %d processes: %s\n", started, wanted, strerror(errno));
        fflush(stdout);
        _exit(77); // the others see the end of what they read
    }
    kill(last, SIGKILL);
    printf("%d\n", (int)last);
    fflush(stdout);
    close(until[1]);
    while ((pid = wait(&status)) > 0)
        wrong += pid == last ? !WIFSIGNALED(status) : !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return wrong == 0 ? 3 : 1;
}
