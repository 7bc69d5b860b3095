// The soak's host: threads that allocate in every way and end in every way, children of every kind, plugins
// loaded and unloaded, a timer's signals, until SIGTERM; then it says what is left of descriptors, threads
// and children, and waits.
//
// Usage: soak_prog PLUGIN WORKERS | soak_prog short
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_WORKERS 8
#define CHURNERS    6
#define SLOTS       1500
#define NAMESPACES  8

extern char **environ;
static volatile sig_atomic_t stopping;
static void *shared[SLOTS];
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t loader_lock = PTHREAD_MUTEX_INITIALIZER;
static const char *self_path = "/proc/self/exe";

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545F4914F6CDD1D) >> 11;
}

// In place of what stood in the slot; a failed call leaves it empty.
static void *replace(void *old, size_t size, uint64_t choice)
{
    void *block = NULL;
    switch (choice % 9) {
    case 0:
        return realloc(old, size + 1);
    case 1:
        return reallocarray(old, size / 8 + 1, 8);
    case 2:
        free(old);
        return calloc(1, size / 8 + 1);
    case 3:
        free(old);
        return posix_memalign(&block, 64, size) ? NULL : block;
    case 4:
        free(old);
        return aligned_alloc(32, (size + 31) & ~(size_t)31);
    case 5:
        free(old);
        return memalign(256, size);
    case 6:
        free(old);
        return choice % 64 == 0 ? malloc(size + (1 << 20)) : malloc(0); // mapped by itself, or empty
    default:
        free(old);
        return malloc(size);
    }
}

// One step of random work on a thread's own slots and on those that all threads share.
static void step(void **own, uint64_t *state)
{
    uint64_t random = draw(state);
    size_t size = (size_t)1 << (random % 16), slot = (size_t)(random >> 20) % SLOTS;
    size += (size_t)(random >> 40) % size;
    if ((random >> 8) % 3 == 0) { // blocks that one thread allocates and another frees
        pthread_mutex_lock(&shared_lock);
        shared[slot] = replace(shared[slot], size / 4 + 1, random >> 10);
        pthread_mutex_unlock(&shared_lock);
    } else {
        own[slot] = replace(own[slot], size, random >> 10);
        if (own[slot] && malloc_usable_size(own[slot]) > 0)
            *(volatile char *)own[slot] = 1;
    }
}

static void free_all(void *argument)
{
    void **own = argument;
    for (size_t i = 0; i < SLOTS; i++)
        free(own[i]);
    free(own);
}

static void *work(void *argument)
{
    uint64_t state = (uint64_t)(uintptr_t)argument * UINT64_C(0x9E3779B97F4A7C15) + 1;
    void **own = calloc(SLOTS, sizeof(*own));
    uint64_t steps = 5000 + draw(&state) % 40000;
    for (uint64_t i = 0; !stopping && i < steps; i++) {
        step(own, &state);
        if (i % 512 == 0)
            usleep(1000); // others want to run too, those that look from outside above all
    }
    free_all(own);
    return NULL;
}

static int run_child(uint64_t random);

// A short life: a name, a little work, and one of the ways to end.
static void *churn(void *argument)
{
    uint64_t state = (uint64_t)(uintptr_t)argument * UINT64_C(0xD6E8FEB86659FD93) + 1;
    char name[16];
    snprintf(name, sizeof(name), "churn-%d", (int)(draw(&state) % 20));
    pthread_setname_np(pthread_self(), name);
    void **own = calloc(SLOTS, sizeof(*own));
    pthread_cleanup_push(free_all, own);
    for (uint64_t i = draw(&state) % 2000; i > 0; i--)
        step(own, &state);
    switch (draw(&state) % 4) {
    case 0:
        pthread_exit(NULL);
    case 1:
        for (int i = 0; i < 50; i++)
            usleep(1000); // the creator cancels it here, or not
        break;
    case 2:
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); // its child would be left alone
        if (draw(&state) % 8 == 0 && run_child(draw(&state)))
            abort();
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        break;
    default:
        sched_yield();
    }
    pthread_cleanup_pop(1);
    return NULL;
}

// Held over a fork, so that a child never inherits them locked by a thread that it does not have. The second
// stands for libc's own lock of exit functions, which dlopen and dlclose take: a child of glibc 2.36 that is
// forked in such a moment waits for it in exit() for ever, with and without a profiler.
static void lock_shared(void)
{
    pthread_mutex_lock(&loader_lock);
    pthread_mutex_lock(&shared_lock);
}

static void unlock_shared(void)
{
    pthread_mutex_unlock(&shared_lock);
    pthread_mutex_unlock(&loader_lock);
}

