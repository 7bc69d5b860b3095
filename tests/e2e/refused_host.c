// A host that takes the shim through all that it does: load, first sample, growth of the region, fork, a
// snapshot by signal, exit. With the argument "tsc" the processor's time stamp counter is forbidden as well.
#include <heaptap/heaptap.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS 20000u

static void *blocks[BLOCKS];

static void allocate(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(i % 300);
        if (blocks[i] == NULL)
            _Exit(1);
    }
}

static void release(size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "tsc") == 0 && prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0)
        return 77;
    allocate(BLOCKS);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        release(BLOCKS);
        allocate(BLOCKS / 10);
        struct sigaction handler;
        if (heaptap_is_loaded() && sigaction(SIGUSR2, NULL, &handler) == 0 && handler.sa_handler != SIG_DFL)
            kill(getppid(), SIGUSR2);
        exit(4);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0) {
    }
    printf("the child: %s\n", child < 0                                       ? "none"
                              : WIFEXITED(status) && WEXITSTATUS(status) == 4 ? "ok"
                                                                              : "not ok");
    release(BLOCKS / 2);
    return 3;
}
