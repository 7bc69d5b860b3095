// A parent that loads 400 blocks of 10,000 bytes and forks workers, which get blocks of their own: 20, 40,
// ... of 5,000 bytes; the last one frees 100 of those that it inherited. The first line says the pids, the
// parent's first. At the end of the input all leave, the parent after freeing everything if it is told so by
// an argument.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 3

static char *shared[400], *own[200];

__attribute__((noinline)) static void load_shared(void)
{
    for (int i = 0; i < 400; i++) {
        shared[i] = malloc(10000);
        memset(shared[i], 1, 10000);
    }
}

__attribute__((noinline)) static void load_own(int count)
{
    for (int i = 0; i < count; i++) {
        own[i] = malloc(5000);
        memset(own[i], 1, 5000);
    }
}

static void work(int number, int ready, const int pipe_of_parent[2])
{
    char word;
    close(pipe_of_parent[1]);
    load_own(20 * (number + 1));
    for (int i = 0; number + 1 == WORKERS && i < 100; i++)
        free(shared[i]);
    if (write(ready, "r", 1) != 1)
        _exit(1);
    while (read(pipe_of_parent[0], &word, 1) == 1) {
    }
    exit(0);
}

int main(int argc, char **argv)
{
    static char buffer[4096];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    int ready[2], alive[2];
    char word;
    load_shared();
    if (pipe(ready) != 0 || pipe(alive) != 0)
        return 1;
    int workers = argc > 1 && strcmp(argv[1], "alone") == 0 ? 0 : WORKERS;
    printf("%d", (int)getpid());
    fflush(stdout);
    for (int i = 0; i < workers; i++) {
        pid_t pid = fork();
        if (pid == 0)
            work(i, ready[1], alive);
        if (pid < 0 || read(ready[0], &word, 1) != 1)
            return 1;
        printf(" %d", (int)pid);
    }
    printf("\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &word, 1) == 1) {
        if (word == 'm')
            load_own(5);
        if (write(STDOUT_FILENO, "done\n", 5) != 5)
            return 1;
    }
    for (int i = 0; argc > 2 && strcmp(argv[2], "tidy") == 0 && i < 400; i++)
        free(shared[i]);
    close(alive[1]);
    while (wait(NULL) > 0) {
    }
    return 0;
}
