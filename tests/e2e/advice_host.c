// A host in states about which commands are easily wrong: `advice_host HOW [ARGUMENT]` says `ready` (with a
// pid where it is about another process) and stays until its standard input ends.
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void reload(int signal)
{
    (void)signal;
}

static void wait_for_end(void)
{
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
}

// A master with a handler of its own, and a worker that has sampled nothing.
static int fork_worker(const char *how)
{
    int ends[2], status;
    char byte;
    if (pipe(ends) != 0)
        return 1;
    signal(SIGUSR2, reload);
    pid_t worker = fork();
    if (worker == 0) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        if (strcmp(how, "default") == 0 || strcmp(how, "ignored") == 0)
            signal(SIGUSR2, *how == 'd' ? SIG_DFL : SIG_IGN);
        if (strcmp(how, "blocked") == 0)
            sigprocmask(SIG_BLOCK, &set, NULL);
        close(ends[1]);
        printf("ready %d\n", (int)getpid());
        fflush(stdout);
        while (read(ends[0], &byte, 1) > 0 || errno == EINTR) {
        }
        _exit(0);
    }
    wait_for_end();
    close(ends[1]);
    return waitpid(worker, &status, 0) == worker && WIFEXITED(status) ? 0 : 1;
}

static char *kept[200];

static void grow(void)
{
    for (int i = 0; i < 200; i++) {
        kept[i] = malloc(100000);
        if (kept[i] != NULL)
            memset(kept[i], 1, 100000);
    }
}

static int be_ready(void)
{
    puts("ready");
    fflush(stdout);
    wait_for_end();
    return kept[3] != NULL && kept[3][7] != 1;
}

// A daemon that locks itself into a directory.
static int change_root(const char *path, bool late)
{
    if (!late)
        grow();
    if (chroot(path) != 0 || chdir("/") != 0)
        return 9;
    if (late)
        grow();
    return be_ready();
}

// A program that shows a title where its arguments and its environment were.
static int show_title(char **argv, bool grows)
{
    extern char **environ;
    if (grows)
        grow();
    char *end = argv[0];
    for (char **at = argv; *at != NULL; at++)
        end = *at + strlen(*at) + 1;
    for (char **at = environ; *at != NULL && *at == end; at++)
        end = *at + strlen(*at) + 1;
    memset(argv[0], 0, (size_t)(end - argv[0]));
    memcpy(argv[0], "a title", 7);
    return be_ready();
}

// Memory that does not come from malloc.
static int map_memory(void)
{
    enum { BYTES = 200 << 20 };
    char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 9;
    memset(memory, 1, BYTES);
    grow();
    return be_ready();
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "", *argument = argc > 2 ? argv[2] : "";
    if (strcmp(how, "worker") == 0)
        return fork_worker(argument);
    if (strcmp(how, "chroot") == 0 || strcmp(how, "chroot_first") == 0)
        return change_root(argument, how[6] != '\0');
    if (strcmp(how, "signal") == 0) {
        grow();
        signal(SIGUSR2, *argument == 'd' ? SIG_DFL : SIG_IGN);
        return be_ready();
    }
    if (strcmp(how, "leave") == 0) {
        grow();
        _exit(0);
    }
    if (strcmp(how, "maps") == 0)
        return map_memory();
    if (strcmp(how, "title") == 0)
        return show_title(argv, *argument != '\0');
    return 2;
}
