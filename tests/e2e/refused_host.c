// A host that takes the shim through all that it does: load, first sample, growth of the region, fork, a
// snapshot by signal, exit. Arguments: "tsc" (the processor's time stamp counter is forbidden as well),
// "much", "few" blocks, for who looks at each single call: then the signal comes wherever there is a shim.
#include <heaptap/heaptap.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS 10000u
#define MANY   50000u // their records need more than the first mapping of a region
#define FEW    100u

static void *blocks[MANY];

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

// Whether the snapshot signal is the shim's to take.
static bool is_taken(void)
{
    struct sigaction handler; // none of ours: the signal would end the parent
    return getenv("HEAPTAP_SIGNAL") == NULL && sigaction(SIGUSR2, NULL, &handler) == 0 &&
           handler.sa_handler != SIG_DFL;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "tsc") == 0 && prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0)
        return 77;
    bool is_few = argc > 1 && strcmp(argv[1], "few") == 0;
    size_t count = is_few ? FEW : argc > 1 && strcmp(argv[1], "much") == 0 ? MANY : BLOCKS;
    allocate(count);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        release(count);
        allocate(count / 10);
        kill(getppid(), heaptap_is_loaded() && (is_few || is_taken()) ? SIGUSR2 : 0);
        exit(4);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0) {
    }
    printf("the child: %s\n", child < 0                                       ? "none"
                              : WIFEXITED(status) && WEXITSTATUS(status) == 4 ? "ok"
                                                                              : "not ok");
    release(count / 2);
    return 3;
}
