// A host for the snapshot tests: keeps 200 blocks of 10,000 bytes from keep_blocks() and then behaves as it
// is told.
//
// Usage: host MODE [ARGUMENT]; it says "ready" on standard output once the blocks are there.
//   poll, spin, blocked    sit in poll; spin without allocating; sit in poll with SIGUSR2 blocked
//   hidden                 be no longer dumpable, so that /proc may hide it from its own user; sit in poll
//   handler, sigwait       have SIGUSR2 for themselves and say "usr2" for each
//   return, exit, quick_exit, _exit, thread_exit     end in that way, status 7 (thread_exit: 0)
//   raise                  raise SIGUSR2 against itself
//   fork PLUGIN            load a plugin, let it allocate; then a child frees half of the blocks and keeps
//                          100 more from child_blocks()
//   vfork                  a vfork child says its pid, waits for a line, and leaves by exit, not by _exit;
//                          keep 100 blocks from new_blocks(), say "more", sit in poll
//   refused_filter         keep 100 blocks from new_blocks() after the kernel has refused a seccomp filter
//   exec PROGRAM           replace itself
//   grow                   keep 40 blocks of 1 MiB from grow_blocks(), 8 for each line that is read
//   churn                  allocate and free from churn_blocks() until it is killed
//   dormant                wait for a line, keep 100 blocks from new_blocks(), free the old ones, say "more",
//                          wait again
//   plugins A B            load A, let it allocate, unload it, load B, let it allocate, say whether at one
//                          address
#include <dlfcn.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS      200
#define BLOCK_BYTES 10000

static void *kept[BLOCKS], *more[BLOCKS];

__attribute__((noinline)) static void keep_blocks(void)
{
    for (int i = 0; i < BLOCKS; i++)
        kept[i] = malloc(BLOCK_BYTES);
}

__attribute__((noinline)) static void child_blocks(void)
{
    for (int i = 0; i < 100; i++)
        more[i] = malloc(BLOCK_BYTES);
}

__attribute__((noinline)) static void new_blocks(void)
{
    for (int i = 0; i < 100; i++)
        more[i] = malloc(BLOCK_BYTES);
}

__attribute__((noinline)) static void grow_blocks(void)
{
    static int count;
    for (int i = 0; i < 8; i++)
        more[count++] = malloc(1 << 20);
}

__attribute__((noinline)) static void churn_blocks(void)
{
    for (int i = 0; i < 10; i++)
        more[i] = malloc(1000);
    for (int i = 0; i < 10; i++)
        free(more[i]);
}

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(9);
}

static void on_usr2(int number)
{
    (void)number;
    say("usr2\n");
}

static void sit(void)
{
    for (;;)
        poll(NULL, 0, -1);
}

static void block_usr2(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, ret_set, NULL);
}

static void *exit_from_thread(void *unused)
{
    (void)unused;
    exit(0);
}

static void fork_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < BLOCKS; i += 2)
            free(kept[i]);
        child_blocks();
        exit(3);
    }
    int status;
    waitpid(child, &status, 0);
    printf("child %ld %d\n", (long)child, WEXITSTATUS(status));
    fflush(stdout);
}

static void wait_for_line(void)
{
    char c;
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        ;
}

static void vfork_child(void)
{
    char line[32];
    pid_t child = vfork();
    if (child == 0) {
        snprintf(line, sizeof line, "%ld\n", (long)getpid());
        say(line);
        wait_for_line();
        exit(3);
    }
    int status;
    waitpid(child, &status, 0);
    new_blocks();
    say("more\n");
    sit();
}

static void dormant(void)
{
    wait_for_line();
    new_blocks();
    for (int i = 0; i < BLOCKS; i++)
        free(kept[i]);
    say("more\n");
    wait_for_line();
}

static unsigned long load_and_call(const char *path, void **ret_library)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "host: %s\n", dlerror());
        exit(1);
    }
    void (*call)(void) = (void (*)(void))dlsym(library, "plugin_call");
    call();
    struct link_map *map;
    dlinfo(library, RTLD_DI_LINKMAP, &map);
    *ret_library = library;
    return (unsigned long)map->l_addr;
}

static void plugins(const char *a, const char *b)
{
    void *library;
    unsigned long first = load_and_call(a, &library);
    dlclose(library);
    unsigned long second = load_and_call(b, &library);
    printf("%s\n", first == second ? "same address" : "other address");
    fflush(stdout);
}

// Ways of ending; none of them comes back.
static void end(const char *mode)
{
    pthread_t thread;
    if (!strcmp(mode, "exit"))
        exit(7);
    if (!strcmp(mode, "quick_exit"))
        quick_exit(7);
    if (!strcmp(mode, "_exit"))
        _exit(7);
    if (!strcmp(mode, "raise"))
        raise(SIGUSR2);
    if (!strcmp(mode, "thread_exit") && !pthread_create(&thread, NULL, exit_from_thread, NULL))
        sit();
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "return";
    sigset_t set;
    int number;
    keep_blocks();
    if (!strcmp(mode, "blocked") || !strcmp(mode, "sigwait"))
        block_usr2(&set);
    if (!strcmp(mode, "handler")) {
        struct sigaction action = {.sa_handler = on_usr2};
        sigaction(SIGUSR2, &action, NULL);
    }
    if (!strcmp(mode, "hidden"))
        prctl(PR_SET_DUMPABLE, 0);
    say("ready\n");
    end(mode);
    if (!strcmp(mode, "poll") || !strcmp(mode, "hidden") || !strcmp(mode, "blocked") ||
        !strcmp(mode, "handler"))
        sit();
    while (!strcmp(mode, "spin"))
        for (volatile int i = 0; i < 1000000;)
            i++;
    while (!strcmp(mode, "sigwait"))
        if (!sigwait(&set, &number))
            say("usr2\n");
    for (; !strcmp(mode, "churn"); usleep(500))
        churn_blocks();
    if (!strcmp(mode, "fork")) {
        void *library;
        load_and_call(argv[2], &library);
        fork_child();
    }
    if (!strcmp(mode, "vfork"))
        vfork_child();
    if (!strcmp(mode, "refused_filter")) {
        if (prctl(PR_SET_SECCOMP, 2, NULL, 0, 0) != -1)
            return 9;
        new_blocks();
    }
    if (!strcmp(mode, "exec")) {
        execv(argv[2], argv + 2);
        return 1;
    }
    if (!strcmp(mode, "grow")) {
        for (int i = 0; i < 5; i++) {
            wait_for_line();
            grow_blocks();
            say("grown\n");
        }
        sit();
    }
    if (!strcmp(mode, "dormant"))
        dormant();
    if (!strcmp(mode, "plugins"))
        plugins(argv[2], argv[3]);
    return strcmp(mode, "return") ? 0 : 7;
}
