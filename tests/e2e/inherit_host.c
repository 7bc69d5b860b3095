// Loads 200 blocks of 10,000 bytes and forks a worker that holds them and does what it is told: serve
// (allocates and frees), release (frees a half). The worker's pid is the first line.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *blocks[200];

__attribute__((noinline)) static void load_blocks(void)
{
    for (int i = 0; i < 200; i++) {
        blocks[i] = malloc(10000);
        memset(blocks[i], 1, 10000);
    }
}

__attribute__((noinline)) static void serve(void)
{
    for (int i = 0; i < 500; i++) {
        char *block = malloc(10000);
        memset(block, 1, 10000);
        free(block);
    }
}

// No stdio: it would allocate.
static void work(void)
{
    char word = 0;
    while (read(STDIN_FILENO, &word, 1) == 1) {
        if (word == 's')
            serve();
        for (int i = 0; word == 'r' && i < 100; i++)
            free(blocks[i]);
        if (write(STDOUT_FILENO, "done\n", 5) != 5)
            _exit(1);
    }
    _exit(0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    load_blocks();
    pid_t worker = fork();
    if (worker == 0)
        work();
    printf("%d\n", (int)worker);
    int status = 0;
    waitpid(worker, &status, 0);
    return blocks[7][0] - 1;
}