static int wait_for(pid_t child, int *ret_status)
{
    while (waitpid(child, ret_status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return 0;
}

// What a forked child does; it does not return.
static void live_as_child(uint64_t kind, uint64_t random)
{
    const struct rlimit none = {0, 0};
    char *const again[] = {(char *)"soak_prog", (char *)"short", NULL};
    setrlimit(RLIMIT_CORE, &none);
    switch (kind) {
    case 0:
        work((void *)(uintptr_t)(random | 1));
        exit(0);
    case 1:
        work((void *)(uintptr_t)(random | 1));
        _exit(0);
    case 2: // killed meanwhile
        for (int i = 0; i < 1000; i++)
            work((void *)(uintptr_t)(++random | 1));
        exit(8);
    case 3:
        work((void *)(uintptr_t)(random | 1));
        execv(self_path, again);
        _exit(9);
    case 4: // a grandchild that nobody waits for
        if (fork() == 0)
            work((void *)(uintptr_t)(random | 1));
        exit(0);
    default:
        work((void *)(uintptr_t)(random | 1));
        abort();
    }
}

// In a function of its own: variables of the caller may be lost.
static __attribute__((noinline)) pid_t vfork_true(void)
{
    char *const arguments[] = {(char *)"true", NULL};
    pid_t child = vfork();
    if (child == 0) {
        execv("/bin/true", arguments);
        _exit(9);
    }
    return child;
}

// 0: a child of this kind lived and ended as it should.
static int run_child(uint64_t random)
{
    int status = 0;
    uint64_t kind = random % 9;
    char *const again[] = {(char *)"soak_prog", (char *)"short", NULL};
    pid_t child;
    if (kind == 6)
        return system("exit 3") != 3 << 8;
    if (kind == 7) {
        if (posix_spawn(&child, self_path, NULL, NULL, again, environ))
            return 1;
    } else if (kind == 8) {
        child = vfork_true();
    } else {
        child = fork();
        if (child == 0)
            live_as_child(kind, random);
    }
    if (child < 0)
        return 1;
    if (kind == 2) {
        usleep((useconds_t)(random >> 8) % 30000);
        kill(child, SIGKILL);
    }
    if (wait_for(child, &status))
        return 1;
    return kind == 2 ? WTERMSIG(status) != SIGKILL : kind == 5 ? WTERMSIG(status) != SIGABRT : status != 0;
}

static void use_plugin(const char *path, uint64_t round)
{
    bool is_new = round % 32 == 0 && round / 32 <= NAMESPACES; // glibc does not give back all that one takes
    pthread_mutex_lock(&loader_lock);
    void *plugin = is_new ? dlmopen(LM_ID_NEWLM, path, RTLD_NOW) : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (plugin) {
        ((void (*)(void))dlsym(plugin, "plugin_call"))();
        dlclose(plugin);
    }
    pthread_mutex_unlock(&loader_lock);
}

static void run_round(const char *plugin, uint64_t workers, uint64_t round)
{
    static uint64_t state = 88172645463325252;
    pthread_t threads[MAX_WORKERS + CHURNERS];
    size_t count = 0;
    for (uint64_t i = 0; i < workers; i++)
        count += !pthread_create(&threads[count], NULL, work, (void *)(uintptr_t)(round * MAX_WORKERS + i));
    for (uint64_t i = 0; i < CHURNERS; i++)
        count += !pthread_create(&threads[count], NULL, churn, (void *)(uintptr_t)(round * CHURNERS + i));
    use_plugin(plugin, round);
    if (round % 2 == 0 && run_child(draw(&state)))
        abort();
    use_plugin(plugin, round + 1);
    if (count > workers)
        pthread_cancel(threads[count - 1]);
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static int entries(const char *folder)
{
    int count = 0;
    DIR *stream = opendir(folder);
    while (stream && readdir(stream))
        count++;
    if (stream)
        closedir(stream);
    return count;
}

// Threads of a snapshot that is being written go by themselves.
static int threads_left(void)
{
    for (int tries = 0; tries < 500 && entries("/proc/self/task") > 3; tries++)
        usleep(10000);
    return entries("/proc/self/task") - 3;
}

static void on_stop(int number)
{
    (void)number;
    stopping = 1;
}

static void on_timer(int number)
{
    (void)number;
}

static void set_handler(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(number, &action, NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "short")) {
        work((void *)(uintptr_t)getpid());
        return 0;
    }
    if (argc < 3)
        return 2;
    uint64_t workers = strtoull(argv[2], NULL, 10) % (MAX_WORKERS + 1);
    int descriptors = entries("/proc/self/fd");
    struct itimerval every = {{0, 7000}, {0, 7000}};
    set_handler(SIGTERM, on_stop, 0);
    set_handler(SIGALRM, on_timer, SA_RESTART);
    set_handler(SIGUSR1, on_timer, SA_RESTART);
    setitimer(ITIMER_REAL, &every, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1); // grandchildren come to us
    pthread_atfork(lock_shared, unlock_shared, unlock_shared);
    for (uint64_t round = 1; !stopping; round++) {
        run_round(argv[1], workers, round);
        for (pid_t orphan; (orphan = waitpid(-1, NULL, WNOHANG)) > 0;)
            ;
    }
    every = (struct itimerval){0};
    setitimer(ITIMER_REAL, &every, NULL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    int threads = threads_left();
    printf("left: descriptors %d, threads %d\n", entries("/proc/self/fd") - descriptors, threads);
    fflush(stdout);
    getchar(); // the tables are looked at meanwhile
    for (size_t i = 0; i < SLOTS; i++)
        free(shared[i]);
    return 0;
}
