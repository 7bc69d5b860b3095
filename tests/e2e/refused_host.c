// A host that takes the shim through all that it does: load, first sample, growth of the region, fork, a
// snapshot by signal, exit. It says which descriptors are open at the beginning, how its child fared, which
// are open at the end that were not at the beginning, and where a call changed errno. Arguments: "tsc" (the
// processor's time stamp counter is forbidden as well), "much", "few" blocks, for who looks at each single
// call: then the signal comes wherever there is a shim; "leaks" (descriptors cannot be closed).
#include <heaptap/heaptap.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS      10000u
#define MANY        50000u // their records need more than the first mapping of a region
#define FEW         100u
#define DESCRIPTORS 64
#define PATIENCE_S  60

static void *blocks[MANY];
static bool at_start[DESCRIPTORS], leaks;

static void check_errno(const char *what)
{
    if (errno != EXDEV)
        printf("%s: errno is %d\n", what, errno);
    errno = EXDEV;
}

static void allocate(size_t count)
{
    errno = EXDEV;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(i % 300);
        if (blocks[i] == NULL)
            _Exit(1);
        if (errno != EXDEV)
            check_errno("malloc");
    }
}

static void release(size_t count)
{
    errno = EXDEV;
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    check_errno("free");
}

// By a call that the shim does not make: whoever refuses the shim's calls may refuse them to us as well.
static bool is_open(int fd)
{
    return dup2(fd, fd) >= 0;
}

// A snapshot that is being written has descriptors open, for a while.
static void check_descriptors(void)
{
    for (int fd = 0; fd < DESCRIPTORS && !leaks; fd++) {
        bool open = is_open(fd); // looked at once: what is said is what was seen
        for (int i = 0; open && !at_start[fd] && i < PATIENCE_S * 100; i++) {
            nanosleep(&(struct timespec){0, 10000000}, NULL);
            open = is_open(fd);
        }
        if (open != at_start[fd])
            printf("descriptor %d is %s\n", fd, open ? "open" : "closed");
    }
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
    leaks = argc > 1 && strcmp(argv[1], "leaks") == 0;
    for (int fd = 0; fd < DESCRIPTORS && !leaks; fd++) {
        at_start[fd] = is_open(fd);
        if (at_start[fd])
            printf("descriptor %d\n", fd);
    }
    bool is_few = argc > 1 && strcmp(argv[1], "few") == 0;
    size_t count = is_few ? FEW : argc > 1 && strcmp(argv[1], "much") == 0 ? MANY : BLOCKS;
    allocate(count);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        release(count);
        allocate(count / 10);
        kill(getppid(), heaptap_is_loaded() && (is_few || is_taken()) ? SIGUSR2 : 0);
        check_descriptors();
        exit(4);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0) {
    }
    printf("the child: %s\n", child < 0                                       ? "none"
                              : WIFEXITED(status) && WEXITSTATUS(status) == 4 ? "ok"
                                                                              : "not ok");
    release(count / 2);
    check_descriptors();
    return 3;
}
