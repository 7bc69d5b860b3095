// Forks from several threads that allocate all the time, chains of forks, vfork and exec, system, _Fork-like
// raw clone.
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int stop;
static pthread_mutex_t taken = PTHREAD_MUTEX_INITIALIZER;

static void *allocate(void *unused)
{
    (void)unused;
    while (!stop) {
        void *blocks[50];
        for (size_t i = 0; i < 50; i++)
            blocks[i] = malloc(i * 40);
        for (size_t i = 0; i < 50; i++)
            free(blocks[i]);
    }
    return NULL;
}

static void allocating_handler(void)
{
    void *p = malloc(5000);
    CHECK(p);
    free(p);
}

static void use_heap(void)
{
    for (size_t i = 1; i < 500; i++) {
        char *p = malloc(i * 11);
        CHECK(p);
        fill(p, i * 11, 1);
        free(p);
    }
}

static void wait_ok(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        CHECK(errno == EINTR);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

static void *fork_often(void *inherited)
{
    for (int i = 0; i < 15; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            use_heap();
            free(inherited);
            _exit(3);
        }
        wait_ok(child);
    }
    return NULL;
}

static void chain(int levels)
{
    char *mine = malloc(1000);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        use_heap();
        free(mine);
        if (levels)
            chain(levels - 1);
        exit(3);
    }
    wait_ok(child);
    free(mine);
}

int main(void)
{
    pthread_t threads[4];
    pthread_atfork(allocating_handler, allocating_handler, allocating_handler);
    for (size_t i = 0; i < 2; i++)
        CHECK(!pthread_create(&threads[i], NULL, allocate, NULL));
    for (size_t i = 2; i < 4; i++)
        CHECK(!pthread_create(&threads[i], NULL, fork_often, malloc(100)));
    pthread_join(threads[2], NULL);
    pthread_join(threads[3], NULL);
    stop = 1;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    chain(5);
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
        _exit(9);
    }
    wait_ok(child);
    child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    CHECK(child >= 0);
    if (child == 0) {
        // No atfork handler ran; the heap is usable because no other thread existed.
        use_heap();
        _exit(3);
    }
    wait_ok(child);
    CHECK(WEXITSTATUS(system("exit 4")) == 4);
    use_heap();
    pthread_mutex_lock(&taken);
    puts("ok");
    return 0;
}
